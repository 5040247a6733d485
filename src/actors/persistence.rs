//! Takes every record, makes batches of them, and sees that each is written exactly once.
//!
//! ```text
//!  Records -> pending --(flush interval or size)--> batch -> Flow -> writer thread | thread of state.db
//!        '-> transitions -> Flow -> state.db, at once
//! ```
//!
//! Where a batch goes is decided by [`Flow`]; this actor carries it out and bounds what waits in memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use actix::prelude::*;
use slog::{Logger, error, info, warn};
use tokio::sync::{Notify, oneshot};

use super::arbiter::Records;
use super::databases::{Database, LocalDatabase, LocalQuery, Query, answered};
use crate::board::Board;
use crate::clock::Clock;
use crate::model::flow::{Flow, LocalDone, LocalWork, MainWork};
use crate::model::reason::Verdict;
use crate::model::record::{Batch, Recorded, StatusRecord};
use crate::model::state::Counters;
use crate::model::subject::SubjectId;
use crate::store::{SpoolPush, StoreError, Written};

/// The settings of persistence.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Longest time that a result waits for company.
    pub flush_interval: Duration,
    /// So many results are one batch at most.
    pub batch_size: usize,
    /// So many results wait in memory at most; beyond, passes are counted but their rows are left out.
    pub queue_size: usize,
    /// So many bytes may the spool take in state.db; beyond, passes are counted but their rows are left out.
    pub spool_bytes: u64,
}

/// Write everything to the main database, or to state.db if that is away. Answered when it is done; what is in the spool
/// of a database that is merely slow is written first.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Flush;

/// Is everything in the main database or in state.db?
#[derive(Message)]
#[rtype(result = "bool")]
pub struct IsSafe;

/// The persistence actor.
pub struct Persistence {
    limits: Limits,
    board: Arc<Board>,
    clock: Clock,
    log: Logger,
    main: Addr<Database>,
    local: Addr<LocalDatabase>,
    flow: Flow,
    pending: Vec<Recorded>,
    flush_armed: bool,
    wake: Option<SpawnHandle>,
    /// Counters that targets started with while the main database was away: to be set right when it comes.
    guessed: Option<HashMap<SubjectId, Counters>>,
    transitions: Arc<Notify>,
    rebasing: bool,
    waiting: Vec<oneshot::Sender<()>>,
    /// Said once, until there is room again.
    spool_full_logged: bool,
    queue_full_logged: bool,
    /// Why state.db could not be written the last time.
    local_error: Option<String>,
}

impl Persistence {
    /// `guessed` are the counters that targets were started with without the main database; `transitions` is rung when
    /// transitions are durable.
    #[expect(clippy::too_many_arguments, reason = "it is what the actor works with")]
    #[must_use]
    pub fn new(
        limits: Limits,
        board: Arc<Board>,
        clock: Clock,
        log: Logger,
        main: Addr<Database>,
        local: Addr<LocalDatabase>,
        flow: Flow,
        guessed: Option<HashMap<SubjectId, Counters>>,
        transitions: Arc<Notify>,
    ) -> Persistence {
        let mut flow = flow;
        flow.hold(guessed.is_some());
        Persistence {
            limits,
            board,
            clock,
            log,
            main,
            local,
            flow,
            pending: Vec::new(),
            flush_armed: false,
            wake: None,
            guessed,
            transitions,
            rebasing: false,
            waiting: Vec::new(),
            spool_full_logged: false,
            queue_full_logged: false,
            local_error: None,
        }
    }

    /// Turns what is pending into batches.
    fn cut(&mut self) {
        while !self.pending.is_empty() {
            let rest = self.pending.split_off(self.pending.len().min(self.limits.batch_size));
            let records = std::mem::replace(&mut self.pending, rest);
            let batch = Batch::collect(self.flow.writer(), self.flow.next_number(), records);
            self.flow.enqueue(batch);
        }
    }

    /// Carries out whatever the flow wants done now.
    fn pump(&mut self, ctx: &mut Context<Self>) {
        if self.guessed.is_some() {
            self.rebase(ctx);
        }
        if let Some(work) = self.flow.next_main(self.clock.now()) {
            self.write(work, ctx);
        }
        if let Some(work) = self.flow.next_local(self.clock.now()) {
            self.work_locally(work, ctx);
        }
        self.board.health.queued.store(self.pending.len() + self.flow.results_in_memory(), Relaxed);
        if self.flow.is_settled() && self.pending.is_empty() {
            for waiting in self.waiting.drain(..) {
                // Nobody waits any more when the grace is over.
                let _gone = waiting.send(());
            }
        }
        if let Some(handle) = self.wake.take() {
            ctx.cancel_future(handle);
        }
        let retry = self.guessed.is_some().then(|| self.clock.now() + Duration::from_millis(500));
        if let Some(at) = [self.flow.wake_at(), retry].into_iter().flatten().min() {
            let wait = at.since(self.clock.now()).max(Duration::from_millis(5));
            self.wake = Some(ctx.run_later(wait, |actor, ctx| {
                actor.wake = None;
                actor.pump(ctx);
            }));
        }
    }

