//! Lines become databases again.
//!
//! ```text
//!  mark --> all tables go --> migrations of the backup --> rows --> later migrations, counters --> unmark
//! ```
//!
//! While the mark stands no daemon works with the database. MySQL commits tables one by one: a restore that was cut off
//! shows by the mark, and is done again. SQLite restores into a file of its own, which then takes the place of the other.

use std::path::Path;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use serde_json::Value;

use super::insert::{Columns, Gathered, InsertRows};
use super::{MAIN, MAIN_SEQUENCES, STATE, STATE_SEQUENCES};
use crate::model::backup::{Header, SEQUENCES, Table};
use crate::model::text::quoted;
use crate::store::connect::{Synchronous, open_sqlite};
use crate::store::error::StoreError;
use crate::store::migrate::{MIGRATION_LIMIT, restore as migrate};
use crate::store::{Db, Store, on, rights, state_db, write_tx};

/// What a database holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Contents {
    /// Rows of `targets` (state.db: of `definitions`).
    pub targets: i64,
    /// Rows of all tables that a restore would replace.
    pub rows: i64,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// Whether this version knows how to bring both databases up from where the backup has them.
///
/// # Errors
/// [`StoreError::TooNew`].
pub fn check_known(header: &Header) -> Result<(), StoreError> {
    migrate::check_known(&header.main)?;
    state_db::check_known(&header.state)
}

impl Store {
    /// What the database holds; nothing where there are no tables yet.
    ///
    /// # Errors
    /// [`StoreError::Foreign`], [`StoreError::TooNew`] and [`StoreError::Unfinished`]; others see [`StoreError`].
    pub fn contents(&mut self) -> Result<Contents, StoreError> {
        self.run(|db| {
            let there = migrate::tables(db)?;
            migrate::pending(db)?;
            let mut all = Contents::default();
            // `writers` alone says nothing: each start leaves a row.
            for part in MAIN.iter().filter(|p| p.name != "writers" && there.contains(p.name)) {
                let query = diesel::sql_query(format!("SELECT COUNT(*) AS n FROM {}", part.name));
                let count: Count = on!(db, c => query.get_result(c))?;
                all.rows += count.n;
                if part.name == "targets" {
                    all.targets = count.n;
                }
            }
            Ok(all)
        })
    }

