//! What happened: incidents, results, and the results as they come.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::model::incident::End;
use crate::model::notifier::{Notification, NotifierId};
use crate::model::outcome::Phases;
use crate::model::reason::{Reason, Verdict};
use crate::model::record::ResultRecord;
use crate::model::subject::SubjectKind;
use crate::model::target::TargetId;
use crate::model::time::UtcMs;
use crate::model::trace::Trace;

/// Query of `GET /v1/incidents`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IncidentQuery {
    /// A [`super::TargetRef`]: only those of this target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Only those that are open, or have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<bool>,
    /// At most so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// An incident in a list, the latest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentSummary {
    /// Time-ordered id.
    #[serde(with = "super::id_string")]
    pub id: i64,
    /// What it is about: a target, or a credential that targets use.
    #[serde(default)]
    pub subject_kind: SubjectKind,
    /// The target that it is about; `None` for a credential.
    pub target_id: Option<TargetId>,
    /// The target's or credential's name; of one that is gone, the name that it had when the incident began.
    pub name: String,
    /// The target's tenant.
    pub tenantid: String,
    /// When it began.
    pub started_at: UtcMs,
    /// When it ended; `None` while it is open.
    pub ended_at: Option<UtcMs>,
    /// How it ended.
    pub ended_by: Option<End>,
    /// Why the target failed at first.
    pub reason: Reason,
    /// The sentence that came with it.
    pub description: String,
}

/// `GET /v1/incidents/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentDetail {
    /// What the list shows.
    #[serde(flatten)]
    pub summary: IncidentSummary,
    /// The trace of the probe that opened it.
    pub first_trace: Trace,
    /// The trace of the last probe that had passed before, where one is known.
    pub last_good_trace: Option<Trace>,
    /// What was told of it, to whom, in order.
    #[serde(default)]
    pub notifications: Vec<Told>,
}

/// What became of one notice: the columns of `notifications`, or what `state.db` knows better at this moment: the table
/// has attempts and answers of what is over, `state.db` of what is being tried too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Time-ordered id.
    #[serde(with = "super::id_string")]
    pub id: i64,
    /// Who is told.
    pub notifier_id: NotifierId,
    /// The notifier's name, as it was.
    pub notifier_name: String,
    /// `fail`, `recovery`, `reminder`, `flapping` or `settled`.
    pub event: String,
    /// Which reminder; 0 for none.
    pub number: i64,
    /// Where it stands: `owed`, `sending`, `sent`, `failed`, ….
    pub state: String,
    /// The Message-ID of the message that carried it.
    pub message_id: Option<String>,
    /// The digest that carried it.
    #[serde(with = "super::id_string::option")]
    pub digest_id: Option<i64>,
    /// How often it was tried.
    pub attempts: i64,
    /// When it was written down.
    pub created_at: UtcMs,
    /// When it was last tried.
    pub attempted_at: Option<UtcMs>,
    /// When the server accepted it.
    pub sent_at: Option<UtcMs>,
    /// The server's words, or why it was not sent; while it is tried, those of the last attempt.
    pub answer: Option<String>,
    /// When it is tried again; `None` when it is not, or while it is being tried.
    #[serde(default)]
    pub next_at: Option<UtcMs>,
}

impl From<Notification> for Told {
    fn from(n: Notification) -> Told {
        Told {
            id: n.id,
            notifier_id: n.notifier_id,
            notifier_name: n.notifier_name,
            event: n.event,
            number: n.number,
            state: n.state,
            message_id: n.message_id,
            digest_id: n.digest_id,
            attempts: n.attempts,
            created_at: n.created_at,
            attempted_at: n.attempted_at,
            sent_at: n.sent_at,
            answer: n.answer,
            next_at: None,
        }
    }
}

/// Query of `GET /v1/targets/{ref}/history`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryQuery {
    /// Only results that started at or after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<i64>,
    /// At most so many, the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// One row of `results`, the latest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryRow {
    /// Time-ordered id.
    #[serde(with = "super::id_string")]
    pub id: i64,
    /// Whose.
    pub target_id: TargetId,
    /// When it was due.
    pub due_at: UtcMs,
    /// When it started.
    pub started_at: UtcMs,
    /// Start minus due time in microseconds.
    pub lateness_us: u32,
    /// PASS, FAIL or UNKNOWN.
    pub verdict: Verdict,
    /// Why not PASS.
    pub reason: Option<Reason>,
    /// The sentence for people; `None` for PASS.
    pub description: Option<Cow<'static, str>>,
    /// HTTP status.
    pub status_code: Option<u16>,
    /// Time without authentication, in microseconds.
    pub latency_us: u32,
    /// Time of each phase.
    #[serde(flatten)]
    pub phases: Phases,
    /// Body bytes read.
    pub body_bytes: u32,
    /// The incident that the target was in after this.
    #[serde(with = "super::id_string::option")]
    pub incident_id: Option<i64>,
}

impl From<ResultRecord> for HistoryRow {
    fn from(r: ResultRecord) -> HistoryRow {
        HistoryRow {
            id: r.id,
            target_id: r.target_id,
            due_at: r.due_at,
            started_at: r.started_at,
            lateness_us: r.lateness_us,
            verdict: r.verdict,
            reason: r.reason,
            description: r.description,
            status_code: r.status_code,
            latency_us: r.latency_us,
            phases: r.phases,
            body_bytes: r.body_bytes,
            incident_id: r.incident_id,
        }
    }
}

/// Query of `GET /v1/watch`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchQuery {
    /// A [`super::TargetRef`]: only the results of this target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// One line of `GET /v1/watch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum WatchLine {
    /// The reader was too slow: so many results were left out here.
    Lagged {
        /// How many.
        lagged: u64,
    },
    /// A probe has ended.
    Result(WatchEvent),
}

/// A probe that has just ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchEvent {
    /// The target.
    pub id: TargetId,
    /// Its name.
    pub name: String,
    /// Request method.
    pub method: String,
    /// URL without userinfo.
    pub url: String,
    /// PASS, FAIL or UNKNOWN.
    pub verdict: Verdict,
    /// Why not PASS.
    pub reason: Option<Reason>,
    /// The status in words, or the sentence for people.
    pub description: String,
    /// Time without authentication, in microseconds.
    pub latency_us: u32,
    /// HTTP status.
    pub status_code: Option<u16>,
    /// When it started.
    pub started_at: UtcMs,
}
