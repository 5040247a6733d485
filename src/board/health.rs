//! How persistence, the main database and the definitions are.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use crate::model::time::UtcMs;

/// Written by persistence and the watcher, read by the control API.
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
    spool_batches: AtomicU64,
    spool_results: AtomicU64,
    spool_bytes: AtomicU64,
    /// The main database.
    pub database: DatabaseHealth,
    /// The definitions in force.
    pub definitions: Mutex<DefinitionsHealth>,
}

impl Health {
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

/// Whether the main database takes what is written.
#[derive(Debug, Default)]
pub struct DatabaseHealth(Mutex<(Option<String>, UtcMs)>);

impl DatabaseHealth {
    /// Notes how it is; true when that has changed between well and away.
    pub fn set(&self, state: Result<(), String>, now: UtcMs) -> bool {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = inner.0.is_some() != state.is_err();
        if changed || inner.1 == UtcMs::default() {
            inner.1 = now;
        }
        inner.0 = state.err();
        changed
    }

    /// Why it is away (`None`: it is not), and since when it is as it is.
    #[must_use]
    pub fn get(&self) -> (Option<String>, UtcMs) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
