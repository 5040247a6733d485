//! The notifier: turns transitions into messages that arrive.
//!
//! ```text
//!  persistence rings --> | loop: events behind the cursor -> Book (rules) -> stored in state.db -> messages go out |
//!  notifiers changed ---> |         ^                                                                 |             |
//!  time ----------------> |         '-------------- what became of each attempt <---------------------'             |
//! ```
//!
//! It has an arbiter of its own, so that neither rendering nor a slow server ever stands before a probe. Nothing is
//! sent that state.db does not hold; what a server has answered is stored before anything else is done. What is owed
//! and when is decided by [`crate::model::outbox`]; here it is carried out.

mod copy;
mod engine;
mod portions;
mod rows;
mod sample;
mod told;

use std::rc::Rc;
use std::sync::Arc;

use actix::prelude::*;
use slog::{Logger, error};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use self::engine::Engine;
use super::databases::{Database, LocalDatabase};
use super::supervisor::ProbeSoon;
use crate::board::Board;
use crate::clock::Clock;
use crate::model::egress::EgressPolicy;
use crate::model::notifier::Notifier;
use crate::model::outbox::Rules;
use crate::notify::SendResult;
use crate::notify::channel::Channels;

pub use self::sample::SampleKind;
pub use self::told::{Fresh, fresh};

/// Send a marked sample at once, apart from everything that is owed.
#[derive(Message)]
#[rtype(result = "()")]
pub struct SendSample {
    /// To whom.
    pub notifier: Arc<Notifier>,
    /// As what.
    pub kind: SampleKind,
    /// Gets each step of the dialogue.
    pub steps: mpsc::UnboundedSender<String>,
    /// Gets what became of it.
    pub result: oneshot::Sender<SendResult>,
}

/// Stop: what is being sent is given up and stays owed. Answered when nothing will be stored any more.
#[derive(Message)]
#[rtype(result = "()")]
pub struct StopNotifier;

/// What the notifier works with.
pub struct Parts {
    /// Where notifiers and targets stand.
    pub board: Arc<Board>,
    /// Time.
    pub clock: Clock,
    /// The log.
    pub log: Logger,
    /// state.db.
    pub local: Addr<LocalDatabase>,
    /// The main database, for the copy.
    pub main: Addr<Database>,
    /// Who probes a parent at once.
    pub supervisor: Recipient<ProbeSoon>,
    /// Settings of all notifiers together; they may change.
    pub rules: watch::Receiver<Rules>,
    /// The egress policy: when it changes, what it kept back goes out.
    pub egress: watch::Receiver<Arc<EgressPolicy>>,
    /// Rings when transitions are in state.db.
    pub transitions: Arc<Notify>,
}

/// The notifier.
pub struct NotifierActor {
    parts: Rc<Parts>,
    channels: Rc<Channels>,
    running: SpawnHandle,
}

impl NotifierActor {
    /// A notifier; to be started on an arbiter of its own.
    #[must_use]
    pub fn new(parts: Parts, channels: Channels) -> NotifierActor {
        NotifierActor { parts: Rc::new(parts), channels: Rc::new(channels), running: SpawnHandle::default() }
    }
}

impl Actor for NotifierActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let mut engine = Engine::new(Rc::clone(&self.parts), Rc::clone(&self.channels));
        let copy = copy::run(Rc::clone(&self.parts));
        ctx.spawn(copy.into_actor(self));
        self.running = ctx.spawn(async move { engine.run().await }.into_actor(self).map(|(), actor, _| {
            error!(actor.parts.log, "nobody is told any more: the notifier has ended");
        }));
    }
}

impl Handler<SendSample> for NotifierActor {
    type Result = ();

    fn handle(&mut self, message: SendSample, ctx: &mut Self::Context) {
        let (channels, parts) = (Rc::clone(&self.channels), Rc::clone(&self.parts));
        ctx.spawn(async move { sample::send(&channels, &parts, message).await }.into_actor(self));
    }
}

impl Handler<StopNotifier> for NotifierActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: StopNotifier, ctx: &mut Self::Context) -> Self::Result {
        ctx.cancel_future(self.running);
        let channels = Rc::clone(&self.channels);
        Box::pin(async move { channels.close().await })
    }
}
