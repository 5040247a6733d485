//! A row of an old table: every column as text, whatever its type; and what is noticed while looking at it.

use std::collections::BTreeMap;

/// A thousand probes a second for thirty thousand years; far from where adding to it would overflow a column.
const MAX_COUNT: i64 = 1_000_000_000_000_000;

use super::{Attention, Fate};

/// A row as text; NULL is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OldRow(pub BTreeMap<&'static str, Option<String>>);

impl OldRow {
    /// The id; 0 where it is none.
    #[must_use]
    pub fn id(&self) -> i64 {
        self.text("id").parse().unwrap_or_default()
    }

    /// A column's text; NULL is empty.
    #[must_use]
    pub fn text(&self, column: &str) -> &str {
        self.0.get(column).and_then(Option::as_deref).unwrap_or_default()
    }

    /// Begins to look at it.
    #[must_use]
    pub(super) fn look(&self, table: &'static str) -> Look<'_> {
        Look { row: self, table, attention: Vec::new() }
    }
}

/// What is noticed of one row.
pub(super) struct Look<'a> {
    row: &'a OldRow,
    table: &'static str,
    pub(super) attention: Vec<Attention>,
}

impl Look<'_> {
    fn tell(&mut self, column: &'static str, value: Option<&str>, fate: Fate, why: String) {
        self.attention.push(Attention {
            table: self.table,
            id: self.row.id(),
            name: self.row.text("name").to_owned(),
            column,
            value: value.map(str::to_owned),
            why,
            fate,
        });
    }

    /// Something about a column whose value may be shown.
    pub(super) fn note(&mut self, column: &'static str, fate: Fate, why: impl Into<String>) {
        let value = self.row.text(column).to_owned();
        self.tell(column, Some(&value), fate, why.into());
    }

    /// Something about a column that may hold secrets.
    pub(super) fn secret(&mut self, column: &'static str, fate: Fate, why: impl Into<String>) {
        self.tell(column, None, fate, why.into());
    }

    /// Something about a URL, which may hold a password.
    pub(super) fn url(&mut self, column: &'static str, fate: Fate, why: impl Into<String>) {
        let value = crate::model::definition::redact_userinfo(self.row.text(column));
        self.tell(column, Some(&value), fate, why.into());
    }

    /// A whole number from 0 to what can be counted; anything else is told and is 0.
    pub(super) fn count(&mut self, column: &'static str) -> i64 {
        match self.row.text(column).trim().parse() {
            Ok(n @ 0..=MAX_COUNT) => n,
            _ => {
                self.note(column, Fate::Brought, "is no count that can be: 0 stands in its place");
                0
            }
        }
    }

    /// Yes or no; anything else is told and is no.
    pub(super) fn enabled(&mut self) -> bool {
        match self.row.text("enabled").trim() {
            "1" => true,
            "0" => false,
            _ => {
                self.note("enabled", Fate::Disabled, "is neither 1 nor 0: enable it if it is wanted");
                false
            }
        }
    }
}
