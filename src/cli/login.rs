//! `credentials REF test`: a login now, apart from what probes use, told step by step.

use std::time::Duration;

use super::exit::{CliError, Exit};
use super::fold::hang;
use super::output::{Format, Out, Style, Tint};
use crate::control::api::{CredentialReference, Granted, LoginLine, LoginResult, LoginStarted};
use crate::control::client::{Client, ClientError};
use crate::model::text::escape_controls;
use crate::model::trace::Step;

pub(super) async fn run(client: &Client, credential: &CredentialReference, out: &mut Out) -> Result<Exit, CliError> {
    let mut lines = client.test_credential(credential).await?;
    let mut started: Option<LoginStarted> = None;
    while let Some(line) = lines.next().await {
        let line = line?;
        if out.format == Format::Json {
            out.json_line(&line)?;
        }
        match line {
            LoginLine::Started(s) => started = Some(s),
            LoginLine::Step(step) => {
                if out.format == Format::Table {
                    let text = step_line(started.as_ref(), &step, &out.style);
                    out.line(&text)?;
                }
            }
            LoginLine::Result(result) => {
                if out.format == Format::Table {
                    let text = ending(started.as_ref(), &result, &out.style);
                    out.text(&text)?;
                }
                return Ok(if result.granted.is_some() { Exit::Done } else { Exit::Failed });
            }
            LoginLine::Error(details) => return Err(CliError::Client(ClientError::Refused(Box::new(details)))),
        }
    }
    Err(CliError::Failed("the daemon ended the test before its result: is it stopping?".into()))
}

/// `2013-07-13 04:44:25.118338 Connection    [OK] …`.
fn step_line(started: Option<&LoginStarted>, step: &Step, style: &Style) -> String {
    let at = started.map_or(0, |s| s.started_at_us).saturating_add(i64::from(step.at_us));
    let at = style.time_us(at);
    hang(&format!("{at} {}", step.event), at.len() + 1, style.width)
}

/// `mycloud http://keystone:5000/v3 PASS (logged in as probe in project demo)`, and what the token is good for.
fn ending(started: Option<&LoginStarted>, result: &LoginResult, style: &Style) -> String {
    let who = started.map_or(String::new(), |s| {
        let name = escape_controls(&s.name);
        s.auth_url.as_deref().map_or_else(|| format!("{name} "), |url| format!("{name} {} ", escape_controls(url)))
    });
    match &result.granted {
        None => {
            let fail = style.paint("FAIL", Tint::Bad);
            let why = escape_controls(result.error.as_deref().unwrap_or("no reason was given"));
            let reason = result.reason.map_or("-", |r| r.as_str());
            format!("{who}{fail} {reason} ({why})\n")
        }
        Some(granted) => {
            let pass = style.paint("PASS", Tint::Good);
            let as_whom = escape_controls(&granted.logged_in_as);
            format!("{who}{pass} (logged in as {as_whom})\n{}", facts(granted))
        }
    }
}

fn facts(granted: &Granted) -> String {
    let scope = match (&granted.project, &granted.domain, granted.system) {
        (Some(project), _, _) => ("Project", project.clone()),
        (None, Some(domain), _) => ("Domain", domain.clone()),
        (None, None, true) => ("Scope", "the whole system".to_owned()),
        (None, None, false) => ("Scope", "none".to_owned()),
    };
    let roles = if granted.roles.is_empty() { "-".to_owned() } else { granted.roles.join(", ") };
    let lifetime = humantime::format_duration(Duration::from_secs(granted.lifetime_s)).to_string();
    let rows = [
        ("User", granted.user.clone().unwrap_or_else(|| "-".into())),
        scope,
        ("Roles", roles),
        ("Lifetime", lifetime),
        ("Endpoints", format!("{} in its catalog", granted.endpoints)),
    ];
    rows.iter().map(|(label, value)| format!("  {label:<9}  {}\n", escape_controls(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::reason::Reason;
    use crate::model::trace::Event;

    fn started() -> LoginStarted {
        LoginStarted {
            started_at_us: 1_373_690_665_113_623,
            name: "mycloud".into(),
            auth_url: Some("http://127.0.0.1:5000/v3".into()),
        }
    }

    #[test]
    fn a_login_ends_with_what_its_token_is_good_for() {
        let granted = Granted {
            logged_in_as: "probe in project demo".into(),
            user: Some("probe".into()),
            project: Some("demo\u{1b}".into()),
            roles: vec!["reader".into(), "member".into()],
            lifetime_s: 3600,
            endpoints: 12,
            ..Granted::default()
        };
        let mut result = LoginResult { latency_us: 5, reason: None, error: None, granted: Some(granted) };
        assert_eq!(
            ending(Some(&started()), &result, &Style::plain()),
            "\
mycloud http://127.0.0.1:5000/v3 PASS (logged in as probe in project demo)
  User       probe
  Project    demo\\u{1b}
  Roles      reader, member
  Lifetime   1h
  Endpoints  12 in its catalog
"
        );
        let system = Granted { project: None, system: true, roles: Vec::new(), ..result.granted.clone().unwrap() };
        let text = facts(&system);
        assert!(text.contains("  Scope      the whole system\n  Roles      -\n"), "{text}");
        result.granted = None;
        (result.reason, result.error) = (Some(Reason::IdentityRejected), Some("401\n".into()));
        let bare = LoginStarted { auth_url: None, ..started() };
        assert_eq!(
            ending(Some(&bare), &result, &Style { color: true, ..Style::plain() }),
            "mycloud \u{1b}[31mFAIL\u{1b}[0m identity_rejected (401\\n)\n"
        );
    }

    #[test]
    fn each_step_has_its_time() {
        let step = Step { at_us: 4715, event: Event::Connecting { address: "127.0.0.1:80".parse().unwrap() } };
        assert_eq!(
            step_line(Some(&started()), &step, &Style::plain()),
            "2013-07-13 04:44:25.118338 Connecting to 127.0.0.1:80 ...."
        );
    }
}
