//! The statements that SQLite runs for each result, with texts that never change: each is prepared once.
//!
//! Diesel's own `do_update` and updates are put into words anew each time, which takes
//! longer than the work itself.

use std::sync::LazyLock;

use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::sqlite::Sqlite;

use super::dialect::replace_and_count;
use super::rows::{ResultRow, StatusRow};

/// Inserts one result. Many in a statement cost more: SQLite then keeps a journal to undo the statement alone.
pub(super) struct InsertResult<'a>(pub &'a ResultRow<'a>);

impl QueryFragment<Sqlite> for InsertResult<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql(
            "INSERT INTO results (id, target_id, due_at, started_at, lateness_us, verdict, reason, description, \
            status_code, latency_us, resolve_us, connect_us, tls_us, auth_us, first_byte_us, body_us, body_bytes, \
            incident_id) VALUES (",
        );
        let row = self.0;
        out.push_bind_param::<BigInt, _>(&row.id)?;
        for value in [&row.target_id, &row.due_at, &row.started_at, &row.lateness_us] {
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(value)?;
        }
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&row.verdict)?;
        for value in [&row.reason, &row.description] {
            out.push_sql(", ");
            out.push_bind_param::<Nullable<Text>, _>(value)?;
        }
        out.push_sql(", ");
        out.push_bind_param::<Nullable<BigInt>, _>(&row.status_code)?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&row.latency_us)?;
        let phases = [&row.resolve_us, &row.connect_us, &row.tls_us, &row.auth_us, &row.first_byte_us, &row.body_us];
        for value in phases {
            out.push_sql(", ");
            out.push_bind_param::<Nullable<BigInt>, _>(value)?;
        }
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&row.body_bytes)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<BigInt>, _>(&row.incident_id)?;
        out.push_sql(")");
        Ok(())
    }
}

impl QueryId for InsertResult<'_> {
    type QueryId = InsertResult<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl RunQueryDsl<SqliteConnection> for InsertResult<'_> {}

/// A pass after a pass, which is what nearly every status says: only what such a one changes, if all else is there
/// already. Touches no row when anything else is to be changed, or when the row is another writer's or missing.
pub(super) struct PassedAgain<'a>(pub &'a StatusRow<'a>);

impl QueryFragment<Sqlite> for PassedAgain<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let row = self.0;
        out.push_sql("UPDATE target_status SET number = ");
        out.push_bind_param::<BigInt, _>(&row.number)?;
        out.push_sql(", last_updated = ");
        out.push_bind_param::<Nullable<BigInt>, _>(&row.last_updated)?;
        out.push_sql(", last_latency_us = ");
        out.push_bind_param::<Nullable<BigInt>, _>(&row.last_latency_us)?;
        out.push_sql(", repeated_passes = ");
        out.push_bind_param::<BigInt, _>(&row.repeated_passes)?;
        out.push_sql(", pass_count = pass_count + ");
        out.push_bind_param::<BigInt, _>(&row.pass_count)?;
        out.push_sql(", count200 = count200 + ");
        out.push_bind_param::<BigInt, _>(&row.count200)?;
        out.push_sql(" WHERE target_id = ");
        out.push_bind_param::<BigInt, _>(&row.target_id)?;
        out.push_sql(" AND writer = ");
        out.push_bind_param::<BigInt, _>(&row.writer)?;
        out.push_sql(" AND status_description = ");
        out.push_bind_param::<Text, _>(&row.status_description)?;
        out.push_sql(" AND certificate_expires_at IS ");
        out.push_bind_param::<Nullable<BigInt>, _>(&row.certificate_expires_at)?;
        out.push_sql(
            " AND status = 'PASS' AND previous_status = 'PASS' AND conclusive_status = 'PASS' AND repeated_fails = 0 \
            AND reason IS NULL AND incident_id IS NULL AND incident_started_at IS NULL",
        );
        Ok(())
    }
}

impl QueryId for PassedAgain<'_> {
    type QueryId = PassedAgain<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl RunQueryDsl<SqliteConnection> for PassedAgain<'_> {}

/// An insert of one status that replaces and counts.
pub(super) struct UpsertStatus<S>(pub S);

impl<S: QueryFragment<Sqlite>> QueryFragment<Sqlite> for UpsertStatus<S> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        self.0.walk_ast(out.reborrow())?;
        out.push_sql(&REPLACE_AND_COUNT);
        Ok(())
    }
}

impl<S> QueryId for UpsertStatus<S> {
    type QueryId = UpsertStatus<()>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<S> RunQueryDsl<SqliteConnection> for UpsertStatus<S> {}

static REPLACE_AND_COUNT: LazyLock<String> =
    LazyLock::new(|| replace_and_count(" ON CONFLICT (target_id) DO UPDATE SET ", "excluded.", ""));
