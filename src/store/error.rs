//! What can go wrong with a database, sorted by what the caller does about it.
//!
//! ```text
//!  away             try again later, monitoring goes on      refused, timed out, frozen, lost, locked, read-only
//!  fatal at start   a person has to act                      setting, denied, TLS, too old, too new, foreign, damaged
//!  of one request   tell who asked                           duplicate, missing, rejected
//! ```
//!
//! The drivers give little more than text for most errors, so texts are what is sorted here. None holds a password:
//! neither driver puts one into an error, and [`super::url::DatabaseUrl`] never shows its own.

use std::path::Path;
use std::time::Duration;

use diesel::result::{DatabaseErrorKind, Error};

use crate::model::text::clean;

/// Why something did not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The URL or an option is wrong.
    #[error("{0}")]
    Setting(String),
    /// The server does not let us in, or not do what is needed.
    #[error("the database denies access: {0}")]
    Denied(String),
    /// No trust in the server's certificate, or no TLS where it is asked for.
    #[error("no TLS connection to the database: {0}")]
    Tls(String),
    /// The server's version is not supported.
    #[error("{0} is too old: skypunch needs MariaDB 10.6, MySQL 8.0 or newer")]
    TooOld(String),
    /// A newer skypunch has changed the schema.
    #[error(
        "the database was changed by a newer skypunch (migration {0} is not known to this one): install that version, or restore a backup from before"
    )]
    TooNew(String),
    /// The tables of another program, or of skypunch 0.3.0.
    #[error("{0}")]
    Foreign(String),
    /// A restore into it was cut off.
    #[error("a restore into this database was not finished: do it again with `skypunch restore FILE --force`")]
    Unfinished,
    /// The file is not a database any more.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// Another daemon works on it.
    #[error(
        "another skypunch works on this database: pid {pid} on {host}; stop it, or give this one a database of its own"
    )]
    Held {
        /// Where.
        host: String,
        /// Its process id there.
        pid: u32,
        /// When its lease ends unless it is renewed.
        until: crate::model::time::UtcMs,
    },
    /// Nothing answers.
    #[error("the database cannot be reached: {0}")]
    Refused(String),
    /// An answer did not come in time: the server or the way to it is frozen.
    #[error("the database did not answer within {}", humantime::format_duration(*.0))]
    TimedOut(Duration),
    /// The connection broke. Whether the last transaction was committed is not known.
    #[error("the connection to the database was lost: {0}")]
    Lost(String),
    /// Somebody else holds what is needed.
    #[error("the database is busy: {0}")]
    Locked(String),
    /// It can be read but not written, or its disk is full.
    #[error("the database cannot be written: {0}")]
    ReadOnly(String),
    /// The name is taken.
    #[error("{0}")]
    Duplicate(String),
    /// There is no such row.
    #[error("there is no row with the id {0} any more")]
    Missing(i64),
    /// The database refuses the statement.
    #[error("the database refuses: {0}")]
    Rejected(String),
    /// What was read cannot be understood.
    #[error("what the database holds cannot be read: {0}")]
    Unreadable(String),
    /// A panic in a driver.
    #[error("the database driver failed: {0}")]
    Internal(String),
}

impl StoreError {
    /// The database is away for now: keep what is due to be written and try again. Anything else needs a person: the
    /// daemon does not start with it.
    #[must_use]
    pub fn is_away(&self) -> bool {
        matches!(
            self,
            StoreError::Refused(_)
                | StoreError::TimedOut(_)
                | StoreError::Lost(_)
                | StoreError::Locked(_)
                | StoreError::ReadOnly(_)
                | StoreError::Internal(_)
        )
    }

    /// The same, where it says that a file cannot be written: which one.
    pub(super) fn at(self, path: &Path) -> StoreError {
        match self {
            StoreError::ReadOnly(what) => {
                let shown = path.display().to_string();
                StoreError::ReadOnly(if what.contains(&shown) { what } else { format!("{shown}: {what}") })
            }
            e => e,
        }
    }

    /// The connection is as it was before the request.
    pub(super) fn keeps_connection(&self) -> bool {
        matches!(
            self,
            StoreError::Duplicate(_)
                | StoreError::Missing(_)
                | StoreError::TooNew(_)
                | StoreError::Foreign(_)
                | StoreError::Unfinished
        )
    }
}

