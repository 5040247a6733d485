//! The daemon itself: `GET /v1/status`, `POST /v1/reload`, `POST /v1/stop`.

use serde::{Deserialize, Serialize};

use crate::model::definition::Problem;
use crate::model::health::Complaint;
use crate::model::notifier::NotifierId;
use crate::model::reason::Reason;
use crate::model::target::TargetId;
use crate::model::time::UtcMs;

/// How the daemon is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the daemon.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// Seconds since it started.
    pub uptime_s: u64,
    /// When it started.
    pub started_at: UtcMs,
    /// Every due probe is started, every result is kept, and people are told: nothing stands in `unhealthy`.
    pub healthy: bool,
    /// What makes it unwell; each says which part of this answer it is about.
    #[serde(default)]
    pub unhealthy: Vec<Complaint>,
    /// Whether it probes yet, or still.
    pub state: RunState,
    /// Targets by status.
    pub targets: TargetCounts,
    /// The open incident of the monitor itself: this machine, its network, or skypunch.
    #[serde(default)]
    pub trouble: Option<Trouble>,
    /// What the schedule does.
    pub probes: Probes,
    /// What becomes of the results.
    pub persistence: Persistence,
    /// What people are still to be told.
    #[serde(default)]
    pub notifications: Notifications,
    /// Credentials, and which of them fail.
    #[serde(default)]
    pub credentials: CredentialCounts,
    /// The main database.
    pub database: Database,
    /// The definitions in force.
    pub definitions: Definitions,
    /// What came of the last reload; `None` when nobody has asked for one.
    #[serde(default)]
    pub last_reload: Option<LastReload>,
    /// The settings file that was read at start; `None`: there was none.
    #[serde(default)]
    pub settings_file: Option<String>,
    /// Resident memory in bytes.
    pub memory_bytes: u64,
    /// File descriptors; `None` where the system does not say.
    #[serde(default)]
    pub descriptors: Option<Descriptors>,
    /// Log lines that were dropped because the log could not keep up.
    pub log_dropped: u64,
}

/// The open incident of the monitor itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Its id; JSON writes it as a string.
    #[serde(with = "super::id_string")]
    pub incident_id: i64,
    /// When it began.
    pub since: UtcMs,
    /// Its reason.
    pub reason: Reason,
    /// The sentence for people.
    pub why: String,
}

/// Where the daemon is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// Loading; nothing is probed yet.
    Starting,
    /// Probing.
    Running,
    /// Writing the last results.
    Stopping,
}

impl RunState {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RunState::Starting => "starting",
            RunState::Running => "running",
            RunState::Stopping => "stopping",
        }
    }
}

/// Targets by status; disabled ones only in `total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TargetCounts {
    /// All that are defined.
    pub total: u64,
    /// Those that are probed.
    pub enabled: u64,
    /// Not probed yet.
    pub new: u64,
    /// Passing.
    pub pass: u64,
    /// Failing.
    pub fail: u64,
    /// Inconclusive.
    pub unknown: u64,
    /// Rows that are wrong and not in force.
    pub invalid: u64,
}

/// Credentials: rows and what is in use without one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CredentialCounts {
    /// All.
    pub total: u64,
    /// Those with a token.
    pub valid: u64,
    /// Those whose logins fail, with why.
    pub failing: Vec<FailingCredential>,
}

/// A credential whose logins fail.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FailingCredential {
    /// Its name, `cloud:NAME` or `target:NAME`.
    pub name: String,
    /// Why the last login failed.
    pub error: String,
}

/// What the schedule does, since the start of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Probes {
    /// Probes that were started.
    pub started: u64,
    /// Due times at which none could start.
    pub missed: u64,
    /// Probes that ended in the last one to two minutes.
    #[serde(default)]
    pub started_lately: u64,
    /// Due times missed in the last one to two minutes.
    #[serde(default)]
    pub missed_lately: u64,
    /// Probes that run now.
    pub in_flight: u64,
    /// Threads that probe.
    #[serde(default)]
    pub threads: u64,
    /// Most probes in their first 20 ms per thread: others wait for their turn.
    #[serde(default)]
    pub young_limit: u64,
    /// Probes a second, over the last 10 s.
    pub per_second: f64,
    /// Start minus due time.
    pub lateness_us: Lateness,
}

/// Start minus due time in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lateness {
    /// Half of the probes are at most so late.
    pub p50: u64,
    /// 99 of 100.
    pub p99: u64,
    /// All.
    pub max: u64,
}

