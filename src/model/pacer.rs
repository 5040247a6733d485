//! One target's rhythm: which due times become probes and which are missed.
//!
//! ```text
//!   wake(now) --free--> start the latest due time        finished(now) --one waits--> start it, late
//!           '--busy--> it waits; one that waited already is missed
//! ```
//!
//! At most one probe of a target runs at a time and at most one due time waits, so a stall or a hanging target never
//! leads to a burst. Every due time ends as started or as missed.

use super::schedule::Schedule;
use super::time::Mono;

/// The rhythm of one target.
#[derive(Debug, Clone)]
pub struct Pacer {
    schedule: Schedule,
    next: Mono,
    running: Running,
    waiting: Option<Mono>,
    /// The due time of the running probe.
    due: Mono,
    /// Due times that the running probe has kept from being served.
    kept_out: u64,
    missed: u64,
    overslept: u64,
    crowded: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Running {
    No,
    /// A probe of a due time.
    Scheduled,
    /// The first probe of a new target, which belongs to no due time.
    Extra,
}

impl Pacer {
    /// Begins with the first due time after `now`.
    #[must_use]
    pub fn new(schedule: Schedule, now: Mono) -> Pacer {
        Pacer::resume(schedule, schedule.first_after(now))
    }

    /// Goes on where an earlier one stopped: due times since `next` that have passed will be counted.
    #[must_use]
    pub fn resume(schedule: Schedule, next: Mono) -> Pacer {
        Pacer {
            schedule,
            next,
            running: Running::No,
            waiting: None,
            due: Mono(0),
            kept_out: 0,
            missed: 0,
            overslept: 0,
            crowded: 0,
        }
    }

    /// When to wake up next.
    #[must_use]
    pub fn next(&self) -> Mono {
        self.next
    }

    /// Begins an extra probe at once, unless one runs.
    pub fn start_extra(&mut self) -> bool {
        let free = self.running == Running::No;
        if free {
            self.running = Running::Extra;
        }
        free
    }

    /// The alarm for [`Pacer::next`] has rung. Gives the due time to start now, if any.
    pub fn wake(&mut self, now: Mono) -> Option<Mono> {
        if now < self.next {
            return None;
        }
        let latest = self.schedule.last_until(now).max(self.next);
        let overslept = self.schedule.rungs(self.next, latest);
        self.missed += overslept;
        self.overslept += overslept;
        self.next = self.schedule.first_after(latest);
        if self.running == Running::No {
            Some(self.begin(latest))
        } else {
            if self.waiting.replace(latest).is_some() {
                self.missed += 1;
                self.kept_out += 1;
            }
            None
        }
    }

    fn begin(&mut self, due: Mono) -> Mono {
        (self.running, self.due, self.kept_out) = (Running::Scheduled, due, 0);
        due
    }

    /// The running probe, which had its turn at `started`, has ended. Gives the due time that has waited for it, to be
    /// started now, unless it is more than half a frequency late: a target that always runs into its deadline would never
    /// be on time again.
    pub fn finished(&mut self, started: Mono, now: Mono) -> Option<Mono> {
        let was = std::mem::replace(&mut self.running, Running::No);
        let waited = self.waiting.take();
        let too_late = waited.is_some_and(|due| now.since(due) > self.schedule.frequency() / 2);
        self.missed += u64::from(too_late);
        self.kept_out += u64::from(too_late);
        if was == Running::Scheduled && self.kept_out > 0 {
            // What went by while it waited for its turn is not its doing.
            let (from, to) = (self.schedule.first_after(self.due), self.schedule.first_after(started));
            self.crowded += self.schedule.rungs(from, to).min(self.kept_out);
        }
        self.kept_out = 0;
        waited.filter(|_| !too_late).map(|due| self.begin(due))
    }

    /// The target is stopped: what runs or waits will not be finished.
    pub fn abandon(&mut self) {
        self.missed += u64::from(self.running == Running::Scheduled) + u64::from(self.waiting.take().is_some());
        self.running = Running::No;
    }

    /// The frequency has changed: begins anew with the first due time after `now`; what runs goes on.
    pub fn reschedule(&mut self, schedule: Schedule, now: Mono) {
        self.missed += u64::from(self.waiting.take().is_some());
        self.schedule = schedule;
        self.next = schedule.first_after(now);
    }

    /// Missed due times since the last call.
    pub fn take_missed(&mut self) -> u64 {
        std::mem::take(&mut self.missed)
    }

    /// Those of the missed due times, since the last call, at which the probe before had not had its turn yet.
    pub fn take_crowded(&mut self) -> u64 {
        std::mem::take(&mut self.crowded)
    }

