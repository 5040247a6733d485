//! Rows of any table, many in a statement.

use std::fmt::Write;

use diesel::backend::Backend;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::serialize::ToSql;
use diesel::sql_types::{HasSqlType, Text};
use serde_json::Value;

use super::dump::quote;
use super::is_bytes;

/// Rows in one statement, at most, and bytes of text in it: one packet.
const ROWS: usize = 200;
const TEXT: usize = 1 << 20;

/// How rows of a table are inserted.
pub(super) struct Columns {
    begin: String,
    bytes: Vec<bool>,
}

impl Columns {
    pub(super) fn new(table: &str, columns: &[String]) -> Columns {
        let names = columns.iter().map(|c| quote(c)).collect::<Vec<_>>().join(", ");
        let bytes = columns.iter().map(|c| is_bytes(table, c)).collect();
        Columns { begin: format!("INSERT INTO {} ({names}) VALUES ", quote(table)), bytes }
    }
}

/// Collects rows until they are enough for a statement.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) rows: Vec<Vec<Value>>,
    text: usize,
}

impl Gathered {
    /// True: it is full.
    pub(super) fn add(&mut self, row: Vec<Value>) -> bool {
        self.text += row.iter().map(|v| v.as_str().map_or(0, str::len)).sum::<usize>();
        self.rows.push(row);
        self.rows.len() >= ROWS || self.text >= TEXT
    }

    pub(super) fn take(&mut self) -> Vec<Vec<Value>> {
        self.text = 0;
        std::mem::take(&mut self.rows)
    }
}

/// One statement. Numbers stand in its text, texts are bound.
pub(super) struct InsertRows<'a> {
    pub(super) columns: &'a Columns,
    pub(super) rows: &'a [Vec<Value>],
}

impl<DB: Backend + HasSqlType<Text>> QueryFragment<DB> for InsertRows<'_>
where
    str: ToSql<Text, DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.unsafe_to_cache_prepared();
        out.push_sql(&self.columns.begin);
        let mut number = String::new();
        for (i, row) in self.rows.iter().enumerate() {
            out.push_sql(if i == 0 { "(" } else { ", (" });
            for (j, value) in row.iter().enumerate() {
                if j > 0 {
                    out.push_sql(", ");
                }
                match value {
                    Value::String(hex) if self.columns.bytes.get(j) == Some(&true) => {
                        out.push_sql("unhex(");
                        out.push_bind_param::<Text, str>(hex)?;
                        out.push_sql(")");
                    }
                    Value::String(text) => out.push_bind_param::<Text, str>(text)?,
                    Value::Bool(flag) => out.push_sql(if *flag { "1" } else { "0" }),
                    Value::Number(n) => {
                        number.clear();
                        // Writing to a string cannot fail.
                        let _always = write!(number, "{n}");
                        out.push_sql(&number);
                    }
                    _ => out.push_sql("NULL"),
                }
            }
            out.push_sql(")");
        }
        Ok(())
    }
}

impl QueryId for InsertRows<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<C> RunQueryDsl<C> for InsertRows<'_> {}
