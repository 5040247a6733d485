//! Starts the real daemon, waits for conditions, ends what it started.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use skypunch::clock::Clock;
use tempfile::TempDir;

use super::database::{Database, Kind};

/// Runs each body on both databases: `themes::sqlite::name` and `themes::mariadb::name`.
macro_rules! on_both {
    ($($case:ident),+ $(,)?) => {
        mod sqlite {
            $( #[test] fn $case() { super::$case(&crate::daemon::harness::Place::on(crate::daemon::database::Kind::Sqlite)); } )+
        }
        mod mariadb {
            $( #[test] fn $case() { super::$case(&crate::daemon::harness::Place::on(crate::daemon::database::Kind::Mariadb)); } )+
        }
    };
}

/// Long enough for anything that should happen soon, on a busy machine too.
pub const SOON: Duration = Duration::from_secs(15);

/// Waits until `condition` gives something, and gives that.
///
/// # Panics
/// After `limit`.
pub fn wait_for<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let clock = Clock::system();
    let start = clock.now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(clock.now().since(start) < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until `condition` holds.
///
/// # Panics
/// After `limit`.
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    wait_for(what, limit, || condition().then_some(()));
}

/// A daemon's folders and its main database; several daemons may live there one after the other.
pub struct Place {
    pub dir: TempDir,
    pub db: Database,
}

impl Place {
    /// A fresh place on a fresh database.
    pub fn on(kind: Kind) -> Place {
        let dir = tempfile::tempdir().unwrap();
        let db = Database::fresh(kind, dir.path());
        Place { dir, db }
    }

    /// What its main database is.
    pub fn kind(&self) -> Kind {
        match self.db {
            Database::Sqlite(_) => Kind::Sqlite,
            Database::Mariadb(..) => Kind::Mariadb,
        }
    }

    /// A fresh place where the main database is a file.
    pub fn new() -> Place {
        Place::on(Kind::Sqlite)
    }

    /// A fresh place on this database.
    pub fn with(db: Database) -> Place {
        Place { dir: tempfile::tempdir().unwrap(), db }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts a daemon here and waits until it runs.
    pub fn start(&self) -> Daemon {
        self.setup().start()
    }

    /// What a daemon here would be started with.
    pub fn setup(&self) -> Setup {
        Setup {
            state: self.path("state"),
            socket: self.path("run/control.sock"),
            log: self.path("log"),
            config: self.path("skypunch.toml"),
            database: self.db.url(),
            extra: String::new(),
            arguments: Vec::new(),
            environment: Vec::new(),
            wrapper: Vec::new(),
        }
    }
}

/// What a daemon is started with.
#[derive(Clone)]
pub struct Setup {
    pub state: PathBuf,
    pub socket: PathBuf,
    /// Where its standard error goes.
    pub log: PathBuf,
    pub config: PathBuf,
    pub database: String,
    /// Further sections of the settings.
    pub extra: String,
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
    /// A command that the daemon is started through.
    pub wrapper: Vec<String>,
}

impl Setup {
    /// With further sections of the settings.
    pub fn extra(mut self, sections: &str) -> Setup {
        self.extra.push_str(sections);
        self
    }

    /// With further arguments.
    pub fn arguments(mut self, arguments: &[&str]) -> Setup {
        self.arguments.extend(arguments.iter().map(|a| (*a).to_owned()));
        self
    }

    fn write_config(&self) {
        let log = if self.extra.contains("[log]") { "" } else { "[log]\nresults = \"changes\"\n" };
        let probe = if self.extra.contains("[probe]") { "" } else { "[probe]\narbiters = 1\n" };
        let persistence =
            if self.extra.contains("[persistence]") { "" } else { "[persistence]\nflush_interval = \"50ms\"\n" };
        let text = format!(
            "[database]\nurl = {:?}\n[control]\nsocket = {:?}\n[state]\ndir = {:?}\n{log}{probe}{persistence}{}",
            self.database,
            self.socket.display().to_string(),
            self.state.display().to_string(),
            self.extra,
        );
        std::fs::write(&self.config, text).unwrap();
    }

    /// The command that starts the daemon; its settings are written.
    pub fn command(&self) -> Command {
        self.write_config();
        let program = env!("CARGO_BIN_EXE_skypunch");
        let mut command = match self.wrapper.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.state.parent().unwrap()).envs(self.environment.iter().cloned());
        command.arg("--config").arg(&self.config).args(&self.arguments);
        command.stdin(Stdio::null()).process_group(0);
        command
    }

    /// Starts a daemon and waits until it runs.
    pub fn start(&self) -> Daemon {
        let mut daemon = self.launch();
        daemon.wait_running();
        daemon
    }

    /// Starts a daemon and waits for nothing.
    pub fn launch(&self) -> Daemon {
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let child = self.command().stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Daemon { child, socket: self.socket.clone(), log: self.log.clone(), ended: None }
    }

    /// Starts a daemon that must refuse to run: its exit code and what it said.
    pub fn refused(&self) -> (Option<i32>, String) {
        let mut child = self.command().stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = child.stderr.take().unwrap();
        // Bounded by the wait below: its end closes the pipe.
        let reading = std::thread::spawn(move || {
            let mut text = String::new();
            std::io::Read::read_to_string(&mut said, &mut text).unwrap();
            text
        });
        let limit = Clock::system().now();
        let clock = Clock::system();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if clock.now().since(limit) > SOON {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("it runs although it should not: {}", reading.join().unwrap());
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        (status.code(), reading.join().unwrap())
    }
}

/// A running daemon; ends with its owner.
pub struct Daemon {
    child: Child,
    pub socket: PathBuf,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Daemon {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged, and those before it in the same place.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The lines of the log that hold all of these words.
    pub fn log_lines(&self, words: &[&str]) -> Vec<String> {
        self.log().lines().filter(|l| words.iter().all(|w| l.contains(w))).map(str::to_owned).collect()
    }

    /// Waits until exactly one line of the log holds all these words: the log is written beside the daemon's work.
    pub fn wait_one_line(&self, words: &[&str]) {
        wait_until(&format!("one line with {words:?}"), SOON, || !self.log_lines(words).is_empty());
        assert_eq!(self.log_lines(words).len(), 1, "{}", self.log());
    }

    /// Waits until it answers that it runs.
    pub fn wait_running(&mut self) {
        wait_until("the daemon runs", SOON, || {
            assert!(self.is_alive(), "it has ended");
            self.try_request("GET", "/v1/status", None).is_ok_and(|a| a.json()["state"] == json!("running"))
        });
    }

    /// Whether the process is there.
    pub fn is_alive(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().unwrap();
        }
        self.ended.is_none()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end of the process.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        wait_until("the daemon ends", limit, || !self.is_alive());
        self.ended.unwrap()
    }

    /// `kill -9`, and waits for the end.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait(SOON);
    }

    /// SIGTERM; must end well within the grace.
    pub fn terminate(&mut self) {
        self.signal(Signal::TERM);
        let status = self.wait(SOON);
        assert!(status.success(), "{status}");
    }

    /// `GET /v1/status`.
    pub fn status(&self) -> Value {
        self.get("/v1/status")
    }

    /// `GET /v1/targets/{reference}`.
    pub fn target(&self, reference: impl std::fmt::Display) -> Value {
        self.get(&format!("/v1/targets/{reference}"))
    }

    /// Waits until a target is there and a field of it is so.
    pub fn wait_target(&self, reference: impl std::fmt::Display, field: &str, wanted: &Value) -> Value {
        let mut last = Value::Null;
        let clock = Clock::system();
        let start = clock.now();
        while clock.now().since(start) < SOON {
            last = self.request("GET", &format!("/v1/targets/{reference}"), None).json();
            if last[field] == *wanted {
                return last;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{field} of {reference} does not become {wanted}: {last:#}");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.is_alive() {
            // A frozen process ends by KILL too.
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("--- {} ---", self.log.display());
            for line in &lines[lines.len().saturating_sub(60)..] {
                eprintln!("{line}");
            }
        }
    }
}

/// A port that nobody listens on, below those that the system hands out to connections.
pub fn free_port() -> u16 {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _ in 0..4000 {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let start = u16::try_from(std::process::id() % 4000).unwrap();
        let port = 6000 + (start + step) % 4000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free below 10000");
}

/// Listens on a port that was found free. Another test may be starting a program at this moment: until that program runs,
/// it holds whatever was open here, the socket that looked at the port too.
pub fn listen(port: u16) -> std::net::TcpListener {
    wait_for("the port is free again", SOON, || std::net::TcpListener::bind(("127.0.0.1", port)).ok())
}

/// The count of a field that is a number.
pub fn number(value: &Value, field: &str) -> i64 {
    value[field].as_i64().unwrap_or_else(|| panic!("{field} is no number: {value:#}"))
}

/// A file with this content in the place.
pub fn file(place: &Place, name: &str, content: impl AsRef<[u8]>) -> String {
    let path: &Path = &place.path(name);
    std::fs::write(path, content).unwrap();
    path.display().to_string()
}
