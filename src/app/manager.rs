//! The service manager (systemd) is told how the daemon is, where it wants to know (`$NOTIFY_SOCKET`).
//!
//! ```text
//!  running --> READY=1, STATUS=      every 10 s --> STATUS=      reload --> RELOADING=1 … READY=1
//!  stop    --> STOPPING=1 and how long it may take               all threads turn --> WATCHDOG=1 (`watchdog`)
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;
use slog::{Logger, warn};

use crate::board::{Board, Counts};
use crate::clock::Clock;

/// How often the status line is written anew; targets are counted on a thread beside.
const STATUS_EVERY: Duration = Duration::from_secs(10);
/// What a stop takes beyond the grace: connections are cut, the log is written out.
const AFTER_GRACE: Duration = Duration::from_secs(10);

/// The service manager.
#[derive(Debug, Clone)]
pub struct Manager {
    log: Logger,
    /// It has not heard us; told once.
    deaf: Arc<AtomicBool>,
}

impl Manager {
    /// The one that has started this process, if any.
    #[must_use]
    pub fn new(log: Logger) -> Manager {
        Manager { log, deaf: Arc::default() }
    }

    /// Whether there is one that listens.
    #[must_use]
    pub fn is_there() -> bool {
        std::env::var_os("NOTIFY_SOCKET").is_some()
    }

    /// How often it wants to hear that all is well, else it ends this process.
    #[must_use]
    pub fn watchdog() -> Option<Duration> {
        sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero())
    }

    /// Targets are loaded and the control socket listens; or a reload is over.
    pub fn ready(&self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// A reload has begun.
    pub fn reloading(&self) {
        // Newer ones want to know when it began; without a time the message is as good for the others.
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(_) => self.tell(&[NotifyState::Reloading]),
        }
    }

    /// The stop has begun and takes at most `grace` and a little.
    pub fn stopping(&self, grace: Duration) {
        let longest = u32::try_from((grace + AFTER_GRACE).as_micros()).unwrap_or(u32::MAX);
        self.tell(&[
            NotifyState::Stopping,
            NotifyState::ExtendTimeoutUsec(longest),
            NotifyState::Status("Stopping: the last results are being written"),
        ]);
    }

    /// All is well.
    pub fn feed(&self) {
        self.tell(&[NotifyState::Watchdog]);
    }

    fn status(&self, line: &str) {
        self.tell(&[NotifyState::Status(line)]);
    }

    fn tell(&self, what: &[NotifyState<'_>]) {
        match sd_notify::notify(what) {
            Ok(()) => self.deaf.store(false, Ordering::Relaxed),
            Err(e) if !self.deaf.swap(true, Ordering::Relaxed) => {
                warn!(self.log, "the service manager cannot be told how this daemon is"; "error" => %e);
            }
            Err(_) => {}
        }
    }
}

/// Keeps the status line up to date, for ever.
pub async fn keep_status(manager: Manager, board: Arc<Board>, clock: Clock) {
    if !Manager::is_there() {
        return;
    }
    loop {
        let counting = Arc::clone(&board);
        // An error means that the runtime ends.
        let Ok(counts) = tokio::task::spawn_blocking(move || counting.counts()).await else { return };
        let away = board.health.database.get().0.is_some();
        manager.status(&status_line(counts, board.statistics.per_second(clock.now()), away));
        tokio::time::sleep(STATUS_EVERY).await;
    }
}

/// `12 targets: 10 PASS, 1 FAIL, 1 UNKNOWN; 3.2 probes a second; database ok`.
fn status_line(c: Counts, per_second: f64, database_away: bool) -> String {
    let mut line = format!("{} targets: {} PASS, {} FAIL, {} UNKNOWN", c.total, c.pass, c.fail, c.unknown);
    for (n, what) in [(c.new, "NEW"), (c.total - c.enabled, "disabled"), (c.invalid, "invalid")] {
        if n > 0 {
            line.push_str(&format!(", {n} {what}"));
        }
    }
    let database = if database_away { "away" } else { "ok" };
    format!("{line}; {per_second:.1} probes a second; database {database}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_line_counts_and_leaves_out_what_there_is_none_of() {
        let counts = Counts { total: 12, enabled: 12, pass: 10, fail: 1, unknown: 1, new: 0, invalid: 0 };
        let line = status_line(counts, 3.21, false);
        assert_eq!(line, "12 targets: 10 PASS, 1 FAIL, 1 UNKNOWN; 3.2 probes a second; database ok");
        let counts = Counts { total: 3, enabled: 1, new: 1, invalid: 2, ..Counts::default() };
        let line = status_line(counts, 0.0, true);
        assert!(
            line.contains("0 UNKNOWN, 1 NEW, 2 disabled, 2 invalid; ") && line.ends_with("database away"),
            "{line}"
        );
    }
}