    fn write(&mut self, work: MainWork, ctx: &mut Context<Self>) {
        let started = self.clock.now();
        let results = work.batch.results.len();
        let through = work.batch.statuses.iter().filter_map(|s| s.state.last_updated).max();
        let batch = Arc::clone(&work.batch);
        let sent = self.main.send(Query::new(move |store| store.write_batch(&batch)));
        ctx.spawn(sent.into_actor(self).map(move |answer, actor, ctx| {
            let now = actor.clock.now();
            match answered(answer) {
                Ok(written) => {
                    if written == Written::Now {
                        actor.board.health.written.fetch_add(results as u64, Relaxed);
                    }
                    let health = &actor.board.health;
                    health.last_write_us.store(u64::from(now.us_since(started)), Relaxed);
                    health.last_write_at.store(actor.clock.utc(now).0, Relaxed);
                    if let Some(through) = through {
                        health.written_through.store(through.0, Relaxed);
                    }
                    actor.database_is(Ok(()));
                    actor.flow.main_done(true, now);
                }
                Err(error) => {
                    actor.database_is(Err(&error));
                    actor.flow.main_done(false, now);
                }
            }
            actor.pump(ctx);
        }));
    }

    fn work_locally(&mut self, work: LocalWork, ctx: &mut Context<Self>) {
        let (writer, transitions) = (self.flow.writer(), Arc::clone(&self.transitions));
        let query = LocalQuery::new(move |db| match work {
            LocalWork::Transitions(number, statuses, changes) => {
                db.record_transitions(writer, number, &statuses, &changes)?;
                transitions.notify_one();
                Ok((LocalDone::Done, None, 0))
            }
            LocalWork::Push(batch) => {
                let thinned = match db.spool_push(&batch)? {
                    SpoolPush::Kept { thinned } => thinned,
                    SpoolPush::AlreadyThere => 0,
                };
                Ok((LocalDone::Done, Some(db.spool_len()), thinned))
            }
            LocalWork::Front => {
                let front = match db.spool_front() {
                    Err(StoreError::Unreadable(why)) => {
                        // A damaged batch would stop all behind it: it goes, is counted, and is said.
                        let results = db.spool_skip()?;
                        return Err(StoreError::Unreadable(format!(
                            "a spooled batch of {results} results is lost: {why}"
                        )));
                    }
                    front => front?.map(|(seq, batch)| (seq, Arc::new(batch))),
                };
                Ok((LocalDone::Front(front), Some(db.spool_len()), 0))
            }
            LocalWork::Remove(seq) => {
                db.spool_remove(seq)?;
                Ok((LocalDone::Done, Some(db.spool_len()), 0))
            }
        });
        ctx.spawn(self.local.send(query).into_actor(self).map(|answer, actor, ctx| {
            let done = match answered(answer) {
                Ok((done, spool, thinned)) => {
                    if let LocalDone::Front(Some((_, batch))) = &done
                        && let Some(oldest) = batch.results.first()
                    {
                        actor.board.health.written_through.store(oldest.started_at.0, Relaxed);
                    }
                    if actor.local_error.take().is_some() {
                        actor.board.health.set_state_db(None);
                        info!(actor.log, "state.db can be written again");
                    }
                    if let Some(len) = spool {
                        // With room again, the next time is news.
                        actor.spool_full_logged &= len.bytes > actor.limits.spool_bytes / 2;
                        actor.board.health.set_spool(len.batches, len.results, len.bytes);
                    }
                    if thinned > 0 {
                        actor.board.health.thinned.fetch_add(thinned, Relaxed);
                        if !std::mem::replace(&mut actor.spool_full_logged, true) {
                            warn!(
                                actor.log,
                                "the spool in state.db is full: rows of passing results are left out, the oldest first, \
                                their counts are kept; bring the database back, or raise state.max_size";
                                "state.max_size" => actor.limits.spool_bytes, "thinned" => thinned
                            );
                        }
                    }
                    done
                }
                Err(error) => {
                    let text = error.to_string();
                    if actor.local_error.as_ref() != Some(&text) {
                        error!(actor.log, "state.db cannot be written; it will be tried again"; "error" => #&error);
                        actor.board.health.set_state_db(Some(text.clone()));
                        actor.local_error = Some(text);
                    }
                    LocalDone::Failed
                }
            };
            actor.flow.local_done(done, actor.clock.now());
            actor.pump(ctx);
        }));
    }

    /// The main database came after the start: sets the counters right that targets were started with.
    fn rebase(&mut self, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.rebasing, true) {
            return;
        }
        let own = self.flow.writer();
        let (main, local) = (self.main.clone(), self.local.clone());
        let work = async move {
            let stored = answered(
                main.send(Query::new(|store| {
                    let statuses = store.load_statuses()?;
                    Ok((statuses, store.marks()?))
                }))
                .await,
            )?;
            let (statuses, marks) = stored;
            let mut counters: HashMap<SubjectId, Counters> =
                statuses.into_iter().map(|s| (s.subject, s.state.counters)).collect();
            let unwritten = answered(
                local
                    .send(LocalQuery::new(move |db| {
                        let mut sum: HashMap<SubjectId, Counters> = HashMap::new();
                        db.spool_each(|batch| {
                            let mark = marks.get(&batch.writer).copied().unwrap_or(0);
                            if batch.writer != own && batch.number > mark {
                                for status in &batch.statuses {
                                    sum.entry(status.subject).or_default().add(&status.delta);
                                }
                            }
                        })?;
                        Ok(sum)
                    }))
                    .await,
            )?;
            for (id, delta) in unwritten {
                counters.entry(id).or_default().add(&delta);
            }
            Ok::<_, StoreError>(counters)
        };
        ctx.spawn(work.into_actor(self).map(|result, actor, ctx| {
            actor.rebasing = false;
            match result {
                Ok(truth) => {
                    for (id, guess) in actor.guessed.take().unwrap_or_default() {
                        if let Some(entry) = id.target().and_then(|id| actor.board.get(id)) {
                            let correction = truth.get(&id).copied().unwrap_or_default().minus(&guess);
                            entry.lock().state.counters.add(&correction);
                        }
                    }
                    actor.flow.hold(false);
                    actor.pump(ctx);
                }
                Err(error) => actor.database_is(Err(&error)),
            }
        }));
    }

