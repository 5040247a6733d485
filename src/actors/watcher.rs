//! Notices that the definition tables have changed, whoever changed them, and has the difference applied.
//!
//! ```text
//!   every max(250 ms, 100 x usual cost), 1 s after a failure, when asked: change token the same? -> done
//!                                  else, and once a minute: load all, compare row by row
//!                                       '-> supervisor (Apply), board (notifiers, credentials), state.db (last known definitions)
//! ```
//!
//! What nobody asked for costs at most a hundredth of a core, whatever the size of the tables.

mod rows;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::prelude::*;
use slog::{Logger, error, info, warn};
use tokio::sync::oneshot;

pub use self::rows::{Told, tell_credentials, tell_notifiers};
use super::databases::{Connector, Database, LocalDatabase, LocalQuery, Query, answered};
use super::supervisor::{Apply, Changed, Supervisor};
use crate::board::Board;
use crate::clock::Clock;
use crate::model::credential::CredentialDefinition;
use crate::model::definition::Definition;
use crate::model::notifier::{NotifierDefinition, TypeCheck};
use crate::model::state::TargetState;
use crate::model::subject::SubjectId;
use crate::model::target::TargetId;
use crate::model::time::Mono;
use crate::store::{ChangeToken, StoreError};

/// Never more often than this.
const SHORTEST: Duration = Duration::from_millis(250);
/// Never more rarely: a change is in force within 1.5 s up to a cost of 10 ms a look.
const LONGEST: Duration = Duration::from_secs(60);
/// The looking may cost one part in so many.
const SHARE: u32 = 100;
/// Everything is compared at least so often, whatever the token says.
const FULL: Duration = Duration::from_secs(60);

/// The lease is made to last longer so often.
const RENEW: Duration = Duration::from_secs(2);

/// What is known of the definitions that were loaded: a hash a row.
#[derive(Debug, Default)]
pub struct Known {
    rows: HashMap<i64, u64>,
    token: Option<ChangeToken>,
    full_at: Option<Mono>,
    /// Rows were once loaded from the main database in this life.
    from_main: bool,
}

/// The difference between what was known and what was loaded.
#[derive(Debug, Default)]
pub struct Difference {
    /// New and changed rows, as written.
    pub changed: Vec<Definition>,
    /// Rows that are gone.
    pub removed: Vec<i64>,
    /// Rows there are.
    pub total: usize,
}

impl Known {
    /// What was loaded at the start, before its rows are noted: `token` is of before the loading.
    #[must_use]
    pub fn at_start(token: Option<ChangeToken>, now: Mono) -> Known {
        Known { token, full_at: Some(now), from_main: true, rows: HashMap::new() }
    }

    /// Remembers a row.
    pub fn note(&mut self, definition: &Definition) {
        self.rows.insert(definition.id, hash_of(definition));
    }

    /// Compares all rows, as `each` shows them, and remembers them. Only what differs is kept in memory.
    ///
    /// # Errors
    /// Those of `each`; then nothing is remembered.
    pub fn compare<E>(
        &mut self,
        each: impl FnOnce(&mut dyn FnMut(Definition)) -> Result<(), E>,
    ) -> Result<Difference, E> {
        let mut rows = HashMap::with_capacity(self.rows.len());
        let mut changed = Vec::new();
        each(&mut |definition| {
            let hash = hash_of(&definition);
            rows.insert(definition.id, hash);
            if self.rows.get(&definition.id) != Some(&hash) {
                changed.push(definition);
            }
        })?;
        let removed = self.rows.keys().filter(|id| !rows.contains_key(id)).copied().collect();
        let total = rows.len();
        self.rows = rows;
        Ok(Difference { changed, removed, total })
    }
}

fn hash_of(definition: &Definition) -> u64 {
    let mut hasher = DefaultHasher::new();
    definition.hash(&mut hasher);
    hasher.finish()
}

/// Validates changed rows; what is wrong keeps its row and its problems.
#[must_use]
pub fn validated(changed: &[Definition]) -> Vec<Changed> {
    changed.iter().map(validate).collect()
}

/// Validates one row.
pub fn validate(row: &Definition) -> Changed {
    row.validate().map(Arc::new).map_err(|problems| Box::new((row.clone(), problems)))
}

/// Look now. Answered when what was found is in force, or with why it cannot be looked.
#[derive(Message)]
#[rtype(result = "Result<Looked, String>")]
pub struct LookNow(pub Depth);

