//! Looks at the main database and changes nothing: for `skypunchctl doctor`.
//!
//! ```text
//!  open_to_look --> Store --examine--> version, schema, rights, clock, lease, how many targets
//! ```
//!
//! A SQLite file is neither made nor written, and no file appears beside it: one that root's doctor made could not be
//! opened by the daemon's user.

use std::collections::BTreeSet;
use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::connect::{self, ConnectOptions};
use super::error::{StoreError, tidy};
use super::grants;
use super::migrate::{MYSQL, MYSQL_TABLES, SQLITE, SQLITE_TABLES, restore};
use super::schema::{lease, targets};
use super::url::{DatabaseUrl, Place};
use super::{Db, LeaseHolder, Store, on};
use crate::model::time::UtcMs;

/// Whose tables there are, and of which version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaState {
    /// None yet: they are made at the first start.
    Empty,
    /// As this version wants them.
    Current,
    /// Of an older version: so many migrations are run at the next start.
    Old(usize),
    /// Of a newer version, which has run this migration.
    New(String),
    /// Of another program; the sentence says what to do.
    Foreign(String),
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// Whose tables there are.
    pub schema: SchemaState,
    /// Rights that the user lacks, as GRANT names them.
    pub missing: Vec<&'static str>,
    /// The user has a role, whose rights do not show: what is missing may come from there.
    pub by_role: bool,
    /// The user that the server takes us for, as `'user'@'host'`, and the database; `None`: SQLite, which has none.
    pub user: Option<(String, String)>,
    /// What the server's clock says; `None`: SQLite, which has none of its own.
    pub server_time: Option<UtcMs>,
    /// The daemon that works on it, and until when unless it is renewed; not looked for unless the schema is current.
    pub holder: Option<(LeaseHolder, UtcMs)>,
    /// Targets that are enabled; 0 unless the schema is current.
    pub targets: u64,
}

#[derive(QueryableByName)]
struct Word {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Account {
    #[diesel(sql_type = Text)]
    user: String,
    #[diesel(sql_type = Text)]
    database: String,
    #[diesel(sql_type = Nullable<Text>)]
    role: Option<String>,
    #[diesel(sql_type = BigInt)]
    now_ms: i64,
}

impl Store {
    /// Connects in order to look. A SQLite file is opened for reading only, and must be there.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn open_to_look(url: &DatabaseUrl, options: &ConnectOptions) -> Result<Store, StoreError> {
        let Place::Sqlite(path) = &url.0 else { return Store::connect(url, options) };
        let mut c = SqliteConnection::establish(&read_only(path)?)
            .map_err(|e| StoreError::Setting(format!("database file {}: cannot be opened ({e})", path.display())))?;
        c.batch_execute(&format!("PRAGMA busy_timeout = {};", options.timeout.as_millis()))?;
        let mut db = Db::Sqlite(Box::new(c));
        let server_version = connect::server_version(&mut db)?;
        Ok(Store { db: Some(db), timeout: options.timeout, server_version, file: None, database: None })
    }

    /// Looks at everything that a daemon needs here.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn examine(&mut self) -> Result<Examined, StoreError> {
        self.run(|db| {
            let schema = schema(db)?;
            let mut found = Examined {
                schema,
                missing: Vec::new(),
                by_role: false,
                user: None,
                server_time: None,
                holder: None,
                targets: 0,
            };
            if let Db::Mysql(c, _) = db {
                account(c, &mut found)?;
            }
            // Tables of an older version may lack what is asked for.
            if found.schema == SchemaState::Current {
                let enabled = targets::table.filter(targets::enabled.eq(true)).count();
                let n: i64 = on!(db, c => enabled.get_result(c))?;
                found.targets = n.unsigned_abs();
                let row = lease::table.select((lease::host, lease::pid, lease::writer, lease::held_until));
                let row: Option<(String, i64, i64, i64)> = on!(db, c => row.first(c).optional())?;
                found.holder = row.filter(|(_, _, _, until)| *until > 0).map(|(host, pid, writer, until)| {
                    (LeaseHolder { host, pid: u32::try_from(pid).unwrap_or(0), writer }, UtcMs(until))
                });
            }
            Ok(found)
        })
    }
}

/// The URI of a file that is to be read only. Where nobody has it open there is no log beside it, and none may be made.
fn read_only(path: &Path) -> Result<String, StoreError> {
    let text = path
        .to_str()
        .ok_or_else(|| StoreError::Setting(format!("database file {}: its name is not UTF-8", path.display())))?;
    let beside = |end: &str| Path::new(&format!("{text}{end}")).exists();
    let how = if beside("-wal") && beside("-shm") { "mode=ro" } else { "mode=ro&immutable=1" };
    let mut uri = String::from("file:");
    for c in text.chars() {
        match c {
            '%' => uri.push_str("%25"),
            '?' => uri.push_str("%3f"),
            '#' => uri.push_str("%23"),
            c => uri.push(c),
        }
    }
    Ok(format!("{uri}?{how}"))
}

