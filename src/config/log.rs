//! `[log]`: what is logged, how, and where to.

use std::path::PathBuf;

use super::layers::Reader;
use super::values;

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// The least severe level that is logged.
    pub level: LogLevel,
    /// What a line looks like.
    pub format: LogFormat,
    /// Where lines go; standard error where absent.
    pub file: Option<PathBuf>,
    /// Which results of probes are logged.
    pub results: LogResults,
}

/// Severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the usual words")]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warning,
    Error,
}

/// What a log line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For a person at a terminal, with colour where it is one.
    Terminal,
    /// The line of skypunch 0.3.0 with key=value behind it.
    Compact,
    /// A JSON object a line.
    Json,
    /// Fields of systemd's journal.
    Journald,
}

/// Which results of probes are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogResults {
    /// Every one.
    All,
    /// Those that change a target's status.
    Changes,
    /// None.
    None,
}

impl LogSettings {
    /// `journal`: standard error leads into systemd's journal.
    pub(super) fn read(r: &mut Reader, journal: bool) -> LogSettings {
        const LEVELS: [(&str, LogLevel); 5] = [
            ("trace", LogLevel::Trace),
            ("debug", LogLevel::Debug),
            ("info", LogLevel::Info),
            ("warning", LogLevel::Warning),
            ("error", LogLevel::Error),
        ];
        const FORMATS: [(&str, LogFormat); 4] = [
            ("terminal", LogFormat::Terminal),
            ("compact", LogFormat::Compact),
            ("json", LogFormat::Json),
            ("journald", LogFormat::Journald),
        ];
        const RESULTS: [(&str, LogResults); 3] =
            [("all", LogResults::All), ("changes", LogResults::Changes), ("none", LogResults::None)];
        let file = r.optional("log.file", values::path);
        let format = match &file {
            Some(_) => LogFormat::Compact,
            None if journal => LogFormat::Journald,
            None => LogFormat::Terminal,
        };
        let format = r.get("log.format", format, |g| values::one_of(g, &FORMATS));
        if file.is_some() && format == LogFormat::Journald {
            r.wrong("log.format", "the journal is no file: leave log.file out, or write another format");
        }
        LogSettings {
            level: r.get("log.level", LogLevel::Info, |g| values::one_of(g, &LEVELS)),
            format,
            results: r.get("log.results", LogResults::All, |g| values::one_of(g, &RESULTS)),
            file,
        }
    }
}
