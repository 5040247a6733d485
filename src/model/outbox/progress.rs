//! How far a message to several recipients is, and who may be told of an end.
//!
//! ```text
//!  FAIL to a, b, c:  a has it, b is refused for good, c is put off --Transient--> again, to c alone
//!                    given up: a has it --Sent, reached = [a]--> RECOVERY and reminders to a alone
//! ```

use serde::{Deserialize, Serialize};

use super::book::Book;
use super::rows::{Notice, NoticeState};
use crate::model::notifier::EventKind;

/// How far a message is: what the next attempt goes on from. Stored with the result of each attempt. No text in it
/// holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// The recipients that have it, in the channel's words for them; empty where there is one alone.
    pub has: Vec<String>,
    /// Ids of its requests that were taken, where it goes out in several.
    pub taken: Vec<String>,
    /// Recipients or requests that will never be taken, and the server's words.
    pub never: Vec<(String, String)>,
    /// What the server said when it took it last.
    pub answer: String,
    /// Values of answers that later messages about the same incidents need.
    pub saved: Vec<(String, String)>,
    /// It went out at least once without an answer: nobody knows whether it arrived.
    pub unanswered: bool,
}

impl Progress {
    /// Somebody has it, or a part of it.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        !self.has.is_empty() || !self.taken.is_empty()
    }

    /// Keeps values of an answer; the first of a name stands.
    pub fn save(&mut self, values: Vec<(String, String)>) {
        for (name, value) in values {
            if !self.saved.iter().any(|(known, _)| *known == name) {
                self.saved.push((name, value));
            }
        }
    }

    /// Whom a message has reached that is given up or sent: empty for all.
    pub(super) fn reached(&self, all: bool) -> Vec<String> {
        if all && self.never.is_empty() { Vec::new() } else { self.has.clone() }
    }
}

impl Book {
    /// The recipients that a message may go to; empty for all.
    #[must_use]
    pub fn audience(&self, dispatch: i64) -> &[String] {
        self.members(dispatch).next().map_or(&[], |n| self.audience_of(n))
    }

    /// A recovery and a reminder go to those who have the failure; empty for all.
    pub(super) fn audience_of(&self, notice: &Notice) -> &[String] {
        if !matches!(notice.event, EventKind::Recovery | EventKind::Reminder) {
            return &[];
        }
        let told = |event| self.find(notice.incident_id, notice.notifier, event, 0).filter(|n| n.is_anchor());
        let anchors = [EventKind::Fail, EventKind::Settled].into_iter().filter_map(told);
        anchors.into_iter().find(|n| n.state == NoticeState::Sent).map_or(&[], |n| &n.reached)
    }

    /// What earlier messages about the same incidents have saved; nothing where these differ.
    #[must_use]
    pub fn saved(&self, dispatch: i64) -> &[(String, String)] {
        let mut all = self.members(dispatch).map(|n| self.saved_of(n));
        let first = all.next().unwrap_or(&[]);
        if all.all(|other| other == first) { first } else { &[] }
    }

    fn saved_of(&self, notice: &Notice) -> &[(String, String)] {
        let told = self.index.by_incident.get(&notice.incident_id).into_iter().flatten();
        let told = told.filter_map(|id| self.notices.get(id)).filter(|n| n.notifier == notice.notifier);
        told.map(|n| n.saved.as_slice()).find(|saved| !saved.is_empty()).unwrap_or(&[])
    }
}
