//! `targets`: the list, one target, enable and disable.

use super::args::{TargetAction, TargetsArgs};
use super::credentials::{state_text, tint};
use super::exit::{CliError, Exit};
use super::facts::Facts;
use super::output::{Out, Style, Tint};
use super::tables::{Cell, Narrow, Table, millis, yes_no};
use super::test;
use crate::control::api::{CredentialStatus, TargetDetail, TargetFilter, TargetRef, TargetSummary};
use crate::control::client::Client;
use crate::model::reason::Reason;
use crate::model::text::{escape_controls, utc_seconds};
use serde_json::{Map, Value};

pub(super) async fn run(client: &Client, args: TargetsArgs, out: &mut Out) -> Result<Exit, CliError> {
    match (args.target, args.action) {
        (Some(target), None) => out.show(&client.target(&target).await?, detail)?,
        (Some(target), Some(TargetAction::Test)) => return test::run(client, &target, out).await,
        (Some(target), Some(TargetAction::Enable)) => set_enabled(client, &target, true, out).await?,
        (Some(target), Some(TargetAction::Disable)) => set_enabled(client, &target, false, out).await?,
        (None, _) => {
            let filter =
                TargetFilter { status: args.status, tenant: args.tenant, tag: args.tag, enabled: args.enabled };
            out.show(&client.targets(&filter).await?, |targets, style| list(targets, style))?;
        }
    }
    Ok(Exit::Done)
}

async fn set_enabled(client: &Client, target: &TargetRef, on: bool, out: &mut Out) -> Result<(), CliError> {
    let changed = client.set_enabled(target, on).await?;
    out.show(&changed, |target, _| {
        format!(
            "Target: {} has been {}\n",
            key_text(&target.definition, "name"),
            if on { "Enabled" } else { "Disabled" }
        )
    })
}

/// How the list fits a narrow terminal.
const NARROW: &[Narrow] = &[
    Narrow::Shrink(1, 12),
    Narrow::Short(&[(3, "LastUpdated")]),
    Narrow::Short(&[(5, "Pass"), (6, "Fail")]),
    Narrow::Shrink(1, 8),
];

/// The table of `targets`.
pub(super) fn list(targets: &[TargetSummary], style: &Style) -> String {
    let header = ["ID", "Name", "Status", "LastUpdated", "Enabled", "Pass Count", "Fail Count"];
    let mut table = Table::new(&header).narrow(NARROW);
    for t in targets {
        table.row(vec![
            Cell::new(t.id.to_string()),
            Cell::new(t.name.as_str()),
            Cell::tinted(t.status.as_str(), t.status),
            Cell::new(style.time(t.last_updated)).or_short(style, || style.time_short(t.last_updated)),
            Cell::new(yes_no(t.enabled)),
            Cell::new(t.pass_count.to_string()),
            Cell::new(t.fail_count.to_string()),
        ]);
    }
    let mut text = table.render(style);
    let invalid: Vec<String> = targets.iter().filter(|t| t.invalid).map(|t| t.id.to_string()).collect();
    text.push_str(&invalid_rows("targets", &invalid));
    text
}

/// The line below a list that has invalid rows.
pub(super) fn invalid_rows(command: &str, ids: &[String]) -> String {
    let Some(first) = ids.first() else { return String::new() };
    let shown = ids.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if ids.len() > 10 { ", …" } else { "" };
    format!("Invalid rows, not in force: {shown}{more} (what is wrong: skypunchctl {command} {first})\n")
}

