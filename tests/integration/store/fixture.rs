//! Throw-away databases and sample rows.

use std::borrow::Cow;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use skypunch::model::definition::Definition;
use skypunch::model::ids::IdGenerator;
use skypunch::model::incident::{End, Incident};
use skypunch::model::message::TargetFacts;
use skypunch::model::notifier::NotifierDefinition;
use skypunch::model::outcome::Phases;
use skypunch::model::reason::{Reason, Verdict};
use skypunch::model::record::{Batch, IncidentChange, IncidentEnd, Recorded, ResultRecord};
use skypunch::model::state::{Counters, Status, TargetState};
use skypunch::model::subject::SubjectId;
use skypunch::model::target::TargetId;
use skypunch::model::time::UtcMs;
use skypunch::model::trace::{Event, Trace};
use skypunch::store::{ConnectOptions, DatabaseUrl, Store, StoreError};
use tempfile::TempDir;
use url::Url;

/// 2026-11-22T12:00:00Z.
pub const NOW: UtcMs = UtcMs(1_795_348_800_000);

/// An empty database that goes away with the value.
pub struct TestDb {
    pub url: DatabaseUrl,
    place: Place,
}

enum Place {
    Sqlite(TempDir),
    Mariadb { server: Url, name: String },
}

/// The private server that `tests/run` starts.
pub fn server() -> Url {
    let text = std::env::var("SKYPUNCH_TEST_MYSQL_URL").unwrap_or_else(|_| {
        panic!(
            "SKYPUNCH_TEST_MYSQL_URL is not set: run the tests with tests/run, which starts a MariaDB server for them"
        )
    });
    Url::parse(&text).expect("SKYPUNCH_TEST_MYSQL_URL is no URL")
}

/// Runs the real `mariadb` client.
pub fn mariadb(server: &Url, database: &str, sql: &str) -> Result<String, String> {
    let mut command = Command::new("mariadb");
    command.args(["--no-defaults", "--protocol=tcp", "--batch", "--skip-column-names"]);
    command.args(["-h", server.host_str().unwrap(), "-P", &server.port().unwrap_or(3306).to_string()]);
    command.args(["-u", server.username(), "--default-character-set=utf8mb4", "-e", sql, database]);
    output(command)
}