/// Open file descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Descriptors {
    /// Open now.
    pub open: u64,
    /// Most that may be open.
    pub limit: u64,
}

/// What becomes of the results, since the start of the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Persistence {
    /// Results in memory, not yet written.
    pub queued: u64,
    /// So many may be there; beyond, rows of passes are left out (they are counted).
    #[serde(default)]
    pub queue_size: u64,
    /// Results written to the main database.
    pub written: u64,
    /// Batches in the spool.
    pub spooled_batches: u64,
    /// Results in the spool.
    pub spooled_results: u64,
    /// Bytes of the spool.
    pub spooled_bytes: u64,
    /// So many may be there; beyond, rows of passes are left out (they are counted).
    #[serde(default)]
    pub spool_max_bytes: u64,
    /// Bytes of state.db with its log.
    #[serde(default)]
    pub state_db_bytes: u64,
    /// Why state.db cannot be written; `None`: it can.
    #[serde(default)]
    pub state_db_error: Option<String>,
    /// Passing results that were left out (but counted) to save space.
    pub thinned: u64,
    /// How long the last write took; `None` before the first.
    pub last_write_ms: Option<u64>,
    /// When it ended.
    #[serde(default)]
    pub last_write_at: Option<UtcMs>,
}

/// What people are still to be told.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Notifications {
    /// Notices that are in no message yet: they wait for company, or for their turn.
    pub owed: u64,
    /// Messages on their way: being sent, or to be tried again.
    pub sending: u64,
    /// Rows of `notifiers` that are wrong and not in force.
    pub invalid: u64,
    /// Notifiers that are owed something, or whose last try failed.
    #[serde(default)]
    pub backlog: Vec<NotifierBacklog>,
}

/// What one notifier is owed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifierBacklog {
    /// Its id.
    pub id: NotifierId,
    /// Its name, `tenant/name` where its tenant is not `0`.
    pub name: String,
    /// Notices that are in no message yet.
    pub owed: u64,
    /// Messages on their way.
    pub sending: u64,
    /// When it last took a message.
    pub last_sent_at: Option<UtcMs>,
    /// Why the last try failed; `None` when it did not.
    pub error: Option<String>,
}

/// The main database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// `sqlite` or `mysql`.
    pub kind: String,
    /// Its URL without the password.
    pub url: String,
    /// Whether it takes what is written and gives what is read.
    pub state: DatabaseState,
    /// Why it is away.
    pub error: Option<String>,
    /// Since when it is as it is.
    pub since: UtcMs,
    /// How far it is behind: age of the oldest result that it lacks. `None`: not known yet.
    #[serde(default)]
    pub lag_ms: Option<u64>,
}

/// Whether the main database takes what is written and gives what is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseState {
    /// It does.
    Ok,
    /// It does not, then results are spooled; or the definitions cannot be read from it, then the last known go on.
    Away,
}

impl DatabaseState {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            DatabaseState::Ok => "ok",
            DatabaseState::Away => "away",
        }
    }
}

/// The definitions in force.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Definitions {
    /// When they were last read from the database.
    pub last_loaded_at: Option<UtcMs>,
    /// Why the last reading failed; `None` when it did not.
    pub last_error: Option<String>,
    /// Rows that are wrong and not in force, with why.
    pub invalid: Vec<InvalidRow>,
}

/// A row of `targets` that is wrong: its last good form, if there was one, stays in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvalidRow {
    /// Its id.
    pub id: TargetId,
    /// Its name, as written.
    pub name: String,
    /// Everything that is wrong with it.
    pub problems: Vec<Problem>,
}

/// What came of a reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastReload {
    /// When it ended.
    pub at: UtcMs,
    /// Why settings or definitions were refused or could not be read.
    pub error: Option<String>,
    /// Settings that differ from those in force and need a restart, as `section.key`.
    pub needs_restart: Vec<String>,
}

/// The answer to `POST /v1/reload`, given when settings and definitions have been read and are in force.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reloaded {
    /// Definitions read.
    pub targets: u64,
    /// How many of them were new, changed or gone.
    pub changed: u64,
    /// How many rows, of notifiers too, are wrong and not in force.
    pub invalid: u64,
    /// Settings that it changed, as `section.key`.
    #[serde(default)]
    pub settings_changed: Vec<String>,
    /// Settings that differ from those in force and need a restart.
    #[serde(default)]
    pub needs_restart: Vec<String>,
}

/// The answer to `POST /v1/stop`, given before anything stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopping {
    /// The daemon's process id.
    pub pid: u32,
}
