//! state.db: what must not be lost when the main database is away, whatever that is.
//!
//! ```text
//!  definitions       the last known form of each, of notifiers and credentials too: the daemon starts from them
//!                    without a database
//!  target_status     where each target stood at its last transition
//!  incidents, events what has to be told, durable before anybody is told          transitions.rs
//!  outbox, kept      what is owed to whom, and what the rules of telling must know               outbox.rs
//!  spool             batches on their way to the main database, first in first out      spool.rs
//! ```
//!
//! One SQLite file, one thread, synchronous=FULL: what a method has returned survives a loss of power.

mod codec;
mod outbox;
mod schema;
mod spool;
mod statements;
mod transitions;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sqlite::Sqlite;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::schema::{credentials, definitions, notifiers};
use super::connect::{Synchronous, open_sqlite};
use super::error::StoreError;
use super::migrate::{SQLITE_TABLES, is_current, restore, up};
use crate::model::credential::CredentialDefinition;
use crate::model::definition::Definition;
use crate::model::notifier::NotifierDefinition;

pub use self::outbox::{KeptRow, Outbox, OutboxChanges, OutboxRow};
pub use self::spool::{SpoolPush, SpoolSize};
pub use self::transitions::{EventKind, EventRecord};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/state");

/// Only this daemon writes the file; a person's look at it may hold a lock for a moment.
const WAIT: Duration = Duration::from_secs(5);

/// Keeps the rows of a table of definitions and forgets all others but the wrong ones.
macro_rules! keep {
    ($db:expr, $table:ident, $upserts:expr, $wrong:expr) => {{
        let rows = $upserts.iter().map(|d| {
            let failed = |e| StoreError::Rejected(format!(concat!("one of ", stringify!($table), ": {}"), e));
            Ok(($table::id.eq(d.id), $table::definition.eq(serde_json::to_string(d).map_err(failed)?)))
        });
        let rows = rows.collect::<Result<Vec<_>, StoreError>>()?;
        $db.write(|c| {
            diesel::delete($table::table.filter($table::id.ne_all($wrong))).execute(c)?;
            for chunk in rows.chunks(500) {
                diesel::replace_into($table::table).values(chunk).execute(c)?;
            }
            Ok(())
        })
    }};
}

/// The local file. Blocking: belongs on a plain thread.
pub struct StateDb {
    c: SqliteConnection,
    path: PathBuf,
    max_bytes: u64,
    size: SpoolSize,
}

impl StateDb {
    /// Makes the last known definitions these; writes only what differs. `wrong` are rows whose last good form stays.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn save_all_definitions(
        &mut self,
        all: impl Iterator<Item = Definition>,
        wrong: &[i64],
    ) -> Result<(), StoreError> {
        let mut known: HashMap<i64, u64> = HashMap::new();
        let mut after = i64::MIN;
        loop {
            let page = definitions::table.filter(definitions::id.gt(after)).order(definitions::id).limit(1000);
            let page: Vec<(i64, String)> = self.read(|c| page.load(c))?;
            let Some((last, _)) = page.last() else { break };
            after = *last;
            known.extend(
                page.iter().filter_map(|(id, text)| Some((*id, hash_of(&read_definition::<Definition>(text)?)))),
            );
        }
        let mut changed = Vec::new();
        for d in all {
            if known.remove(&d.id) != Some(hash_of(&d)) {
                changed.push(d);
            }
            if changed.len() == 1000 {
                self.save_definitions(&std::mem::take(&mut changed), &[])?;
            }
        }
        known.retain(|id, _| !wrong.contains(id));
        let gone: Vec<i64> = known.into_keys().collect();
        if !changed.is_empty() || !gone.is_empty() {
            self.save_definitions(&changed, &gone)?;
        }
        // All definitions went through the page cache and are not read again.
        self.read(|c| c.batch_execute("PRAGMA shrink_memory"))
    }

    /// Opens the file and brings its tables up to this version; makes it where there is none. `max_bytes` bounds the
    /// spool (see [`StateDb::spool_push`]).
    ///
    /// # Errors
    /// [`StoreError::Damaged`] with what to do when the file is no database any more, [`StoreError::TooNew`] when a
    /// newer skypunch has written it, [`StoreError::Setting`] when it cannot be opened.
    pub fn open(path: &Path, max_bytes: u64) -> Result<StateDb, StoreError> {
        let open = || {
            let mut c = open_sqlite(path, WAIT, Synchronous::Full)?;
            c.immediate_transaction(|c| up(c, MIGRATIONS, SQLITE_TABLES))?;
            let size = spool::measure(&mut c)?;
            Ok(StateDb { c, path: path.to_path_buf(), max_bytes, size })
        };
        open().map_err(|e| at(path, e))
    }

    /// The last known definitions, in the order of ids.
    ///
    /// # Errors
    /// See [`StoreError`]; a definition that cannot be read is left out.
    pub fn load_definitions(&mut self) -> Result<Vec<Definition>, StoreError> {
        let query = definitions::table.order(definitions::id).select(definitions::definition);
        let rows: Vec<String> = self.read(|c| query.load(c))?;
        Ok(rows.iter().filter_map(|text| read_definition(text)).collect())
    }

    /// Keeps `upserts` and forgets `removed`, in one transaction. A definition that is wrong is not kept: its last good
    /// form stays.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was changed then.
    pub fn save_definitions(&mut self, upserts: &[Definition], removed: &[i64]) -> Result<(), StoreError> {
        let rows = upserts.iter().filter(|d| d.validate().is_ok()).map(|d| {
            let text = serde_json::to_string(d).map_err(|e| StoreError::Rejected(format!("a definition: {e}")))?;
            Ok((definitions::id.eq(d.id), definitions::definition.eq(text)))
        });
        let rows = rows.collect::<Result<Vec<_>, StoreError>>()?;
        self.write(|c| {
            for chunk in rows.chunks(500) {
                diesel::replace_into(definitions::table).values(chunk).execute(c)?;
            }
            for chunk in removed.chunks(500) {
                diesel::delete(definitions::table.filter(definitions::id.eq_any(chunk))).execute(c)?;
            }
            Ok(())
        })
    }

    /// The last known notifiers, in the order of ids.
    ///
    /// # Errors
    /// See [`StoreError`]; one that cannot be read is left out.
    pub fn load_notifiers(&mut self) -> Result<Vec<NotifierDefinition>, StoreError> {
        let query = notifiers::table.order(notifiers::id).select(notifiers::definition);
        let rows: Vec<String> = self.read(|c| query.load(c))?;
        Ok(rows.iter().filter_map(|text| read_definition(text)).collect())
    }

    /// Keeps `upserts`, which must be fit, and forgets all others but those of `wrong`, whose last good form stays.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was changed then.
    pub fn save_notifiers(&mut self, upserts: &[NotifierDefinition], wrong: &[i64]) -> Result<(), StoreError> {
        keep!(self, notifiers, upserts, wrong)
    }

    /// The last known credentials, in the order of ids.
    ///
    /// # Errors
    /// See [`StoreError`]; one that cannot be read is left out.
    pub fn load_credentials(&mut self) -> Result<Vec<CredentialDefinition>, StoreError> {
        let query = credentials::table.order(credentials::id).select(credentials::definition);
        let rows: Vec<String> = self.read(|c| query.load(c))?;
        Ok(rows.iter().filter_map(|text| read_definition(text)).collect())
    }

    /// Keeps credentials, as [`StateDb::save_notifiers`].
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was changed then.
    pub fn save_credentials(&mut self, upserts: &[CredentialDefinition], wrong: &[i64]) -> Result<(), StoreError> {
        keep!(self, credentials, upserts, wrong)
    }

    /// Runs one query.
    fn read<T>(&mut self, f: impl FnOnce(&mut SqliteConnection) -> QueryResult<T>) -> Result<T, StoreError> {
        f(&mut self.c).map_err(|e| at(&self.path, e.into()))
    }

    /// Runs one durable transaction.
    fn write<T>(&mut self, f: impl FnOnce(&mut SqliteConnection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.c.immediate_transaction(f).map_err(|e| at(&self.path, e))
    }
}

