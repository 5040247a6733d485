//! A notifier: whom to tell, by which channel, about what.
//!
//! The fields of a [`NotifierDefinition`] are the columns of the `notifiers` table, the keys of `[[notifier]]` in a
//! targets file, of the API and of `--output json`. What its type demands of address, params and templates is known to
//! the catalogue of providers alone: it comes into [`NotifierDefinition::validate`] as a [`TypeCheck`].

mod definition;
mod hidden;
mod record;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::definition::SMTP;
pub use self::record::{Notification, NotifierStatus};
use super::definition::Problem;
use super::subject::SubjectId;
use super::target::Target;
use crate::secret::Secret;

/// The id of a notifier: the database's, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NotifierId(pub i64);

impl fmt::Display for NotifierId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a person is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// A target has failed.
    Fail,
    /// It works again.
    Recovery,
    /// It still fails.
    Reminder,
    /// It changes too often to be told each time.
    Flapping,
    /// It has stopped changing.
    Settled,
}

impl EventKind {
    /// All of them.
    pub const ALL: [EventKind; 5] =
        [EventKind::Fail, EventKind::Recovery, EventKind::Reminder, EventKind::Flapping, EventKind::Settled];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            EventKind::Fail => "fail",
            EventKind::Recovery => "recovery",
            EventKind::Reminder => "reminder",
            EventKind::Flapping => "flapping",
            EventKind::Settled => "settled",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<EventKind> {
        EventKind::ALL.into_iter().find(|k| k.as_str() == name)
    }
}

/// Stands among the events of a notifier that is told of the monitor itself.
pub const MONITOR: &str = "monitor";

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A notifier's definition, unchecked. Every column but name, type and address has a default. Its `Debug` hides the
/// address: that of a webhook opens a door.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NotifierDefinition {
    /// The database's id; 0 where there is none yet.
    pub id: i64,
    /// Unique within the tenant.
    pub name: String,
    /// The tenant; `0` when nobody said. A notifier of tenant `0` is told of every tenant's targets.
    pub tenantid: String,
    /// `SMTP`, or a provider of the catalogue.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where to: mail addresses, a URL, a channel: what the type says.
    pub address: String,
    /// `name=value,…` as in skypunch 0.3.0; values with a comma or an equals sign are quoted.
    pub params: Option<Secret>,
    /// Whether it is told at all.
    pub enabled: bool,
    /// Only targets with one of these tags, separated by commas.
    pub match_tags: Option<String>,
    /// Only targets of this tenant.
    pub match_tenant: Option<String>,
    /// Only targets whose name fits this pattern (`*` any characters, `?` one).
    pub match_name: Option<String>,
    /// Only these events (`fail,recovery,reminder,flapping,settled`); all when it is not said. `monitor`: failure and
    /// recovery of the monitor itself, of which nobody is told who does not say so.
    pub events: Option<String>,
    /// How long the first message of a burst waits for company.
    pub group_wait_ms: i64,
    /// How long after a message further ones are gathered.
    pub group_window_ms: i64,
    /// At most so many messages a minute; what comes beyond is gathered.
    pub rate_per_minute: i64,
    /// How long a message is tried before it expires.
    pub retry_for_ms: i64,
    /// Time until the first reminder of an open incident; each further gap is twice as long, up to a day. No reminders
    /// when it is not said.
    pub remind_ms: Option<i64>,
    /// Templates instead of the type's own: a TOML table, event to template.
    pub templates: Option<String>,
    /// Columns of a row that should hold 0 or 1, and what they hold instead.
    #[serde(skip)]
    pub odd_flags: Vec<(&'static str, String)>,
}

/// Default of `group_wait_ms`.
pub const DEFAULT_GROUP_WAIT_MS: i64 = 5_000;
/// Default of `group_window_ms`.
pub const DEFAULT_GROUP_WINDOW_MS: i64 = 30_000;
/// Default of `rate_per_minute`.
pub const DEFAULT_RATE_PER_MINUTE: i64 = 20;
/// Default of `retry_for_ms`: a day.
pub const DEFAULT_RETRY_FOR_MS: i64 = 86_400_000;

impl Default for NotifierDefinition {
    fn default() -> Self {
        NotifierDefinition {
            id: 0,
            name: String::new(),
            tenantid: "0".into(),
            kind: String::new(),
            address: String::new(),
            params: None,
            enabled: true,
            match_tags: None,
            match_tenant: None,
            match_name: None,
            events: None,
            group_wait_ms: DEFAULT_GROUP_WAIT_MS,
            group_window_ms: DEFAULT_GROUP_WINDOW_MS,
            rate_per_minute: DEFAULT_RATE_PER_MINUTE,
            retry_for_ms: DEFAULT_RETRY_FOR_MS,
            remind_ms: None,
            templates: None,
            odd_flags: Vec::new(),
        }
    }
}

/// Which targets and events a notifier is told of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// One of these tags; empty: any.
    pub tags: Vec<String>,
    /// This tenant; `None`: any.
    pub tenant: Option<String>,
    /// A name pattern; `None`: any.
    pub name: Option<String>,
    /// These events; `None`: all.
    pub events: Option<Vec<EventKind>>,
    /// Whether it is told of the monitor itself.
    pub monitor: bool,
}

/// A notifier that is fit to be used: everything in it has been checked. Its `Debug` hides the address.
#[derive(Clone, PartialEq)]
pub struct Notifier {
    /// The database's id.
    pub id: NotifierId,
    /// Unique within the tenant.
    pub name: String,
    /// The tenant.
    pub tenant: String,
    /// `SMTP`, or a provider of the catalogue.
    pub kind: String,
    /// Where to.
    pub address: String,
    /// Parameters by name, in the order written.
    pub params: Vec<(String, Secret)>,
    /// Whether it is told at all.
    pub enabled: bool,
    /// What it is told of.
    pub filter: Filter,
    /// How long the first message of a burst waits for company.
    pub group_wait: Duration,
    /// How long after a message further ones are gathered.
    pub group_window: Duration,
    /// At most so many messages a minute.
    pub rate_per_minute: u32,
    /// How long a message is tried.
    pub retry_for: Duration,
    /// Time until the first reminder.
    pub remind: Option<Duration>,
    /// Templates instead of the type's own: event (or `digest`) to source.
    pub templates: Vec<(String, String)>,
}

/// What is wrong with a notifier that only its type knows: an unknown type, its address, parameters, templates.
pub type TypeCheck = dyn Fn(&Notifier) -> Vec<Problem> + Send + Sync;

/// For those who do not know the types, as `skypunchctl`, which leaves that to the daemon.
#[must_use]
pub fn any_type(_: &Notifier) -> Vec<Problem> {
    Vec::new()
}

/// What the filter looks at, of a target or of what was known of it when it was there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matched {
    /// Whose.
    pub id: SubjectId,
    /// Its name.
    pub name: String,
    /// Its tenant.
    pub tenant: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Of a credential: its users. Whoever sees one of them sees it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<Matched>,
}

impl From<&Target> for Matched {
    fn from(t: &Target) -> Matched {
        Matched {
            id: t.id.into(),
            name: t.name.clone(),
            tenant: t.tenant.clone(),
            tags: t.tags.clone(),
            users: Vec::new(),
        }
    }
}