    fn database_is(&self, state: Result<(), &StoreError>) {
        let now = self.clock.utc_now();
        let changed = self.board.health.database.set(state.map_err(ToString::to_string), now);
        match (changed, state) {
            (true, Ok(())) => info!(self.log, "the database is back: what was spooled is being written"),
            (true, Err(error)) => {
                warn!(self.log, "the database is away: probing goes on, results are spooled in state.db"; "error" => #error);
            }
            (false, _) => {}
        }
    }
}

impl Actor for Persistence {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.pump(ctx);
    }
}

impl Handler<Records> for Persistence {
    type Result = ();

    fn handle(&mut self, Records(records): Records, ctx: &mut Self::Context) {
        self.board.count(&records, self.clock.now());
        if self.pending.is_empty() && self.flow.results_in_memory() == 0 && self.board.health.spool().1 == 0 {
            // All that was is written: what is owed from now on is no older than this.
            self.board.health.written_through.store(self.clock.utc_now().0, Relaxed);
        }
        let mut urgent = false;
        let room = self.limits.queue_size.saturating_sub(self.pending.len() + self.flow.results_in_memory());
        self.queue_full_logged &= room < self.limits.queue_size / 2;
        for (i, mut record) in records.into_iter().enumerate() {
            if let Some(change) = &record.incident {
                urgent = true;
                let status = StatusRecord { subject: record.subject, state: record.state.clone(), delta: record.delta };
                // Where `cut` will put it: batches are cut from the front, each as large as it may be.
                let ahead = i64::try_from(self.pending.len() / self.limits.batch_size).unwrap_or(0);
                self.flow.transition(self.flow.next_number() + ahead, status, change.clone());
            }
            if i >= room && record.result.as_ref().is_some_and(|r| r.verdict == Verdict::Pass) {
                record.result = None;
                self.board.health.thinned.fetch_add(1, Relaxed);
                if !std::mem::replace(&mut self.queue_full_logged, true) {
                    warn!(
                        self.log,
                        "the queue of results is full: rows of passing results are left out, their counts are kept; raise \
                        persistence.queue_size, or see why state.db takes nothing";
                        "persistence.queue_size" => self.limits.queue_size
                    );
                }
            }
            self.pending.push(record);
        }
        if self.pending.len() >= self.limits.batch_size {
            self.cut();
            self.pump(ctx);
        } else {
            if !std::mem::replace(&mut self.flush_armed, true) {
                ctx.run_later(self.limits.flush_interval, |actor, ctx| {
                    actor.flush_armed = false;
                    actor.cut();
                    actor.pump(ctx);
                });
            }
            if urgent {
                self.pump(ctx);
            }
        }
    }
}

impl Handler<IsSafe> for Persistence {
    type Result = bool;

    fn handle(&mut self, _: IsSafe, _ctx: &mut Self::Context) -> bool {
        self.pending.is_empty() && self.flow.is_safe()
    }
}

impl Handler<Flush> for Persistence {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Flush, ctx: &mut Self::Context) -> Self::Result {
        let (done, safe) = oneshot::channel();
        self.waiting.push(done);
        self.cut();
        self.pump(ctx);
        Box::pin(async move {
            // An error means that the actor has gone, and with it what could be waited for.
            let _gone = safe.await;
        })
    }
}