/// How far a look goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// All rows are compared if the change token is another, or a minute has passed.
    IfChanged,
    /// All rows are compared, whatever the token says.
    All,
}

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Looked {
    /// Rows there are.
    pub total: usize,
    /// New, changed and gone.
    pub changed: usize,
    /// Of these, wrong.
    pub invalid: usize,
}

struct Found {
    difference: Option<Difference>,
    changed: Vec<Changed>,
    states: HashMap<SubjectId, TargetState>,
    notifiers: Vec<NotifierDefinition>,
    credentials: Vec<CredentialDefinition>,
    cost: Duration,
}

/// The watcher.
pub struct Watcher {
    board: Arc<Board>,
    clock: Clock,
    log: Logger,
    connector: Arc<Connector>,
    main: Addr<Database>,
    local: Addr<LocalDatabase>,
    supervisor: Addr<Supervisor>,
    known: Arc<Mutex<Known>>,
    types: Arc<TypeCheck>,
    /// For the look that is under way, and for the one behind it.
    waiting: [Vec<oneshot::Sender<Result<Looked, String>>>; 2],
    looking: bool,
    again: Option<Depth>,
    /// Of the last look.
    cost: Duration,
    pause: Duration,
    next: Option<SpawnHandle>,
}

impl Watcher {
    /// `known` holds what was loaded at the start; `types` says what the types of notifiers demand.
    #[expect(clippy::too_many_arguments, reason = "it is what the actor works with")]
    #[must_use]
    pub fn new(
        board: Arc<Board>,
        clock: Clock,
        log: Logger,
        connector: Arc<Connector>,
        main: Addr<Database>,
        local: Addr<LocalDatabase>,
        supervisor: Addr<Supervisor>,
        known: Known,
        types: Arc<TypeCheck>,
    ) -> Watcher {
        Watcher {
            board,
            clock,
            log,
            connector,
            main,
            local,
            supervisor,
            known: Arc::new(Mutex::new(known)),
            types,
            waiting: Default::default(),
            looking: false,
            again: None,
            cost: Duration::ZERO,
            pause: SHORTEST,
            next: None,
        }
    }

    /// The next look. Each look arms anew when it has ended, by what it found: one that was slow or failed says when the
    /// next one is due.
    fn arm(&mut self, ctx: &mut Context<Self>) {
        let next = ctx.run_later(self.pause, |actor, ctx| {
            if !actor.looking {
                actor.look(Depth::IfChanged, ctx);
            }
        });
        if let Some(before) = self.next.replace(next) {
            ctx.cancel_future(before);
        }
    }

    fn look(&mut self, depth: Depth, ctx: &mut Context<Self>) {
        self.clock.follow_wall();
        if std::mem::replace(&mut self.looking, true) {
            // What changed after the running look began needs another one.
            self.again = self.again.max(Some(depth));
            return;
        }
        let (known, clock) = (Arc::clone(&self.known), self.clock.clone());
        let connector = Arc::clone(&self.connector);
        let query = Query::new(move |store| {
            connector.hold(store, RENEW)?;
            let started = clock.now();
            let token = store.change_token()?;
            let cost = clock.now().since(started);
            let mut known = lock(&known);
            let full = depth == Depth::All || known.full_at.is_none_or(|at| started.since(at) >= FULL);
            if !full && (token.is_none() || token == known.token) {
                let (changed, states, notifiers, credentials) = Default::default();
                return Ok(Found { difference: None, changed, states, notifiers, credentials, cost });
            }
            let (notifiers, credentials) = (store.load_notifiers()?, store.load_credentials()?);
            let difference = known.compare(|see| store.each_definition(see))?;
            let first = !std::mem::replace(&mut known.from_main, true);
            let states = if first {
                store.load_statuses()?.into_iter().map(|s| (s.subject, s.state)).collect()
            } else {
                HashMap::new()
            };
            known.token = token.or(known.token.take());
            known.full_at = Some(started);
            let changed = validated(&difference.changed);
            Ok(Found { difference: Some(difference), changed, states, notifiers, credentials, cost })
        });
        let sent = self.main.send(query);
        let (supervisor, local) = (self.supervisor.clone(), self.local.clone());
        let (board, clock) = (Arc::clone(&self.board), self.clock.clone());
        let (types, log) = (Arc::clone(&self.types), self.log.clone());
        let work = async move {
            let found = answered(sent.await);
            let read = found.as_ref().map(drop).map_err(ToString::to_string);
            board.health.database.set_reading(read, clock.utc_now());
            let found = found?;
            let mut looked = Looked::default();
            let cost = found.cost;
            let Some(difference) = found.difference else { return Ok((looked, false, cost)) };
            looked.total = difference.total;
            looked.changed = difference.changed.len() + difference.removed.len();
            looked.invalid = found.changed.iter().filter(|c| c.is_err()).count();
            let targets_changed = looked.changed > 0;
            let told = tell_notifiers(&board, found.notifiers, &*types, &log);
            let known = tell_credentials(&board, found.credentials, &log);
            looked.changed += told.changed + known.changed;
            looked.invalid += told.invalid + known.invalid;
            let removed = difference.removed.iter().copied().map(TargetId).collect();
            if told.changed > 0 {
                answered(local.send(LocalQuery::new(move |db| db.save_notifiers(&told.good, &told.wrong))).await)?;
            }
            if known.changed > 0 {
                answered(local.send(LocalQuery::new(move |db| db.save_credentials(&known.good, &known.wrong))).await)?;
            }
            if targets_changed {
                let saved = local
                    .send(LocalQuery::new(move |db| db.save_definitions(&difference.changed, &difference.removed)));
                let apply = Apply { changed: found.changed, removed, states: found.states };
                // An error means that the daemon stops.
                let _applied = apply.by(&supervisor).await;
                answered(saved.await)?;
            }
            Ok::<_, StoreError>((looked, true, cost))
        };
        ctx.spawn(work.into_actor(self).map(|result, actor, ctx| actor.looked(result, ctx)));
    }

