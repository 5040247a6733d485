//! Rows as bytes: one odd value never hides the others.

use crate::store::dialect::Dialect;

/// What a number becomes that is none: out of every column's range.
pub(super) const NO_NUMBER: i64 = -1;

/// A column as it comes.
pub(super) type Bytes = Option<Vec<u8>>;

pub(super) fn text(value: Bytes) -> Option<String> {
    value.map(|b| String::from_utf8(b).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
}

pub(super) fn number(value: Bytes) -> Option<i64> {
    value.map(|b| std::str::from_utf8(&b).ok().and_then(|t| t.trim().parse().ok()).unwrap_or(NO_NUMBER))
}

/// Columns that should hold 0 or 1 and hold something else.
pub(super) type OddFlags = Vec<(&'static str, String)>;

/// A column that should hold 0 or 1; `odd` when it holds something else, which is noted.
pub(super) fn flag(odd_flags: &mut OddFlags, column: &'static str, value: Bytes, default: bool, odd: bool) -> bool {
    match text(value).as_deref() {
        None => default,
        Some("0") => false,
        Some("1") => true,
        Some(other) => {
            odd_flags.push((column, other.to_owned()));
            odd
        }
    }
}

pub(super) fn hold<C: Dialect>(_: &C) -> &'static str {
    C::HOLD
}

pub(super) fn bytes_of<C: Dialect>(_: &C) -> &'static str {
    C::BYTES
}

/// `Raw`, a row of a table as bytes, and `select`, which reads some of its rows in the order of ids. A column whose name
/// is no field's name stands behind its field.
macro_rules! raw {
    ($table:literal: $($field:ident $(= $column:literal)?),* $(,)?) => {
        /// A row as bytes.
        #[derive(diesel::QueryableByName)]
        pub(super) struct Raw {
            $( #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::Binary>)] $field: super::raw::Bytes, )*
        }

        pub(super) fn select(bytes: &str, which: &str) -> String {
            let columns = [$( {
                let column = [$($column,)? stringify!($field)][0];
                format!("CAST({column} AS {bytes}) AS {}", stringify!($field))
            } ),*];
            format!("SELECT {} FROM {table} {which} ORDER BY {table}.id", columns.join(", "), table = $table)
        }
    };
}

pub(super) use raw;
