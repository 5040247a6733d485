//! Everything that must survive, as the lines of [`crate::model::backup`], and back.
//!
//! ```text
//!  main database (one snapshot) --+--> lines: tables of main, then of state.db        dump.rs
//!  state.db (one snapshot) -------'
//!  lines --> schema of that time --> rows --> later migrations --> counters set right      load.rs
//! ```
//!
//! The snapshot of main is taken first: whatever main holds, state.db knows too (a transition is durable there before it
//! goes anywhere), so the pair is what a crash at that moment would have left behind, and a start knows how to go on from
//! that.

mod dump;
mod insert;
mod load;

pub use self::dump::Snapshot;
pub use self::load::{Contents, Loader, LocalRestore, check_known, local_contents};

/// A table that is part of a backup.
struct Part {
    name: &'static str,
    /// Its primary key: pages go by it.
    key: &'static str,
    /// Rows read at once.
    page: u32,
}

const fn part(name: &'static str, key: &'static str, page: u32) -> Part {
    Part { name, key, page }
}

/// Left out are `lease` and `revision`, which are about the moment.
const MAIN: [Part; 9] = [
    part("targets", "id", 500),
    part("credentials", "id", 500),
    part("notifiers", "id", 500),
    part("target_status", "target_id", 1000),
    // With their traces.
    part("incidents", "id", 50),
    part("notifier_status", "notifier_id", 1000),
    part("notifications", "id", 1000),
    part("writers", "writer", 1000),
    part(RESULTS, "id", 1000),
];

/// Only where asked for.
const RESULTS: &str = "results";

const STATE: [&str; 11] = [
    "definitions",
    "notifiers",
    "credentials",
    "target_status",
    "incidents",
    "events",
    "spool",
    "outbox",
    "notifier_status",
    "notify_cursor",
    "kept",
];

/// Tables whose ids are never given twice, also those of rows that are gone.
const MAIN_SEQUENCES: [&str; 3] = ["targets", "credentials", "notifiers"];
const STATE_SEQUENCES: [&str; 2] = ["events", "spool"];

/// The only column of bytes.
const BYTES: (&str, &str) = ("spool", "body");

/// Whether a column of state.db holds bytes.
fn is_bytes(table: &str, column: &str) -> bool {
    (table, column) == BYTES
}
