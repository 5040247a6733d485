//! Tables: made and changed at start, safe when several daemons start at once.
//!
//! ```text
//!  MySQL    GET_LOCK(name of the database) -> look -> run what is pending -> RELEASE_LOCK   (a lost session frees it)
//!  SQLite   BEGIN IMMEDIATE                -> look -> run what is pending -> COMMIT
//! ```
//!
//! What a restore does with the tables is in `restore`.

pub(super) mod restore;

use std::collections::BTreeSet;
use std::time::Duration;

use diesel::migration::{Migration, MigrationSource, MigrationVersion};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::bounded::Bounded;
use super::connect::Mysql;
use super::error::{StoreError, tidy};
use super::{Db, Store, rights};

pub(super) const MYSQL: EmbeddedMigrations = embed_migrations!("migrations/mysql");
pub(super) const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// A migration of a big table may take long; nobody else can do it meanwhile.
pub(super) const MIGRATION_LIMIT: Duration = Duration::from_secs(600);
/// The lock of a database, whose name may be longer than that of a lock. MySQL 9.6 and later have no MD5.
const LOCK: &str = "CONCAT('skypunch.migrate.', LEFT(SHA2(DATABASE(), 256), 40))";
/// How long to wait for another daemon that migrates.
const LOCK_SECONDS: u32 = 60;

#[derive(QueryableByName)]
pub(super) struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Got {
    #[diesel(sql_type = Nullable<BigInt>)]
    got: Option<i64>,
}

impl Store {
    /// Brings the schema up to this version; the versions that were run, none when it was there already.
    ///
    /// # Errors
    /// [`StoreError::TooNew`] when a newer skypunch was here, [`StoreError::Foreign`] when the database belongs to
    /// something else: nothing was changed then.
    pub fn migrate(&mut self) -> Result<Vec<String>, StoreError> {
        let timeout = self.timeout;
        self.run(|db| {
            // Nearly always there is nothing to do: then no lock is taken, and no wait may be long.
            let current = match db {
                Db::Sqlite(c) => is_current(&mut **c, &SQLITE, SQLITE_TABLES)?,
                Db::Mysql(c, _) => is_current(&mut **c, &MYSQL, MYSQL_TABLES)?,
            };
            match db {
                _ if current => Ok(Vec::new()),
                Db::Sqlite(c) => c.immediate_transaction(|c| up(c, SQLITE, SQLITE_TABLES)),
                Db::Mysql(c, bounded) => {
                    rights::check(c)?;
                    locked(c, bounded, timeout, |c| up(c, MYSQL, MYSQL_TABLES))
                }
            }
        })
    }

    /// Whether the schema is that of this version.
    ///
    /// # Errors
    /// Those of [`Store::migrate`].
    pub fn is_migrated(&mut self) -> Result<bool, StoreError> {
        self.run(|db| match db {
            Db::Sqlite(c) => is_current(&mut **c, &SQLITE, SQLITE_TABLES),
            Db::Mysql(c, _) => is_current(&mut **c, &MYSQL, MYSQL_TABLES),
        })
    }

    /// Takes the last migration back, with all that its tables held; its version, or `None` when there is none left.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn revert_last_migration(&mut self) -> Result<Option<String>, StoreError> {
        let timeout = self.timeout;
        self.run(|db| match db {
            Db::Sqlite(c) => c.immediate_transaction(|c| down(c, SQLITE)),
            Db::Mysql(c, bounded) => locked(c, bounded, timeout, |c| down(c, MYSQL)),
        })
    }
}

/// Runs `f` while no other daemon migrates this database. MySQL commits DDL by itself, so no transaction can do this.
fn locked<T>(
    c: &mut Mysql,
    bounded: &Bounded,
    timeout: Duration,
    f: impl FnOnce(&mut Mysql) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    bounded.set_limit(MIGRATION_LIMIT);
    let lock = format!("SELECT CAST(GET_LOCK({LOCK}, {LOCK_SECONDS}) AS SIGNED) AS got");
    let got = diesel::sql_query(lock).get_result::<Got>(c)?;
    if got.got != Some(1) {
        let text = format!("another skypunch has been changing its tables for {LOCK_SECONDS} s");
        return Err(StoreError::Locked(text));
    }
    let result = f(c);
    diesel::sql_query(format!("SELECT CAST(RELEASE_LOCK({LOCK}) AS SIGNED) AS got")).get_result::<Got>(c)?;
    bounded.set_limit(timeout);
    result
}

/// The tables of the database that the connection is in.
pub(super) const MYSQL_TABLES: &str =
    "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE()";

/// The same on both.
const APPLIED: &str = "SELECT CAST(version AS CHAR) AS name FROM __diesel_schema_migrations";

/// The tables of a SQLite file.
pub(super) const SQLITE_TABLES: &str =
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'";

type DieselResult<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn failed(e: &(dyn std::error::Error + Send + Sync)) -> StoreError {
    let mut text = e.to_string();
    let mut source = e.source();
    while let Some(s) = source {
        text.push_str(": ");
        text.push_str(&s.to_string());
        source = s.source();
    }
    StoreError::from(diesel::result::Error::DatabaseError(diesel::result::DatabaseErrorKind::Unknown, Box::new(text)))
}