/// The table of `targets REF`: the rows of 0.3.0 in its order, then those that are new.
pub(super) fn detail(t: &TargetDetail, style: &Style) -> String {
    let s = &t.status;
    let c = &s.counters;
    let enabled = t.definition.get("enabled").and_then(Value::as_bool).unwrap_or(true);
    let frequency = t.definition.get("frequency_ms").and_then(Value::as_i64);
    // A timeout that nobody wrote follows from the frequency.
    let timeout = t
        .definition
        .get("timeout_ms")
        .and_then(Value::as_i64)
        .or_else(|| frequency.map(|f| f.min(crate::model::definition::DEFAULT_TIMEOUT_MS)));
    let mut facts = Facts::default();
    facts.add("ID", t.id.to_string());
    facts.add("Name", key_text(&t.definition, "name"));
    facts.add_tinted("Status", s.status.as_str(), s.status);
    facts.add("Enabled", yes_no(enabled));
    facts.add("Status Description", s.status_description.as_str());
    facts.add("Last Updated", style.time(s.last_updated));
    facts.add("Target URL", key_text(&t.definition, "url"));
    facts.add("Target Method", key_text(&t.definition, "method"));
    facts.add("Authentication", key_text(&t.definition, "authn"));
    facts.add("Expected Value", key_text(&t.definition, "pass_result"));
    facts.add("Frequency (sec)", seconds(frequency));
    facts.add("Timeout (sec)", seconds(timeout));
    facts.add("Pass Count", c.pass_count.to_string());
    facts.add("Fail Count", c.fail_count.to_string());
    facts.add("200 Status Count", c.count200.to_string());
    facts.add("300 Status Count", c.count300.to_string());
    facts.add("400 Status Count", c.count400.to_string());
    facts.add("500 Status Count", c.count500.to_string());
    facts.add("Network Fail Count", c.network_fails.to_string());
    facts.add("Repeated Fail Count", s.repeated_fails.to_string());
    facts.add("Unknown Count", c.unknown_count.to_string());
    facts.add("Missed Count", c.missed_count.to_string());
    facts.add("Previous Status", s.previous_status.as_str());
    facts.add("Reason", s.reason.map_or("-", |r| r.as_str()));
    facts.add("Latency", s.last_latency_us.map_or_else(|| "-".into(), millis));
    facts.add("Tenant", key_text(&t.definition, "tenantid"));
    facts.add("Fail After", key_text(&t.definition, "fail_after"));
    facts.add("Recover After", key_text(&t.definition, "recover_after"));
    let optional = [
        ("Tags", "tags"),
        ("Parent", "parent"),
        ("Request Headers", "headers"),
        ("Request Body", "body"),
        ("Authentication Parameters", "authn_parms"),
        ("Credential", "credential"),
        ("Host", "host"),
        ("Redirects", "redirects"),
        ("TLS CA", "tls_ca"),
        ("TLS Server Name", "tls_server_name"),
        ("Egress Allow", "egress_allow"),
        ("Keep Alive", "keep_alive"),
    ];
    for (label, key) in optional {
        let value = key_text(&t.definition, key);
        if !matches!(value.as_str(), "" | "-" | "0") {
            facts.add(label, value);
        }
    }
    if let Some(login) = &t.login {
        if matches!(t.definition.get("credential"), None | Some(Value::Null)) {
            facts.add("Credential", login.name.as_str());
        }
        if matches!(s.reason, Some(Reason::IdentityUnreachable | Reason::IdentityRejected)) {
            facts.add_tinted("Credential State", credential_text(&login.status, style), tint(login.status.state));
        }
    }
    if t.definition.get("tls_verify") == Some(&Value::Bool(false)) {
        facts.add_tinted("TLS Verify", "No", Tint::Unclear);
    }
    if let Some(at) = s.certificate_expires_at {
        facts.add("Certificate Expires (UTC)", utc_seconds(at.0));
    }
    if let Some(incident) = &t.open_incident {
        facts.add_tinted(
            "Open Incident",
            format!("{} since {}", incident.id, style.time(Some(incident.started_at))),
            Tint::Bad,
        );
    }
    for warning in &t.warnings {
        facts.add_tinted("Warning", warning.as_str(), Tint::Unclear);
    }
    for problem in &t.problems {
        facts.add_tinted("Invalid Row", problem.to_string(), Tint::Bad);
    }
    facts.render(style)
}

/// `FAIL (identity_rejected) since …: sentence; tries again at …`.
fn credential_text(status: &CredentialStatus, style: &Style) -> String {
    let mut text = state_text(status);
    if let Some(error) = &status.last_error {
        text.push_str(&format!(", last tried {}: {error}", style.time(status.last_failed_at)));
        if status.next_login_at.is_some() {
            text.push_str(&format!("; tries again at {}", style.time(status.next_login_at)));
        }
    }
    text
}

/// A key of the definition as text; `-` where there is none.
pub(super) fn key_text(definition: &Map<String, Value>, key: &str) -> String {
    match definition.get(key) {
        None | Some(Value::Null) => "-".into(),
        Some(Value::String(s)) => escape_controls(s).into_owned(),
        Some(Value::Array(items)) => {
            items.iter().map(|i| i.as_str().unwrap_or_default()).collect::<Vec<_>>().join(", ")
        }
        Some(other) => other.to_string(),
    }
}

