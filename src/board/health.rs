//! How persistence, telling people, the main database and the definitions are.

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use crate::model::reason::Reason;
use crate::model::time::UtcMs;

/// Written by persistence, the notifier and the watcher, read by the control API.
#[derive(Debug, Default)]
pub struct Health {
    /// Results in memory that are nowhere else.
    pub queued: AtomicUsize,
    /// Results written to the main database.
    pub written: AtomicU64,
    /// Passing results whose rows were left out; they are counted.
    pub thinned: AtomicU64,
    /// How long the last write took.
    pub last_write_us: AtomicU64,
    /// Notices that are owed and in no message yet.
    pub owed: AtomicUsize,
    /// Messages on their way.
    pub sending: AtomicUsize,
    /// When the last write ended, in milliseconds UTC; 0 before the first.
    pub last_write_at: AtomicI64,
    /// Everything that ended before this is in the main database, in milliseconds UTC; 0: not known.
    pub written_through: AtomicI64,
    /// Why state.db cannot be written.
    pub state_db: Mutex<Option<String>>,
    spool_batches: AtomicU64,
    spool_results: AtomicU64,
    spool_bytes: AtomicU64,
    /// The main database.
    pub database: DatabaseHealth,
    /// The definitions in force.
    pub definitions: Mutex<DefinitionsHealth>,
    /// What the monitor itself suffers from.
    pub trouble: Mutex<Option<Trouble>>,
    /// The last reload that somebody asked for.
    pub reload: Mutex<ReloadHealth>,
}

/// The open incident of the monitor itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Its id.
    pub incident_id: i64,
    /// When it began.
    pub since: UtcMs,
    /// Its reason.
    pub reason: Reason,
    /// The sentence for people.
    pub why: String,
}

/// What came of the last reload that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReloadHealth {
    /// When it ended; `None`: nobody has asked yet.
    pub at: Option<UtcMs>,
    /// Why settings or definitions were refused or could not be read.
    pub error: Option<String>,
    /// Settings that differ from those in force and need a restart, as `section.key`.
    pub needs_restart: Vec<String>,
}

impl Health {
    /// How far the main database is behind, in milliseconds: the age of the oldest result that it lacks. `None`: not
    /// known, since nothing was written yet.
    #[must_use]
    pub fn lag_ms(&self, now: UtcMs) -> Option<u64> {
        if self.queued.load(Relaxed) == 0 && self.spool_results.load(Relaxed) == 0 {
            return Some(0);
        }
        let through = self.written_through.load(Relaxed);
        (through > 0).then(|| u64::try_from(now.0 - through).unwrap_or(0))
    }

    /// Why state.db cannot be written; `None`: it can.
    #[must_use]
    pub fn state_db_error(&self) -> Option<String> {
        self.state_db.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes whether state.db can be written.
    pub fn set_state_db(&self, error: Option<String>) {
        *self.state_db.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }

    /// Notes that the definitions were read completely.
    pub fn definitions_read(&self, at: UtcMs) {
        self.definitions.lock().unwrap_or_else(PoisonError::into_inner).last_loaded_at = Some(at);
    }

    /// What the spool holds.
    pub fn set_spool(&self, batches: u64, results: u64, bytes: u64) {
        self.spool_batches.store(batches, Relaxed);
        self.spool_results.store(results, Relaxed);
        self.spool_bytes.store(bytes, Relaxed);
    }

    /// Batches, results and bytes in the spool.
    #[must_use]
    pub fn spool(&self) -> (u64, u64, u64) {
        (self.spool_batches.load(Relaxed), self.spool_results.load(Relaxed), self.spool_bytes.load(Relaxed))
    }
}

/// Whether the main database takes what is written, and gives what is read.
#[derive(Debug, Default)]
pub struct DatabaseHealth(Mutex<Ways>);

#[derive(Debug, Default)]
struct Ways {
    writing: Option<String>,
    reading: Option<String>,
    since: UtcMs,
}

impl DatabaseHealth {
    /// Notes how writing went; true when that has changed between well and away.
    pub fn set(&self, state: Result<(), String>, now: UtcMs) -> bool {
        self.note(state, now, |ways| &mut ways.writing)
    }

    /// Notes how reading the definitions went; true when that has changed between well and away.
    pub fn set_reading(&self, state: Result<(), String>, now: UtcMs) -> bool {
        self.note(state, now, |ways| &mut ways.reading)
    }

    fn note(&self, state: Result<(), String>, now: UtcMs, way: fn(&mut Ways) -> &mut Option<String>) -> bool {
        let mut ways = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let was_away = ways.is_away();
        let changed = way(&mut ways).is_some() != state.is_err();
        *way(&mut ways) = state.err();
        if was_away != ways.is_away() || ways.since == UtcMs::default() {
            ways.since = now;
        }
        changed
    }

    /// Why it is away (`None`: it is not), and since when it is as it is.
    #[must_use]
    pub fn get(&self) -> (Option<String>, UtcMs) {
        let ways = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (ways.writing.clone().or_else(|| ways.reading.clone()), ways.since)
    }
}

impl Ways {
    fn is_away(&self) -> bool {
        self.writing.is_some() || self.reading.is_some()
    }
}

/// How the last reading of the definitions went.
#[derive(Debug, Default, Clone)]
pub struct DefinitionsHealth {
    /// When they were last read completely.
    pub last_loaded_at: Option<UtcMs>,
    /// Why the last look failed.
    pub last_error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_is_the_age_of_what_is_not_written() {
        let health = Health::default();
        assert_eq!(health.lag_ms(UtcMs(5_000)), Some(0), "nothing is owed");
        health.queued.store(1, Relaxed);
        assert_eq!(health.lag_ms(UtcMs(5_000)), None);
        health.written_through.store(4_000, Relaxed);
        assert_eq!(health.lag_ms(UtcMs(5_000)), Some(1_000));
        assert_eq!(health.lag_ms(UtcMs(3_000)), Some(0), "the clock was set back");
        health.queued.store(0, Relaxed);
        health.set_spool(1, 7, 100);
        assert_eq!(health.lag_ms(UtcMs(9_000)), Some(5_000));
    }

    #[test]
    fn a_database_is_well_when_it_is_written_and_read() {
        let health = DatabaseHealth::default();
        let error = |text: &str| Err(text.to_owned());
        health.set(Ok(()), UtcMs(1));
        assert_eq!(health.get(), (None, UtcMs(1)));
        assert!(health.set_reading(error("no table"), UtcMs(2)));
        assert!(!health.set(Ok(()), UtcMs(3)), "writing goes on as it did");
        assert_eq!(health.get(), (Some("no table".into()), UtcMs(2)));
        assert!(health.set(error("refused"), UtcMs(4)));
        assert!(!health.set_reading(error("refused too"), UtcMs(5)));
        assert_eq!(health.get(), (Some("refused".into()), UtcMs(2)), "away all the time");
        assert!(health.set(Ok(()), UtcMs(6)) && health.set_reading(Ok(()), UtcMs(7)));
        assert_eq!(health.get(), (None, UtcMs(7)));
    }
}
