//! The database: definitions that people write, status and history that the daemon writes.
//!
//! ```text
//!  url, connect, bounded, error     where it is, one connection, a limit on every wait, what can go wrong
//!  migrate, rights, schema, rows    tables, and how rows and the model's types become each other
//!  definitions, change              what people write, and whether it has changed
//!  batch, dialect, mysql, sqlite    one transaction: results, statuses, incidents, the writer's watermark
//!  status, incidents, history       what is read back
//!  notifications                    what was told to whom: a copy of the outbox
//!  backup                           everything as lines, and back
//!  legacy, imports                  what is brought over from skypunch 0.3.0
//!  prune, lease                     old results go in small steps; one daemon a database
//!  examine, grants                  looks and changes nothing: what a daemon would need here
//!  state_db                         the local file: what must not be lost when the database is away
//! ```
//!
//! One body of query code for MySQL/MariaDB and SQLite: [`on!`](self) type-checks each expression once for each. All of
//! it blocks and belongs on a plain thread with a [`Store`] of its own, never inside an async runtime. After an error
//! for which the connection cannot be trusted any more it is dropped: connect again, and repeat the batch, which the
//! watermark makes safe.

pub mod backup;
mod batch;
mod bounded;
mod change;
mod connect;
mod definitions;
mod dialect;
mod error;
mod examine;
pub mod grants;
mod history;
mod imports;
mod incidents;
mod lease;
mod legacy;
mod migrate;
mod mysql;
mod notifications;
mod prune;
mod rights;
mod rows;
mod schema;
mod sqlite;
pub mod state_db;
mod status;
mod url;

use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::sqlite::SqliteConnection;

use self::bounded::Bounded;
use self::connect::Mysql;

pub use self::batch::Written;
pub use self::change::ChangeToken;
pub use self::connect::{ConnectOptions, Tls};
pub use self::definitions::Applied;
pub use self::error::StoreError;
pub use self::examine::{Examined, SchemaState};
pub use self::imports::ImportStamp;
pub use self::incidents::IncidentFilter;
pub use self::lease::{LeaseHolder, LeaseOutcome};
pub use self::legacy::{OldDatabase, read_legacy};
pub use self::rows::StoredStatus;
pub use self::state_db::{SpoolPush, SpoolSize, StateDb};
pub use self::url::DatabaseUrl;

/// One connection of either kind.
enum Db {
    Mysql(Box<Mysql>, Bounded),
    Sqlite(Box<SqliteConnection>),
}

/// Evaluates an expression on the connection, whichever it is.
macro_rules! on {
    ($db:expr, $c:ident => $e:expr) => {
        match $db {
            $crate::store::Db::Mysql($c, _) => {
                let $c = &mut **$c;
                $e
            }
            $crate::store::Db::Sqlite($c) => {
                let $c = &mut **$c;
                $e
            }
        }
    };
}

/// Evaluates an expression in a transaction that writes. SQLite takes its lock at once: a transaction that reads first
/// and then wants to write could not wait for another writer.
macro_rules! write_tx {
    ($db:expr, $c:ident => $e:expr) => {
        match $db {
            $crate::store::Db::Mysql(k, _) => diesel::Connection::transaction(&mut **k, |$c| $e),
            $crate::store::Db::Sqlite(k) => k.immediate_transaction(|$c| $e),
        }
    };
}

use {on, write_tx};

/// The main database: one connection. Not for use inside an async runtime.
pub struct Store {
    db: Option<Db>,
    timeout: Duration,
    server_version: String,
    /// The SQLite file that is open: path, device, inode.
    file: Option<(PathBuf, u64, u64)>,
    /// The database on a server.
    database: Option<String>,
}

impl Store {
    /// Connects; does not touch the schema. A SQLite file is made where there is none.
    ///
    /// # Errors
    /// See [`StoreError`]: *away* kinds may be tried again, *fatal* kinds need a person.
    pub fn connect(url: &DatabaseUrl, options: &ConnectOptions) -> Result<Store, StoreError> {
        match connect::connect(url, options) {
            Ok((db, server_version)) => {
                let file = url.sqlite_file().and_then(identity);
                let database = url.database().map(str::to_owned);
                Ok(Store { db: Some(db), timeout: options.timeout, server_version, file, database })
            }
            Err(StoreError::TimedOut(_)) => Err(StoreError::TimedOut(options.timeout)),
            Err(e) => Err(e),
        }
    }

    /// The server's (or SQLite's) own words for its version.
    #[must_use]
    pub fn server_version(&self) -> &str {
        &self.server_version
    }

    /// Whether the connection is still there. When not, every request fails: connect again.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.db.is_some()
    }

    /// Runs one request. The connection is kept only where it is certainly in step.
    fn run<T>(&mut self, f: impl FnOnce(&mut Db) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let Some(mut db) = self.db.take() else {
            return Err(StoreError::Lost("it was dropped after an earlier error".into()));
        };
        if let Some((path, ..)) = &self.file
            && identity(path) != self.file
        {
            // What is written through the old handle is lost to everybody else.
            return Err(StoreError::Lost(format!("the file {} was removed or replaced", path.display())));
        }
        match connect::guarded(|| f(&mut db)).and_then(|result| result) {
            Ok(value) => {
                self.db = Some(db);
                Ok(value)
            }
            Err(error) => {
                let error = match (&self.file, error) {
                    (Some((path, ..)), error) => error.at(path),
                    (None, StoreError::Denied(what)) => {
                        let account = connect::guarded(|| rights::account(&mut db)).ok().flatten();
                        StoreError::Denied(rights::named(&what, self.database.as_deref(), account.as_deref()))
                    }
                    (None, error) => error,
                };
                if error.keeps_connection() {
                    self.db = Some(db);
                }
                Err(if matches!(error, StoreError::TimedOut(_)) { StoreError::TimedOut(self.timeout) } else { error })
            }
        }
    }
}

/// Which file that is at present.
fn identity(path: &Path) -> Option<(PathBuf, u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|m| (path.to_owned(), m.dev(), m.ino()))
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("server_version", &self.server_version).finish_non_exhaustive()
    }
}
