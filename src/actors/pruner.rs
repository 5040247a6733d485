//! Removes what is old, in steps so small that no writer waits for them.
//!
//! ```text
//!  main database (thread of its own)   results older than they are kept --> statuses of targets that are gone
//!                                      what was told longer ago than that is kept
//!  state.db (its only thread)          notices that are done, ended incidents with their events, statuses of targets that
//!                                      are gone
//! ```

use std::time::Duration;

use actix::prelude::*;
use slog::{Logger, debug, warn};

use super::databases::{Database, LocalDatabase, LocalQuery, Query, answered};
use crate::clock::Clock;
use crate::model::time::UtcMs;
use crate::store::{StateDb, Store, StoreError};

/// Rows a step in the main database.
const STEP: u32 = 1000;
/// Rows a step in state.db: transitions wait for its thread, and incidents are long.
const LOCAL_STEP: u32 = 100;
/// Pause between steps while there is more to remove: 20,000 results a second.
const SHORT_PAUSE: Duration = Duration::from_millis(50);
/// Pause before the first look: at the start others need the databases.
const FIRST_PAUSE: Duration = Duration::from_secs(3);
/// Pause when no old results are left.
const RESULTS_PAUSE: Duration = Duration::from_secs(10);
/// Pause when nothing else is left: statuses are looked through as a whole.
const REST_PAUSE: Duration = Duration::from_secs(600);

/// How long things are kept.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// Results in the main database, and statuses there that count none; `None`: for ever.
    pub results: Option<Duration>,
    /// What was told to whom, in the main database; `None`: for ever.
    pub notifications: Option<Duration>,
    /// Notices that are done, ended incidents with their events, and statuses of targets that are gone, in state.db.
    /// Long enough for whoever reads them to have seen them (see [`StateDb::forget_incidents`]); the main database keeps
    /// its own.
    pub local: Duration,
}

impl Keep {
    /// For so long state.db keeps what has ended: a message about it would be too late to be of use, and people read the
    /// history in the main database.
    pub const LOCAL: Duration = Duration::from_secs(24 * 60 * 60);
}

/// Keep things for so long from now on: results from the next look within 10 s, the rest within 10 min.
#[derive(Message, Debug, Clone, Copy)]
#[rtype(result = "()")]
pub struct SetKeep(pub Keep);

/// The pruner.
pub struct Pruner {
    keep: Keep,
    clock: Clock,
    log: Logger,
    main: Addr<Database>,
    local: Addr<LocalDatabase>,
    main_failed: bool,
    local_failed: bool,
}

/// What a step removes: how many rows, at most its limit.
type Step<D> = fn(&mut D, UtcMs) -> Result<u32, StoreError>;

/// What is removed from the main database, and how.
#[derive(Clone, Copy)]
struct Job {
    what: &'static str,
    /// For so long it is kept; `None`: for ever.
    keep: fn(Keep) -> Option<Duration>,
    step: Step<Store>,
    /// Until the next look when none is left.
    pause: Duration,
}

fn results(store: &mut Store, before: UtcMs) -> Result<u32, StoreError> {
    store.prune_results(before, STEP)
}

fn statuses(store: &mut Store, before: UtcMs) -> Result<u32, StoreError> {
    store.prune_statuses(before, STEP)
}

fn notifications(store: &mut Store, before: UtcMs) -> Result<u32, StoreError> {
    store.prune_notifications(before, STEP)
}

fn local(db: &mut StateDb, before: UtcMs) -> Result<u32, StoreError> {
    let told = db.forget_outbox(before, LOCAL_STEP)?;
    Ok(told.max(db.forget_incidents(before, LOCAL_STEP)?).max(db.forget_statuses(before, LOCAL_STEP)?))
}

impl Pruner {
    /// Keeps things for as long as `keep` says. `main` is a thread for this alone.
    #[must_use]
    pub fn new(keep: Keep, clock: Clock, log: Logger, main: Addr<Database>, local: Addr<LocalDatabase>) -> Pruner {
        Pruner { keep, clock, log, main, local, main_failed: false, local_failed: false }
    }

    /// What is older than this goes.
    fn before(&self, keep: Duration) -> UtcMs {
        let keep = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
        UtcMs(self.clock.utc_now().0.saturating_sub(keep))
    }

    /// Removes from the main database until there is no more, and looks again after a pause.
    fn prune_main(&mut self, job: Job, ctx: &mut Context<Self>) {
        let Some(keep) = (job.keep)(self.keep) else {
            // Until somebody wants it otherwise.
            ctx.run_later(job.pause, move |actor, ctx| actor.prune_main(job, ctx));
            return;
        };
        let before = self.before(keep);
        let sent = self.main.send(Query::new(move |store| (job.step)(store, before)));
        ctx.spawn(sent.into_actor(self).map(move |answer, actor, ctx| {
            let answer = answered(answer);
            let more = matches!(answer, Ok(n) if n >= STEP);
            actor.main_failed = actor.say(job.what, answer, actor.main_failed);
            ctx.run_later(if more { SHORT_PAUSE } else { job.pause }, move |actor, ctx| actor.prune_main(job, ctx));
        }));
    }

    /// The same for state.db.
    fn prune_local(&mut self, ctx: &mut Context<Self>) {
        let before = self.before(self.keep.local);
        let sent = self.local.send(LocalQuery::new(move |db| local(db, before)));
        ctx.spawn(sent.into_actor(self).map(|answer, actor, ctx| {
            let answer = answered(answer);
            let more = matches!(answer, Ok(n) if n >= LOCAL_STEP);
            actor.local_failed = actor.say("of what has ended, in state.db,", answer, actor.local_failed);
            ctx.run_later(if more { SHORT_PAUSE } else { REST_PAUSE }, Pruner::prune_local);
        }));
    }

    /// Logs what came of a step; whether it failed. A failure is told once, until it works again.
    fn say(&self, what: &str, answer: Result<u32, StoreError>, failed: bool) -> bool {
        match answer {
            Ok(n) => {
                if n > 0 {
                    debug!(self.log, "old rows {} are removed", what; "rows" => n);
                }
                false
            }
            Err(error) => {
                if !failed && !error.is_away() {
                    warn!(self.log, "old rows {} cannot be removed; it will be tried again", what; "error" => #&error);
                }
                true
            }
        }
    }
}

impl Actor for Pruner {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_later(FIRST_PAUSE, |actor, ctx| {
            let job = |what, keep, step, pause| Job { what, keep, step, pause };
            actor.prune_main(job("of results", |k| k.results, results, RESULTS_PAUSE), ctx);
            actor.prune_main(job("of targets that are gone", |k| k.results, statuses, REST_PAUSE), ctx);
            actor.prune_main(job("of what was told", |k| k.notifications, notifications, REST_PAUSE), ctx);
            actor.prune_local(ctx);
        });
    }
}

impl Handler<SetKeep> for Pruner {
    type Result = ();

    fn handle(&mut self, SetKeep(keep): SetKeep, _: &mut Self::Context) {
        self.keep = keep;
    }
}
