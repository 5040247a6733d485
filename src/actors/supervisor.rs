//! Keeps one actor for every enabled target: starts, redefines, stops, and replaces those that die.
//!
//! ```text
//!   Apply(changes) -> by difference: insert | redefine | stop      Died -> UNKNOWN outcome, pause, fresh actor
//! ```

mod apply;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use slog::{Logger, error};
use tokio::sync::mpsc::UnboundedSender;

pub use self::apply::{Apply, Changed};
use super::arbiter::{Local, Records};
use super::target::{ProbeNow, Start, StopTarget, TargetActor};
use crate::board::{Board, Entry};
use crate::clock::Clock;
use crate::model::account::{Circumstances, account};
use crate::model::ids::{IdGenerator, splitmix64};
use crate::model::outcome::{Outcome, Probe};
use crate::model::reason::Reason;
use crate::model::target::{Target, TargetId};
use crate::model::time::Mono;
use crate::model::trace::{Step, Trace};

/// First pause before a dead actor is replaced; doubles each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// After so long a life a death is the first again.
const LONG_LIFE: Duration = Duration::from_secs(600);
/// How often actors are looked at that may have died without a word.
const SWEEP: Duration = Duration::from_secs(10);

/// An actor has ended that nobody stopped.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Died {
    /// Whose.
    pub id: TargetId,
    /// Which life of it.
    pub generation: u64,
    /// A handler of the actor panicked, so no outcome was recorded; else its probe did.
    pub in_handler: bool,
    /// The due time that it would have woken up for.
    pub next_due: Mono,
}

/// Probe once, apart from the schedule; no counter is touched.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Test {
    /// What to probe.
    pub target: Arc<Target>,
    /// Gets each step as it happens.
    pub steps: UnboundedSender<Step>,
    /// Gets the outcome at the end.
    pub outcome: tokio::sync::oneshot::Sender<Outcome>,
}

/// Probe a target at once, beside its schedule; the result counts as any other. Nothing happens to a target whose probe
/// runs already, or that is not probed.
#[derive(Message, Debug, Clone, Copy)]
#[rtype(result = "()")]
pub struct ProbeSoon(pub TargetId);

/// Shows that messages are handled: what it holds is called. The watchdog asks for it.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Pulse(pub Box<dyn FnOnce() + Send>);

/// Stop all actors. Answered when all have stopped and all records are on their way.
#[derive(Message)]
#[rtype(result = "()")]
pub struct StopAll;

/// The supervisor.
pub struct Supervisor {
    board: Arc<Board>,
    clock: Clock,
    log: Logger,
    arbiters: Vec<ArbiterHandle>,
    sink: Recipient<Records>,
    ids: IdGenerator,
    slots: HashMap<TargetId, Slot>,
    generation: u64,
    stopping: bool,
}

/// The life of one enabled target.
struct Slot {
    generation: u64,
    addr: Option<Addr<TargetActor>>,
    started: Mono,
    /// Deaths in short succession.
    deaths: u32,
}

impl Supervisor {
    /// A supervisor without targets. `arbiters` have their [`Local`] installed before the first [`Apply`].
    #[must_use]
    pub fn new(
        board: Arc<Board>,
        clock: Clock,
        log: Logger,
        arbiters: Vec<ArbiterHandle>,
        sink: Recipient<Records>,
        node: u16,
    ) -> Supervisor {
        Supervisor {
            board,
            clock,
            log,
            arbiters,
            sink,
            ids: IdGenerator::new(node),
            slots: HashMap::new(),
            generation: 0,
            stopping: false,
        }
    }

    fn arbiter_of(&self, id: TargetId) -> &ArbiterHandle {
        let n = splitmix64(id.0.cast_unsigned()) % self.arbiters.len() as u64;
        &self.arbiters[usize::try_from(n).unwrap_or(0)]
    }

    fn start(&mut self, target: Arc<Target>, entry: Arc<Entry>, resume: Option<Mono>) {
        self.generation += 1;
        let (id, generation) = (target.id, self.generation);
        let start = Start { target, entry, generation, resume };
        let addr = TargetActor::start_in_arbiter(self.arbiter_of(id), move |_| match Local::current() {
            Some(local) => TargetActor::new(local, start),
            None => unreachable!("app installs a Local on every arbiter before it makes the supervisor"),
        });
        let deaths = self.slots.get(&id).map_or(0, |s| s.deaths);
        self.slots.insert(id, Slot { generation, addr: Some(addr), started: self.clock.now(), deaths });
    }