/// Whose tables there are. The versions are read as they stand: diesel's own way would make its table where it is missing.
fn schema(db: &mut Db) -> Result<SchemaState, StoreError> {
    let (query, known) = match db {
        Db::Mysql(..) => (MYSQL_TABLES, versions::<diesel::mysql::Mysql>(&MYSQL)?),
        Db::Sqlite(_) => (SQLITE_TABLES, versions::<diesel::sqlite::Sqlite>(&SQLITE)?),
    };
    let words: Vec<Word> = on!(db, c => diesel::sql_query(query).load(c))?;
    let tables: BTreeSet<String> = words.into_iter().map(|w| w.name).collect();
    if tables.is_empty() {
        return Ok(SchemaState::Empty);
    }
    if !tables.contains("__diesel_schema_migrations") {
        let few: Vec<&str> = tables.iter().take(3).map(String::as_str).collect();
        return Ok(SchemaState::Foreign(format!(
            "it holds tables that are not skypunch's ({})",
            tidy(&few.join(", "))
        )));
    }
    let query = "SELECT CAST(version AS CHAR) AS name FROM __diesel_schema_migrations ORDER BY version";
    let applied: Vec<Word> = on!(db, c => diesel::sql_query(query).load(c))?;
    if applied.iter().any(|w| w.name == restore::MARK) {
        return Err(StoreError::Unfinished);
    }
    let unknown = applied.iter().rev().find(|w| !known.contains(&w.name));
    Ok(match unknown {
        None if applied.len() == known.len() => SchemaState::Current,
        None => SchemaState::Old(known.len() - applied.len()),
        Some(w) if applied.iter().any(|w| known.contains(&w.name)) => SchemaState::New(tidy(&w.name)),
        Some(_) => SchemaState::Foreign("it belongs to another program".into()),
    })
}

/// The versions that this skypunch knows.
fn versions<B: diesel::backend::Backend>(source: &impl MigrationSource<B>) -> Result<BTreeSet<String>, StoreError> {
    let all: Vec<Box<dyn Migration<B>>> =
        source.migrations().map_err(|e| StoreError::Internal(tidy(&e.to_string())))?;
    Ok(all.iter().map(|m| m.name().version().to_string()).collect())
}

fn account(c: &mut connect::Mysql, found: &mut Examined) -> Result<(), StoreError> {
    let query = "SELECT CAST(CURRENT_USER() AS CHAR) AS user, CAST(DATABASE() AS CHAR) AS `database`, \
                 CAST(CURRENT_ROLE() AS CHAR) AS role, \
                 CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED) AS now_ms";
    let me: Account = diesel::sql_query(query).get_result(c)?;
    let grantee = grants::grantee(&me.user);
    let query = "SELECT CAST(privilege_type AS CHAR) AS name FROM information_schema.user_privileges WHERE grantee = ? \
                 UNION SELECT CAST(privilege_type AS CHAR) FROM information_schema.schema_privileges \
                 WHERE grantee = ? AND DATABASE() LIKE table_schema";
    let granted: Vec<Word> = diesel::sql_query(query).bind::<Text, _>(&grantee).bind::<Text, _>(&grantee).load(c)?;
    found.missing = grants::missing(granted.iter().map(|w| w.name.as_str()));
    found.by_role = me.role.is_some_and(|role| !role.is_empty() && role != "NONE");
    found.user = Some((grantee, me.database));
    found.server_time = Some(UtcMs(me.now_ms));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_opened_for_reading_and_only_its_own_log_is_used() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("50%.db");
        let uri = |how: &str| format!("file:{}/50%25.db?{how}", dir.path().display());
        assert_eq!(read_only(&path).unwrap(), uri("mode=ro&immutable=1"));
        let url = DatabaseUrl::parse(&format!("sqlite://{}", path.display())).unwrap();
        assert!(Store::open_to_look(&url, &ConnectOptions::default()).is_err() && !path.exists(), "it makes no file");
        std::fs::write(dir.path().join("50%.db-wal"), "").unwrap();
        std::fs::write(dir.path().join("50%.db-shm"), "").unwrap();
        assert_eq!(read_only(&path).unwrap(), uri("mode=ro"));
    }

    #[test]
    fn tables_of_every_age_and_owner_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::parse(&format!("sqlite://{}/x.db", dir.path().display())).unwrap();
        let options = ConnectOptions::default();
        let mut store = Store::connect(&url, &options).unwrap();
        let schema = || Store::open_to_look(&url, &options).unwrap().examine().unwrap().schema;
        assert_eq!(schema(), SchemaState::Empty);
        store.migrate().unwrap();
        assert_eq!(schema(), SchemaState::Current);
        store.revert_last_migration().unwrap();
        assert_eq!(schema(), SchemaState::Old(1));
    }
}
