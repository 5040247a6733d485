//! The main database of a test, and the plain SQL client that a person would use on it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Mariadb,
}

/// Where a MariaDB server listens on 127.0.0.1; root has no password there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    pub port: u16,
}

/// A database of its own for one test.
pub enum Database {
    Sqlite(PathBuf),
    /// Dropped at the end.
    Mariadb(Server, String),
}

impl Database {
    /// A database that holds nothing.
    pub fn fresh(kind: Kind, dir: &Path) -> Database {
        match kind {
            Kind::Sqlite => Database::Sqlite(dir.join("main.db")),
            Kind::Mariadb => Database::on_server(Server::of_tests_run()),
        }
    }

    /// A database that holds nothing, on this server.
    pub fn on_server(server: Server) -> Database {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("daemon_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        client(server, "", &format!("CREATE DATABASE {name}")).unwrap();
        Database::Mariadb(server, name)
    }

    /// What the daemon is told.
    pub fn url(&self) -> String {
        match self {
            Database::Sqlite(path) => format!("sqlite://{}", path.display()),
            Database::Mariadb(server, name) => format!("mysql://root@127.0.0.1:{}/{name}", server.port),
        }
    }

    /// Runs SQL in the plain client; the rows that come back, `NULL` for null.
    pub fn try_sql(&self, sql: &str) -> Result<Vec<Vec<String>>, String> {
        let text = match self {
            Database::Sqlite(path) => {
                let mut command = Command::new("sqlite3");
                command.args(["-batch", "-bail", "-separator", "\t", "-nullvalue", "NULL", "-cmd", ".timeout 10000"]);
                run(command.arg(path), sql)
            }
            Database::Mariadb(server, name) => client(*server, name, sql),
        }?;
        Ok(text.lines().map(|l| l.split('\t').map(str::to_owned).collect()).collect())
    }

    /// The same; must work.
    pub fn sql(&self, sql: &str) -> Vec<Vec<String>> {
        self.try_sql(sql).unwrap_or_else(|e| panic!("{sql}: {e}"))
    }

    /// The single number that a query gives.
    pub fn number(&self, sql: &str) -> i64 {
        let rows = self.sql(sql);
        rows[0][0].parse().unwrap_or_else(|_| panic!("{sql}: {rows:?}"))
    }

    /// Adds a target and gives its id: the next one, as long as none was deleted.
    pub fn add(&self, name: &str, url: &str, frequency_ms: u32) -> i64 {
        self.sql(&format!("INSERT INTO targets (name, url, frequency_ms) VALUES ('{name}', '{url}', {frequency_ms})"));
        self.number(&format!("SELECT id FROM targets WHERE name = '{name}'"))
    }
}

/// A client that keeps others from writing; gives it up at its end.
pub struct Lock(Child);

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Database {
    /// Has a client lock everything (SQLite) or the lease (MariaDB), and leaves it at that.
    pub fn lock(&self) -> Lock {
        let (mut command, sql) = match self {
            Database::Sqlite(path) => {
                let mut command = Command::new("sqlite3");
                command.args(["-batch", "-cmd", ".timeout 10000"]).arg(path);
                (command, "BEGIN IMMEDIATE;\nSELECT 'held';\n")
            }
            Database::Mariadb(server, name) => {
                let mut command = mariadb(*server);
                command.args(["--unbuffered", name]);
                (command, "BEGIN; SELECT * FROM lease FOR UPDATE; SELECT 'held';\n")
            }
        };
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.as_mut().unwrap();
        input.write_all(sql.as_bytes()).unwrap();
        input.flush().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|l| l.unwrap() == "held"), "the client got no lock");
        Lock(child)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Database::Mariadb(server, name) = self {
            // The server may be one of the test's own that has ended; a lock may be held by a daemon being killed.
            let _dropped =
                client(*server, "", &format!("SET SESSION lock_wait_timeout = 10; DROP DATABASE IF EXISTS {name}"));
        }
    }
}

impl Server {
    /// The server that `tests/run` has started.
    fn of_tests_run() -> Server {
        let url = std::env::var("SKYPUNCH_TEST_MYSQL_URL")
            .expect("SKYPUNCH_TEST_MYSQL_URL is not set: run the tests with tests/run, which starts a MariaDB server");
        let port = url.trim_end_matches('/').rsplit(':').next().and_then(|p| p.parse().ok());
        Server { port: port.unwrap_or_else(|| panic!("no port in SKYPUNCH_TEST_MYSQL_URL {url:?}")) }
    }

    /// Whether it answers.
    pub fn answers(self) -> bool {
        client(self, "", "SELECT 1").is_ok()
    }
}

/// The `mariadb` command.
fn client(server: Server, database: &str, sql: &str) -> Result<String, String> {
    run(mariadb(server).arg(database), sql)
}

pub(super) fn mariadb(server: Server) -> Command {
    let mut command = Command::new("mariadb");
    command.args(["--no-defaults", "--protocol=tcp", "--host=127.0.0.1", "--user=root", "--skip-column-names"]);
    command.args(["--batch", "--connect-timeout=5", "--default-character-set=utf8mb4"]);
    command.arg(format!("--port={}", server.port));
    command
}

fn run(command: &mut Command, sql: &str) -> Result<String, String> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A client that cannot connect ends without reading.
    let _unread = child.stdin.take().unwrap().write_all(sql.as_bytes());
    let output = child.wait_with_output().unwrap();
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}
