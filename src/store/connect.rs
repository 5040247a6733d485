//! Making a connection, and running one request on it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::AsyncMysqlConnection;
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use mysql_async::{OptsBuilder, SslOpts};

use super::bounded::{Bounded, WaitExpired};
use super::error::{StoreError, connecting, tidy};
use super::migrate::check_not_foreign;
use super::url::{DatabaseUrl, Place};
use super::{Db, on};

/// A connection to MySQL or MariaDB, used in a blocking way.
pub(super) type Mysql = AsyncConnectionWrapper<AsyncMysqlConnection, Bounded>;

/// TLS on the way to the database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Tls {
    /// In clear: for a server on this machine or in a network of one's own.
    #[default]
    Off,
    /// Encrypted, whoever the server is: holds off eavesdroppers, not impostors.
    Encrypt,
    /// Encrypted, and the server's certificate and name are verified against `ca` (a PEM file) or the public authorities.
    Verify {
        /// The authorities to trust instead of the public ones.
        ca: Option<PathBuf>,
    },
}

/// How to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectOptions {
    /// TLS; not used with SQLite.
    pub tls: Tls,
    /// The longest wait for any one answer of the database, or for its lock.
    pub timeout: Duration,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        ConnectOptions { tls: Tls::Off, timeout: Duration::from_secs(5) }
    }
}

/// Connects and checks the server's version.
pub(super) fn connect(url: &DatabaseUrl, options: &ConnectOptions) -> Result<(Db, String), StoreError> {
    let (db, version) = connect_to_any(url, options)?;
    if matches!(db, Db::Mysql(..)) {
        check_version(&version)?;
    }
    Ok((db, version))
}

/// Connects to a server of whatever version.
pub(super) fn connect_to_any(url: &DatabaseUrl, options: &ConnectOptions) -> Result<(Db, String), StoreError> {
    let mut db = match &url.0 {
        Place::Sqlite(path) => Db::Sqlite(Box::new(open_sqlite(path, options.timeout, Synchronous::Normal)?)),
        Place::Mysql { user, password, host, port, database, socket } => {
            let mut opts = OptsBuilder::default()
                .ip_or_hostname(host.clone())
                .tcp_port(*port)
                .user(Some(user.clone()))
                .pass(password.as_ref().map(|p| p.expose().to_owned()))
                .db_name(Some(database.clone()))
                // Else a connection to 127.0.0.1 moves to the server's Unix socket: not what was asked for.
                .prefer_socket(false)
                .tcp_keepalive(Some(30_000u32))
                .init(session_settings(options.timeout))
                .stmt_cache_size(0) // diesel has its own
                .client_found_rows(true);
            if let Some(socket) = socket {
                opts = opts.socket(Some(socket.clone()));
            }
            if let Some(ssl) = ssl_options(&options.tls)? {
                opts = opts.ssl_opts(Some(ssl));
            }
            connect_mysql(opts, &format!("{host}:{port}"), options.timeout)?
        }
    };
    let version = server_version(&mut db)?;
    Ok((db, version))
}

fn connect_mysql(opts: OptsBuilder, place: &str, timeout: Duration) -> Result<Db, StoreError> {
    let bounded = Bounded::new(timeout).map_err(|e| StoreError::Refused(format!("no runtime: {e}")))?;
    let conn = bounded
        .wait(mysql_async::Conn::new(opts))
        .ok_or(StoreError::TimedOut(timeout))?
        .map_err(|e| connecting(&e, place))?;
    let conn = bounded
        .wait(AsyncMysqlConnection::try_from(conn))
        .ok_or(StoreError::TimedOut(timeout))?
        .map_err(|e| StoreError::Refused(format!("{place}: {}", tidy(&e.to_string()))))?;
    let wrapped = bounded.lend(|| Mysql::from(conn));
    Ok(Db::Mysql(Box::new(wrapped), bounded))
}

/// What each session asks of the server: nothing cut off silently, and no wait for a lock longer than ours.
fn session_settings(timeout: Duration) -> Vec<String> {
    let wait = (timeout.as_secs() / 2).max(1);
    vec![
        "SET SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'".into(),
        format!("SET SESSION lock_wait_timeout = {wait}"),
        format!("SET SESSION innodb_lock_wait_timeout = {wait}"),
    ]
}

fn ssl_options(tls: &Tls) -> Result<Option<SslOpts>, StoreError> {
    if *tls == Tls::Off {
        return Ok(None);
    }
    // An error only says that a provider is installed already.
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
    Ok(Some(match tls {
        Tls::Off => return Ok(None),
        Tls::Encrypt => SslOpts::default().with_danger_accept_invalid_certs(true),
        Tls::Verify { ca: None } => SslOpts::default(),
        Tls::Verify { ca: Some(ca) } => {
            let readable = std::fs::read(ca);
            readable.map_err(|e| StoreError::Setting(format!("tls_ca {} cannot be read: {e}", ca.display())))?;
            SslOpts::default().with_root_certs(vec![ca.clone().into()]).with_disable_built_in_roots(true)
        }
    }))
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = Text)]
    version: String,
}

pub(super) fn server_version(db: &mut Db) -> Result<String, StoreError> {
    let query = match db {
        Db::Mysql(..) => "SELECT VERSION() AS version",
        Db::Sqlite(_) => "SELECT sqlite_version() AS version",
    };
    guarded(|| on!(db, c => diesel::sql_query(query).get_result::<Version>(c)))?
        .map(|v| v.version)
        .map_err(StoreError::from)
}

