//! `notifiers REF test`: a marked sample now, apart from what is owed, told step by step.

use super::exit::{CliError, Exit};
use super::fold::hang;
use super::output::{Format, Out, Style, Tint};
use crate::control::api::{NotifierRef, SampleLine, SampleQuery, SampleResult, SampleStarted, SampleStep};
use crate::control::client::{Client, ClientError};
use crate::model::text::escape_controls;

pub(super) async fn run(
    client: &Client,
    notifier: &NotifierRef,
    query: &SampleQuery,
    out: &mut Out,
) -> Result<Exit, CliError> {
    let mut lines = client.test_notifier(notifier, query).await?;
    let mut started: Option<SampleStarted> = None;
    while let Some(line) = lines.next().await {
        let line = line?;
        if out.format == Format::Json {
            out.json_line(&line)?;
        }
        match line {
            SampleLine::Started(s) => started = Some(s),
            SampleLine::Step(step) => {
                if out.format == Format::Table {
                    let text = step_line(&step, &out.style);
                    out.line(&text)?;
                }
            }
            SampleLine::Result(result) => {
                if out.format == Format::Table {
                    let text = last_line(started.as_ref(), &result, &out.style);
                    out.line(&text)?;
                }
                return Ok(if result.sent { Exit::Done } else { Exit::Failed });
            }
            SampleLine::Error(details) => return Err(CliError::Client(ClientError::Refused(Box::new(details)))),
        }
    }
    Err(CliError::Failed("the daemon ended the test before its result: is it stopping?".into()))
}

/// `2013-07-13 04:44:25.118338 Connected to 127.0.0.1:25`.
fn step_line(step: &SampleStep, style: &Style) -> String {
    let at = style.time_us(step.at_us);
    hang(&format!("{at} {}", escape_controls(&step.text)), at.len() + 1, style.width)
}

/// `[3] chat SLACK https://hooks.slack.com/*** PASS (ok)`.
fn last_line(started: Option<&SampleStarted>, result: &SampleResult, style: &Style) -> String {
    let verdict = if result.sent { style.paint("PASS", Tint::Good) } else { style.paint("FAIL", Tint::Bad) };
    let end = format!("{verdict} ({})", escape_controls(&result.answer));
    match started {
        Some(s) => format!(
            "[{}] {} {} {} {end}",
            s.id,
            escape_controls(&s.name),
            escape_controls(&s.kind),
            escape_controls(&s.address)
        ),
        None => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::notifier::NotifierId;

    #[test]
    fn each_step_has_its_time_and_the_last_line_says_what_became_of_it() {
        let step = SampleStep { at_us: 1_373_690_665_118_338, text: "connected to 127.0.0.1:25\u{1b}".into() };
        assert_eq!(step_line(&step, &Style::plain()), "2013-07-13 04:44:25.118338 connected to 127.0.0.1:25\\u{1b}");
        let narrow = step_line(&step, &Style { width: Some(52), ..Style::plain() });
        assert!(narrow.lines().count() > 1 && narrow.lines().all(|l| l.chars().count() <= 52), "{narrow}");
        assert!(narrow.lines().skip(1).all(|l| l.starts_with(&" ".repeat(27))), "{narrow}");
        let started = SampleStarted {
            at_us: 1_373_690_665_113_623,
            id: NotifierId(3),
            name: "chat".into(),
            kind: "SLACK".into(),
            address: "https://hooks.slack.com/***".into(),
        };
        let mut result = SampleResult { at_us: 1_373_690_665_120_000, sent: true, answer: "ok".into() };
        assert_eq!(
            last_line(Some(&started), &result, &Style::plain()),
            "[3] chat SLACK https://hooks.slack.com/*** PASS (ok)"
        );
        result.sent = false;
        result.answer = "404: no_service\n".into();
        assert_eq!(
            last_line(Some(&started), &result, &Style { color: true, ..Style::plain() }),
            "[3] chat SLACK https://hooks.slack.com/*** \u{1b}[31mFAIL\u{1b}[0m (404: no_service\\n)"
        );
        assert_eq!(last_line(None, &result, &Style::plain()), "FAIL (404: no_service\\n)");
    }
}
