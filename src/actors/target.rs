//! The actor of one target: keeps its schedule and carries out what `account` decides.
//!
//! ```text
//!   alarm(next due) -> Pacer::wake -> probe (a panic stays in it)
//!                                        '-> account() -> Entry, Recorder, log -> Pacer::finished
//! ```

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use actix::prelude::*;
use futures_util::FutureExt;

use super::arbiter::Local;
use super::supervisor::Died;
use crate::board::{Entry, Seen};
use crate::model::account::{Circumstances, account};
use crate::model::outcome::{Outcome, Probe};
use crate::model::pacer::Pacer;
use crate::model::reason::{Reason, Verdict};
use crate::model::record::Recorded;
use crate::model::schedule::Schedule;
use crate::model::state::Counters;
use crate::model::target::Target;
use crate::model::time::Mono;
use crate::model::trace::packed::Packed;
use crate::model::trace::{Event, Trace};
use crate::probe::keep::Slot;

/// A new definition of the same target is in force.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Redefine(pub Arc<Target>);

/// Probe now, beside the schedule, unless a probe runs.
#[derive(Message, Debug, Clone, Copy)]
#[rtype(result = "()")]
pub struct ProbeNow;

/// Stop for good: a running probe is given up. Answered when nothing will be recorded any more.
#[derive(Message)]
#[rtype(result = "()")]
pub struct StopTarget;

/// What an actor starts with.
#[derive(Debug)]
pub struct Start {
    /// The definition.
    pub target: Arc<Target>,
    /// Its place on the board.
    pub entry: Arc<Entry>,
    /// Which life of this target this is; told back when it ends.
    pub generation: u64,
    /// The due time at which an earlier life stopped.
    pub resume: Option<Mono>,
}

/// The actor of one target.
pub struct TargetActor {
    local: Rc<Local>,
    target: Arc<Target>,
    entry: Arc<Entry>,
    generation: u64,
    pacer: Pacer,
    alarm: SpawnHandle,
    running: SpawnHandle,
    last_good: Option<Packed>,
    /// The connection of the last probe, where the target keeps it.
    kept: Slot,
    stopped_on_purpose: bool,
}

/// A finished probe, as its task gives it back.
struct Finished {
    started: Mono,
    outcome: Outcome,
    trace: Trace,
    /// A connection, and the definition that it was kept for.
    kept: Option<(Slot, Arc<Target>)>,
}

impl TargetActor {
    /// The actor; to be called on the arbiter that `local` belongs to.
    #[must_use]
    pub fn new(local: Rc<Local>, start: Start) -> TargetActor {
        let schedule = schedule(&local, &start.target);
        let pacer = match start.resume {
            Some(next) => Pacer::resume(schedule, next),
            None => Pacer::new(schedule, local.clock.now()),
        };
        TargetActor {
            local,
            target: start.target,
            entry: start.entry,
            generation: start.generation,
            pacer,
            alarm: SpawnHandle::default(),
            running: SpawnHandle::default(),
            last_good: None,
            kept: None,
            stopped_on_purpose: false,
        }
    }

    fn set_alarm(&mut self, ctx: &mut Context<Self>) {
        let wait = self.pacer.next().since(self.local.clock.now());
        self.alarm = ctx.run_later(wait, |actor, ctx| {
            if let Some(due) = actor.pacer.wake(actor.local.clock.now()) {
                actor.start_probe(Some(due), ctx);
            }
            actor.set_alarm(ctx);
        });
    }

    /// Starts a probe for a due time, or the first one of a new target (`None`).
    fn start_probe(&mut self, due: Option<Mono>, ctx: &mut Context<Self>) {
        let local = Rc::clone(&self.local);
        let target = Arc::clone(&self.target);
        let mut kept = self.kept.take();
        let probe = async move {
            let permits = match due {
                Some(_) => (local.prober.admit().await, None),
                None => (None, local.prober.admit_extra().await),
            };
            let started = local.clock.now();
            let statistics = &local.board.statistics;
            statistics.any_start(started);
            if let Some(due) = due {
                statistics.scheduled_start(started, started.us_since(due));
            }
            let _in_flight = InFlight::enter(&local);
            // The probe's future is large: it is made after admission.
            let (outcome, trace) = Box::pin(local.prober.probe_keeping(&target, &mut kept)).await;
            drop(permits);
            let kept = kept.is_some().then_some((kept, target));
            Finished { started, outcome, trace, kept }
        };
        // A panic stays in the probe. What it leaves half done is its own, or locked for single assignments only.
        let contained = AssertUnwindSafe(probe).catch_unwind();
        self.running = ctx.spawn(contained.into_actor(self).map(move |end, actor, ctx| {
            actor.finished(due, end.ok(), ctx);
        }));
    }