/// A driver's text as people may see it.
pub(super) fn tidy(text: &str) -> String {
    clean(text.trim(), 300)
}

/// Sorts a text of either driver.
fn from_text(text: &str) -> StoreError {
    let has = |words: &[&str]| {
        let lower = text.to_lowercase();
        words.iter().any(|w| lower.contains(w))
    };
    let tidied = tidy(text);
    if has(&["database is locked", "table is locked", "deadlock found", "lock wait timeout"]) {
        StoreError::Locked(tidied)
    } else if has(&["database or disk is full"]) {
        StoreError::ReadOnly(format!("{tidied}; make room on its disk"))
    } else if has(&["readonly database", "unable to open database file"]) {
        StoreError::ReadOnly(format!("{tidied}; let this user write the file and its folder"))
    } else if has(&["disk i/o error"]) {
        // Also what SQLite says when its log cannot grow.
        StoreError::ReadOnly(format!("{tidied}; make room on its disk, or see whether that is broken"))
    } else if has(&["readonly", "read-only", "read only"]) {
        StoreError::ReadOnly(tidied)
    } else if has(&["malformed", "not a database", "marked as crashed"]) {
        StoreError::Damaged(tidied)
    } else if has(&["denied"]) {
        StoreError::Denied(super::rights::with_mend(&tidied))
    } else if has(&[
        "connection to the server is closed",
        "input/output error",
        "driver error",
        "packet out of order",
        "broken pipe",
        "reset by peer",
        "shutdown in progress",
        "connection was killed",
        "gone away",
        "interrupted",
        "packet too large",
    ]) {
        StoreError::Lost(tidied)
    } else {
        StoreError::Rejected(tidied)
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error {
            Error::DatabaseError(DatabaseErrorKind::UniqueViolation, info) => {
                StoreError::Duplicate(format!("that name is taken ({})", tidy(info.message())))
            }
            Error::DatabaseError(DatabaseErrorKind::ClosedConnection, info) => StoreError::Lost(tidy(info.message())),
            Error::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, info) => {
                StoreError::ReadOnly(tidy(info.message()))
            }
            Error::DatabaseError(_, info) => from_text(info.message()),
            Error::DeserializationError(e) => StoreError::Unreadable(tidy(&e.to_string())),
            e @ (Error::BrokenTransactionManager
            | Error::AlreadyInTransaction
            | Error::NotInTransaction
            | Error::RollbackErrorOnCommit { .. }) => StoreError::Lost(tidy(&e.to_string())),
            e => from_text(&e.to_string()),
        }
    }
}

/// Sorts the errors of connecting to MySQL or MariaDB. `place` is `host:port`.
pub(super) fn connecting(error: &mysql_async::Error, place: &str) -> StoreError {
    use mysql_async::{Error, IoError};
    match error {
        Error::Server(e) => match e.code {
            1044 => StoreError::Denied(super::rights::with_mend(&tidy(&e.message))),
            1045 | 1130 | 1698 => {
                StoreError::Denied(format!("{}; mend the user in database.url, or database.password", tidy(&e.message)))
            }
            1049 => StoreError::Setting(format!(
                "{} on {place}: create it with CREATE DATABASE, or mend [database] url",
                tidy(&e.message)
            )),
            _ => StoreError::Refused(format!("{place}: {}", tidy(&e.message))),
        },
        Error::Io(IoError::Tls(e)) => StoreError::Tls(tidy(&e.to_string())),
        // The handshake's verdict comes wrapped in an I/O error.
        Error::Io(IoError::Io(e)) if e.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
            StoreError::Tls(format!("{place}: {}", tidy(&e.to_string())))
        }
        Error::Io(IoError::Io(e)) => StoreError::Refused(format!("{place}: {}", tidy(&e.to_string()))),
        Error::Driver(mysql_async::DriverError::NoClientSslFlagFromServer) => {
            StoreError::Tls(format!("{place} does not offer it: configure it there, or write tls = \"off\""))
        }
        Error::Driver(e) => StoreError::Refused(format!("{place}: {}", tidy(&e.to_string()))),
        Error::Url(e) => StoreError::Setting(tidy(&e.to_string())),
        Error::Other(e) => StoreError::Refused(format!("{place}: {}", tidy(&e.to_string()))),
    }
}
