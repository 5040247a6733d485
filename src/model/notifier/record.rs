//! What is kept of messages: one row of `notifications`, one of `notifier_status`.

use serde::{Deserialize, Serialize};

use super::NotifierId;
use crate::model::target::TargetId;
use crate::model::time::UtcMs;

/// What became of one notice: a row of `notifications`. The words in it are those of the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// Time-ordered id of the notice.
    pub id: i64,
    /// Who is told.
    pub notifier_id: NotifierId,
    /// The notifier's name, as it was.
    pub notifier_name: String,
    /// About which incident.
    pub incident_id: i64,
    /// Whose incident.
    pub target_id: TargetId,
    /// The target's name, as it was.
    pub target_name: String,
    /// `fail`, `recovery`, `reminder`, `flapping` or `settled`.
    pub event: String,
    /// Which reminder; 0 for none.
    pub number: i64,
    /// Where it stands: `owed`, `sending`, `sent`, `failed`, ….
    pub state: String,
    /// The Message-ID of the message that carried it.
    pub message_id: Option<String>,
    /// The digest that carried it.
    pub digest_id: Option<i64>,
    /// How often it was tried.
    pub attempts: i64,
    /// When it was written down.
    pub created_at: UtcMs,
    /// When it was last tried.
    pub attempted_at: Option<UtcMs>,
    /// When the server accepted it.
    pub sent_at: Option<UtcMs>,
    /// The server's words, or why it was not sent; no secrets.
    pub answer: Option<String>,
    /// Grows with every change: an older form never replaces a newer one.
    pub version: i64,
}

/// How a notifier is doing: a row of `notifier_status`. Counters are over its whole life.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NotifierStatus {
    /// Messages that were accepted.
    pub pass_count: i64,
    /// Attempts that were not.
    pub fail_count: i64,
    /// When the last message was accepted.
    pub last_sent_at: Option<UtcMs>,
    /// When the last attempt was not.
    pub last_failed_at: Option<UtcMs>,
    /// What the server said last, or why it could not be asked; no secrets.
    pub last_answer: Option<String>,
    /// Grows with every change.
    pub version: i64,
}