/// Whether this version knows all these migrations of state.db.
pub(super) fn check_known(versions: &[String]) -> Result<(), StoreError> {
    restore::known::<Sqlite>(&MIGRATIONS, versions)
}

/// Whether this is a state.db, and not of a newer skypunch.
pub(super) fn check_own(c: &mut SqliteConnection) -> Result<(), StoreError> {
    is_current(c, &MIGRATIONS, SQLITE_TABLES).map(drop)
}

/// Makes the tables as they were after these migrations.
pub(super) fn up_as(c: &mut SqliteConnection, versions: &[String]) -> Result<(), StoreError> {
    restore::run(c, &MIGRATIONS, Some(versions))
}

/// Makes the tables as they are in this version.
pub(super) fn up_to_date(c: &mut SqliteConnection) -> Result<(), StoreError> {
    restore::run(c, &MIGRATIONS, None)
}

impl std::fmt::Debug for StateDb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateDb").field("path", &self.path).field("spool", &self.size).finish_non_exhaustive()
    }
}

/// Says which file is damaged, full or somebody else's, and what to do.
fn at(path: &Path, error: StoreError) -> StoreError {
    match error {
        StoreError::Damaged(what) => StoreError::Damaged(format!(
            "{what}; move {} and its -wal and -shm files away and start again: definitions come from the main \
             database, results that were not yet written there are lost",
            path.display()
        )),
        StoreError::Foreign(_) => StoreError::Foreign(format!(
            "{} is the database of another program: move it away, or set state.dir",
            path.display()
        )),
        StoreError::TooNew(migration) => StoreError::TooNew(format!("{migration} of {}", path.display())),
        e => e.at(path),
    }
}

/// Reads a definition that this or an older version has written: keys that were not there yet take their defaults.
fn read_definition<D: Default + Serialize + DeserializeOwned>(text: &str) -> Option<D> {
    if let Ok(definition) = serde_json::from_str(text) {
        return Some(definition);
    }
    let (Ok(Value::Object(mut all)), Ok(Value::Object(known))) =
        (serde_json::to_value(D::default()), serde_json::from_str(text))
    else {
        return None;
    };
    all.extend(known);
    serde_json::from_value(Value::Object(all)).ok()
}

fn hash_of(definition: &Definition) -> u64 {
    let mut hasher = DefaultHasher::new();
    definition.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_of_an_older_version_reads_with_defaults() {
        let d: Definition = read_definition(r#"{"id": 3, "name": "x", "url": "http://x/"}"#).unwrap();
        assert_eq!((d.id, d.name.as_str(), d.frequency_ms), (3, "x", 60_000));
        assert_eq!(read_definition::<Definition>("{"), None);
        assert_eq!(read_definition::<Definition>(r#"{"id": "three"}"#), None);
    }
}