/// Milliseconds as seconds: `60`, `0.5`.
pub(super) fn seconds(ms: Option<i64>) -> String {
    ms.map_or_else(
        || "-".into(),
        |ms| {
            let text = format!("{}.{:03}", ms / 1000, (ms % 1000).abs());
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::{CredentialState, IncidentSummary, TargetCredential, TargetStatus};
    use crate::model::definition::{Definition, Problem};
    use crate::model::outcome::Outcome;
    use crate::model::state::{Counters, Policy, Status, TargetState, step};
    use crate::model::target::TargetId;
    use crate::model::time::UtcMs;

    fn summary(id: i64, name: &str) -> TargetSummary {
        TargetSummary {
            id: TargetId(id),
            name: name.into(),
            tenantid: "0".into(),
            status: Status::Pass,
            last_updated: Some(UtcMs(1_373_523_474_000)),
            enabled: true,
            pass_count: 12_996,
            fail_count: 0,
            method: "GET".into(),
            url: "http://google.com/".into(),
            reason: None,
            invalid: false,
        }
    }

    #[test]
    fn the_list_is_that_of_0_3_0() {
        let new = TargetSummary {
            status: Status::New,
            last_updated: None,
            enabled: false,
            pass_count: 0,
            invalid: true,
            ..summary(22, "a name of thirty characters ok")
        };
        assert_eq!(
            list(&[summary(1, "Google Dot COM"), new], &Style::plain()),
            "\
+----+--------------------------------+--------+---------------------+---------+------------+------------+
| ID | Name                           | Status | LastUpdated         | Enabled | Pass Count | Fail Count |
+----+--------------------------------+--------+---------------------+---------+------------+------------+
| 1  | Google Dot COM                 | PASS   | 2013-07-11 06:17:54 | Yes     | 12996      | 0          |
| 22 | a name of thirty characters ok | NEW    | -                   | No      | 0          | 0          |
+----+--------------------------------+--------+---------------------+---------+------------+------------+
Invalid rows, not in force: 22 (what is wrong: skypunchctl targets 22)
"
        );
    }

    #[test]
    fn at_80_columns_nothing_wraps() {
        let now = UtcMs(1_373_523_600_000);
        let style = Style { width: Some(80), now, ..Style::plain() };
        let unknown = TargetSummary {
            status: Status::Unknown,
            last_updated: Some(UtcMs(1_373_436_000_000)),
            ..summary(12_345, "checkout of the shop in the north")
        };
        assert_eq!(
            list(&[summary(1, "Google Dot COM"), unknown], &style),
            "\
+-------+---------------------+---------+-------------+---------+-------+------+
| ID    | Name                | Status  | LastUpdated | Enabled | Pass  | Fail |
+-------+---------------------+---------+-------------+---------+-------+------+
| 1     | Google Dot COM      | PASS    | 06:17:54    | Yes     | 12996 | 0    |
| 12345 | checkout of the sh… | UNKNOWN | 07-10 06:00 | Yes     | 12996 | 0    |
+-------+---------------------+---------+-------------+---------+-------+------+
"
        );
        let few = [summary(1, "Google Dot COM, the second")];
        assert_eq!(
            list(&few, &style),
            "\
+----+--------------+--------+-------------+---------+------------+------------+
| ID | Name         | Status | LastUpdated | Enabled | Pass Count | Fail Count |
+----+--------------+--------+-------------+---------+------------+------------+
| 1  | Google Dot … | PASS   | 06:17:54    | Yes     | 12996      | 0          |
+----+--------------+--------+-------------+---------+------------+------------+
"
        );
    }

    #[test]
    fn the_detail_begins_with_the_rows_of_0_3_0() {
        let definition = Definition {
            name: "shop".into(),
            url: "https://shop.example/".into(),
            frequency_ms: 500,
            tags: Some("web,prod".into()),
            parent: Some("core".into()),
            tls_verify: false,
            ..Definition::default()
        };
        let outcome = Outcome { latency_us: 1_204, ..Outcome::not_passed(Reason::ConnectRefused, "refused") };
        let (state, _) = step(TargetState::default(), &outcome, UtcMs(1_373_523_474_000), Policy::default(), 77);
        let target = TargetDetail {
            id: TargetId(3),
            status: TargetStatus::from(&state),
            open_incident: Some(IncidentSummary {
                subject_kind: crate::model::subject::SubjectKind::Target,
                id: 77,
                target_id: Some(TargetId(3)),
                name: "shop".into(),
                tenantid: "0".into(),
                started_at: UtcMs(1_373_523_474_000),
                ended_at: None,
                ended_by: None,
                reason: Reason::ConnectRefused,
                description: "refused".into(),
            }),
            login: None,
            warnings: vec!["no credential".into()],
            problems: vec![Problem { field: "url".into(), message: "is empty".into() }],
            definition: definition.to_json(),
        };
        assert_eq!(
            detail(&target, &Style::plain()),
            "\
+---------------------+------------------------------+
| Field               | Value                        |
+---------------------+------------------------------+
| ID                  | 3                            |
| Name                | shop                         |
| Status              | FAIL                         |
| Enabled             | Yes                          |
| Status Description  | refused                      |
| Last Updated        | 2013-07-11 06:17:54          |
| Target URL          | https://shop.example/        |
| Target Method       | GET                          |
| Authentication      | NONE                         |
| Expected Value      | 200                          |
| Frequency (sec)     | 0.5                          |
| Timeout (sec)       | 0.5                          |
| Pass Count          | 0                            |
| Fail Count          | 1                            |
| 200 Status Count    | 0                            |
| 300 Status Count    | 0                            |
| 400 Status Count    | 0                            |
| 500 Status Count    | 0                            |
| Network Fail Count  | 1                            |
| Repeated Fail Count | 1                            |
| Unknown Count       | 0                            |
| Missed Count        | 0                            |
| Previous Status     | NEW                          |
| Reason              | connect_refused              |
| Latency             | 1.204 ms                     |
| Tenant              | 0                            |
| Fail After          | 1                            |
| Recover After       | 1                            |
| Tags                | web, prod                    |
| Parent              | core                         |
| TLS Verify          | No                           |
| Open Incident       | 77 since 2013-07-11 06:17:54 |
| Warning             | no credential                |
| Invalid Row         | url: is empty                |
+---------------------+------------------------------+
"
        );
        let counters = Counters { count300: 4, ..state.counters };
        let with = TargetDetail { status: TargetStatus { counters, ..target.status.clone() }, ..target };
        assert!(detail(&with, &Style::plain()).contains("| 300 Status Count    | 4 "));
        // Its credential: by name where it is its own, with its state where the target is UNKNOWN for it.
        let status = CredentialStatus {
            state: CredentialState::Fail,
            reason: Some(Reason::IdentityRejected),
            last_error: Some("401".into()),
            last_failed_at: Some(UtcMs(1_373_523_474_000)),
            next_login_at: Some(UtcMs(1_373_523_534_000)),
            ..CredentialStatus::default()
        };
        let login = Some(TargetCredential { name: "target:shop".into(), status });
        let mut unknown = TargetDetail { login, ..with };
        let text = detail(&unknown, &Style::plain());
        assert!(text.contains("| Credential          | target:shop ") && !text.contains("Credential State"), "{text}");
        unknown.status.reason = Some(Reason::IdentityRejected);
        let text = detail(&unknown, &Style::plain());
        let state = "| Credential State    | FAIL (identity_rejected), last tried 2013-07-11 06:17:54: 401; tries again at \
                     2013-07-11 06:18:54 |";
        assert!(text.contains(state), "{text}");
    }

    #[test]
    fn seconds_are_as_short_as_they_can_be() {
        for (ms, text) in [(60_000, "60"), (500, "0.5"), (1_010, "1.01"), (100_000, "100"), (0, "0")] {
            assert_eq!(seconds(Some(ms)), text);
        }
        assert_eq!(seconds(None), "-");
    }

    /// Ten thousand targets, JSON in and table out: about 3 + 7 ms in a release build. Here only
    /// that nothing in it grows with the square of the rows: a debug build needs far less than this.
    #[test]
    fn ten_thousand_targets_are_no_trouble() {
        let targets: Vec<TargetSummary> = (0..10_000).map(|i| summary(i, &format!("target number {i}"))).collect();
        let json = serde_json::to_string(&targets).unwrap();
        let clock = crate::clock::Clock::system();
        let start = clock.now();
        let read: Vec<TargetSummary> = serde_json::from_str(&json).unwrap();
        let parsed = clock.now();
        let text = list(&read, &Style::plain());
        let (parse, table) = (parsed.since(start), clock.now().since(parsed));
        println!("10,000 targets: {} bytes of JSON read in {parse:?}, table made in {table:?}", json.len());
        assert_eq!(text.lines().count(), 10_004);
        assert!(parse + table < std::time::Duration::from_secs(5), "{parse:?} {table:?}");
    }
}
