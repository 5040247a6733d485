//! `doctor`: looks at everything that skypunch stands on.

use super::args::DoctorArgs;
use super::exit::{CliError, Exit};
use super::fold::hang;
use super::output::{Out, Style, Tint};
use super::place::Place;
use crate::clock::Clock;
use crate::config;
use crate::doctor::{self, Level, Report};
use crate::model::text::escape_controls;

/// Where what was found begins in a line.
const INDENT: usize = 24;

pub(super) async fn run(place: &Place, args: &DoctorArgs, out: &mut Out) -> Result<Exit, CliError> {
    let named = place.named.then(|| place.socket.clone());
    let env = config::text_vars(std::env::vars_os());
    let at = doctor::Place { config: args.config.clone(), socket: named, default_socket: place.socket.clone(), env };
    let report = doctor::examine(&at, &Clock::system()).await;
    out.show(&report, text)?;
    Ok(if report.healthy { Exit::Done } else { Exit::Failed })
}

fn text(report: &Report, style: &Style) -> String {
    let mut text = String::new();
    let mut line = |line: &str, level: Level| {
        let tint = match level {
            Level::Ok => Tint::Good,
            Level::Warning => Tint::Unclear,
            Level::Fail => Tint::Bad,
        };
        let hung = hang(line, INDENT, style.width);
        let word = level.as_str();
        match hung.strip_prefix(word) {
            Some(rest) => text.push_str(&format!("{}{rest}", style.paint(word, tint))),
            None => text.push_str(&hung),
        }
        text.push('\n');
    };
    for found in &report.findings {
        let message = escape_controls(&found.message);
        line(&format!("{:<9}{:<15}{message}", found.level.as_str(), found.check), found.level);
        if let Some(mend) = &found.mend {
            line(&format!("{:INDENT$}-> {}", "", escape_controls(mend)), found.level);
        }
    }
    let n = |level| report.findings.iter().filter(|f| f.level == level).count();
    let (ok, warnings, fails) = (n(Level::Ok), n(Level::Warning), n(Level::Fail));
    text.push_str(&format!("{ok} OK, {warnings} WARNING, {fails} FAIL\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Finding;

    #[test]
    fn each_finding_is_a_line_with_its_mend_below() {
        let found = |level, check, message: &str, mend: Option<&str>| Finding {
            check,
            level,
            message: message.into(),
            mend: mend.map(str::to_owned),
        };
        let report = Report {
            healthy: false,
            findings: vec![
                found(Level::Ok, "settings", "/etc/skypunch/skypunch.toml is fit", None),
                found(
                    Level::Fail,
                    "database",
                    "it is\u{1b}[2J away, and has been so for quite some time",
                    Some("start it"),
                ),
            ],
        };
        assert_eq!(
            text(&report, &Style { width: Some(60), ..Style::plain() }),
            "\
OK       settings       /etc/skypunch/skypunch.toml is fit
FAIL     database       it is\\u{1b}[2J away, and has been so
                        for quite some time
                        -> start it
1 OK, 0 WARNING, 1 FAIL
"
        );
        let color = Style { color: true, ..Style::plain() };
        assert!(text(&report, &color).contains("\u{1b}[31mFAIL\u{1b}[0m     database"));
    }
}