    /// Marks the database, removes all tables of skypunch and makes those of the backup.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn restore_begin(&mut self, header: &Header) -> Result<(), StoreError> {
        self.run(|db| {
            if let Db::Mysql(c, bounded) = db {
                rights::check(c)?;
                bounded.set_limit(MIGRATION_LIMIT);
                // Else an id of 0, which SQLite allows, would become another one.
                c.batch_execute("SET SESSION sql_mode = CONCAT(@@sql_mode, ',NO_AUTO_VALUE_ON_ZERO')")?;
            }
            migrate::alone(db, |db| {
                migrate::mark(db)?;
                migrate::down_to_mark(db)?;
                migrate::up_as(db, &header.main)
            })
        })
    }

    /// From now on rows of this table come.
    ///
    /// # Errors
    /// [`StoreError::Rejected`] when there is no such table in a backup.
    pub fn restore_table(&mut self, table: &Table) -> Result<Loader, StoreError> {
        let loader = Loader::new(table, &MAIN.map(|p| p.name))?;
        if loader.name != SEQUENCES {
            self.run(|db| Ok(on!(db, c => diesel::sql_query(format!("DELETE FROM {}", loader.name)).execute(c))?))?;
        }
        Ok(loader)
    }

    /// A row of it; whole statements are carried out.
    ///
    /// # Errors
    /// See [`StoreError`], with the row.
    pub fn restore_row(&mut self, loader: &mut Loader, row: Vec<Value>) -> Result<(), StoreError> {
        if loader.name == SEQUENCES {
            return self.restore_sequence(&row);
        }
        if loader.gathered.add(row) { self.restore_rest(loader) } else { Ok(()) }
    }

    /// What has not been carried out yet.
    ///
    /// # Errors
    /// See [`StoreError`], with the row.
    pub fn restore_rest(&mut self, loader: &mut Loader) -> Result<(), StoreError> {
        let rows = loader.gathered.take();
        if rows.is_empty() {
            return Ok(());
        }
        let insert = |store: &mut Store, rows: &[Vec<Value>]| {
            let statement = InsertRows { columns: &loader.columns, rows };
            store.run(|db| write_tx!(db, c => Ok(statement.execute(c).map(drop)?)))
        };
        insert(self, &rows).map_err(|e| loader.about(&rows, e))
    }

    fn restore_sequence(&mut self, row: &[Value]) -> Result<(), StoreError> {
        let (name, last) = sequence(row, &MAIN_SEQUENCES)?;
        self.run(|db| match db {
            Db::Sqlite(c) => set_sequence(c, name, last),
            Db::Mysql(c, _) => {
                Ok(c.batch_execute(&format!("ALTER TABLE {name} AUTO_INCREMENT = {}", last.saturating_add(1)))?)
            }
        })
    }

    /// All rows are there: brings the schema up to this version, and the counters into agreement with `results`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn restore_end(&mut self, header: &Header) -> Result<(), StoreError> {
        self.run(|db| {
            migrate::up_to_date(db)?;
            if !header.results {
                // What was in `results` was counted elsewhere from now on.
                let booked = "UPDATE target_status SET imported_count = \
                    pass_count + fail_count + unknown_count - pruned_count - thinned_count";
                on!(db, c => diesel::sql_query(booked).execute(c))?;
            }
            Ok(())
        })
    }

    /// Takes the mark away: daemons may work with it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn restore_unmark(&mut self) -> Result<(), StoreError> {
        self.run(migrate::unmark)
    }

    /// Removes every trace of skypunch: what a restore into an empty database had made before it failed.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn restore_undo(&mut self) -> Result<(), StoreError> {
        self.run(|db| {
            migrate::down_to_mark(db)?;
            on!(db, c => diesel::sql_query("DROP TABLE __diesel_schema_migrations").execute(c))?;
            Ok(())
        })
    }

    /// Everything into the one file, for SQLite.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn restore_settle(mut self) -> Result<(), StoreError> {
        self.run(|db| match db {
            Db::Sqlite(c) => settle(c),
            Db::Mysql(..) => Ok(()),
        })
    }
}

/// The whole content into the one file.
fn settle(c: &mut SqliteConnection) -> Result<(), StoreError> {
    Ok(c.batch_execute("PRAGMA synchronous = FULL; PRAGMA wal_checkpoint(TRUNCATE)")?)
}

fn sequence<'a>(row: &'a [Value], known: &[&'static str]) -> Result<(&'a str, i64), StoreError> {
    match row {
        [Value::String(name), Value::Number(last)] if known.contains(&name.as_str()) => {
            Ok((name, last.as_i64().unwrap_or(0).max(0)))
        }
        _ => Err(StoreError::Rejected("a sequence of another program".into())),
    }
}

fn set_sequence(c: &mut SqliteConnection, name: &str, last: i64) -> Result<(), StoreError> {
    // The table of sequences has no key.
    c.batch_execute(&format!(
        "DELETE FROM sqlite_sequence WHERE name = '{name}'; INSERT INTO sqlite_sequence (name, seq) VALUES ('{name}', {last})"
    ))?;
    Ok(())
}

/// A table that is being filled.
pub struct Loader {
    name: String,
    key: Option<usize>,
    columns: Columns,
    gathered: Gathered,
}

