//! The service manager's watchdog is fed as long as everything that probes makes progress.
//!
//! ```text
//!  every quarter of the interval: each thread is asked --a timer of its own fires--> its turn is noted
//!                                 the supervisor is asked --its mailbox comes to it--> its turn is noted
//!  all have turned within half of the interval? -- yes --> WATCHDOG=1
//!                                               '- no --> an error in the log; without food the manager ends us
//! ```
//!
//! The loop itself runs on the main arbiter, so that one is known to turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use actix::Addr;
use actix_rt::ArbiterHandle;
use slog::{Logger, error, info};

use super::manager::Manager;
use crate::actors::supervisor::{Pulse, Supervisor};
use crate::clock::Clock;
use crate::model::time::Mono;

/// The pause on the asked thread: shows that its timers fire, as they must for targets to be probed.
const TICK: Duration = Duration::from_millis(10);

/// Something that must go on turning.
struct Wheel {
    name: String,
    turned: Arc<AtomicU64>,
    asked: Arc<AtomicBool>,
}

impl Wheel {
    fn new(name: String, now: Mono) -> Wheel {
        Wheel { name, turned: Arc::new(AtomicU64::new(now.0)), asked: Arc::default() }
    }

    /// What notes a turn; `None` while the last question has no answer, so that questions do not pile up.
    fn question(&self, clock: &Clock) -> Option<impl Fn() + Send + 'static> {
        if self.asked.swap(true, Relaxed) {
            return None;
        }
        let (clock, turned, asked) = (clock.clone(), Arc::clone(&self.turned), Arc::clone(&self.asked));
        Some(move || {
            turned.store(clock.now().0, Relaxed);
            asked.store(false, Relaxed);
        })
    }

    fn is_stuck(&self, now: Mono, within: Duration) -> bool {
        now.since(Mono(self.turned.load(Relaxed))) > within
    }
}

/// Feeds the watchdog for ever, where the manager wants it.
pub async fn feed(
    manager: Manager,
    arbiters: Vec<ArbiterHandle>,
    supervisor: Addr<Supervisor>,
    clock: Clock,
    log: Logger,
) {
    let Some(interval) = Manager::watchdog() else { return };
    let now = clock.now();
    let threads: Vec<(ArbiterHandle, Wheel)> = arbiters
        .into_iter()
        .zip(1..)
        .map(|(arbiter, n)| (arbiter, Wheel::new(format!("probing thread {n}"), now)))
        .collect();
    let of_supervisor = Wheel::new("supervisor".into(), now);
    let mut told = Vec::new();
    loop {
        for (arbiter, wheel) in &threads {
            if let Some(turn) = wheel.question(&clock) {
                // A thread that has ended does not turn either.
                let _asked = arbiter.spawn(async move {
                    tokio::time::sleep(TICK).await;
                    turn();
                });
            }
        }
        if let Some(turn) = of_supervisor.question(&clock) {
            supervisor.do_send(Pulse(Box::new(turn)));
        }
        tokio::time::sleep(interval / 4).await;
        let now = clock.now();
        let all = threads.iter().map(|(_, wheel)| wheel).chain([&of_supervisor]);
        let stuck: Vec<&str> = all.filter(|w| w.is_stuck(now, interval / 2)).map(|w| w.name.as_str()).collect();
        if stuck.is_empty() {
            manager.feed();
        }
        if stuck != told {
            match stuck.is_empty() {
                true => info!(log, "all threads turn again, the watchdog is fed"),
                false => error!(log, "a thread does not turn: the watchdog is not fed, and systemd will start this \
                    service anew"; "stuck" => stuck.join(", "),
                    "watchdog_ms" => u64::try_from(interval.as_millis()).unwrap_or(u64::MAX)),
            }
            told = stuck.into_iter().map(str::to_owned).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::UtcMs;

    #[test]
    fn a_wheel_is_stuck_when_its_last_turn_is_too_long_ago_and_is_asked_once() {
        let clock = Clock::manual(UtcMs(0));
        let wheel = Wheel::new("one".into(), clock.now());
        let second = Duration::from_secs(1);
        let turn = wheel.question(&clock).unwrap();
        assert!(wheel.question(&clock).is_none(), "the first question has no answer yet");
        clock.advance(second);
        assert!(!wheel.is_stuck(clock.now(), second));
        clock.advance(second);
        assert!(wheel.is_stuck(clock.now(), second));
        turn();
        assert!(!wheel.is_stuck(clock.now(), second));
        assert!(wheel.question(&clock).is_some());
    }
}