pub fn output(mut command: Command) -> Result<String, String> {
    let out = command.output().expect("the client starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if out.status.success() { Ok(text(&out.stdout)) } else { Err(text(&out.stderr)) }
}

impl TestDb {
    pub fn sqlite() -> TestDb {
        let dir = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::parse(&format!("sqlite://{}", dir.path().join("main.db").display())).unwrap();
        TestDb { url, place: Place::Sqlite(dir) }
    }

    pub fn mariadb() -> TestDb {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let server = server();
        let name = format!("skypunch_test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        mariadb(&server, "", &format!("CREATE DATABASE {name}")).unwrap();
        let mut url = server.clone();
        url.set_path(&name);
        TestDb { url: DatabaseUrl::parse(url.as_str()).unwrap(), place: Place::Mariadb { server, name } }
    }

    pub fn is_sqlite(&self) -> bool {
        matches!(self.place, Place::Sqlite(_))
    }

    /// A connection; the schema may be missing.
    pub fn connect(&self) -> Store {
        let options = ConnectOptions { timeout: Duration::from_secs(30), ..ConnectOptions::default() };
        Store::connect(&self.url, &options).unwrap()
    }

    /// Why this version does not work with the database as it is.
    pub fn refused(&self) -> StoreError {
        let store = Store::connect(&self.url, &ConnectOptions::default());
        store.and_then(|mut store| store.migrate()).unwrap_err()
    }

    /// A connection to the migrated database.
    pub fn store(&self) -> Store {
        let mut store = self.connect();
        store.migrate().unwrap();
        store
    }

    /// Runs SQL in the plain client that people use: `sqlite3` or `mariadb`; rows as lines, columns with tabs.
    pub fn client(&self, sql: &str) -> Result<String, String> {
        match &self.place {
            Place::Sqlite(dir) => {
                let mut command = Command::new("sqlite3");
                command.args(["-bail", "-batch", "-separator", "\t", "-cmd", ".timeout 20000"]);
                command.arg(dir.path().join("main.db")).arg(sql);
                output(command)
            }
            Place::Mariadb { server, name } => mariadb(server, name, sql),
        }
    }

    /// One number from the plain client.
    pub fn number(&self, sql: &str) -> i64 {
        let text = self.client(sql).unwrap();
        text.parse().unwrap_or_else(|_| panic!("{sql} gave {text:?}"))
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        if let Place::Mariadb { server, name } = &self.place {
            let dropped = mariadb(server, "", &format!("DROP DATABASE {name}"));
            assert!(dropped.is_ok() || std::thread::panicking(), "{dropped:?}");
        }
    }
}

pub fn definition(name: &str) -> Definition {
    Definition { name: name.into(), url: format!("http://{name}.example/"), ..Definition::default() }
}

pub fn notifier(name: &str) -> NotifierDefinition {
    NotifierDefinition {
        name: name.into(),
        kind: "SMTP".into(),
        address: format!("{name}@example.com"),
        ..NotifierDefinition::default()
    }
}

/// An id as the daemon makes it, `n` milliseconds after [`NOW`].
pub fn id(n: i64) -> i64 {
    IdGenerator::new(5).next(NOW.0 + n)
}

/// The result of a probe that started `n` milliseconds after [`NOW`].
pub fn result(target: i64, n: i64, verdict: Verdict) -> ResultRecord {
    let pass = verdict == Verdict::Pass;
    let reason = match verdict {
        Verdict::Pass => None,
        Verdict::Fail => Some(Reason::Status),
        Verdict::Unknown => Some(Reason::LocalNetwork),
    };
    ResultRecord {
        id: id(n),
        target_id: TargetId(target),
        due_at: UtcMs(NOW.0 + n),
        started_at: UtcMs(NOW.0 + n),
        lateness_us: 120,
        verdict,
        reason,
        description: (!pass).then_some(Cow::Borrowed("it did not work")),
        status_code: Some(if pass { 200 } else { 503 }),
        latency_us: 1500,
        phases: Phases { connect_us: Some(100), first_byte_us: Some(1300), ..Phases::default() },
        body_bytes: 612,
        incident_id: None,
    }
}

/// What a target actor hands over: the result and what it adds.
pub fn recorded(result: ResultRecord) -> Recorded {
    let delta = Counters::of(result.verdict, result.status_code);
    let conclusive = if result.verdict == Verdict::Fail { Status::Fail } else { Status::Pass };
    let state = TargetState { conclusive, last_updated: Some(result.started_at), ..TargetState::default() };
    Recorded { subject: result.target_id.into(), result: Some(result), state, delta, incident: None }
}

/// `passes` and `fails` of one target from millisecond `from` on, a millisecond apart.
pub fn batch(writer: i64, number: i64, target: i64, from: i64, passes: i64, fails: i64) -> Batch {
    let verdict = |i| if i < passes { Verdict::Pass } else { Verdict::Fail };
    let records = (0..passes + fails).map(|i| recorded(result(target, from + i, verdict(i))));
    Batch::collect(writer, number, records.collect())
}

pub fn trace(words: &str) -> Trace {
    let mut trace = Trace::default();
    trace.push(10, Event::Resolving { host: "x.example".into() });
    trace.push(25, Event::Connecting { address: "127.0.0.1:80".parse().unwrap() });
    trace.push(30, Event::Failed { reason: Reason::ConnectRefused, description: words.into() });
    trace
}

pub fn incident(id: i64, target: i64) -> Incident {
    Incident {
        id,
        subject: SubjectId(target),
        started_at: NOW,
        ended_at: None,
        ended_by: None,
        reason: Reason::ConnectRefused,
        description: "nobody there — \u{1F600}".into(),
        first_trace: trace("refused"),
        last_good_trace: Some(trace("good")),
        facts: TargetFacts { id: target, name: "shop".into(), tenant: "7".into(), ..TargetFacts::default() },
    }
}

pub fn opened(id: i64, target: i64) -> IncidentChange {
    IncidentChange::Opened(Box::new(incident(id, target)))
}

pub fn ended(id: i64, at: UtcMs, by: End) -> IncidentChange {
    IncidentChange::Ended(IncidentEnd { id, ended_at: at, ended_by: by, facts: Box::default() })
}
