//! What a message says: everything that a channel's templates may use. Data only; no secret ever enters it.
//!
//! A message is about one thing (an [`Item`]) or is a digest of many. It is put together when it is sent, from what was
//! frozen when its events happened.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::notifier::{EventKind, Matched};
use super::state::TargetState;
use super::subject::{SubjectId, SubjectKind};
use super::target::Target;
use super::time::UtcMs;

/// One message to one notifier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Unique and the same at every attempt: `<…@host>` without the angle brackets. Receivers drop copies by it.
    pub message_id: String,
    /// Ids of the messages before it about the same incidents, oldest first: `In-Reply-To` is the last of them.
    pub references: Vec<String>,
    /// What it is about, when it is one thing; `digest` when there are several, `test` for a sample.
    pub kind: MessageKind,
    /// The notifier's name.
    pub notifier: String,
    /// When the oldest of its events happened.
    pub at: UtcMs,
    /// How late it is against the moment at which it should have gone out; 0 when it is in time.
    pub late_ms: i64,
    /// Name of the machine that watches.
    pub host: String,
    /// The worst first. One, unless it is a digest.
    pub items: Vec<Item>,
    /// How many more a digest stands for, because the list would be too long.
    pub more: usize,
    /// Names of the targets of those, the worst first; not of all where there are very many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rest: Vec<String>,
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageKind {
    /// A target has failed.
    Fail,
    /// It works again.
    Recovery,
    /// It had failed and works again; nothing was told before.
    Both,
    /// It still fails.
    Reminder,
    /// It changes too often.
    Flapping,
    /// It has stopped changing.
    Settled,
    /// Several of these.
    Digest,
    /// A sample that a person asked for; `items` are invented.
    Test,
}

/// One thing that a message says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// What happened.
    pub event: EventKind,
    /// A failure that ended before it could be told: this item says both.
    pub recovered_unseen: bool,
    /// The incident's id, as JSON writes it.
    pub incident_id: String,
    /// The same from the first message about a failure to the one that ends it: the incident's id; from FLAPPING on, and
    /// where SETTLED leaves it failing until that recovers, the id of the incident in which the flapping began.
    #[serde(default)]
    pub alert_id: String,
    /// When the incident began.
    pub started_at: UtcMs,
    /// When it ended; `None` while it lasts.
    pub ended_at: Option<UtcMs>,
    /// Which reminder it is; 0 for none.
    pub number: u32,
    /// How often it changed within the window, for `flapping`.
    pub changes: u32,
    /// Where it stands now: PASS, FAIL, …
    pub status: String,
    /// The reason's word, as `connect_refused`.
    pub reason: String,
    /// The sentence for people.
    pub description: String,
    /// What that usually means.
    pub cause: String,
    /// The target as it was when this happened.
    pub target: TargetFacts,
    /// Lines of the trace of the probe that failed first.
    pub trace: Vec<String>,
    /// Lines of the trace of the last probe that had passed.
    pub last_good_trace: Vec<String>,
    /// What differs between the two: address, certificate issuer, phase times.
    pub changed: Vec<Difference>,
    /// Names of targets that fail because of this one (their parent).
    pub children: Vec<String>,
}

/// What differs between the failing trace and the last good one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What: `address`, `certificate issuer`, `connect`, `first byte`, …
    pub what: String,
    /// In the last good trace.
    pub before: String,
    /// In the failing one.
    pub after: String,
}

/// What skypunch 0.3.0 told of a target.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TargetFacts {
    /// The id.
    pub id: i64,
    /// The name.
    pub name: String,
    /// The tenant.
    pub tenant: String,
    /// The URL, without userinfo.
    pub url: String,
    /// The method.
    pub method: String,
    /// The kind of authentication.
    pub authentication: String,
    /// `pass_result`.
    pub expected: String,
    /// In milliseconds.
    pub frequency_ms: i64,
    /// In milliseconds.
    pub timeout_ms: i64,
    /// Its tags.
    pub tags: Vec<String>,
    /// Whether it is probed.
    pub enabled: bool,
    /// When the status was last looked at.
    pub last_updated: Option<UtcMs>,
    /// Counters, by the names of the columns of `target_status`: `pass_count`, `fail_count`, `count200`, ….
    pub counters: super::state::Counters,
    /// Failures in a row.
    pub repeated_fails: u32,
    /// Name of the target without which this one cannot work.
    pub parent: Option<String>,
    /// The targets that use it, where it is a credential.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<Matched>,
}

impl TargetFacts {
    /// Whether it is a target, a credential, or the monitor itself.
    #[must_use]
    pub fn kind(&self) -> SubjectKind {
        SubjectId(self.id).kind()
    }

    /// As people call it: with its tenant unless it is the default one, and with what it is where that is no target.
    #[must_use]
    pub fn called(&self) -> String {
        let name = if self.tenant.is_empty() || self.tenant == "0" {
            self.name.clone()
        } else {
            format!("{}/{}", self.tenant, self.name)
        };
        match self.kind() {
            SubjectKind::Target => name,
            SubjectKind::Credential => format!("credential {name}"),
            SubjectKind::Monitor => format!("the monitor on {name}"),
        }
    }

    /// What is known of a target that stands at `state`.
    #[must_use]
    pub fn new(target: &Target, state: &TargetState) -> TargetFacts {
        let ms = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
        TargetFacts {
            id: target.id.0,
            name: target.name.clone(),
            tenant: target.tenant.clone(),
            url: target.url.to_string(),
            method: target.method.as_str().to_owned(),
            authentication: target.auth.kind().to_owned(),
            expected: target.expect.to_string(),
            frequency_ms: ms(target.frequency),
            timeout_ms: ms(target.timeout),
            tags: target.tags.clone(),
            enabled: target.enabled,
            last_updated: state.last_updated,
            counters: state.counters,
            repeated_fails: state.repeated_fails,
            parent: target.parent.clone(),
            users: Vec::new(),
        }
    }
}
