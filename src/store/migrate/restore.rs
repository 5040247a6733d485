//! Tables as a restore needs them: gone, as they were in the backup, as they are now; and the mark that holds off daemons.

use std::collections::BTreeSet;

use diesel::backend::Backend;
use diesel::connection::LoadConnection;
use diesel::migration::{Migration, MigrationSource, MigrationVersion};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel::sqlite::Sqlite;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness};

use super::{Got, LOCK, LOCK_SECONDS, MYSQL, MYSQL_TABLES, Name, SQLITE, SQLITE_TABLES, is_current, step, tidy};
use crate::store::{Db, StoreError, on};

/// A migration that no skypunch has: it comes before all others, and no daemon works with a database that has it.
pub(in crate::store) const MARK: &str = "0000restore";

/// The tables that are there.
pub(in crate::store) fn tables(db: &mut Db) -> Result<BTreeSet<String>, StoreError> {
    match db {
        Db::Sqlite(c) => sqlite_tables(c),
        Db::Mysql(c, _) => {
            let names: Vec<Name> = diesel::sql_query(MYSQL_TABLES).load(&mut **c)?;
            Ok(names.into_iter().map(|n| n.name).collect())
        }
    }
}

/// The same for state.db.
pub(in crate::store) fn sqlite_tables(c: &mut SqliteConnection) -> Result<BTreeSet<String>, StoreError> {
    let names: Vec<Name> = diesel::sql_query(SQLITE_TABLES).load(c)?;
    Ok(names.into_iter().map(|n| n.name).collect())
}

/// Whose database it is; true when migrations are to be run.
pub(in crate::store) fn pending(db: &mut Db) -> Result<bool, StoreError> {
    let current = match db {
        Db::Sqlite(c) => is_current(&mut **c, &SQLITE, SQLITE_TABLES)?,
        Db::Mysql(c, _) => is_current(&mut **c, &MYSQL, MYSQL_TABLES)?,
    };
    Ok(!current)
}

/// Runs `f` while nobody else changes tables.
pub(in crate::store) fn alone<T>(
    db: &mut Db,
    f: impl FnOnce(&mut Db) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let lock = |what: &str| format!("SELECT CAST({what} AS SIGNED) AS got");
    if let Db::Mysql(c, _) = db {
        let got: Got = diesel::sql_query(lock(&format!("GET_LOCK({LOCK}, {LOCK_SECONDS})"))).get_result(&mut **c)?;
        if got.got != Some(1) {
            return Err(StoreError::Locked("another skypunch changes its tables".into()));
        }
    }
    let result = f(db)?;
    if let Db::Mysql(c, _) = db {
        diesel::sql_query(lock(&format!("RELEASE_LOCK({LOCK})"))).get_result::<Got>(&mut **c)?;
    }
    Ok(result)
}

/// Sets the mark.
pub(in crate::store) fn mark(db: &mut Db) -> Result<(), StoreError> {
    // Makes the table of migrations where there is none.
    let applied = on!(db, c => step(c.applied_migrations()))?;
    if !applied.iter().any(|v| v.to_string() == MARK) {
        let query = format!("INSERT INTO __diesel_schema_migrations (version) VALUES ('{MARK}')");
        on!(db, c => diesel::sql_query(query).execute(c))?;
    }
    Ok(())
}

/// Takes the mark away.
pub(in crate::store) fn unmark(db: &mut Db) -> Result<(), StoreError> {
    let query = format!("DELETE FROM __diesel_schema_migrations WHERE version = '{MARK}'");
    on!(db, c => diesel::sql_query(query).execute(c))?;
    Ok(())
}

/// Takes all migrations back.
pub(in crate::store) fn down_to_mark(db: &mut Db) -> Result<(), StoreError> {
    fn down<C>(c: &mut C, source: &EmbeddedMigrations) -> Result<(), StoreError>
    where
        C: MigrationHarness<C::Backend> + Connection,
        C::Backend: diesel::backend::DieselReserveSpecialization,
        EmbeddedMigrations: MigrationSource<C::Backend>,
    {
        // The newest first.
        for version in step(c.applied_migrations())?.iter().filter(|v| v.to_string() != MARK) {
            let all: Vec<Box<dyn Migration<C::Backend>>> = step(source.migrations())?;
            let Some(migration) = all.into_iter().find(|m| m.name().version() == *version) else {
                return Err(StoreError::TooNew(tidy(&version.to_string())));
            };
            step(c.revert_migration(&*migration))?;
        }
        Ok(())
    }
    match db {
        Db::Sqlite(c) => down(&mut **c, &SQLITE),
        Db::Mysql(c, _) => down(&mut **c, &MYSQL),
    }
}

/// Makes the tables as they were after these migrations.
pub(in crate::store) fn up_as(db: &mut Db, versions: &[String]) -> Result<(), StoreError> {
    match db {
        Db::Sqlite(c) => run(&mut **c, &SQLITE, Some(versions)),
        Db::Mysql(c, _) => run(&mut **c, &MYSQL, Some(versions)),
    }
}

/// Makes the tables as they are in this version.
pub(in crate::store) fn up_to_date(db: &mut Db) -> Result<(), StoreError> {
    match db {
        Db::Sqlite(c) => run(&mut **c, &SQLITE, None),
        Db::Mysql(c, _) => run(&mut **c, &MYSQL, None),
    }
}

/// Whether this version knows all these migrations of the main database.
pub(in crate::store) fn check_known(versions: &[String]) -> Result<(), StoreError> {
    known::<Sqlite>(&SQLITE, versions)?;
    known::<Mysql>(&MYSQL, versions)
}

/// Whether this version knows all these migrations.
pub(in crate::store) fn known<DB: Backend>(source: &EmbeddedMigrations, versions: &[String]) -> Result<(), StoreError>
where
    EmbeddedMigrations: MigrationSource<DB>,
{
    let all: Vec<Box<dyn Migration<DB>>> = step(source.migrations())?;
    let all: BTreeSet<String> = all.iter().map(|m| m.name().version().to_string()).collect();
    match versions.iter().find(|v| !all.contains(*v)) {
        Some(unknown) => Err(StoreError::TooNew(tidy(unknown))),
        None => Ok(()),
    }
}

/// Runs those migrations that were not run yet, in their order: all, or those of `only`.
pub(in crate::store) fn run<C>(
    c: &mut C,
    source: &EmbeddedMigrations,
    only: Option<&[String]>,
) -> Result<(), StoreError>
where
    C: MigrationHarness<C::Backend> + LoadConnection,
    C::Backend: diesel::backend::DieselReserveSpecialization,
    EmbeddedMigrations: MigrationSource<C::Backend>,
{
    let applied: BTreeSet<String> = step(c.applied_migrations())?.iter().map(MigrationVersion::to_string).collect();
    let mut all: Vec<Box<dyn Migration<C::Backend>>> = step(source.migrations())?;
    all.sort_unstable_by_key(|m| m.name().version().to_string());
    for migration in all {
        let version = migration.name().version().to_string();
        if !applied.contains(&version) && only.is_none_or(|only| only.contains(&version)) {
            step(c.run_migration(&*migration))?;
        }
    }
    Ok(())
}
