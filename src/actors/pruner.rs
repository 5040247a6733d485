//! Removes results that are older than they are kept, in steps so small that no writer waits for them.

use std::time::Duration;

use actix::prelude::*;
use slog::{Logger, debug, warn};

use super::databases::{Database, Query, answered};
use crate::clock::Clock;
use crate::model::time::UtcMs;

/// Rows a step.
const STEP: u32 = 1000;
/// Pause between steps while there is more to remove: 20,000 rows a second.
const SHORT_PAUSE: Duration = Duration::from_millis(50);
/// Pause when there is nothing to remove.
const LONG_PAUSE: Duration = Duration::from_secs(10);

/// The pruner.
pub struct Pruner {
    keep: Duration,
    clock: Clock,
    log: Logger,
    main: Addr<Database>,
    failed: bool,
}

impl Pruner {
    /// Keeps results for `keep`.
    #[must_use]
    pub fn new(keep: Duration, clock: Clock, log: Logger, main: Addr<Database>) -> Pruner {
        Pruner { keep, clock, log, main, failed: false }
    }

    fn step(&mut self, ctx: &mut Context<Self>) {
        let keep = i64::try_from(self.keep.as_millis()).unwrap_or(i64::MAX);
        let before = UtcMs(self.clock.utc_now().0.saturating_sub(keep));
        let sent = self.main.send(Query::new(move |store| store.prune_results(before, STEP)));
        ctx.spawn(sent.into_actor(self).map(|answer, actor, ctx| {
            let pause = match answered(answer) {
                Ok(n) if n >= STEP => SHORT_PAUSE,
                Ok(n) => {
                    if n > 0 {
                        debug!(actor.log, "old results removed"; "rows" => n);
                    }
                    actor.failed = false;
                    LONG_PAUSE
                }
                Err(error) => {
                    if !std::mem::replace(&mut actor.failed, true) && !error.is_away() {
                        warn!(actor.log, "old results cannot be removed; it will be tried again"; "error" => #&error);
                    }
                    LONG_PAUSE
                }
            };
            ctx.run_later(pause, Pruner::step);
        }));
    }
}

impl Actor for Pruner {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_later(LONG_PAUSE, Pruner::step);
    }
}
