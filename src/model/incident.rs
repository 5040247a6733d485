//! An incident: from the transition to FAIL until the recovery.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::message::TargetFacts;
use super::reason::Reason;
use super::subject::SubjectId;
use super::time::UtcMs;
use super::trace::Trace;

/// How an incident ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// The target passed again.
    Recovered,
    /// The target was disabled or deleted: nothing can be said any more.
    Withdrawn,
}

impl End {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            End::Recovered => "recovered",
            End::Withdrawn => "withdrawn",
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for End {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "recovered" => Ok(End::Recovered),
            "withdrawn" => Ok(End::Withdrawn),
            _ => Err(format!("`{s}` is no end of an incident")),
        }
    }
}

/// An incident, open or ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Time-ordered id; JSON for people writes it as a string.
    pub id: i64,
    /// What it is about.
    pub subject: SubjectId,
    /// When the transition to FAIL was seen.
    pub started_at: UtcMs,
    /// When it ended.
    pub ended_at: Option<UtcMs>,
    /// How it ended.
    pub ended_by: Option<End>,
    /// Why the target failed at first.
    pub reason: Reason,
    /// The sentence for people that came with it.
    pub description: String,
    /// The trace of the probe that opened it.
    pub first_trace: Trace,
    /// The trace of the last probe that had passed before, if one was seen since the start of the daemon.
    pub last_good_trace: Option<Trace>,
    /// The target as it was then; where it was read back only its id, name and tenant.
    pub facts: TargetFacts,
}