fn step<T>(result: DieselResult<T>) -> Result<T, StoreError> {
    result.map_err(|e| match e.downcast::<diesel::result::Error>() {
        Ok(e) => StoreError::from(*e),
        Err(e) => failed(e.as_ref()),
    })
}

/// Brings the schema up to this version; the versions that were run.
pub(super) fn up<C>(c: &mut C, source: EmbeddedMigrations, tables: &str) -> Result<Vec<String>, StoreError>
where
    C: MigrationHarness<C::Backend> + diesel::connection::LoadConnection,
    C::Backend: diesel::backend::DieselReserveSpecialization,
    diesel::query_builder::SqlQuery: for<'q> diesel::query_dsl::methods::LoadQuery<'q, C, Name>,
    EmbeddedMigrations: MigrationSource<C::Backend>,
{
    if is_current(c, &source, tables)? {
        return Ok(Vec::new());
    }
    let run = step(c.run_pending_migrations(source))?;
    Ok(run.iter().map(MigrationVersion::to_string).collect())
}

/// Checks whose database it is, and whether nothing is pending.
pub(super) fn is_current<C>(c: &mut C, source: &EmbeddedMigrations, tables: &str) -> Result<bool, StoreError>
where
    C: MigrationHarness<C::Backend> + diesel::connection::LoadConnection,
    C::Backend: diesel::backend::DieselReserveSpecialization,
    diesel::query_builder::SqlQuery: for<'q> diesel::query_dsl::methods::LoadQuery<'q, C, Name>,
    EmbeddedMigrations: MigrationSource<C::Backend>,
{
    let tables: Vec<Name> = diesel::sql_query(tables).load(c)?;
    let tables: BTreeSet<&str> = tables.iter().map(|t| t.name.as_str()).collect();
    let known: Vec<Box<dyn Migration<C::Backend>>> = step(source.migrations())?;
    let known: BTreeSet<String> = known.iter().map(|m| m.name().version().to_string()).collect();
    if tables.contains("__diesel_schema_migrations") {
        // Not by `applied_migrations`: that wants to make the table, which takes a right of its own.
        let applied: Vec<Name> = diesel::sql_query(APPLIED).load(c)?;
        let applied: BTreeSet<String> = applied.into_iter().map(|v| v.name).collect();
        if applied.contains(restore::MARK) {
            return Err(StoreError::Unfinished);
        }
        if let Some(unknown) = applied.iter().rev().find(|v| !known.contains(*v)) {
            return Err(if applied.iter().any(|v| known.contains(v)) {
                StoreError::TooNew(tidy(unknown))
            } else {
                another_program()
            });
        }
        return Ok(applied == known);
    }
    match foreign(&tables) {
        Some(e) => Err(e),
        None => Ok(false),
    }
}

/// What tables without a list of migrations say of their owner; `None`: there are none.
fn foreign(tables: &BTreeSet<&str>) -> Option<StoreError> {
    if tables.contains("versions") && tables.contains("targets") {
        return Some(StoreError::Foreign(
            "the database is that of skypunch 0.3.0: give this version a new one in [database] url, and bring the old one \
            over with `skypunch import-legacy`"
                .into(),
        ));
    } else if !tables.is_empty() {
        return Some(StoreError::Foreign(format!(
            "the database holds tables that are not skypunch's ({}): give it a database of its own in [database] url",
            tidy(&tables.iter().take(3).copied().collect::<Vec<_>>().join(", "))
        )));
    }
    None
}

/// Refuses a SQLite file of another program before anything in it is changed.
pub(super) fn check_not_foreign(c: &mut SqliteConnection) -> Result<(), StoreError> {
    let tables: Vec<Name> = diesel::sql_query(SQLITE_TABLES).load(c)?;
    let tables: BTreeSet<&str> = tables.iter().map(|t| t.name.as_str()).collect();
    if !tables.contains("__diesel_schema_migrations") {
        return foreign(&tables).map_or(Ok(()), Err);
    }
    let applied: Vec<Name> = diesel::sql_query(APPLIED).load(c)?;
    // The first one of ours has the same name in the main database and in state.db.
    let ours = |v: &Name| v.name == FIRST || v.name == restore::MARK;
    if applied.is_empty() || applied.iter().any(ours) { Ok(()) } else { Err(another_program()) }
}

/// The first migration.
const FIRST: &str = "0001";

fn another_program() -> StoreError {
    StoreError::Foreign(
        "the database belongs to another program: give skypunch a database of its own in [database] url".into(),
    )
}

fn down<C>(c: &mut C, source: EmbeddedMigrations) -> Result<Option<String>, StoreError>
where
    C: MigrationHarness<C::Backend> + Connection,
    C::Backend: diesel::backend::DieselReserveSpecialization,
    EmbeddedMigrations: MigrationSource<C::Backend>,
{
    if step(c.applied_migrations())?.is_empty() {
        return Ok(None);
    }
    Ok(Some(step(c.revert_last_migration(source))?.to_string()))
}
