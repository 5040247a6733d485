//! The read model: where every target stands now, and how the daemon is doing.
//!
//! ```text
//!  target actors --write--> Entry (one a target) --read--> control API, healthz
//!                '--count-> Statistics
//!                '--tell--> subscribers of `watch`
//! ```
//!
//! An entry is written by one writer at a time: the target's actor while it lives, the supervisor while it does not. A
//! target's state lives here and nowhere else in memory, so it survives the actor.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::{Notify, broadcast, watch};

use crate::model::definition::{Definition, Problem};
use crate::model::outcome::Outcome;
use crate::model::reference::{Reference, ReferenceId, TargetRef};
use crate::model::series::SeriesPolicy;
use crate::model::state::{Status, TargetState};
use crate::model::target::{Target, TargetId};
use crate::model::text::nearest;
use crate::model::time::UtcMs;

pub mod credentials;
pub mod health;
pub mod metrics;
pub mod notifiers;
pub mod statistics;

use credentials::Credentials;
use health::Health;
use metrics::Metrics;
use notifiers::Notifiers;
use statistics::Statistics;

/// How many results a slow `watch` reader may lag behind before it loses some (and is told how many).
const WATCH_BACKLOG: usize = 4096;

/// What is known of one target.
#[derive(Debug)]
pub struct Entry {
    data: Mutex<EntryData>,
}

/// The content of an [`Entry`].
#[derive(Debug)]
pub struct EntryData {
    /// The definition in force; `None` for a row that never was valid.
    pub target: Option<Arc<Target>>,
    /// The row that cannot be applied and what is wrong with it; the definition in force goes on.
    pub invalid: Option<Box<(Definition, Vec<Problem>)>>,
    /// Where it stands.
    pub state: TargetState,
}

impl Entry {
    /// A new entry.
    #[must_use]
    pub fn new(target: Option<Arc<Target>>, state: TargetState) -> Arc<Entry> {
        Arc::new(Entry { data: Mutex::new(EntryData { target, invalid: None, state }) })
    }

    /// The content. Held for copying and stepping only, never over an `await`.
    pub fn lock(&self) -> MutexGuard<'_, EntryData> {
        // A panic while it was held leaves whole fields: every change is one assignment.
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A result as `watch` shows it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Whose.
    pub target: Arc<Target>,
    /// When it started.
    pub started_at: UtcMs,
    /// What was found.
    pub outcome: Outcome,
}

/// Targets by status; disabled ones only in `total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the usual words")]
pub struct Counts {
    pub total: u64,
    pub enabled: u64,
    pub new: u64,
    pub pass: u64,
    pub fail: u64,
    pub unknown: u64,
    /// Rows that are wrong.
    pub invalid: u64,
}

/// The read model of the whole daemon; shared by reference.
#[derive(Debug)]
pub struct Board {
    entries: RwLock<BTreeMap<TargetId, Arc<Entry>>>,
    seen: broadcast::Sender<Arc<Seen>>,
    /// Rings when targets were deleted or disabled.
    pub gone: Notify,
    /// Counters of the daemon itself.
    pub statistics: Statistics,
    /// What is counted of probes for `/metrics`.
    pub metrics: Metrics,
    /// How persistence and the databases are.
    pub health: Health,
    /// Told of every change of targets that is in force.
    pub definitions: watch::Sender<()>,
    /// Whom people want to be told.
    pub notifiers: Notifiers,
    /// Who we are at identity services.
    pub credentials: Credentials,
}

/// Finds the row that a person means; `named` gives an entry's tenant and name.
fn find_row<I: ReferenceId + Ord, E: Clone>(
    all: &BTreeMap<I, E>,
    reference: &Reference<I>,
    named: impl Fn(&E) -> (&str, &str),
) -> Result<(I, E), NotFound> {
    let fits = |(id, entry): &(&I, &E)| {
        let (tenant, name) = named(entry);
        reference.matches(**id, tenant, name)
    };
    let found: Vec<_> = all.iter().filter(fits).collect();
    match found.as_slice() {
        [(id, entry)] => Ok((**id, (*entry).clone())),
        [] if matches!(reference, Reference::Id(_)) => Err(NotFound::Unknown(None)),
        [] => {
            let near = nearest(&reference.to_string(), all.values().map(|entry| named(entry).1));
            Err(NotFound::Unknown(near.map(str::to_owned)))
        }
        several => {
            let shown = several.iter().map(|(id, entry)| {
                let (tenant, name) = named(entry);
                format!("{id} ({tenant}/{name})")
            });
            Err(NotFound::Ambiguous(shown.collect()))
        }
    }
}

/// Why a reference finds none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotFound {
    /// There is no such one; the word is the nearest name.
    Unknown(Option<String>),
    /// Several have that name: `id tenant/name` of each.
    Ambiguous(Vec<String>),
}

impl Default for Board {
    fn default() -> Self {
        Board::new(SeriesPolicy::default())
    }
}

impl Board {
    /// An empty board. `series` says what is counted for `/metrics`.
    #[must_use]
    pub fn new(series: SeriesPolicy) -> Board {
        let definitions = watch::channel(()).0;
        Board {
            entries: RwLock::default(),
            seen: broadcast::channel(WATCH_BACKLOG).0,
            gone: Notify::new(),
            statistics: Statistics::default(),
            metrics: Metrics::new(series, definitions.subscribe()),
            health: Health::default(),
            definitions,
            notifiers: Notifiers::default(),
            credentials: Credentials::default(),
        }
    }

