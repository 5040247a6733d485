//! The log: settings -> slog logger.
//!
//! ```text
//!  any thread: info!(log, …) --> LevelFilter --> bounded channel (8192) --full--> counted
//!                                                   |
//!  one worker thread:                               '--> format --> one write per line --> stderr | file
//!                                                                        fails --> counted, never stops
//! ```
//!
//! The filter is outermost, so that a line that is not wanted costs nothing (0.02 µs, against 0.3 µs behind the
//! channel). A caller never waits for the log: what does not fit in the channel or on the disk is counted, and the
//! count is logged as soon as there is room. No control character of a message or value reaches the log: what a
//! probed server sends cannot forge lines or drive a terminal.

mod format;
mod result;
mod sink;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use slog::{Drain, Level, Logger, OwnedKVList, Record};

use crate::config::{LogFormat, LogLevel, LogSettings};
pub use result::{ResultLog, log_result, result_line};
use sink::{Losses, Sink};

/// Lines that wait for the worker; at 10,000 lines a second nearly a second.
const CHANNEL: usize = 8192;

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file cannot be opened for appending.
    #[error("the log file {} cannot be opened: change log.file, or let skypunch write there", path.display())]
    Open {
        /// `log.file`.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A pipe, a socket or a device.
    #[error(
        "log.file {} is no regular file (a pipe, a socket or a device): write the path of a file, or leave log.file out to \
         log to standard error",
        path.display()
    )]
    Irregular {
        /// `log.file`.
        path: PathBuf,
    },
}

/// Whether `log.file` may be such a thing as stands there.
///
/// # Errors
/// The sentence for people.
pub fn check_file_type(path: &std::path::Path, found: &std::fs::Metadata) -> Result<(), LogError> {
    if found.is_file() || found.is_dir() { Ok(()) } else { Err(LogError::Irregular { path: path.to_owned() }) }
}

/// Keeps the log alive; dropping it writes out what waits. Keep it until `main` returns.
pub struct LogGuard {
    sink: Arc<Sink>,
    losses: Arc<Losses>,
    _worker: slog_async::AsyncGuard,
}

impl std::fmt::Debug for LogGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogGuard").field("lost", &self.lost()).finish_non_exhaustive()
    }
}

impl LogGuard {
    /// Opens the log file anew, after logrotate has moved the old one away. Does nothing for standard error.
    ///
    /// # Errors
    /// When the file cannot be opened; the log then goes on to the old one.
    pub fn reopen(&self) -> Result<(), LogError> {
        self.sink.reopen()
    }

    /// Lines lost since the start: those that found the channel full, and those that could not be written.
    #[must_use]
    pub fn lost(&self) -> (u64, u64) {
        (self.losses.dropped.load(Ordering::Relaxed), self.losses.unwritten.load(Ordering::Relaxed))
    }

    /// Counts the lines lost since the start, without keeping the log alive: what holds the counter may outlive the
    /// guard.
    pub fn lost_counter(&self) -> impl Fn() -> u64 + Send + Sync + 'static {
        let losses = Arc::clone(&self.losses);
        move || losses.dropped.load(Ordering::Relaxed) + losses.unwritten.load(Ordering::Relaxed)
    }
}

/// Builds the root logger.
///
/// # Errors
/// When the log file cannot be opened.
pub fn build(settings: &LogSettings) -> Result<(Logger, LogGuard), LogError> {
    build_with_channel(settings, CHANNEL)
}

fn build_with_channel(settings: &LogSettings, channel: usize) -> Result<(Logger, LogGuard), LogError> {
    let losses = Arc::new(Losses::default());
    let sink = Arc::new(Sink::open(settings.file.clone(), losses.clone())?);
    let lines = match settings.format {
        LogFormat::Terminal => format::Lines::terminal(sink.clone(), sink.is_terminal()),
        LogFormat::Compact => format::Lines::compact(sink.clone()),
        LogFormat::Json => format::Lines::json(sink.clone()),
    };
    let reporting = Reporting { lines, losses: losses.clone() };
    let core = slog_async::AsyncCore::custom(reporting).chan_size(channel).thread_name("log".into());
    let (core, worker) = core.build_with_guard();
    let drain = slog::LevelFilter::new(Counting { core, losses: losses.clone() }, level(settings.level));
    Ok((Logger::root(drain.fuse(), slog::o!()), LogGuard { sink, losses, _worker: worker }))
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

/// The caller's side of the channel: counts what finds it full.
struct Counting {
    core: slog_async::AsyncCore,
    losses: Arc<Losses>,
}

impl Drain for Counting {
    type Ok = ();
    type Err = slog::Never;
    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), slog::Never> {
        if self.core.log(record, values).is_err() {
            self.losses.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// The worker's side of the channel: writes a line, then how many were lost before it, once there is room again.
struct Reporting {
    lines: format::Lines,
    losses: Arc<Losses>,
}

impl Drain for Reporting {
    type Ok = ();
    type Err = slog::Never;
    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), slog::Never> {
        if self.lines.log(record, values)
            && let Some((dropped, unwritten)) = self.losses.unreported()
        {
            let (message, values) = (format_args!("log lines were lost"), slog::o!().into());
            let lost = slog::b!("dropped" => dropped, "unwritten" => unwritten);
            if self.lines.log(&slog::record!(Level::Warning, "", &message, lost), &values) {
                self.losses.reported(dropped, unwritten);
            }
        }
        Ok(())
    }
}

/// Carries warnings and errors of libraries that speak to the `log` facade (actix, rustls, mysql_async) to `logger`.
/// Returns whether it was the first to do so: the facade takes one receiver for the life of the process.
pub fn bridge_libraries(logger: &Logger) -> bool {
    let first = log::set_boxed_logger(Box::new(Bridge(logger.clone()))).is_ok();
    if first {
        log::set_max_level(log::LevelFilter::Warn);
    }
    first
}

struct Bridge(Logger);

impl log::Log for Bridge {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        match record.level() {
            log::Level::Error => slog::error!(self.0, "{}", record.args(); "library" => record.target()),
            log::Level::Warn => slog::warn!(self.0, "{}", record.args(); "library" => record.target()),
            log::Level::Info | log::Level::Debug | log::Level::Trace => {}
        }
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests;
