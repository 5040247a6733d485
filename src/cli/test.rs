//! `targets REF test`: a probe now, apart from the schedule, told step by step.

use super::exit::{CliError, Exit};
use super::fold::hang;
use super::output::{Format, Out, Style};
use super::watch::verdict_line;
use crate::control::api::{ProblemDetails, TargetRef, TestLine, TestStarted};
use crate::control::client::{Client, ClientError};
use crate::model::outcome::Outcome;
use crate::model::reason::Verdict;
use crate::model::trace::Step;

pub(super) async fn run(client: &Client, target: &TargetRef, out: &mut Out) -> Result<Exit, CliError> {
    let mut lines = client.test(target).await?;
    let mut started: Option<TestStarted> = None;
    while let Some(line) = lines.next().await {
        let line = line?;
        if out.format == Format::Json {
            out.json_line(&line)?;
        }
        match line {
            TestLine::Started(s) => started = Some(s),
            TestLine::Step(step) => {
                if out.format == Format::Table {
                    let text = step_line(started.as_ref(), &step, &out.style);
                    out.line(&text)?;
                }
            }
            TestLine::Outcome(outcome) => {
                if out.format == Format::Table {
                    let text = last_line(started.as_ref(), &outcome, &out.style);
                    out.line(&text)?;
                }
                return Ok(if outcome.verdict == Verdict::Pass { Exit::Done } else { Exit::Failed });
            }
            TestLine::Error(details) => return Err(refused(details)),
        }
    }
    Err(CliError::Failed("the daemon ended the test before its outcome: is it stopping?".into()))
}

fn refused(details: ProblemDetails) -> CliError {
    CliError::Client(ClientError::Refused(Box::new(details)))
}

/// `2013-07-13 04:44:25.118338 Connection    [OK] …`.
fn step_line(started: Option<&TestStarted>, step: &Step, style: &Style) -> String {
    let at = started.map_or(0, |s| s.started_at_us).saturating_add(i64::from(step.at_us));
    let at = style.time_us(at);
    hang(&format!("{at} {}", step.event), at.len() + 1, style.width)
}

fn last_line(started: Option<&TestStarted>, outcome: &Outcome, style: &Style) -> String {
    match started {
        Some(s) => verdict_line(s.id, &s.name, &s.method, &s.url, outcome.verdict, &outcome.description, style),
        None => format!("{} ({})", outcome.verdict, outcome.description),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::reason::Reason;
    use crate::model::target::TargetId;
    use crate::model::trace::Event;

    #[test]
    fn lines_look_as_in_0_3_0() {
        let started = TestStarted {
            started_at_us: 1_373_690_665_113_623,
            id: TargetId(8),
            name: "Localhost nginx test".into(),
            method: "GET".into(),
            url: "http://localhost".into(),
        };
        let style = Style::plain();
        let connecting = Step { at_us: 0, event: Event::Connecting { address: "127.0.0.1:80".parse().unwrap() } };
        assert_eq!(
            step_line(Some(&started), &connecting, &style),
            "2013-07-13 04:44:25.113623 Connecting to 127.0.0.1:80 ...."
        );
        let connected =
            Step { at_us: 4715, event: Event::Connected { address: "127.0.0.1:80".parse().unwrap(), local: None } };
        assert_eq!(
            step_line(Some(&started), &connected, &style),
            "2013-07-13 04:44:25.118338 Connection    [OK] to 127.0.0.1:80"
        );
        let description = "no connection to 127.0.0.1:80: connection refused; nothing listens on that port".to_owned();
        let failed = Step { at_us: 5000, event: Event::Failed { reason: Reason::ConnectRefused, description } };
        let narrow = step_line(Some(&started), &failed, &Style { width: Some(60), ..Style::plain() });
        assert!(narrow.lines().count() > 2 && narrow.lines().all(|l| l.chars().count() <= 60), "{narrow}");
        assert!(narrow.lines().skip(1).all(|l| l.starts_with(&" ".repeat(27))), "{narrow}");
        assert_eq!(
            last_line(Some(&started), &Outcome::pass(200, "OK"), &style),
            "[8] Localhost nginx test           GET http://localhost PASS (OK)"
        );
    }
}
