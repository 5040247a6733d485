//! Who was refused, in the log: each one that may not call, and of those that a limit has met as many as can be read.

use std::cell::Cell;
use std::time::Duration;

use slog::{Logger, warn};

use super::peer::Peer;
use crate::clock::Clock;
use crate::model::time::Mono;

/// Between two lines about limits; what came meanwhile is counted in the next one.
const PAUSE: Duration = Duration::from_secs(5);

/// Of one socket.
#[derive(Debug)]
pub struct Refusals {
    log: Logger,
    clock: Clock,
    last: Cell<Option<Mono>>,
    held_back: Cell<u64>,
}

impl Refusals {
    /// Nobody yet.
    pub fn new(log: Logger, clock: Clock) -> Refusals {
        Refusals { log, clock, last: Cell::new(None), held_back: Cell::new(0) }
    }

    /// A caller who may not: each is logged.
    pub fn right(&self, peer: Option<Peer>, asked: String, why: &str) {
        warn!(self.log, "a caller of the control socket was refused"; "uid" => peer.map(|p| p.uid),
            "pid" => peer.and_then(|p| p.pid), "asked" => asked, "why" => why.to_owned());
    }

    /// A caller that a limit has met.
    pub fn limit(&self, peer: Option<Peer>, why: &str) {
        let now = self.clock.now();
        if self.last.get().is_some_and(|last| now.since(last) < PAUSE) {
            self.held_back.set(self.held_back.get() + 1);
            return;
        }
        self.last.set(Some(now));
        warn!(self.log, "a caller of the control socket was cut off"; "uid" => peer.map(|p| p.uid),
            "pid" => peer.and_then(|p| p.pid), "why" => why.to_owned(), "more_since" => self.held_back.replace(0));
    }
}
