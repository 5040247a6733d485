//! The few places where the two dialects differ.

use diesel::prelude::*;

use super::connect::Mysql;
use super::mysql;
use super::rows::{ResultRow, StatusRow};
use super::schema::{target_status, writers};
use super::sqlite::{InsertResult, PassedAgain, UpsertStatus};

/// Rows in one statement: a fine size on both, far below the limits on placeholders (32,766 and 65,535).
pub(super) const ROWS: usize = 500;

/// What an upsert of a status replaces …
const REPLACED: [&str; 14] = [
    "status",
    "previous_status",
    "status_description",
    "reason",
    "last_updated",
    "repeated_fails",
    "repeated_passes",
    "last_latency_us",
    "certificate_expires_at",
    "incident_id",
    "incident_started_at",
    "conclusive_status",
    "writer",
    "number",
];
/// … and what it adds to.
const COUNTED: [&str; 10] = [
    "pass_count",
    "fail_count",
    "unknown_count",
    "missed_count",
    "count200",
    "count300",
    "count400",
    "count500",
    "network_fails",
    "thinned_count",
];

/// The end of an upsert of statuses; the value that would have been inserted stands between `before` and `after`.
pub(super) fn replace_and_count(begin: &str, before: &str, after: &str) -> String {
    let replaced = REPLACED.iter().map(|c| format!("{c} = {before}{c}{after}"));
    let counted = COUNTED.iter().map(|c| format!("{c} = {c} + {before}{c}{after}"));
    begin.to_owned() + &replaced.chain(counted).collect::<Vec<_>>().join(", ")
}

/// What each connection does in its own words.
pub(super) trait Dialect {
    /// How SQL names the cast to bytes.
    const BYTES: &'static str;

    /// Ends a SELECT whose rows are to be held against others until the transaction ends.
    const HOLD: &'static str;

    /// The last batch of a writer, held against others until the transaction ends.
    fn watermark(&mut self, writer: i64) -> QueryResult<Option<i64>>;

    /// Inserts results in the way that is the quickest on this back end.
    fn insert_results(&mut self, rows: &[ResultRow<'_>]) -> QueryResult<()>;

    /// Inserts statuses, or replaces them and adds to their counters; likewise.
    fn upsert_statuses(&mut self, rows: &[StatusRow<'_>]) -> QueryResult<()>;
}

impl Dialect for Mysql {
    const BYTES: &'static str = "BINARY";
    const HOLD: &'static str = "FOR UPDATE";

    fn watermark(&mut self, writer: i64) -> QueryResult<Option<i64>> {
        writers::table.find(writer).select(writers::last_number).for_update().first(self).optional()
    }

    fn insert_results(&mut self, rows: &[ResultRow<'_>]) -> QueryResult<()> {
        rows.chunks(ROWS).try_for_each(|chunk| mysql::insert_results(chunk).execute(self).map(drop))
    }

    fn upsert_statuses(&mut self, rows: &[StatusRow<'_>]) -> QueryResult<()> {
        rows.chunks(ROWS).try_for_each(|chunk| mysql::upsert_statuses(chunk).execute(self).map(drop))
    }
}

impl Dialect for SqliteConnection {
    const BYTES: &'static str = "BLOB";
    // The transaction is IMMEDIATE: nobody else writes.
    const HOLD: &'static str = "";

    fn watermark(&mut self, writer: i64) -> QueryResult<Option<i64>> {
        // The transaction is IMMEDIATE: nobody else writes.
        writers::table.find(writer).select(writers::last_number).first(self).optional()
    }

    fn insert_results(&mut self, rows: &[ResultRow<'_>]) -> QueryResult<()> {
        rows.iter().try_for_each(|row| InsertResult(row).execute(self).map(drop))
    }

    fn upsert_statuses(&mut self, rows: &[StatusRow<'_>]) -> QueryResult<()> {
        for row in rows {
            if row.is_plain_pass() && PassedAgain(row).execute(self)? > 0 {
                continue;
            }
            UpsertStatus(diesel::insert_into(target_status::table).values(row)).execute(self)?;
        }
        Ok(())
    }
}