    fn looked(&mut self, result: Result<(Looked, bool, Duration), StoreError>, ctx: &mut Context<Self>) {
        self.looking = false;
        let answer = {
            let mut health = self.board.health.definitions.lock().unwrap_or_else(PoisonError::into_inner);
            match result {
                Ok((looked, full, cost)) => {
                    // A single slow look is the database's trouble, not what looking costs.
                    let usual = cost.min(std::mem::replace(&mut self.cost, cost));
                    self.pause = (usual * SHARE).clamp(SHORTEST, LONGEST);
                    if full {
                        health.last_loaded_at = Some(self.clock.utc_now());
                    }
                    if looked.changed > 0 {
                        info!(self.log, "changed definitions are in force"; "changed" => looked.changed,
                            "invalid" => looked.invalid, "targets" => looked.total);
                    }
                    health.last_error = None;
                    Ok(looked)
                }
                Err(error) => {
                    self.pause = Duration::from_secs(1);
                    let text = error.to_string();
                    if health.last_error.as_ref() != Some(&text) {
                        if error.is_away() {
                            warn!(self.log, "the definitions cannot be read; the last known ones go on"; "error" => #&error);
                        } else {
                            error!(self.log, "the definitions cannot be read; the last known ones go on"; "error" => #&error);
                        }
                    }
                    health.last_error = Some(text.clone());
                    Err(text)
                }
            }
        };
        for waiting in self.waiting[0].drain(..) {
            // Nobody waits any more when the caller has gone.
            let _gone = waiting.send(answer.clone());
        }
        self.waiting.swap(0, 1);
        self.arm(ctx);
        if let Some(depth) = self.again.take() {
            self.look(depth, ctx);
        }
    }
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Actor for Watcher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.arm(ctx);
    }
}

impl Handler<LookNow> for Watcher {
    type Result = ResponseFuture<Result<Looked, String>>;

    fn handle(&mut self, LookNow(depth): LookNow, ctx: &mut Self::Context) -> Self::Result {
        let (done, looked) = oneshot::channel();
        self.waiting[usize::from(self.looking)].push(done);
        self.look(depth, ctx);
        Box::pin(async move { looked.await.unwrap_or_else(|_| Err("the daemon stops".into())) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: i64, name: &str) -> Definition {
        Definition { id, name: name.into(), ..Definition::default() }
    }

    #[test]
    fn only_what_changed_is_found() {
        let mut known = Known::default();
        let mut look = |rows: Vec<Definition>| {
            let each = |see: &mut dyn FnMut(Definition)| -> Result<(), ()> {
                rows.into_iter().for_each(see);
                Ok(())
            };
            known.compare(each).unwrap()
        };
        let all = look(vec![row(1, "a"), row(2, "b")]);
        assert_eq!((all.changed.len(), all.removed.len(), all.total), (2, 0, 2));
        let none = look(vec![row(1, "a"), row(2, "b")]);
        assert_eq!((none.changed.len(), none.removed.len()), (0, 0));
        let some = look(vec![row(2, "c"), row(3, "d")]);
        assert_eq!(some.changed.iter().map(|d| d.id).collect::<Vec<_>>(), vec![2, 3]);
        assert_eq!(some.removed, vec![1]);
    }
}
