//! The few places where the two dialects differ.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::SingleValue;
use diesel::sqlite::Sqlite;

use super::connect::Mysql;
use super::rows::{ResultRow, StatusRow};
use super::schema::{results, target_status, writers};

/// Rows in one statement: a fine size on both, far below the limits on placeholders (32,766 and 65,535).
pub(super) const ROWS: usize = 500;

/// The value that an upsert would have inserted, as MySQL and MariaDB write it.
#[diesel::declare_sql_function]
extern "SQL" {
    #[sql_name = "VALUES"]
    fn new_value<T: SingleValue>(x: T) -> T;
}

/// What an upsert of a status changes: counters grow by what is new, everything else is replaced.
macro_rules! replace_and_count {
    ($new:path) => {{
        use super::schema::target_status::columns::*;
        (
            status.eq($new(status)),
            previous_status.eq($new(previous_status)),
            status_description.eq($new(status_description)),
            reason.eq($new(reason)),
            last_updated.eq($new(last_updated)),
            pass_count.eq(pass_count + $new(pass_count)),
            fail_count.eq(fail_count + $new(fail_count)),
            unknown_count.eq(unknown_count + $new(unknown_count)),
            missed_count.eq(missed_count + $new(missed_count)),
            count200.eq(count200 + $new(count200)),
            count300.eq(count300 + $new(count300)),
            count400.eq(count400 + $new(count400)),
            count500.eq(count500 + $new(count500)),
            network_fails.eq(network_fails + $new(network_fails)),
            repeated_fails.eq($new(repeated_fails)),
            repeated_passes.eq($new(repeated_passes)),
            last_latency_us.eq($new(last_latency_us)),
            certificate_expires_at.eq($new(certificate_expires_at)),
            incident_id.eq($new(incident_id)),
            incident_started_at.eq($new(incident_started_at)),
            conclusive_status.eq($new(conclusive_status)),
            thinned_count.eq(thinned_count + $new(thinned_count)),
            writer.eq($new(writer)),
            number.eq($new(number)),
        )
    }};
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
        for chunk in rows.chunks(ROWS) {
            diesel::insert_into(results::table).values(chunk).execute(self)?;
        }
        Ok(())
    }

    fn upsert_statuses(&mut self, rows: &[StatusRow<'_>]) -> QueryResult<()> {
        for chunk in rows.chunks(ROWS) {
            diesel::insert_into(target_status::table)
                .values(chunk)
                .on_conflict(diesel::dsl::DuplicatedKeys)
                .do_update()
                .set(replace_and_count!(new_value))
                .execute(self)?;
        }
        Ok(())
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
        // No way to a server: a prepared statement a row is quicker than a long text that is parsed each time, and a
        // statement of one row needs no journal of its own.
        for row in rows {
            diesel::insert_into(results::table).values(row).execute(self)?;
        }
        Ok(())
    }

    fn upsert_statuses(&mut self, rows: &[StatusRow<'_>]) -> QueryResult<()> {
        for row in rows {
            Upsert(diesel::insert_into(target_status::table).values(row)).execute(self)?;
        }
        Ok(())
    }
}

/// An insert of one status that replaces and counts. Diesel prepares its own `do_update` anew each time, which takes
/// longer than the work itself; the text of this one never changes, so it is prepared once.
struct Upsert<S>(S);

impl<S: QueryFragment<Sqlite>> QueryFragment<Sqlite> for Upsert<S> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        self.0.walk_ast(out.reborrow())?;
        out.push_sql(REPLACE_AND_COUNT);
        Ok(())
    }
}

impl<S> QueryId for Upsert<S> {
    type QueryId = Upsert<()>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<S> RunQueryDsl<SqliteConnection> for Upsert<S> {}

/// The same as `replace_and_count!`, as text.
const REPLACE_AND_COUNT: &str = " ON CONFLICT (target_id) DO UPDATE SET \
    status = excluded.status, previous_status = excluded.previous_status, \
    status_description = excluded.status_description, reason = excluded.reason, \
    last_updated = excluded.last_updated, pass_count = pass_count + excluded.pass_count, \
    fail_count = fail_count + excluded.fail_count, unknown_count = unknown_count + excluded.unknown_count, \
    missed_count = missed_count + excluded.missed_count, count200 = count200 + excluded.count200, \
    count300 = count300 + excluded.count300, count400 = count400 + excluded.count400, \
    count500 = count500 + excluded.count500, network_fails = network_fails + excluded.network_fails, \
    repeated_fails = excluded.repeated_fails, repeated_passes = excluded.repeated_passes, \
    last_latency_us = excluded.last_latency_us, certificate_expires_at = excluded.certificate_expires_at, \
    incident_id = excluded.incident_id, incident_started_at = excluded.incident_started_at, \
    conclusive_status = excluded.conclusive_status, thinned_count = thinned_count + excluded.thinned_count, \
    writer = excluded.writer, number = excluded.number";
