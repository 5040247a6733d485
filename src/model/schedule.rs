//! When a target is due: computed from its id and frequency alone, so that it never drifts.
//!
//! ```text
//!   wall clock:   |----slot----*------frequency------*------frequency------*
//!                 k·f          due(k)                due(k+1)
//! ```
//!
//! Due times lie at `slot + k × frequency` of the wall clock, rounded down to a grid of 5 ms: targets that are due in
//! the same grid step share one wake-up. Between start and stop they are followed on the monotonic clock. After a stall
//! the due times that have passed are skipped and counted, never made up for in a burst.

use std::time::Duration;

use super::ids::splitmix64;
use super::target::TargetId;
use super::time::{Mono, micros};

/// Start times are rounded down to this grid. Half of it is the least lateness of the targets that share a step when the
/// machine is full; below it wake-ups cost more than they bring (benches/README.md).
pub const GRID: Duration = Duration::from_millis(5);

/// The shortest frequency that makes sense on that grid.
pub const MIN_FREQUENCY: Duration = Duration::from_millis(100);

/// A target's place within its frequency: hash of the id, so that any number of targets spreads evenly and each keeps
/// its place over restarts.
#[must_use]
pub fn slot(id: TargetId, frequency: Duration) -> Duration {
    let hash = u128::from(splitmix64(id.0.cast_unsigned()));
    let slot = (hash * u128::from(micros(frequency))) >> 64;
    Duration::from_micros(u64::try_from(slot).unwrap_or(0))
}

/// The due times of one target on the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    frequency_us: u64,
    /// Some due time before rounding to the grid, modulo the frequency: due times are `phase + k × frequency`.
    phase_us: u64,
    /// What rounds down to a wall-clock multiple of the grid: `(t + grid_offset) % GRID == 0`.
    grid_offset_us: u64,
}

/// A due time, and how many before it were missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// When to start.
    pub at: Mono,
    /// Due times that passed without a chance to start.
    pub missed: u64,
}

impl Schedule {
    /// The schedule of a target, given the wall-clock microseconds (UTC) at `Mono(0)`.
    #[must_use]
    pub fn new(id: TargetId, frequency: Duration, wall_us_at_zero: u64) -> Schedule {
        let f = micros(frequency).max(micros(MIN_FREQUENCY));
        let into = wall_us_at_zero % f;
        let slot = micros(slot(id, frequency));
        Schedule { frequency_us: f, phase_us: (slot + f - into) % f, grid_offset_us: wall_us_at_zero % micros(GRID) }
    }

    /// Time between due times.
    #[must_use]
    pub fn frequency(&self) -> Duration {
        Duration::from_micros(self.frequency_us)
    }

    /// The first due time after `now`.
    #[must_use]
    pub fn first_after(&self, now: Mono) -> Mono {
        // Rounding moves a due time down by less than a grid step, so start one period early and step up.
        let mut k = now.0.saturating_sub(self.phase_us) / self.frequency_us;
        loop {
            let due = self.due(k);
            if due > now {
                return due;
            }
            k += 1;
        }
    }

    /// The last due time at or before `now`; `Mono(0)` when there was none.
    #[must_use]
    pub fn last_until(&self, now: Mono) -> Mono {
        let mut k = now.0.saturating_sub(self.phase_us) / self.frequency_us + 1;
        loop {
            let due = self.due(k);
            if due <= now {
                return due;
            }
            if k == 0 {
                return Mono(0);
            }
            k -= 1;
        }
    }

    /// How many due times lie from `from` to before `to`, both due times themselves.
    #[must_use]
    pub fn rungs(&self, from: Mono, to: Mono) -> u64 {
        // Rounding to the grid moves each by less than half a frequency.
        (to.0.saturating_sub(from.0) + self.frequency_us / 2) / self.frequency_us
    }