impl Loader {
    fn new(table: &Table, known: &[&str]) -> Result<Loader, StoreError> {
        let (_, name) = table.place();
        if name != SEQUENCES && !known.contains(&name) {
            return Err(StoreError::Rejected(format!("{} is no table of a backup", quoted(&table.table))));
        }
        let key = table.columns.iter().position(|c| ["id", "target_id", "notifier_id", "writer"].contains(&c.as_str()));
        let columns = Columns::new(name, &table.columns);
        Ok(Loader { name: name.to_owned(), key, columns, gathered: Gathered::default() })
    }

    /// Which rows an error is about.
    fn about(&self, rows: &[Vec<Value>], error: StoreError) -> StoreError {
        let id = |row: Option<&Vec<Value>>| row.and_then(|r| r.get(self.key?)).map(ToString::to_string);
        match error {
            StoreError::Rejected(why) | StoreError::Duplicate(why) => {
                let from = id(rows.first()).unwrap_or_default();
                let to = id(rows.last()).unwrap_or_default();
                StoreError::Rejected(format!("the rows {from} to {to} of {}: {why}", self.name))
            }
            e => e,
        }
    }
}

/// state.db, made anew in a file of its own.
pub struct LocalRestore {
    c: SqliteConnection,
}

impl LocalRestore {
    /// Makes the file, which must not be there, with the tables of the backup.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn begin(path: &Path, header: &Header) -> Result<LocalRestore, StoreError> {
        let mut c = open_sqlite(path, Duration::from_secs(5), Synchronous::Normal)?;
        state_db::up_as(&mut c, &header.state)?;
        Ok(LocalRestore { c })
    }

    /// From now on rows of this table come.
    ///
    /// # Errors
    /// [`StoreError::Rejected`] when there is no such table in a backup.
    pub fn table(&mut self, table: &Table) -> Result<Loader, StoreError> {
        let loader = Loader::new(table, &STATE)?;
        if loader.name != SEQUENCES {
            diesel::sql_query(format!("DELETE FROM {}", loader.name)).execute(&mut self.c)?;
        }
        Ok(loader)
    }

    /// A row of it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn row(&mut self, loader: &mut Loader, row: Vec<Value>) -> Result<(), StoreError> {
        if loader.name == SEQUENCES {
            let (name, last) = sequence(&row, &STATE_SEQUENCES)?;
            return set_sequence(&mut self.c, name, last);
        }
        if loader.gathered.add(row) { self.rest(loader) } else { Ok(()) }
    }

    /// What has not been carried out yet.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn rest(&mut self, loader: &mut Loader) -> Result<(), StoreError> {
        let rows = loader.gathered.take();
        if rows.is_empty() {
            return Ok(());
        }
        let statement = InsertRows { columns: &loader.columns, rows: &rows };
        let inserted: Result<(), StoreError> = self.c.immediate_transaction(|c| Ok(statement.execute(c).map(drop)?));
        inserted.map_err(|e| loader.about(&rows, e))
    }

    /// All rows are there: brings the schema up to this version; everything is copied to the main database once more.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn end(mut self) -> Result<(), StoreError> {
        state_db::up_to_date(&mut self.c)?;
        self.c.batch_execute("UPDATE outbox SET synced = 0; UPDATE notifier_status SET synced = 0;")?;
        settle(&mut self.c)
    }
}

/// What a state.db holds.
///
/// # Errors
/// It is none, or cannot be read.
pub fn local_contents(path: &Path) -> Result<Contents, StoreError> {
    let mut c = open_sqlite(path, Duration::from_secs(5), Synchronous::Full)?;
    state_db::check_own(&mut c)?;
    let mut all = Contents::default();
    let there = migrate::sqlite_tables(&mut c)?;
    for table in STATE.iter().filter(|t| there.contains(**t) && **t != "notify_cursor") {
        let count: Count = diesel::sql_query(format!("SELECT COUNT(*) AS n FROM {table}")).get_result(&mut c)?;
        all.rows += count.n;
        if *table == "definitions" {
            all.targets = count.n;
        }
    }
    Ok(all)
}
