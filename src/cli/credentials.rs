//! `credentials`: the list, one credential, enable, disable and test.

use serde_json::Value;

use super::args::{CredentialAction, CredentialsArgs};
use super::exit::{CliError, Exit};
use super::facts::Facts;
use super::login;
use super::output::{Out, Style, Tint};
use super::tables::{Cell, Narrow, Table, yes_no};
use super::targets::{invalid_rows, key_text};
use crate::control::api::{
    CredentialDetail, CredentialFilter, CredentialReference, CredentialState, CredentialStatus, CredentialSummary,
};
use crate::control::client::Client;
use crate::model::credential::CredentialId;

/// Names of users that the detail shows; JSON has them all.
const SHOWN_USERS: usize = 20;

pub(super) async fn run(client: &Client, args: CredentialsArgs, out: &mut Out) -> Result<Exit, CliError> {
    match (args.credential, args.action) {
        (Some(credential), None) => out.show(&client.credential(&credential).await?, detail)?,
        (Some(credential), Some(CredentialAction::Enable)) => set_enabled(client, &credential, true, out).await?,
        (Some(credential), Some(CredentialAction::Disable)) => set_enabled(client, &credential, false, out).await?,
        (Some(credential), Some(CredentialAction::Test)) => return login::run(client, &credential, out).await,
        (None, _) => {
            let filter = CredentialFilter { tenant: args.tenant, enabled: args.enabled };
            out.show(&client.credentials(&filter).await?, |credentials, style| list(credentials, style))?;
        }
    }
    Ok(Exit::Done)
}

/// The id of a row; `-` for what has none.
pub(super) fn id_text(id: Option<CredentialId>) -> String {
    id.map_or_else(|| "-".to_owned(), |id| id.to_string())
}

/// The state in a colour.
pub(super) fn tint(state: CredentialState) -> Tint {
    match state {
        CredentialState::Valid => Tint::Good,
        CredentialState::Fail => Tint::Bad,
        CredentialState::Disabled => Tint::Unclear,
        CredentialState::New | CredentialState::LoggingIn | CredentialState::Expired => Tint::None,
    }
}

/// `VALID`, `FAIL (identity_rejected)`.
pub(super) fn state_text(status: &CredentialStatus) -> String {
    match (status.state, status.reason) {
        (CredentialState::Fail, Some(reason)) => format!("FAIL ({})", reason.as_str()),
        (state, _) => state.as_str().to_owned(),
    }
}

async fn set_enabled(
    client: &Client,
    credential: &CredentialReference,
    on: bool,
    out: &mut Out,
) -> Result<(), CliError> {
    let changed = client.set_credential_enabled(credential, on).await?;
    out.show(&changed, |c, _| {
        let state = if on { "Enabled" } else { "Disabled" };
        format!("Credential: {} has been {state}\n", key_text(&c.definition, "name"))
    })
}

/// How the list fits a narrow terminal.
const NARROW: &[Narrow] = &[
    Narrow::Short(&[(5, "Expires")]),
    Narrow::Shrink(7, 20),
    Narrow::Shrink(1, 12),
    Narrow::Shrink(7, 8),
    Narrow::Shrink(1, 8),
];

/// The table of `credentials`.
pub(super) fn list(credentials: &[CredentialSummary], style: &Style) -> String {
    let header = ["ID", "Name", "Type", "Enabled", "State", "Expires", "Users", "Last Error"];
    let mut table = Table::new(&header).narrow(NARROW);
    for c in credentials {
        table.row(vec![
            Cell::new(id_text(c.id)),
            Cell::new(c.name.as_str()),
            Cell::new(c.kind.as_str()),
            Cell::new(yes_no(c.enabled)),
            Cell::tinted(c.status.state.as_str(), tint(c.status.state)),
            Cell::new(style.time(c.status.expires_at)).or_short(style, || style.time_short(c.status.expires_at)),
            Cell::new(c.users.to_string()),
            Cell::new(c.status.last_error.as_deref().unwrap_or("-")),
        ]);
    }
    let mut text = table.render(style);
    let invalid: Vec<String> = credentials.iter().filter(|c| c.invalid).map(|c| id_text(c.id)).collect();
    text.push_str(&invalid_rows("credentials", &invalid));
    text
}

/// The table of `credentials REF`.
pub(super) fn detail(c: &CredentialDetail, style: &Style) -> String {
    let enabled = c.definition.get("enabled").and_then(Value::as_bool).unwrap_or(true);
    let mut facts = Facts::default();
    let status = &c.status;
    facts.add("ID", id_text(c.id));
    facts.add("Name", key_text(&c.definition, "name"));
    facts.add("Type", key_text(&c.definition, "type"));
    facts.add("Enabled", yes_no(enabled));
    facts.add_tinted("State", state_text(status), tint(status.state));
    facts.add("Expires", style.time(status.expires_at));
    facts.add("Users", users(&c.users));
    facts.add("Last Error", status.last_error.as_deref().unwrap_or("-"));
    facts.add("Last Failed", style.time(status.last_failed_at));
    facts.add("Logged In", style.time(status.logged_in_at));
    facts.add("Logged In As", status.logged_in_as.as_deref().unwrap_or("-"));
    facts.add("Next Login", style.time(status.next_login_at));
    facts.add("Logins", format!("{} ok, {} failed", status.logins_ok, status.logins_failed));
    facts.add("Defined In", c.source.as_str());
    facts.add("Identity Service", c.auth_url.as_deref().unwrap_or("-"));
    facts.add("Tenant", key_text(&c.definition, "tenantid"));
    facts.add("Parameters", key_text(&c.definition, "params"));
    for warning in &c.warnings {
        facts.add_tinted("Warning", warning.as_str(), Tint::Unclear);
    }
    for problem in &c.problems {
        facts.add_tinted("Invalid Row", problem.to_string(), Tint::Bad);
    }
    facts.render(style)
}

