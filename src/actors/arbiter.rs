//! What the target actors of one arbiter share: prober, recorder, ids.
//!
//! An arbiter is one thread with its own event loop. Its [`Local`] is made on that thread and stays there.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use crate::board::Board;
use crate::clock::Clock;
use crate::logging::ResultLog;
use crate::model::ids::IdGenerator;
use crate::model::record::Recorded;
use crate::probe::Prober;

use super::supervisor::Died;

/// Records wait at most this long before they go to persistence together.
const GATHER: Duration = Duration::from_millis(20);

/// So many records go at once.
const GATHER_MAX: usize = 256;

thread_local! {
    static LOCAL: OnceCell<Rc<Local>> = const { OnceCell::new() };
}

/// What the target actors of one arbiter share.
pub struct Local {
    /// Executes probes.
    pub prober: Prober,
    /// Time.
    pub clock: Clock,
    /// The read model.
    pub board: Arc<Board>,
    /// Where records go.
    pub recorder: Rc<Recorder>,
    /// The log of results.
    pub log: ResultLog,
    /// Who is told when an actor dies.
    pub supervisor: Recipient<Died>,
    ids: RefCell<IdGenerator>,
}

impl Local {
    /// Puts together what the arbiter's actors share.
    #[must_use]
    pub fn new(
        prober: Prober,
        clock: Clock,
        board: Arc<Board>,
        sink: Recipient<Records>,
        log: ResultLog,
        supervisor: Recipient<Died>,
        node: u16,
    ) -> Rc<Local> {
        let recorder = Recorder::new(sink);
        Rc::new(Local { prober, clock, board, recorder, log, supervisor, ids: RefCell::new(IdGenerator::new(node)) })
    }

    /// Makes this the arbiter's; only the first call on a thread counts.
    pub fn install(self: Rc<Self>) {
        LOCAL.with(|cell| {
            let _kept = cell.set(self);
        });
    }

    /// The present arbiter's; `None` on a thread that is no probing arbiter.
    #[must_use]
    pub fn current() -> Option<Rc<Local>> {
        LOCAL.with(|cell| cell.get().cloned())
    }

    /// An id for a result or an incident.
    pub fn next_id(&self) -> i64 {
        self.ids.borrow_mut().next(self.clock.utc_now().0)
    }
}

/// Records on their way to persistence.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Records(pub Vec<Recorded>);

/// Gathers the records of one arbiter, so that persistence gets one message for many probes.
pub struct Recorder {
    sink: Recipient<Records>,
    buffer: RefCell<Vec<Recorded>>,
    armed: Cell<bool>,
}

impl Recorder {
    fn new(sink: Recipient<Records>) -> Rc<Recorder> {
        Rc::new(Recorder { sink, buffer: RefCell::default(), armed: Cell::new(false) })
    }

    /// Takes a record; it goes on within 20 ms, a transition too: of a storm of them each would cost a transaction of its
    /// own in state.db, on the processors that probe.
    pub fn push(self: &Rc<Self>, record: Recorded) {
        let len = {
            let mut buffer = self.buffer.borrow_mut();
            buffer.push(record);
            buffer.len()
        };
        if len >= GATHER_MAX {
            self.flush();
        } else if !self.armed.replace(true) {
            let this = Rc::clone(self);
            actix_rt::spawn(async move {
                actix_rt::time::sleep(GATHER).await;
                this.armed.set(false);
                this.flush();
            });
        }
    }

    /// Sends what has gathered.
    pub fn flush(&self) {
        let records = self.buffer.take();
        if !records.is_empty() {
            // The persistence actor bounds what it keeps and counts what it must leave out.
            self.sink.do_send(Records(records));
        }
    }
}