    /// Records the UNKNOWN outcome of an actor that died before it could.
    fn record_death(&mut self, entry: &Entry) {
        let now = self.clock.now();
        let at = self.clock.utc(now);
        let outcome = Outcome::not_passed(
            Reason::Internal,
            format!("the actor of this target panicked; {}", Reason::Internal.usually()),
        );
        let probe = Probe { due: now, started: now, started_at: at, outcome, trace: Trace::default() };
        let with = Circumstances {
            due_at: at,
            ended_at: at,
            missed: 0,
            result_id: self.ids.next(at.0),
            incident_id: self.ids.next(at.0),
            last_good: None,
        };
        let mut data = entry.lock();
        let Some(target) = data.target.clone() else { return };
        let state = std::mem::take(&mut data.state);
        let (state, recorded) = account(state, &target, &probe, with);
        data.state = state;
        self.sink.do_send(Records(vec![recorded]));
    }

    fn sweep(&mut self, ctx: &mut Context<Self>) {
        let silent: Vec<(TargetId, u64)> = self
            .slots
            .iter()
            .filter(|(_, s)| s.addr.as_ref().is_some_and(|a| !a.connected()))
            .map(|(id, s)| (*id, s.generation))
            .collect();
        for (id, generation) in silent {
            let next_due = self.clock.now();
            ctx.notify(Died { id, generation, in_handler: true, next_due });
        }
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(SWEEP, Supervisor::sweep);
    }
}

impl Handler<ProbeSoon> for Supervisor {
    type Result = ();

    fn handle(&mut self, ProbeSoon(id): ProbeSoon, _: &mut Self::Context) {
        if let Some(addr) = self.slots.get(&id).and_then(|slot| slot.addr.as_ref()) {
            addr.do_send(ProbeNow);
        }
    }
}

impl Handler<Pulse> for Supervisor {
    type Result = ();

    fn handle(&mut self, Pulse(turn): Pulse, _: &mut Self::Context) {
        turn();
    }
}

impl Handler<Died> for Supervisor {
    type Result = ();

    fn handle(&mut self, msg: Died, ctx: &mut Self::Context) {
        let Some(slot) = self.slots.get_mut(&msg.id).filter(|s| s.generation == msg.generation && !self.stopping)
        else {
            return;
        };
        slot.addr = None;
        let lived = self.clock.now().since(slot.started);
        slot.deaths = if lived >= LONG_LIFE { 1 } else { slot.deaths.saturating_add(1) };
        let pause = FIRST_PAUSE.saturating_mul(1 << (slot.deaths - 1).min(6)).min(LONGEST_PAUSE);
        self.board.statistics.restarts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        error!(self.log, "a target's actor panicked; a fresh one starts after a pause"; "target" => msg.id.0,
            "deaths" => slot.deaths, "pause_ms" => u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        if msg.in_handler
            && let Some(entry) = self.board.get(msg.id)
        {
            self.record_death(&entry);
        }
        let (id, generation) = (msg.id, msg.generation);
        ctx.run_later(pause, move |actor, _ctx| {
            let current = actor.slots.get(&id).is_some_and(|s| s.generation == generation && s.addr.is_none());
            if let (true, false, Some(entry)) = (current, actor.stopping, actor.board.get(id)) {
                let target = entry.lock().target.clone();
                if let Some(target) = target {
                    actor.start(target, entry, Some(msg.next_due));
                }
            }
        });
    }
}

impl Handler<Test> for Supervisor {
    type Result = ();

    fn handle(&mut self, msg: Test, _ctx: &mut Self::Context) {
        self.arbiter_of(msg.target.id).spawn_fn(move || {
            let Some(local) = Local::current() else { return };
            actix_rt::spawn(async move {
                let (outcome, _trace) = local.prober.probe(&msg.target, Some(msg.steps)).await;
                // Nobody waits any more when the caller has gone.
                let _gone = msg.outcome.send(outcome);
            });
        });
    }
}

impl Handler<StopAll> for Supervisor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: StopAll, _ctx: &mut Self::Context) -> Self::Result {
        self.stopping = true;
        let actors: Vec<Addr<TargetActor>> = self.slots.drain().filter_map(|(_, s)| s.addr).collect();
        let arbiters = self.arbiters.clone();
        Box::pin(async move {
            let stops: Vec<_> = actors.iter().map(|a| a.send(StopTarget)).collect();
            for stop in stops {
                // An error means that it has stopped already.
                let _stopped = stop.await;
            }
            for arbiter in arbiters {
                let (done, flushed) = tokio::sync::oneshot::channel::<()>();
                arbiter.spawn_fn(move || {
                    if let Some(local) = Local::current() {
                        local.recorder.flush();
                    }
                    drop(done);
                });
                // It ends with an error by design: the sender is dropped when the flush is done.
                let _flushed = flushed.await;
            }
        })
    }
}
