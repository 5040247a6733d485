//! The statements that write many rows to MySQL and MariaDB: their values stand in the text.
//!
//! Bound one by one, each value is an allocation of its own, and the statement is prepared anew each time anyhow. Only
//! text that somebody else may have chosen is bound.

use std::fmt::Write;

use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::Text;

use super::connect;
use super::dialect::replace_and_count;
use super::rows::{ResultRow, StatusRow};

/// A statement with rows of values.
pub(super) struct Rows<'a> {
    sql: String,
    /// What is bound, and where in the text.
    bound: Vec<(usize, &'a str)>,
}

/// Inserts results.
pub(super) fn insert_results<'a>(rows: &'a [ResultRow<'a>]) -> Rows<'a> {
    let mut out = Rows::new(
        "INSERT INTO results (id, target_id, due_at, started_at, lateness_us, verdict, reason, description, \
        status_code, latency_us, resolve_us, connect_us, tls_us, auth_us, first_byte_us, body_us, body_bytes, \
        incident_id) VALUES ",
    );
    for row in rows {
        out.begin(row.id);
        out.integers([row.target_id, row.due_at, row.started_at, row.lateness_us]);
        out.text(Some(&row.verdict));
        out.text(row.reason.as_deref());
        out.text(row.description.as_deref());
        out.optional([row.status_code, Some(row.latency_us), row.resolve_us, row.connect_us, row.tls_us]);
        out.optional([row.auth_us, row.first_byte_us, row.body_us, Some(row.body_bytes), row.incident_id]);
        out.sql.push(')');
    }
    out
}

/// Inserts statuses, or replaces them and adds to their counters.
pub(super) fn upsert_statuses<'a>(rows: &'a [StatusRow<'a>]) -> Rows<'a> {
    let mut out = Rows::new(
        "INSERT INTO target_status (target_id, status, previous_status, conclusive_status, status_description, reason, \
        last_updated, pass_count, fail_count, unknown_count, missed_count, count200, count300, count400, count500, \
        network_fails, repeated_fails, repeated_passes, thinned_count, writer, number, last_latency_us, \
        certificate_expires_at, incident_id, incident_started_at) VALUES ",
    );
    for row in rows {
        out.begin(row.target_id);
        out.text(Some(&row.status));
        out.text(Some(&row.previous_status));
        out.text(Some(&row.conclusive_status));
        out.text(Some(&row.status_description));
        out.text(row.reason.as_deref());
        out.optional([row.last_updated]);
        out.integers([row.pass_count, row.fail_count, row.unknown_count, row.missed_count]);
        out.integers([row.count200, row.count300, row.count400, row.count500, row.network_fails]);
        out.integers([row.repeated_fails, row.repeated_passes, row.thinned_count, row.writer, row.number]);
        out.optional([row.last_latency_us, row.certificate_expires_at, row.incident_id, row.incident_started_at]);
        out.sql.push(')');
    }
    out.sql += &replace_and_count(" ON DUPLICATE KEY UPDATE ", "VALUES(", ")");
    out
}

impl<'a> Rows<'a> {
    fn new(begin: &str) -> Self {
        let mut sql = String::with_capacity(64 * 1024);
        sql.push_str(begin);
        Rows { sql, bound: Vec::new() }
    }

    fn begin(&mut self, id: i64) {
        self.sql.push_str(if self.sql.ends_with(')') { ",(" } else { "(" });
        self.integer(id);
    }

    fn integer(&mut self, value: i64) {
        // Writing to a string cannot fail.
        let _always = write!(self.sql, "{value}");
    }

    fn integers<const N: usize>(&mut self, values: [i64; N]) {
        self.optional(values.map(Some));
    }

    fn optional<const N: usize>(&mut self, values: [Option<i64>; N]) {
        for value in values {
            self.sql.push(',');
            match value {
                Some(value) => self.integer(value),
                None => self.sql.push_str("NULL"),
            }
        }
    }

    /// Plain words stand in the text, anything else is bound.
    fn text(&mut self, value: Option<&'a str>) {
        self.sql.push(',');
        match value {
            None => self.sql.push_str("NULL"),
            Some(value) if value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => {
                self.sql.push('\'');
                self.sql.push_str(value);
                self.sql.push('\'');
            }
            Some(value) => self.bound.push((self.sql.len(), value)),
        }
    }
}

impl QueryFragment<Mysql> for Rows<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.unsafe_to_cache_prepared();
        let mut from = 0;
        for (at, text) in &self.bound {
            out.push_sql(&self.sql[from..*at]);
            out.push_bind_param::<Text, _>(*text)?;
            from = *at;
        }
        out.push_sql(&self.sql[from..]);
        Ok(())
    }
}

impl QueryId for Rows<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl RunQueryDsl<connect::Mysql> for Rows<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_words_stand_in_the_text() {
        let mut rows = Rows::new("");
        rows.begin(-1);
        for text in [Some("PASS"), Some("connect_refused"), None, Some("it's"), Some("a\\"), Some("?"), Some("")] {
            rows.text(text);
        }
        assert_eq!(rows.sql, "(-1,'PASS','connect_refused',NULL,,,,''");
        let at = rows.sql.len() - 5;
        assert_eq!(rows.bound, [(at, "it's"), (at + 1, "a\\"), (at + 2, "?")]);
    }
}
