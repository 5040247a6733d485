//! What may change of a log that is being written.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use slog::Level;

use crate::config::{LogFormat, LogLevel, LogResults, LogSettings};

/// The settings that everybody who logs asks for; read without a lock.
#[derive(Debug)]
pub struct Live {
    /// slog's number of the least severe level.
    level: AtomicUsize,
    /// Place in [`RESULTS`].
    results: AtomicUsize,
    fields: AtomicBool,
}

const RESULTS: [LogResults; 3] = [LogResults::All, LogResults::Changes, LogResults::None];

impl Live {
    /// As these settings say.
    #[must_use]
    pub fn new(settings: &LogSettings) -> Live {
        let live = Live::of_results(settings.results);
        live.set(settings);
        live
    }

    /// Where only results matter.
    #[must_use]
    pub fn of_results(results: LogResults) -> Live {
        let live = Live {
            level: AtomicUsize::new(Level::Info.as_usize()),
            results: AtomicUsize::new(0),
            fields: AtomicBool::new(false),
        };
        live.set_results(results);
        live
    }

    /// From now on as these settings say.
    pub fn set(&self, settings: &LogSettings) {
        self.level.store(level(settings.level).as_usize(), Ordering::Relaxed);
        self.set_results(settings.results);
        self.fields.store(matches!(settings.format, LogFormat::Json | LogFormat::Journald), Ordering::Relaxed);
    }

    fn set_results(&self, results: LogResults) {
        self.results.store(RESULTS.iter().position(|r| *r == results).unwrap_or(0), Ordering::Relaxed);
    }

    /// Whether a line of that level is logged.
    #[must_use]
    pub fn logs(&self, level: Level) -> bool {
        level.as_usize() <= self.level.load(Ordering::Relaxed)
    }

    /// Which results are logged.
    #[must_use]
    pub fn results(&self) -> LogResults {
        RESULTS.get(self.results.load(Ordering::Relaxed)).copied().unwrap_or(LogResults::All)
    }

    /// Whether keys and values are for machines, which want to know what the words of a line say.
    #[must_use]
    pub fn has_fields(&self) -> bool {
        self.fields.load(Ordering::Relaxed)
    }
}

/// slog's level of a setting.
fn level(level: LogLevel) -> Level {
    match level {
        LogLevel::Trace => Level::Trace,
        LogLevel::Debug => Level::Debug,
        LogLevel::Info => Level::Info,
        LogLevel::Warning => Level::Warning,
        LogLevel::Error => Level::Error,
    }
}
