//! The few places where the two dialects differ.

use diesel::prelude::*;
use diesel::sql_types::SingleValue;

use super::connect::Mysql;
use super::rows::StatusRow;
use super::schema::{target_status, writers};

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

    /// The last batch of a writer, held against others until the transaction ends.
    fn watermark(&mut self, writer: i64) -> QueryResult<Option<i64>>;

    /// One statement for many statuses.
    fn upsert_statuses(&mut self, rows: &[StatusRow<'_>]) -> QueryResult<usize>;
}

impl Dialect for Mysql {
    const BYTES: &'static str = "BINARY";

    fn watermark(&mut self, writer: i64) -> QueryResult<Option<i64>> {
        writers::table.find(writer).select(writers::last_number).for_update().first(self).optional()
    }

    fn upsert_statuses(&mut self, rows: &[StatusRow<'_>]) -> QueryResult<usize> {
        diesel::insert_into(target_status::table)
            .values(rows)
            .on_conflict(diesel::dsl::DuplicatedKeys)
            .do_update()
            .set(replace_and_count!(new_value))
            .execute(self)
    }
}

impl Dialect for SqliteConnection {
    const BYTES: &'static str = "BLOB";

    fn watermark(&mut self, writer: i64) -> QueryResult<Option<i64>> {
        // The transaction is IMMEDIATE: nobody else writes.
        writers::table.find(writer).select(writers::last_number).first(self).optional()
    }

    fn upsert_statuses(&mut self, rows: &[StatusRow<'_>]) -> QueryResult<usize> {
        diesel::insert_into(target_status::table)
            .values(rows)
            .on_conflict(target_status::target_id)
            .do_update()
            .set(replace_and_count!(diesel::upsert::excluded))
            .execute(self)
    }
}
