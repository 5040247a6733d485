//! Changed definitions are put in force by difference, and part by part: ten thousand at once hold up no probe.
//!
//! ```text
//!   Apply --by--> Part, answered when its actors have started and stopped --> the next Part
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use actix::prelude::*;
use actix_rt::ArbiterHandle;
use slog::{info, warn};
use tokio::sync::oneshot;

use super::Supervisor;
use crate::actors::arbiter::Records;
use crate::actors::target::{Redefine, StopTarget, TargetActor};
use crate::board::Entry;
use crate::model::account::account_withdrawal;
use crate::model::definition::{Definition, Problem};
use crate::model::state::TargetState;
use crate::model::subject::SubjectId;
use crate::model::target::{Target, TargetId};
use crate::model::text::shorten;

/// So many definitions are put in force before the threads that probe have another turn: 100 starts take about a
/// millisecond.
const PART: usize = 100;

/// Of the name of a row that is wrong, so many characters are logged.
const MAX_NAME: usize = 128;

/// A definition that has changed: fit to be probed, or why not.
pub type Changed = Result<Arc<Target>, Box<(Definition, Vec<Problem>)>>;

/// Puts changed definitions in force.
pub struct Apply {
    /// New and changed definitions.
    pub changed: Vec<Changed>,
    /// Targets that are gone.
    pub removed: Vec<TargetId>,
    /// States for targets that are seen for the first time.
    pub states: HashMap<SubjectId, TargetState>,
}

impl Apply {
    /// Has it done part by part, so that however many they are, those that are probed already keep their schedule and the
    /// supervisor hears what else it is told. Returns when all are in force.
    ///
    /// # Errors
    /// The daemon stops.
    pub async fn by(mut self, supervisor: &Addr<Supervisor>) -> Result<(), MailboxError> {
        let (mut changed, mut removed) = (self.changed.into_iter(), self.removed.into_iter());
        loop {
            let changed_now: Vec<_> = changed
                .by_ref()
                .take(PART)
                .map(|changed| {
                    let state = self.states.remove(&id_of(&changed).into());
                    (changed, state.unwrap_or_default())
                })
                .collect();
            let removed_now: Vec<_> = removed.by_ref().take(PART).collect();
            let last = changed.len() == 0 && removed.len() == 0;
            supervisor.send(Part { changed: changed_now, removed: removed_now, last }).await?;
            if last {
                return Ok(());
            }
        }
    }
}

/// A part of an [`Apply`]. Answered when it is in force.
#[derive(Message)]
#[rtype(result = "()")]
struct Part {
    /// Each with the state that it has if it is seen for the first time.
    changed: Vec<(Changed, TargetState)>,
    removed: Vec<TargetId>,
    last: bool,
}

impl Supervisor {
    fn apply_one(&mut self, changed: Changed, unseen: TargetState, stops: &mut Vec<Stopping>) {
        let id = id_of(&changed);
        let entry = self.board.get(id).unwrap_or_else(|| {
            let entry = Entry::new(None, unseen);
            self.board.insert(id, Arc::clone(&entry));
            entry
        });
        match changed {
            Err(row) => {
                let list = row.1.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                let kept = entry.lock().target.is_some();
                warn!(self.log, "the row of a target cannot be applied"; "target" => id.0, "name" => shorten(&row.0.name, MAX_NAME).into_owned(),
                    "problems" => list.clone(), "last_good_definition_goes_on" => kept);
                let mut data = entry.lock();
                if !kept {
                    data.state.status_description = list.into();
                }
                data.invalid = Some(row);
            }
            Ok(target) => {
                {
                    let mut data = entry.lock();
                    data.target = Some(Arc::clone(&target));
                    data.invalid = None;
                }
                match (target.enabled, self.slots.get(&id).and_then(|s| s.addr.clone())) {
                    (true, Some(addr)) => addr.do_send(Redefine(target)),
                    (true, None) if self.slots.contains_key(&id) => {} // restarts after its pause, with the new definition
                    (true, None) => self.start(target, entry, None),
                    (false, _) => stops.push(self.stop_one(id, entry)),
                }
            }
        }
    }

    /// Takes a target out of service; its incident is withdrawn when its actor has stopped.
    fn stop_one(&mut self, id: TargetId, entry: Arc<Entry>) -> Stopping {
        let addr = self.slots.remove(&id).and_then(|s| s.addr);
        Stopping { id, entry, addr }
    }

    fn withdraw(&mut self, id: TargetId, entry: &Entry) {
        let at = self.clock.utc_now();
        let recorded = {
            let mut data = entry.lock();
            let state = std::mem::take(&mut data.state);
            let (state, recorded) = account_withdrawal(state, id.into(), at);
            data.state = state;
            recorded
        };
        if let Some(recorded) = recorded {
            info!(self.log, "an open incident ends because its target is no longer watched"; "target" => id.0);
            self.sink.do_send(Records(vec![recorded]));
        }
    }
}

/// An actor on its way out.
struct Stopping {
    id: TargetId,
    entry: Arc<Entry>,
    addr: Option<Addr<TargetActor>>,
}

impl Handler<Part> for Supervisor {
    // Atomic: two changes of one target must not overtake each other while its actor stops.
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, part: Part, _ctx: &mut Self::Context) -> Self::Result {
        let mut stops = Vec::new();
        if !self.stopping {
            for (changed, unseen) in part.changed {
                self.apply_one(changed, unseen, &mut stops);
            }
            for id in part.removed {
                if let Some(entry) = self.board.remove(id) {
                    stops.push(self.stop_one(id, entry));
                }
            }
            if part.last {
                self.board.definitions.send_replace(());
            }
        }
        if !stops.is_empty() {
            self.board.gone.notify_one();
        }
        let turns: Vec<_> = self.arbiters.iter().map(turn).collect();
        AtomicResponse::new(Box::pin(
            async move {
                let stopped: Vec<_> = stops.iter().filter_map(|s| Some(s.addr.as_ref()?.send(StopTarget))).collect();
                for stopped in stopped {
                    // An error means that it has stopped already.
                    let _stopped = stopped.await;
                }
                for turn in turns {
                    // It ends with an error by design: the sender is dropped.
                    let _turned = turn.await;
                }
                stops
            }
            .into_actor(self)
            .map(|stops, actor, _ctx| {
                for stopping in stops {
                    actor.withdraw(stopping.id, &stopping.entry);
                }
            }),
        ))
    }
}

/// Ends when an arbiter has made the actors that it was told to make, and each has had its first turn.
fn turn(arbiter: &ArbiterHandle) -> oneshot::Receiver<()> {
    let (done, turned) = oneshot::channel();
    arbiter.spawn_fn(move || {
        // Behind the actors' own tasks.
        actix_rt::spawn(async move { drop(done) });
    });
    turned
}

fn id_of(changed: &Changed) -> TargetId {
    match changed {
        Ok(target) => target.id,
        Err(row) => TargetId(row.0.id),
    }
}
