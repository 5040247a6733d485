//! Have the definitions changed? Cheap enough to ask every second.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::connect::Mysql;
use super::error::StoreError;
use super::schema::revision;
use super::{Db, Store};

/// Compares equal as long as no definition has changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChangeToken(Vec<i64>);

#[derive(QueryableByName)]
struct Checksum {
    #[diesel(sql_type = Nullable<BigInt>, column_name = "Checksum")]
    checksum: Option<i64>,
}

#[derive(QueryableByName)]
struct Table {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct SchemaVersion {
    #[diesel(sql_type = BigInt)]
    schema_version: i64,
}

/// The tables that people write.
const TABLES: [&str; 3] = ["targets", "credentials", "notifiers"];

impl Store {
    /// A token that differs after a change of any definition table, whoever made it: on MySQL the tables' checksums (about
    /// 0.25 ms of the server's time per 1,000 rows), on SQLite a row that triggers bump, and the version of the schema.
    /// `None`: not known just now (somebody holds a table locked), keep the last.
    ///
    /// # Errors
    /// See [`StoreError`]; [`StoreError::Unreadable`] when a table is not there any more.
    pub fn change_token(&mut self) -> Result<Option<ChangeToken>, StoreError> {
        self.run(|db| match db {
            Db::Mysql(c, _) => {
                let tables: Vec<Checksum> =
                    diesel::sql_query(format!("CHECKSUM TABLE {}", TABLES.join(", "))).load(&mut **c)?;
                let sums = tables.into_iter().map(|t| t.checksum).collect::<Option<Vec<_>>>();
                if sums.is_none() {
                    // A table that is locked has no checksum, and neither has one that is not there.
                    all_there(c)?;
                }
                Ok(sums.map(ChangeToken))
            }
            Db::Sqlite(c) => {
                let revision = revision::table.select(revision::value).first(&mut **c).optional()?;
                let schema: SchemaVersion = diesel::sql_query("PRAGMA schema_version").get_result(&mut **c)?;
                Ok(revision.map(|r| ChangeToken(vec![r, schema.schema_version])))
            }
        })
    }
}

/// Whether all tables are there; waits for no lock.
fn all_there(c: &mut Mysql) -> Result<(), StoreError> {
    let query =
        "SELECT CAST(table_name AS CHAR) AS name FROM information_schema.tables WHERE table_schema = DATABASE()";
    let there: Vec<Table> = diesel::sql_query(query).load(c)?;
    match TABLES.into_iter().find(|t| !there.iter().any(|known| known.name == *t)) {
        None => Ok(()),
        Some(gone) => Err(StoreError::Unreadable(format!(
            "the table {gone} is not there any more: if it was renamed, give it its name back; if it was dropped, restore \
             it from a backup"
        ))),
    }
}
