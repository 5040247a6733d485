//! `watch`: results as they come, a line each, in the form of the log.

use super::exit::{CliError, Exit};
use super::output::{Format, Out, Style};
use crate::control::api::{TargetRef, WatchEvent, WatchLine, WatchQuery};
use crate::control::client::Client;
use crate::model::reason::Verdict;
use crate::model::target::TargetId;
use crate::model::text::escape_controls;

pub(super) async fn run(client: &Client, target: Option<&TargetRef>, out: &mut Out) -> Result<Exit, CliError> {
    let mut lines = client.watch(&WatchQuery { target: target.map(ToString::to_string) }).await?;
    while let Some(line) = lines.next().await {
        let line = line?;
        match out.format {
            Format::Json => out.json_line(&line)?,
            Format::Table => {
                let text = text(&line, &out.style);
                out.line(&text)?;
            }
        }
    }
    Err(CliError::Failed("the daemon has ended the stream: it stops or has been stopped".into()))
}

fn text(line: &WatchLine, style: &Style) -> String {
    match line {
        WatchLine::Lagged { lagged } => format!("... {lagged} results left out: they came faster than they were read"),
        WatchLine::Result(e) => event_line(e, style),
    }
}

fn event_line(e: &WatchEvent, style: &Style) -> String {
    let verdict = verdict_line(e.id, &e.name, &e.method, &e.url, e.verdict, &e.description, style);
    format!("{} {verdict}", style.time_ms(e.started_at))
}

/// `[8] Localhost nginx test           GET http://localhost PASS (OK)`.
pub(super) fn verdict_line(
    id: TargetId,
    name: &str,
    method: &str,
    url: &str,
    verdict: Verdict,
    description: &str,
    style: &Style,
) -> String {
    format!(
        "{:<34} {} {} {} ({})",
        format!("[{id}] {}", escape_controls(name)),
        escape_controls(method),
        escape_controls(url),
        style.paint(verdict.as_str(), verdict.into()),
        escape_controls(description)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::reason::Reason;
    use crate::model::time::UtcMs;

    #[test]
    fn lines_look_as_the_log_of_0_3_0() {
        let event = WatchEvent {
            id: TargetId(1),
            name: "HP Cloud Dot COM".into(),
            method: "GET".into(),
            url: "https://www.hpcloud.com".into(),
            verdict: Verdict::Pass,
            reason: None,
            description: "OK".into(),
            latency_us: 12_345,
            status_code: Some(200),
            started_at: UtcMs(1_373_523_057_053),
        };
        assert_eq!(
            text(&WatchLine::Result(event.clone()), &Style::plain()),
            "2013-07-11 06:10:57,053 [1] HP Cloud Dot COM               GET https://www.hpcloud.com PASS (OK)"
        );
        let failed = WatchEvent {
            verdict: Verdict::Fail,
            reason: Some(Reason::Reset),
            description: "reset\n\u{1b}[2J".into(),
            ..event
        };
        let shown = text(&WatchLine::Result(failed), &Style { color: true, ..Style::plain() });
        assert!(shown.ends_with("\u{1b}[31mFAIL\u{1b}[0m (reset\\n\\u{1b}[2J)"), "{shown:?}");
        assert_eq!(
            text(&WatchLine::Lagged { lagged: 7 }, &Style::plain()),
            "... 7 results left out: they came faster than they were read"
        );
    }
}