    /// The entry of a target.
    #[must_use]
    pub fn get(&self, id: TargetId) -> Option<Arc<Entry>> {
        self.read().get(&id).cloned()
    }

    /// Whether a target is there and not disabled; one whose row never was valid may become so.
    #[must_use]
    pub fn is_watched(&self, id: TargetId) -> bool {
        self.get(id).is_some_and(|entry| entry.lock().target.as_ref().is_none_or(|t| t.enabled))
    }

    /// Adds or replaces an entry.
    pub fn insert(&self, id: TargetId, entry: Arc<Entry>) {
        self.entries.write().unwrap_or_else(PoisonError::into_inner).insert(id, entry);
    }

    /// Removes an entry.
    pub fn remove(&self, id: TargetId) -> Option<Arc<Entry>> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner).remove(&id)
    }

    /// Targets by status. Cheap: entries are looked at in their place.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for entry in self.read().values() {
            let data = entry.lock();
            counts.total += 1;
            counts.invalid += u64::from(data.invalid.is_some());
            if data.target.as_ref().is_some_and(|t| t.enabled) {
                counts.enabled += 1;
                *match data.state.status() {
                    Status::New => &mut counts.new,
                    Status::Pass => &mut counts.pass,
                    Status::Fail => &mut counts.fail,
                    Status::Unknown => &mut counts.unknown,
                } += 1;
            }
        }
        counts
    }

    /// All entries in the order of their ids.
    #[must_use]
    pub fn all(&self) -> Vec<(TargetId, Arc<Entry>)> {
        self.read().iter().map(|(id, entry)| (*id, Arc::clone(entry))).collect()
    }

    /// Tells those who watch. Costs nothing while nobody does.
    pub fn tell(&self, seen: impl FnOnce() -> Seen) {
        if self.seen.receiver_count() > 0 {
            // An error means that the last reader has just gone.
            let _gone = self.seen.send(Arc::new(seen()));
        }
    }

    /// Results from now on.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<Arc<Seen>> {
        self.seen.subscribe()
    }

    /// Finds the target that a person means.
    ///
    /// # Errors
    /// No such target, or several.
    pub fn find(&self, reference: &TargetRef) -> Result<(TargetId, Arc<Entry>), NotFound> {
        if let TargetRef::Id(id) = reference {
            return self.get(*id).map(|e| (*id, e)).ok_or(NotFound::Unknown(None));
        }
        let entries = self.read();
        let named = |(id, entry): (&TargetId, &Arc<Entry>)| {
            let (tenant, name) = entry.lock().name();
            (*id, Arc::clone(entry), tenant, name)
        };
        let found: Vec<_> =
            entries.iter().map(named).filter(|(id, _, tenant, name)| reference.matches(*id, tenant, name)).collect();
        match found.as_slice() {
            [(id, entry, _, _)] => Ok((*id, Arc::clone(entry))),
            [] => {
                let names: Vec<String> = entries.values().map(|e| e.lock().name().1).collect();
                let near = nearest(&reference.to_string(), names.iter().map(String::as_str)).map(str::to_owned);
                Err(NotFound::Unknown(near))
            }
            several => Err(NotFound::Ambiguous(
                several.iter().map(|(id, _, tenant, name)| format!("{id} ({tenant}/{name})")).collect(),
            )),
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<TargetId, Arc<Entry>>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EntryData {
    /// Tenant and name, of the definition in force or else of the invalid row.
    #[must_use]
    pub fn name(&self) -> (String, String) {
        match (&self.target, &self.invalid) {
            (Some(t), _) => (t.tenant.clone(), t.name.clone()),
            (None, Some(row)) => (row.0.tenantid.clone(), row.0.name.clone()),
            (None, None) => (String::new(), String::new()),
        }
    }

    /// The row as it is written, where it is wrong; else the definition in force.
    #[must_use]
    pub fn definition(&self) -> Definition {
        match (&self.invalid, &self.target) {
            (Some(row), _) => row.0.clone(),
            (None, Some(target)) => target.definition(),
            (None, None) => Definition::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(names: &[(i64, &str, &str)]) -> Board {
        let board = Board::default();
        for (id, tenant, name) in names {
            let definition = Definition {
                id: *id,
                tenantid: (*tenant).into(),
                name: (*name).into(),
                url: "http://localhost/".into(),
                ..Definition::default()
            };
            let target = Arc::new(definition.validate().unwrap());
            board.insert(TargetId(*id), Entry::new(Some(target), TargetState::default()));
        }
        board
    }

    #[test]
    fn a_target_is_found_by_id_name_and_tenant() {
        let board = board(&[(1, "0", "shop"), (2, "7", "shop"), (3, "0", "123"), (4, "0", "a/b")]);
        let id = |r: &str| board.find(&r.parse().unwrap()).map(|(id, _)| id.0);
        assert_eq!(id("1"), Ok(1));
        assert_eq!(id("7/shop"), Ok(2));
        assert_eq!(id("name:123"), Ok(3));
        assert_eq!(id("a/b"), Ok(4));
        assert_eq!(id("0/a/b"), Ok(4));
        assert!(matches!(id("shop"), Err(NotFound::Ambiguous(c)) if c.len() == 2));
        assert_eq!(id("123"), Err(NotFound::Unknown(None)));
        assert_eq!(id("shpo"), Err(NotFound::Unknown(Some("shop".into()))));
    }
}
