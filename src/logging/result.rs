//! The line of a result, as skypunch 0.3.0 wrote it.

use std::sync::Arc;
use std::time::Duration;

use slog::{Drain as _, Level, Logger, Record};

use super::{Live, RESULT};
use crate::config::LogResults;
use crate::model::outcome::{Outcome, Probe};
use crate::model::reason::Verdict;
use crate::model::state::Status;
use crate::model::target::Target;

/// `[1] HP Cloud Dot COM               GET https://www.hpcloud.com PASS (OK)`: the name padded to 30, in brackets the
/// sentence of the outcome, or its reason where there is none.
#[must_use]
pub fn result_line(target: &Target, status_word: Verdict, outcome: &Outcome) -> String {
    let url = target.url.as_str();
    // The form in which people write the root of a host.
    let url = if target.url.path() == "/" && target.url.query().is_none() {
        url.strip_suffix('/').unwrap_or(url)
    } else {
        url
    };
    let why = match (outcome.description.as_ref(), outcome.reason) {
        ("", Some(reason)) => reason.as_str(),
        (description, _) => description,
    };
    format!("[{}] {:<30} {} {} {} ({})", target.id, target.name, target.method, url, status_word, why)
}

/// Logs the results that `[log] results` asks for.
#[derive(Debug, Clone)]
pub struct ResultLog {
    logger: Logger,
    live: Arc<Live>,
}

impl ResultLog {
    /// Logs to `logger` what is `wanted`, whatever changes.
    #[must_use]
    pub fn new(logger: Logger, wanted: LogResults) -> ResultLog {
        ResultLog::live(logger, Arc::new(Live::of_results(wanted)))
    }

    /// Logs to `logger` what the settings want at the time ([`LogGuard::live`](super::LogGuard::live)).
    #[must_use]
    pub fn live(logger: Logger, live: Arc<Live>) -> ResultLog {
        ResultLog { logger, live }
    }

    /// Logs a probe if it is wanted; `before` and `after` are the target's status around it.
    pub fn result(&self, target: &Target, probe: &Probe, before: Status, after: Status) {
        let wanted = match self.live.results() {
            LogResults::All => true,
            LogResults::Changes => before != after,
            LogResults::None => false,
        };
        if wanted {
            let fields = self.live.has_fields();
            let lateness = probe.started.since(probe.due);
            log_result(&self.logger, target, probe.outcome.verdict, &probe.outcome, lateness, fields);
        }
    }
}

/// Logs a result: PASS at INFO, FAIL at ERROR, UNKNOWN at WARNING, with latency, status code, lateness and reason as
/// values, and the target's id and name where the log has `fields` for machines. Whether it is to be logged at all (`[log] results`) is the caller's decision.
pub fn log_result(
    logger: &Logger,
    target: &Target,
    status_word: Verdict,
    outcome: &Outcome,
    lateness: Duration,
    fields: bool,
) {
    let level = match status_word {
        Verdict::Pass => Level::Info,
        Verdict::Fail => Level::Error,
        Verdict::Unknown => Level::Warning,
    };
    if !logger.is_enabled(level) {
        return;
    }
    let values = Values { outcome, lateness, target: fields.then_some(target) };
    let line = result_line(target, status_word, outcome);
    let location = slog::RecordStatic {
        location: &slog::RecordLocation {
            file: file!(),
            line: line!(),
            column: 0,
            function: "",
            module: module_path!(),
        },
        level,
        tag: RESULT,
    };
    logger.log(&Record::new(&location, &format_args!("{line}"), slog::BorrowedKV(&values)));
}

struct Values<'a> {
    outcome: &'a Outcome,
    lateness: Duration,
    target: Option<&'a Target>,
}

impl slog::KV for Values<'_> {
    fn serialize(&self, _: &Record<'_>, out: &mut dyn slog::Serializer) -> slog::Result {
        // Last first, the order in which slog's own macros hand them out.
        if let Some(reason) = self.outcome.reason {
            out.emit_str("reason", reason.as_str())?;
        }
        let lateness_us = u32::try_from(self.lateness.as_micros()).unwrap_or(u32::MAX);
        out.emit_f64("lateness_ms", f64::from(lateness_us) / 1000.0)?;
        if let Some(code) = self.outcome.status_code {
            out.emit_u16("status_code", code)?;
        }
        out.emit_f64("latency_ms", f64::from(self.outcome.latency_us) / 1000.0)?;
        if let Some(target) = self.target {
            out.emit_str("name", &target.name)?;
            out.emit_i64("target", target.id.0)?;
        }
        Ok(())
    }
}