    /// `None`: it panicked.
    fn finished(&mut self, due: Option<Mono>, end: Option<Finished>, ctx: &mut Context<Self>) {
        let panicked = end.is_none();
        let finished = end.unwrap_or_else(|| {
            let description = format!("the probe panicked; {}", Reason::Internal.usually());
            let mut trace = Trace::default();
            trace.push(0, Event::Failed { reason: Reason::Internal, description: description.clone() });
            Finished {
                started: due.unwrap_or_else(|| self.local.clock.now()),
                outcome: Outcome::not_passed(Reason::Internal, description),
                trace,
                kept: None,
            }
        });
        let Finished { started, outcome, trace, kept } = finished;
        if let Some((kept, target)) = kept
            && Arc::ptr_eq(&target, &self.target)
        {
            self.kept = kept; // else it was made for what is no longer in force
        }
        let started_at = self.local.clock.utc(started);
        self.record(Probe { due: due.unwrap_or(started), started, started_at, outcome, trace });
        if panicked {
            // The supervisor starts a fresh actor after a pause.
            ctx.stop();
        } else if let Some(due) = self.pacer.finished(started, self.local.clock.now()) {
            self.start_probe(Some(due), ctx);
        }
    }

    fn record(&mut self, probe: Probe) {
        let local = &self.local;
        let missed = self.pacer.take_missed();
        let statistics = &local.board.statistics;
        statistics.missed.fetch_add(missed, Relaxed);
        statistics.overslept.fetch_add(self.pacer.take_overslept(), Relaxed);
        statistics.crowded.fetch_add(self.pacer.take_crowded(), Relaxed);
        let with = Circumstances {
            due_at: local.clock.utc(probe.due),
            ended_at: local.clock.utc_now(),
            missed,
            result_id: local.next_id(),
            incident_id: local.next_id(),
            last_good: self.last_good.as_ref(),
        };
        let (before, recorded) = {
            let mut data = self.entry.lock();
            let state = std::mem::take(&mut data.state);
            let before = state.status();
            let (state, recorded) = account(state, &self.target, &probe, with);
            data.state = state;
            (before, recorded)
        };
        local.log.result(&self.target, &probe, before, recorded.state.status());
        local.recorder.push(recorded);
        local.board.tell(|| Seen {
            target: Arc::clone(&self.target),
            started_at: probe.started_at,
            outcome: probe.outcome.clone(),
        });
        if probe.outcome.verdict == Verdict::Pass {
            self.last_good = Some(Packed::new(&probe.trace));
        }
    }

    /// Missed due times that no later probe will carry.
    fn record_missed(&mut self) {
        self.pacer.abandon();
        let missed = self.pacer.take_missed();
        if missed == 0 {
            return;
        }
        self.local.board.statistics.missed.fetch_add(missed, Relaxed);
        let delta = Counters { missed_count: i64::try_from(missed).unwrap_or(i64::MAX), ..Counters::default() };
        let state = {
            let mut data = self.entry.lock();
            data.state.counters.add(&delta);
            data.state.clone()
        };
        self.local.recorder.push(Recorded {
            subject: self.target.id.into(),
            result: None,
            state,
            delta,
            incident: None,
        });
    }
}

fn schedule(local: &Local, target: &Target) -> Schedule {
    Schedule::new(target.id, target.frequency, local.clock.wall_us_at_zero())
}

/// Counts a probe as in flight while it lives, however it ends.
struct InFlight(Rc<Local>);

impl InFlight {
    fn enter(local: &Rc<Local>) -> InFlight {
        local.board.statistics.in_flight.fetch_add(1, Relaxed);
        InFlight(Rc::clone(local))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.board.statistics.in_flight.fetch_sub(1, Relaxed);
    }
}

impl Actor for TargetActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let new = self.entry.lock().state.last_updated.is_none();
        if new && self.pacer.start_extra() {
            self.start_probe(None, ctx);
        }
        self.set_alarm(ctx);
    }

    /// Runs also while a panic of a handler unwinds: must not panic itself.
    fn stopped(&mut self, _ctx: &mut Self::Context) {
        if !self.stopped_on_purpose {
            self.local.supervisor.do_send(Died {
                id: self.target.id,
                generation: self.generation,
                in_handler: std::thread::panicking(),
                next_due: self.pacer.next(),
            });
        }
    }
}

impl Handler<Redefine> for TargetActor {
    type Result = ();

    fn handle(&mut self, Redefine(target): Redefine, ctx: &mut Self::Context) {
        let rhythm_changed = target.frequency != self.target.frequency;
        self.target = target;
        self.kept = None;
        if rhythm_changed {
            ctx.cancel_future(self.alarm);
            self.pacer.reschedule(schedule(&self.local, &self.target), self.local.clock.now());
            self.set_alarm(ctx);
        }
    }
}

impl Handler<ProbeNow> for TargetActor {
    type Result = ();

    fn handle(&mut self, _: ProbeNow, ctx: &mut Self::Context) {
        if self.pacer.start_extra() {
            self.start_probe(None, ctx);
        }
    }
}

impl Handler<StopTarget> for TargetActor {
    type Result = ();

    fn handle(&mut self, _: StopTarget, ctx: &mut Self::Context) {
        self.stopped_on_purpose = true;
        ctx.cancel_future(self.running);
        self.record_missed();
        // What comes after the answer, as a withdrawal, must not overtake what waits for company here.
        self.local.recorder.flush();
        ctx.stop();
    }
}