/// How many, and who.
fn users(names: &[String]) -> String {
    if names.is_empty() {
        return "0".into();
    }
    let shown = names.iter().take(SHOWN_USERS).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if names.len() > SHOWN_USERS { ", …" } else { "" };
    format!("{}: {shown}{more}", names.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::CredentialSource;
    use crate::model::credential::CredentialDefinition;
    use crate::model::definition::Problem;
    use crate::model::reason::Reason;
    use crate::model::time::UtcMs;
    use crate::secret::Secret;

    fn summary(id: i64, name: &str) -> CredentialSummary {
        CredentialSummary {
            id: Some(CredentialId(id)),
            source: CredentialSource::Row,
            name: name.into(),
            tenantid: Some("0".into()),
            kind: "OPENSTACK".into(),
            enabled: true,
            status: CredentialStatus::default(),
            users: 0,
            invalid: false,
        }
    }

    #[test]
    fn the_list_shows_how_each_is_doing() {
        let status = CredentialStatus {
            state: CredentialState::Fail,
            expires_at: Some(UtcMs(1_373_523_474_000)),
            last_error: Some("401 Unauthorized\u{1b}".into()),
            ..CredentialStatus::default()
        };
        let cloud = CredentialSummary {
            id: None,
            source: CredentialSource::Cloud,
            tenantid: None,
            status: CredentialStatus { state: CredentialState::Valid, ..CredentialStatus::default() },
            users: 2,
            ..summary(0, "cloud:prod")
        };
        let failing = CredentialSummary { status, users: 40, ..summary(1, "mycloud") };
        let wrong = CredentialSummary { enabled: false, invalid: true, ..summary(2, "lab") };
        assert_eq!(
            list(&[failing, wrong, cloud], &Style::plain()),
            "\
+----+------------+-----------+---------+-------+---------------------+-------+------------------------+
| ID | Name       | Type      | Enabled | State | Expires             | Users | Last Error             |
+----+------------+-----------+---------+-------+---------------------+-------+------------------------+
| 1  | mycloud    | OPENSTACK | Yes     | FAIL  | 2013-07-11 06:17:54 | 40    | 401 Unauthorized\\u{1b} |
| 2  | lab        | OPENSTACK | No      | NEW   | -                   | 0     | -                      |
| -  | cloud:prod | OPENSTACK | Yes     | VALID | -                   | 2     | -                      |
+----+------------+-----------+---------+-------+---------------------+-------+------------------------+
Invalid rows, not in force: 2 (what is wrong: skypunchctl credentials 2)
"
        );
        let style = Style { width: Some(80), now: UtcMs(1_373_523_600_000), ..Style::plain() };
        let status = CredentialStatus {
            last_error: Some("Keystone answered 401 to the login ".repeat(3)),
            ..Default::default()
        };
        let narrow = list(&[CredentialSummary { status, ..summary(1, "the cloud in the north of the town") }], &style);
        assert!(narrow.lines().all(|l| l.chars().count() <= 80), "{narrow}");
    }

    #[test]
    fn the_detail_shows_users_problems_and_no_secret() {
        let definition = CredentialDefinition {
            name: "mycloud".into(),
            params: Some(Secret::new("auth_url=http://k,user_id=u,password=hunter2")),
            ..CredentialDefinition::default()
        };
        let c = CredentialDetail {
            id: Some(CredentialId(3)),
            source: CredentialSource::Row,
            auth_url: Some("http://k/".into()),
            status: CredentialStatus {
                state: CredentialState::Fail,
                reason: Some(Reason::IdentityRejected),
                last_error: Some("no".into()),
                last_failed_at: Some(UtcMs(1_373_523_474_000)),
                logged_in_as: Some("probe in project demo".into()),
                logins_ok: 1,
                logins_failed: 2,
                ..CredentialStatus::default()
            },
            users: vec!["api".into(), "7/web".into()],
            problems: vec![Problem { field: "type".into(), message: "is not known".into() }],
            warnings: vec!["it is old".into()],
            definition: definition.to_json(),
        };
        assert_eq!(
            detail(&c, &Style::plain()),
            "\
+------------------+--------------------------+
| Field            | Value                    |
+------------------+--------------------------+
| ID               | 3                        |
| Name             | mycloud                  |
| Type             | OPENSTACK                |
| Enabled          | Yes                      |
| State            | FAIL (identity_rejected) |
| Expires          | -                        |
| Users            | 2: api, 7/web            |
| Last Error       | no                       |
| Last Failed      | 2013-07-11 06:17:54      |
| Logged In        | -                        |
| Logged In As     | probe in project demo    |
| Next Login       | -                        |
| Logins           | 1 ok, 2 failed           |
| Defined In       | credentials              |
| Identity Service | http://k/                |
| Tenant           | 0                        |
| Parameters       | ***                      |
| Warning          | it is old                |
| Invalid Row      | type: is not known       |
+------------------+--------------------------+
"
        );
    }
}
