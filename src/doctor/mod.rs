//! `skypunchctl doctor`: looks at everything that skypunch stands on, with and without a running daemon.
//!
//! ```text
//!  settings --> socket, daemon --> folders, descriptors, disk, clock, DNS, certificates --> database --> notifiers
//!      '------------------------------ each: Findings (OK, WARNING, FAIL, and the mend) <---------------'
//! ```
//!
//! Nothing is changed, nothing is sent, and every look has an end: what does not answer in time is a finding.
//!
//! | file | looks at |
//! |---|---|
//! | `daemon.rs` | the settings, the socket, who answers there |
//! | `folders.rs` | who may read and write what |
//! | `machine.rs` | descriptors, disk, clock, certificate authorities |
//! | `dns.rs` | name servers |
//! | `database.rs` | the main database |
//! | `egress.rs` | targets that the egress policy keeps from their address |
//! | `notifiers.rs` | mail servers and providers |

mod daemon;
mod database;
mod dns;
mod egress;
mod folders;
mod machine;
mod notifiers;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::model::text::with_causes;

/// No single look takes longer.
const LIMIT: Duration = Duration::from_secs(10);

/// How a look ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, but may not for long, or not as well as it could.
    Warning,
    /// It does not work.
    Fail,
}

impl Level {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Ok => "OK",
            Level::Warning => "WARNING",
            Level::Fail => "FAIL",
        }
    }
}

/// What a look found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, in a word.
    pub check: &'static str,
    /// How it is.
    pub level: Level,
    /// What was found, for people. Free of secrets.
    pub message: String,
    /// What to do; `None` where nothing is to be done.
    pub mend: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, message: impl Into<String>) -> Finding {
        Finding { check, level: Level::Ok, message: message.into(), mend: None }
    }

    fn warning(check: &'static str, message: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding { check, level: Level::Warning, message: message.into(), mend: Some(mend.into()) }
    }

    fn fail(check: &'static str, message: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding { check, level: Level::Fail, message: message.into(), mend: Some(mend.into()) }
    }
}

/// Everything that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Nothing has failed.
    pub healthy: bool,
    /// In the order in which they were looked at.
    pub findings: Vec<Finding>,
}

/// Where to look.
#[derive(Debug, Clone)]
pub struct Place {
    /// The settings file that was named.
    pub config: Option<PathBuf>,
    /// The socket that was named.
    pub socket: Option<PathBuf>,
    /// Where the socket is when nobody says anything, not even the settings.
    pub default_socket: PathBuf,
    /// The environment.
    pub env: Vec<(String, String)>,
}

/// Looks at everything. Lives on an actix runtime.
pub async fn examine(place: &Place, clock: &Clock) -> Report {
    let (mut findings, settings, running) = daemon::look(place).await;
    if let Some(settings) = settings {
        let who = folders::Who::of(running.as_ref().map(|s| s.pid), &settings.state.dir);
        findings.extend(folders::look(&settings, &who));
        findings.extend(machine::disk(&settings));
        findings.extend(machine::clock());
        findings.extend(dns::look(&settings, clock).await);
        findings.extend(machine::certificates(&settings, clock).await);
        let (found, base) = database::look(&settings, clock, running.as_ref()).await;
        let targets = running.as_ref().map(|s| s.targets.enabled).or_else(|| base.as_ref().map(|b| b.targets));
        findings.push(machine::descriptors(running.as_ref(), targets));
        findings.extend(found);
        let (egress, notifiers) = base.map(|b| (b.egress, b.notifiers)).unzip();
        findings.extend(egress.into_iter().flat_map(egress::Look::findings));
        findings.extend(notifiers::look(&settings, clock, notifiers).await);
    }
    let healthy = findings.iter().all(|f| f.level != Level::Fail);
    Report { healthy, findings }
}

/// Does something that may block on a thread of its own, and gives up on it after a while: the process ends all the same.
async fn apart<T: Send + 'static>(limit: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, result) = tokio::sync::oneshot::channel();
    let started = std::thread::Builder::new().spawn(move || {
        // Nobody waits any more when it took too long.
        let _late = done.send(work());
    });
    started.ok()?;
    tokio::time::timeout(limit, result).await.ok()?.ok()
}

fn shown(path: &Path) -> String {
    crate::model::text::escape_controls(&path.display().to_string()).into_owned()
}