    /// Those of the missed due times, since the last call, at which nothing of ours ran; all others but those that were
    /// crowded out are missed because the probe before took so long.
    pub fn take_overslept(&mut self) -> u64 {
        std::mem::take(&mut self.overslept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::target::TargetId;
    use proptest::prelude::*;
    use std::time::Duration;

    proptest! {
        /// Walks through wake-ups (some very late) and ends of probes in any order.
        #[test]
        fn every_due_time_is_started_or_missed(
            id in 1i64..1000, f_ms in 100u64..5000,
            events in proptest::collection::vec((0u64..20_000_000, any::<bool>()), 1..60),
        ) {
            let schedule = Schedule::new(TargetId(id), Duration::from_millis(f_ms), 123_456_789);
            let mut now = Mono(0);
            let mut pacer = Pacer::new(schedule, now);
            let first = pacer.next();
            let (mut started, mut running, mut last) = (0u64, false, None);
            for (pass, finish) in events {
                now = Mono(now.0 + pass);
                let due = if finish && running {
                    running = false;
                    let begun = last.unwrap_or(now);
                    pacer.finished(Mono(begun.0 + (now.0 - begun.0) / 2), now)
                } else {
                    pacer.wake(now)
                };
                if let Some(due) = due {
                    prop_assert!(!running, "two at a time");
                    prop_assert!(due <= now, "before it is due");
                    prop_assert!(last.is_none_or(|l| l < due), "twice or backwards");
                    last = Some(due);
                    running = true;
                    started += 1;
                }
            }
            let before = running;
            pacer.abandon();
            // `abandon` gives up the running one, which was started.
            let missed = pacer.take_missed() - u64::from(before);
            prop_assert!(pacer.take_overslept() + pacer.take_crowded() <= missed, "more than there are");
            prop_assert_eq!(started + missed, schedule.rungs(first, pacer.next()));
        }
    }

    #[test]
    fn after_a_stall_only_the_latest_due_time_starts() {
        let schedule = Schedule::new(TargetId(1), Duration::from_secs(1), 0);
        let mut pacer = Pacer::new(schedule, Mono(0));
        let first = pacer.next();
        let now = Mono(first.0 + 60_500_000);
        let due = pacer.wake(now).unwrap();
        assert!(now.since(due) < Duration::from_secs(1));
        assert_eq!(pacer.take_missed(), 60);
        assert_eq!(pacer.wake(now), None, "no burst");
    }

    #[test]
    fn a_due_time_that_waited_too_long_is_missed_and_the_next_one_is_on_time() {
        let schedule = Schedule::new(TargetId(1), Duration::from_secs(1), 0);
        let mut pacer = Pacer::new(schedule, Mono(0));
        let first = pacer.next();
        assert!(pacer.start_extra());
        assert_eq!(pacer.wake(first), None);
        assert_eq!(pacer.finished(first, Mono(first.0 + 600_000)), None);
        assert_eq!(pacer.take_missed(), 1);
        assert_eq!(pacer.wake(pacer.next()), Some(Mono(first.0 + 1_000_000)));
    }

    #[test]
    fn a_probe_that_ends_at_its_deadline_costs_no_due_time() {
        // The timeout equals the frequency: the next due time waits a moment and then starts.
        let schedule = Schedule::new(TargetId(1), Duration::from_secs(1), 0);
        let mut pacer = Pacer::new(schedule, Mono(0));
        for _ in 0..10 {
            let at = pacer.next();
            if pacer.wake(at).is_none() {
                assert_eq!(pacer.finished(at, at), Some(at));
            }
        }
        assert_eq!(pacer.take_missed(), 0);
    }

    #[test]
    fn what_goes_by_while_a_probe_waits_for_its_turn_is_crowded_out() {
        let schedule = Schedule::new(TargetId(1), Duration::from_secs(1), 0);
        let seconds = |from: Mono, n: u64| Mono(from.0 + n * 1_000_000);
        for (turn, crowded) in [(0, 0), (1, 1), (3, 3), (5, 4)] {
            let mut pacer = Pacer::new(schedule, Mono(0));
            let first = pacer.next();
            assert_eq!(pacer.wake(first), Some(first));
            for n in 1..=5 {
                assert_eq!(pacer.wake(seconds(first, n)), None);
            }
            // The last one is served; whatever went by after its turn is the target's doing.
            let end = Mono(seconds(first, 5).0 + 100_000);
            assert_eq!(pacer.finished(seconds(first, turn), end), Some(seconds(first, 5)));
            assert_eq!((pacer.take_missed(), pacer.take_crowded(), pacer.take_overslept()), (4, crowded, 0), "{turn}");
        }
    }
}
