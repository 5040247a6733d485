//! The rows of the outbox, as state.db keeps them. Plain data; the rules are in the files beside.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::progress::Progress;
use crate::model::notifier::{EventKind, Matched, NotifierId};
use crate::model::subject::SubjectId;
use crate::model::time::UtcMs;

/// The id of a notice: time-ordered, never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NoticeId(pub i64);

/// Where a notice stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoticeState {
    /// Waits for what becomes of the target's parent.
    Held,
    /// Is to be sent; not attempted yet.
    Owed,
    /// Belongs to a dispatch: attempted at least once, or being attempted.
    Sending,
    /// The server has accepted it.
    Sent,
    /// The server refused it for good.
    Failed,
    /// Tried until it was too old.
    Expired,
    /// Nobody is to be told any more.
    Cancelled,
    /// Said by another notice: by the failure it belongs to, by FLAPPING, or by the parent's.
    Merged,
}

impl NoticeState {
    /// All of them.
    pub const ALL: [NoticeState; 8] = [
        NoticeState::Held,
        NoticeState::Owed,
        NoticeState::Sending,
        NoticeState::Sent,
        NoticeState::Failed,
        NoticeState::Expired,
        NoticeState::Cancelled,
        NoticeState::Merged,
    ];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            NoticeState::Held => "held",
            NoticeState::Owed => "owed",
            NoticeState::Sending => "sending",
            NoticeState::Sent => "sent",
            NoticeState::Failed => "failed",
            NoticeState::Expired => "expired",
            NoticeState::Cancelled => "cancelled",
            NoticeState::Merged => "merged",
        }
    }

    /// Nothing more happens to it.
    #[must_use]
    pub fn is_final(self) -> bool {
        !self.is_open()
    }

    /// Something is still to be done.
    #[must_use]
    pub fn is_open(self) -> bool {
        self.is_unattempted() || self == NoticeState::Sending
    }

    /// Was never part of an attempt.
    #[must_use]
    pub fn is_unattempted(self) -> bool {
        matches!(self, NoticeState::Held | NoticeState::Owed)
    }
}

impl fmt::Display for NoticeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for NoticeState {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        NoticeState::ALL.into_iter().find(|n| n.as_str() == s).ok_or_else(|| format!("`{s}` is no state of a notice"))
    }
}

/// One (incident, notifier, event, number) that is or was owed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Time-ordered; the order of a target's notices to a notifier.
    pub id: NoticeId,
    /// Who is told.
    pub notifier: NotifierId,
    /// About which incident; for FLAPPING that of the transition with which it began, for SETTLED the last one.
    pub incident_id: i64,
    /// Whose incident.
    pub subject: SubjectId,
    /// What is told.
    pub event: EventKind,
    /// Which reminder, from 1; 0 for all others.
    pub number: u32,
    /// Where it stands.
    pub state: NoticeState,
    /// The transition whose frozen facts it tells.
    pub event_id: i64,
    /// When what it tells of happened.
    pub at: UtcMs,
    /// When it was written down.
    pub created_at: UtcMs,
    /// From when on it may be sent: when it happened, or when it was no longer held.
    pub ready_at: UtcMs,
    /// The target was failing when this happened, and the notice has not heard otherwise.
    pub failing: bool,
    /// Transitions within the window, for FLAPPING.
    pub changes: u32,
    /// The failure ended at this time before it was told: this notice says both.
    pub ended_at: Option<UtcMs>,
    /// The target's parent, when it happened.
    pub parent: Option<SubjectId>,
    /// Held (or merged) because of this incident of the parent.
    pub held_by: Option<i64>,
    /// Held at most until then, when no incident of the parent holds it.
    pub hold_until: Option<UtcMs>,
    /// It is being attempted, and is cancelled if that does not succeed.
    pub doomed: bool,
    /// The dispatch that it went out with: its own id, or a digest's.
    pub dispatch: Option<i64>,
    /// The Message-ID of that dispatch, without angle brackets.
    pub message_id: Option<String>,
    /// How often it was tried; written when it is final, or its message was split: see [`Dispatch::attempts`] before.
    pub attempts: u32,
    /// When it became final.
    pub finished_at: Option<UtcMs>,
    /// The server's words, or why it was not sent.
    pub answer: Option<String>,
    /// When the next reminder of this failure is due.
    pub remind_at: Option<UtcMs>,
    /// How many reminders of this failure there were.
    pub reminders: u32,
    /// The recipients that have it; empty for all.
    #[serde(default)]
    pub reached: Vec<String>,
    /// Values of the server's answer that later messages about the incident need.
    #[serde(default)]
    pub saved: Vec<(String, String)>,
}

