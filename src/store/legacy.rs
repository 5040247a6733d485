//! Reading the database of skypunch 0.3.0, and nothing but reading: one READ ONLY transaction, every column as text.
//!
//! Any server will do that the client speaks to: 0.3.0 ran on those of its time. Nothing but `SELECT` is needed. The
//! session's time zone is UTC, so that its `TIMESTAMP`s come as UTC wherever the server thinks it is.

use std::collections::{BTreeMap, BTreeSet};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};

use super::connect::{self, ConnectOptions};
use super::error::{StoreError, tidy};
use super::url::{DatabaseUrl, Place};
use super::{Db, Mysql};
use crate::import::legacy::{NOTIFIER_COLUMNS, OldRow, TARGET_COLUMNS};

/// What the old database holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OldDatabase {
    /// The rows of `targets`, in the order of ids.
    pub targets: Vec<OldRow>,
    /// The rows of `notifiers`, likewise.
    pub notifiers: Vec<OldRow>,
    /// Columns of these tables that 0.3.0 did not have, as `targets.owner`.
    pub more_columns: Vec<String>,
}

/// Rows read at once.
const PAGE: usize = 1000;

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    tab: String,
    #[diesel(sql_type = Text)]
    col: String,
}

/// Up to 23 columns as bytes: diesel wants their number beforehand.
macro_rules! page {
    ($name:ident: $($field:ident),*) => {
        #[derive(QueryableByName)]
        struct $name { $( #[diesel(sql_type = Nullable<Binary>)] $field: Option<Vec<u8>>, )* }

        impl $name {
            const FIELDS: &[&str] = &[$( stringify!($field) ),*];

            fn into_row(self, columns: &[&'static str]) -> OldRow {
                let values = [$( self.$field ),*];
                let text = |v: Option<Vec<u8>>| v.map(|b| String::from_utf8_lossy(&b).into_owned());
                OldRow(columns.iter().copied().zip(values.into_iter().map(text)).collect::<BTreeMap<_, _>>())
            }
        }
    };
}
page!(Targets: a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w);
page!(Notifiers: a, b, c, d, e, f, g, h);

/// Reads the whole database.
///
/// # Errors
/// [`StoreError::Foreign`] with what was found when it is not one of 0.3.0; [`StoreError::Setting`] with the GRANT
/// when it lets us not in.
pub fn read_legacy(url: &DatabaseUrl, options: &ConnectOptions) -> Result<OldDatabase, StoreError> {
    if url.is_sqlite() {
        return Err(StoreError::Setting(
            "skypunch 0.3.0 kept its data in MySQL: write --from mysql://USER@HOST:3306/skypunch".into(),
        ));
    }
    let result = connect::connect_to_any(url, options).and_then(|(mut db, _)| {
        connect::guarded(|| match &mut db {
            Db::Mysql(c, _) => read(c),
            Db::Sqlite(_) => Err(StoreError::Internal("a SQLite file behind a MySQL URL".into())),
        })?
    });
    let Place::Mysql { user, database, .. } = &url.0 else { return result };
    result.map_err(|e| match e {
        StoreError::TimedOut(_) => StoreError::TimedOut(options.timeout),
        StoreError::Denied(why) => StoreError::Setting(format!(
            // The mend of one's own database is none here.
            "it denies access: {}; mend user and password, or GRANT SELECT ON {database}.* TO '{user}'@'HOST'",
            why.split(';').next().unwrap_or_default()
        )),
        StoreError::Setting(why) if why.contains(": create it with") => {
            let what = why.split(": create it with").next().unwrap_or_default();
            StoreError::Setting(format!("{what}: name the right database"))
        }
        e => e,
    })
}

fn read(c: &mut Mysql) -> Result<OldDatabase, StoreError> {
    c.batch_execute("SET time_zone = '+00:00'")?;
    // MySQL before 5.6 knows transactions, but none that are READ ONLY. All that follows is SELECT.
    if c.batch_execute("START TRANSACTION READ ONLY").is_err() {
        c.batch_execute("START TRANSACTION")?;
    }
    let old = read_tables(c);
    // The connection ends here; a server that has gone has nothing to take back.
    let _ended = c.batch_execute("ROLLBACK");
    old
}

fn read_tables(c: &mut Mysql) -> Result<OldDatabase, StoreError> {
    let columns: Vec<Column> = diesel::sql_query(
        "SELECT CONVERT(table_name USING utf8mb4) AS tab, CONVERT(column_name USING utf8mb4) AS col \
         FROM information_schema.columns WHERE table_schema = DATABASE() ORDER BY tab, ordinal_position",
    )
    .load(c)?;
    let more_columns = judge(&columns)?;
    let version: Vec<Column> = diesel::sql_query(
        "SELECT CONVERT(major USING utf8mb4) AS tab, CONVERT(minor USING utf8mb4) AS col FROM versions",
    )
    .load(c)?;
    let version: Vec<String> = version.iter().map(|v| format!("{}.{}", tidy(&v.tab), tidy(&v.col))).collect();
    if version != ["1.0"] {
        return Err(StoreError::Foreign(format!(
            "it is not of skypunch 0.3.0: its table versions says {}, and 0.3.0 wrote 1.0",
            if version.is_empty() { "nothing".into() } else { version.join(" and ") }
        )));
    }
    let targets = rows(c, "targets", &TARGET_COLUMNS, Targets::FIELDS, Targets::into_row)?;
    let notifiers = rows(c, "notifiers", &NOTIFIER_COLUMNS, Notifiers::FIELDS, Notifiers::into_row)?;
    Ok(OldDatabase { targets, notifiers, more_columns })
}

/// Whether these are the tables of 0.3.0; columns that it did not have.
fn judge(found: &[Column]) -> Result<Vec<String>, StoreError> {
    let of = |table: &str| found.iter().filter(|c| c.tab == table).map(|c| c.col.as_str()).collect::<BTreeSet<_>>();
    let tables: BTreeSet<&str> = found.iter().map(|c| c.tab.as_str()).collect();
    let listed = || tidy(&tables.iter().take(6).copied().collect::<Vec<_>>().join(", "));
    if tables.contains("__diesel_schema_migrations") && tables.contains("target_status") {
        let what =
            "it is a database of this version of skypunch, not of 0.3.0: name the old one, or use `skypunchctl export`";
        return Err(StoreError::Foreign(what.into()));
    }
    let wanted: [(&str, &[&str]); 3] =
        [("versions", &["major", "minor"]), ("targets", &TARGET_COLUMNS), ("notifiers", &NOTIFIER_COLUMNS)];
    let missing: Vec<&str> = wanted.iter().map(|(t, _)| *t).filter(|t| !tables.contains(t)).collect();
    if !missing.is_empty() {
        let there = if tables.is_empty() {
            "no table that this user may see".to_owned()
        } else {
            format!("the tables {}{}", listed(), if tables.len() > 6 { ", …" } else { "" })
        };
        return Err(StoreError::Foreign(format!(
            "it is not of skypunch 0.3.0: it has {there}, and not {}; name the right database, or GRANT SELECT on \
             versions, targets and notifiers to that user",
            missing.join(", ")
        )));
    }
    let mut more = Vec::new();
    for (table, known) in wanted {
        let there = of(table);
        let missing: Vec<&str> = known.iter().copied().filter(|c| !there.contains(c)).collect();
        if !missing.is_empty() {
            return Err(StoreError::Foreign(format!(
                "it is not of skypunch 0.3.0: its table {table} has no column {}",
                missing.join(", ")
            )));
        }
        more.extend(there.iter().filter(|c| !known.contains(c)).map(|c| format!("{table}.{}", tidy(c))));
    }
    Ok(more)
}

fn rows<P: QueryableByName<diesel::mysql::Mysql> + 'static>(
    c: &mut Mysql,
    table: &str,
    columns: &[&'static str],
    fields: &[&str],
    into_row: impl Fn(P, &[&'static str]) -> OldRow,
) -> Result<Vec<OldRow>, StoreError> {
    // Whatever a column's character set is, it comes as UTF-8.
    let text =
        |(column, field): (&&str, &&str)| format!("CAST(CONVERT(`{column}` USING utf8mb4) AS BINARY) AS {field}");
    let selected: Vec<String> = columns.iter().zip(fields).map(text).collect();
    let query = format!("SELECT {} FROM {table} WHERE id > ? ORDER BY id LIMIT {PAGE}", selected.join(", "));
    let (mut all, mut after) = (Vec::new(), i64::MIN);
    loop {
        let page: Vec<P> = diesel::sql_query(&query).bind::<BigInt, _>(after).load(c)?;
        let last = page.len() < PAGE;
        all.extend(page.into_iter().map(|p| into_row(p, columns)));
        after = all.last().map_or(after, OldRow::id);
        if last {
            return Ok(all);
        }
    }
}
