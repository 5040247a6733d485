//! Reading results.
//!
//! MySQL's index is by (target, id). SQLite's is by target within a span of time, so that the results of one second are
//! not written to as many pages as there are targets (see benches/README.md); reading goes back span by span:
//!
//! ```text
//!  oldest result | since -- … <-- 256 spans <-- 128 spans <-- 64 spans -- newest result      until there are enough
//! ```

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel::sqlite::Sqlite;

use super::connect::Mysql;
use super::error::StoreError;
use super::rows::ResultRow;
use super::schema::results;
use super::{Db, Store};
use crate::model::ids::IdGenerator;
use crate::model::record::ResultRecord;
use crate::model::time::UtcMs;

/// An id is made after its probe's start, unless the wall clock was set back meanwhile: look a little further.
const CLOCK_STEP_MS: i64 = 3_600_000;

/// Bits of an id that say where it lies within a span: `results_target` of SQLite holds `id >> 33`.
const SPAN_BITS: u32 = 33;
/// Spans of 2.048 s in the first look back: two minutes.
const FIRST_LOOK: i64 = 64;

/// Which results.
struct Wanted {
    target: i64,
    first_id: i64,
    since: i64,
    limit: u32,
}

impl Store {
    /// Results of a target that started at `since` or later, the latest first, at most `limit`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn history(&mut self, target: i64, since: Option<UtcMs>, limit: u32) -> Result<Vec<ResultRecord>, StoreError> {
        // Ids sort by time and are in the index; the start time is exact.
        let since = since.map_or(0, |since| since.0);
        let first_id = IdGenerator::first_at(since.saturating_sub(CLOCK_STEP_MS));
        let wanted = Wanted { target, first_id, since, limit };
        self.run(|db| {
            let rows = match db {
                Db::Mysql(c, _) => by_target(c, &wanted)?,
                Db::Sqlite(c) => by_span(c, &wanted)?,
            };
            Ok(rows.into_iter().map(ResultRow::into_record).collect())
        })
    }
}

type Rows = QueryResult<Vec<ResultRow<'static>>>;

fn by_target(c: &mut Mysql, wanted: &Wanted) -> Rows {
    results::table
        .filter(results::target_id.eq(wanted.target))
        .filter(results::id.ge(wanted.first_id))
        .filter(results::started_at.ge(wanted.since))
        .order(results::id.desc())
        .limit(wanted.limit.into())
        .load(c)
}

fn by_span(c: &mut SqliteConnection, wanted: &Wanted) -> Rows {
    let mut found = Vec::new();
    let newest: Option<i64> = results::table.order(results::id.desc()).select(results::id).first(c).optional()?;
    let known = results::table.filter(results::id.ge(wanted.first_id));
    let oldest: Option<i64> = known.order(results::id).select(results::id).first(c).optional()?;
    let (Some(newest), Some(oldest)) = (newest, oldest) else { return Ok(found) };
    let (mut span, mut look) = (newest >> SPAN_BITS, FIRST_LOOK);
    while span >= oldest >> SPAN_BITS {
        let missing = i64::from(wanted.limit) - i64::try_from(found.len()).unwrap_or(i64::MAX);
        if missing <= 0 {
            break;
        }
        let first_span = (span - look + 1).max(oldest >> SPAN_BITS);
        found.extend(look_back(wanted, first_span, span, missing).load::<ResultRow<'static>>(c)?);
        (span, look) = (first_span - 1, look * 2);
    }
    Ok(found)
}

fn look_back(wanted: &Wanted, first_span: i64, last_span: i64, limit: i64) -> results::BoxedQuery<'static, Sqlite> {
    results::table
        .into_boxed()
        .filter(results::target_id.eq(wanted.target))
        .filter(in_spans(first_span, last_span))
        .filter(results::id.ge(wanted.first_id))
        .filter(results::started_at.ge(wanted.since))
        .order(results::id.desc())
        .limit(limit)
}

/// As SQLite needs it to use the index.
fn in_spans(first: i64, last: i64) -> SqlLiteral<Bool> {
    sql::<Bool>(&format!(
        "results.id >> {SPAN_BITS} IN (WITH RECURSIVE span (n) AS (VALUES ({first}) UNION ALL \
        SELECT n + 1 FROM span WHERE n < {last}) SELECT n FROM span)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use diesel::connection::SimpleConnection;
    use diesel::sql_types::Text;

    #[derive(QueryableByName)]
    struct Plan {
        #[diesel(sql_type = Text)]
        detail: String,
    }

    #[test]
    fn a_look_back_uses_the_index() {
        let mut c = SqliteConnection::establish(":memory:").unwrap();
        c.batch_execute(include_str!("../../migrations/sqlite/0002_status/up.sql")).unwrap();
        c.batch_execute(include_str!("../../migrations/sqlite/0011_results_target/up.sql")).unwrap();
        let wanted = Wanted { target: 7, first_id: 0, since: 0, limit: 9 };
        let text = diesel::debug_query(&look_back(&wanted, 1, 9, 9)).to_string();
        let (text, _binds) = text.split_once(" -- binds").unwrap();
        let plan = diesel::sql_query(format!("EXPLAIN QUERY PLAN {text}")).load::<Plan>(&mut c).unwrap();
        let uses = |p: &Plan| p.detail.contains("USING INDEX results_target (<expr>=? AND target_id=?");
        assert!(plan.iter().any(uses), "{:?}", plan.iter().map(|p| &p.detail).collect::<Vec<_>>());
    }
}