    /// What comes after the due time `last`, at the moment `now`: the next due time that has not passed, and how many
    /// have passed meanwhile.
    #[must_use]
    pub fn next_due(&self, last: Mono, now: Mono) -> Due {
        let next = self.first_after(last);
        if next > now {
            return Due { at: next, missed: 0 };
        }
        let at = self.first_after(now);
        Due { at, missed: self.rungs(next, at) }
    }

    fn due(&self, k: u64) -> Mono {
        let t = self.phase_us.saturating_add(k.saturating_mul(self.frequency_us));
        let over = (t + self.grid_offset_us) % micros(GRID);
        Mono(t.saturating_sub(over))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_schedule() -> impl Strategy<Value = (Schedule, u64, u64)> {
        (1i64..1_000_000_000, 100u64..100_000_000, 0u64..4_000_000_000_000_000).prop_map(|(id, f_ms, wall)| {
            let f = Duration::from_millis(f_ms);
            (Schedule::new(TargetId(id), f, wall), f_ms * 1000, wall)
        })
    }

    proptest! {
        #[test]
        fn due_times_are_those_of_id_and_frequency_alone(
            id in 1i64..1_000_000, f_ms in 100u64..10_000_000, wall in 0u64..4_000_000_000_000_000, now in 0u64..10_000_000_000_000u64,
        ) {
            let f = Duration::from_millis(f_ms);
            let due = Schedule::new(TargetId(id), f, wall).first_after(Mono(now));
            let on_wall = due.0 + wall;
            prop_assert_eq!(on_wall % micros(GRID), 0);
            let slot = micros(slot(TargetId(id), f));
            // Undo the rounding: the ladder's rung lies less than one grid step above.
            let to_rung = (slot + f_ms * 1000 - on_wall % (f_ms * 1000)) % (f_ms * 1000);
            prop_assert!(to_rung < micros(GRID), "{to_rung} us from its rung");
        }

        #[test]
        fn the_next_due_time_is_in_the_future_and_within_one_frequency(
            (s, f_us, _) in any_schedule(), last in 0u64..10_000_000_000, stall in 0u64..100_000_000_000,
        ) {
            let last = s.first_after(Mono(last));
            let now = Mono(last.0 + stall);
            let due = s.next_due(last, now);
            prop_assert!(due.at > now);
            prop_assert!(due.at.0 - now.0 <= f_us + micros(GRID));
        }

        #[test]
        fn nothing_that_was_due_is_silently_missing(
            (s, f_us, _) in any_schedule(), start in 0u64..10_000_000_000, stalls in proptest::collection::vec(0u64..10_000_000_000, 1..20),
        ) {
            // Walk with stalls: started + missed due times must be as many as fit between first and last.
            let first = s.first_after(Mono(start));
            let (mut at, mut count) = (first, 0);
            for stall in stalls {
                let due = s.next_due(at, Mono(at.0 + stall));
                count += 1 + due.missed;
                at = due.at;
            }
            let expected = (at.0 - first.0 + f_us / 2) / f_us;
            prop_assert_eq!(count, expected);
        }

        #[test]
        fn no_drift((s, f_us, _) in any_schedule(), start in 0u64..10_000_000_000) {
            let first = s.first_after(Mono(start));
            let mut at = first;
            for _ in 0..1000 {
                at = s.next_due(at, at).at;
            }
            let off = (at.0 - first.0).abs_diff(1000 * f_us);
            prop_assert!(off < micros(GRID), "{off} us after 1000 periods");
        }
    }

    #[test]
    fn slots_spread_evenly() {
        let f = Duration::from_secs(10);
        let mut buckets = [0u32; 100];
        for id in 1..=100_000 {
            buckets[usize::try_from(slot(TargetId(id), f).as_millis() / 100).unwrap()] += 1;
        }
        let (low, high) = (buckets.iter().min().unwrap(), buckets.iter().max().unwrap());
        assert!(*low > 850 && *high < 1150, "{low}..{high} of 1000 a bucket");
    }
}