/// MariaDB 10.6 and MySQL 8.0 are the oldest that are supported.
fn check_version(version: &str) -> Result<(), StoreError> {
    let mut numbers = version.split(['.', '-']).map_while(|n| n.parse::<u32>().ok());
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let maria = version.to_lowercase().contains("mariadb");
    if found >= (if maria { (10, 6) } else { (8, 0) }) {
        return Ok(());
    }
    let name = if maria { "MariaDB" } else { "MySQL" };
    Err(StoreError::TooOld(format!("{name} {}", tidy(version))))
}

/// How hard SQLite tries to survive a loss of power.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Synchronous {
    /// A loss of power may cost the last transactions, never the file.
    Normal,
    /// Each transaction is on the disk when its COMMIT returns.
    Full,
}

/// Opens a SQLite file, made with mode 0600 where there is none: it holds secrets.
pub(super) fn open_sqlite(path: &Path, wait: Duration, sync: Synchronous) -> Result<SqliteConnection, StoreError> {
    use std::os::unix::fs::OpenOptionsExt;
    let setting = |what: String| StoreError::Setting(format!("database file {}: {what}", path.display()));
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(setting(format!("cannot be made ({e})"))),
    }
    // SQLite reads a name that begins with `file:` as a URI.
    let name = if path.is_absolute() { path.to_path_buf() } else { Path::new(".").join(path) };
    let name = name.to_str().ok_or_else(|| setting("its name is not UTF-8".into()))?;
    let mut c = SqliteConnection::establish(name).map_err(|e| {
        use rustix::fs::{Access, AtFlags, CWD, accessat};
        // Not by opening it: closing a file gives up the locks that other connections of this process hold on it.
        match accessat(CWD, path, Access::READ_OK | Access::WRITE_OK, AtFlags::EACCESS) {
            Err(why) => {
                setting(format!("cannot be opened ({}): let this user read and write it", std::io::Error::from(why)))
            }
            Ok(()) => setting(format!("cannot be opened ({e})")),
        }
    })?;
    let sync = if sync == Synchronous::Full { "FULL" } else { "NORMAL" };
    c.batch_execute(&format!("PRAGMA busy_timeout = {}; PRAGMA foreign_keys = ON;", wait.as_millis()))?;
    // What is another program's stays as it is: switching to WAL would change it.
    match check_not_foreign(&mut c) {
        Err(StoreError::Foreign(what)) => return Err(StoreError::Foreign(format!("{}: {what}", path.display()))),
        Err(StoreError::Damaged(e)) => return Err(StoreError::Damaged(format!("{} ({e})", path.display()))),
        // Tried again below.
        Err(StoreError::Locked(_)) | Ok(()) => {}
        Err(e) => return Err(e.at(path)),
    }
    // Switching to WAL does not heed busy_timeout: several that start at once need tries of their own.
    let pause = Duration::from_millis(10);
    let mut left = wait;
    loop {
        match c.batch_execute(&format!("PRAGMA journal_mode = WAL; PRAGMA synchronous = {sync};")) {
            Ok(()) => {
                // The cache (KiB, used as needed) holds what a second of flushes touches, so that hardly anything is read
                // back. It looks into the file, whose damage is told above.
                c.batch_execute("PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384;")?;
                if sync == "NORMAL" {
                    // Pages that every flush writes again go from the log to the file only once in 64 MiB of log.
                    c.batch_execute("PRAGMA wal_autocheckpoint = 16384; PRAGMA journal_size_limit = 67108864;")?;
                }
                return Ok(c);
            }
            Err(e) => match StoreError::from(e) {
                StoreError::Locked(_) if left > pause => {
                    std::thread::sleep(pause);
                    left -= pause;
                }
                StoreError::Damaged(e) => {
                    return Err(StoreError::Damaged(format!("{} ({e})", path.display())));
                }
                e => return Err(e.at(path)),
            },
        }
    }
}

/// Runs `f`; a wait that took too long, or a panic in a driver, becomes an error.
pub(super) fn guarded<T>(f: impl FnOnce() -> T) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| caught(payload.as_ref()))
}

fn caught(payload: &(dyn Any + Send)) -> StoreError {
    if payload.is::<WaitExpired>() {
        return StoreError::TimedOut(Duration::ZERO); // the limit is filled in by the caller
    }
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    StoreError::Internal(tidy(text.unwrap_or("panic")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says so when the flags of `.cargo/config.toml` were not in force, which is no failure.
    #[test]
    fn sqlite_is_built_for_one_thread_a_connection() {
        let mut c = SqliteConnection::establish(":memory:").unwrap();
        for (option, used) in
            [("THREADSAFE=2", true), ("DEFAULT_MEMSTATUS=0", true), ("ENABLE_MEMORY_MANAGEMENT", false)]
        {
            let query = format!("SELECT CAST(sqlite_compileoption_used('{option}') AS TEXT) AS version");
            let found = diesel::sql_query(query).get_result::<Version>(&mut c).unwrap().version;
            if (found == "1") != used {
                eprintln!("SQLite: {option} is {found}: LIBSQLITE3_FLAGS of .cargo/config.toml were not in force");
            }
            assert!(found == "0" || found == "1", "{option}: {found}");
        }
    }

    #[test]
    fn old_servers_are_refused() {
        for good in
            ["10.11.19-MariaDB-0+deb12u1", "11.4.2-MariaDB", "10.6.0-MariaDB", "8.0.36", "9.7.4", "8.4.0-commercial"]
        {
            assert_eq!(check_version(good), Ok(()), "{good}");
        }
        for old in ["10.5.21-MariaDB", "5.7.44", "5.5.5", "what"] {
            assert!(matches!(check_version(old), Err(StoreError::TooOld(_))), "{old}");
        }
    }
}