impl Notice {
    /// Tells that the target fails, so that a recovery is told after it: FAIL, or SETTLED in failure.
    #[must_use]
    pub fn is_anchor(&self) -> bool {
        self.event == EventKind::Fail || (self.event == EventKind::Settled && (self.failing || self.ended_at.is_some()))
    }
}

/// A message on its way: its members are frozen. It is forgotten when it is sent or given up; its members stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispatch {
    /// Its only member's id, or one of its own for a digest.
    pub id: i64,
    /// To whom.
    pub notifier: NotifierId,
    /// Several notices.
    pub digest: bool,
    /// `<id>.<notifier>@<host>`, without angle brackets; the same at every attempt.
    pub message_id: String,
    /// Attempts begun.
    pub attempts: u32,
    /// An attempt has begun and its result is not known yet.
    pub in_flight: bool,
    /// The daemon stopped during an attempt: the server may have accepted it.
    pub uncertain: bool,
    /// When it should have gone out first.
    pub due_at: UtcMs,
    /// When it is tried next.
    pub next_at: UtcMs,
    /// Tried until then.
    pub expires_at: UtcMs,
    /// Why the last attempt did not succeed.
    pub why: Option<String>,
    /// Which of its recipients are settled.
    #[serde(default)]
    pub progress: Progress,
}

/// What a notifier was sent lately: the ground of its cap and its windows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// Whose.
    pub notifier: NotifierId,
    /// Attempts of the last minute, oldest first: those that began within a second from the time, and how many.
    pub sends: Vec<(UtcMs, u32)>,
    /// When the last message was first attempted.
    pub last_fresh: Option<UtcMs>,
    /// The last attempt was a retry: a new message has its turn.
    pub retried_last: bool,
    /// Attempts in a row that did not succeed.
    pub failures: u32,
    /// A message may hold so many notices, after one was refused for what it holds.
    #[serde(default)]
    pub most: Option<usize>,
    /// Messages of one notice that were refused for what they hold, since anything was accepted.
    #[serde(default)]
    pub refused_alone: u32,
}

impl Pace {
    /// That of a notifier that was sent nothing.
    #[must_use]
    pub fn new(notifier: NotifierId) -> Pace {
        Pace {
            notifier,
            sends: Vec::new(),
            last_fresh: None,
            retried_last: false,
            failures: 0,
            most: None,
            refused_alone: 0,
        }
    }
}

/// Where a target stands, as far as telling goes. Kept while it fails, flaps or changed lately.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Whose.
    pub subject: SubjectId,
    /// Its parent at the last transition.
    pub parent: Option<SubjectId>,
    /// The open incident.
    pub open: Option<Open>,
    /// The last incident, open or ended.
    pub last_incident: i64,
    /// The last transition.
    pub last_event: i64,
    /// When it changed, within the flapping window, oldest first; a few more than the limit at most.
    pub changes: Vec<UtcMs>,
    /// It flaps.
    pub flapping: Option<Flapping>,
}

/// An open incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Which.
    pub incident_id: i64,
    /// The transition that opened it.
    pub event_id: i64,
    /// Since when.
    pub at: UtcMs,
}

/// A target that changes too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flapping {
    /// The incident of the transition with which it began.
    pub incident_id: i64,
    /// How often it has changed, those before included.
    pub changes: u32,
    /// When it changed last.
    pub last_change: UtcMs,
}

/// How far the outbox is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Mark {
    /// The last transition that was taken.
    pub cursor: i64,
    /// The last id that was given.
    pub last_id: i64,
    /// The latest time seen; planned times move back with a clock that is set back.
    pub now: UtcMs,
}

/// What happened to an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransitionKind {
    /// It began.
    Opened,
    /// The target passed again.
    Recovered,
    /// The target is no longer watched: nobody is told.
    Withdrawn,
}

/// One stored transition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// Grows, never given twice.
    pub event_id: i64,
    /// Of which incident.
    pub incident_id: i64,
    /// Of which target, as it was then.
    pub target: Matched,
    /// The target's parent.
    pub parent: Option<SubjectId>,
    /// What happened.
    pub kind: TransitionKind,
    /// When.
    pub at: UtcMs,
}
