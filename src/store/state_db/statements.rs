//! The statements that a storm runs ten thousand times, with texts that never change: each is prepared once.
//!
//! Diesel puts its own `do_update` and updates into words and has them parsed anew each time, which takes longer than
//! the work itself.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::sqlite::Sqlite;

use super::outbox::OutboxRow;

/// Inserts a notice, or replaces it under the next version.
pub(super) struct StoreNotice<'a> {
    row: &'a OutboxRow,
    finished_at: Option<i64>,
}

impl<'a> StoreNotice<'a> {
    pub(super) fn new(row: &'a OutboxRow) -> StoreNotice<'a> {
        StoreNotice { row, finished_at: row.finished_at.map(|t| t.0) }
    }
}

impl QueryFragment<Sqlite> for StoreNotice<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql(
            "INSERT INTO outbox (done, version, id, notifier_id, incident_id, state, finished_at, body) VALUES (0, 1",
        );
        for value in [&self.row.id, &self.row.notifier_id, &self.row.incident_id] {
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(value)?;
        }
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&self.row.state)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<BigInt>, _>(&self.finished_at)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&self.row.body)?;
        out.push_sql(
            ") ON CONFLICT (id) DO UPDATE SET notifier_id = excluded.notifier_id, incident_id = excluded.incident_id, \
            state = excluded.state, finished_at = excluded.finished_at, body = excluded.body, version = version + 1",
        );
        Ok(())
    }
}

impl QueryId for StoreNotice<'_> {
    type QueryId = StoreNotice<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl RunQueryDsl<SqliteConnection> for StoreNotice<'_> {}

/// The main database has a notice in a version, or in a later one.
pub(super) struct MarkSynced {
    pub(super) id: i64,
    pub(super) version: i64,
}

impl QueryFragment<Sqlite> for MarkSynced {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("UPDATE outbox SET synced = ");
        out.push_bind_param::<BigInt, _>(&self.version)?;
        out.push_sql(" WHERE id = ");
        out.push_bind_param::<BigInt, _>(&self.id)?;
        out.push_sql(" AND synced < ");
        out.push_bind_param::<BigInt, _>(&self.version)?;
        Ok(())
    }
}

impl QueryId for MarkSynced {
    type QueryId = MarkSynced;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl RunQueryDsl<SqliteConnection> for MarkSynced {}
