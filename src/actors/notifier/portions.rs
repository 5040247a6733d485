//! How many transitions the notifier takes in one turn.
//!
//! A storm of them is worked off by its age, whatever a turn takes. In its first second the processors are full with what must
//! be done at once, probes, results and incidents: the notifier keeps out of their way, since nobody is told before the group
//! wait ends. 10,000 take 2.7 s, 30,000 take 4.8 s.

use std::time::Duration;

use crate::model::time::Mono;

/// From one taking to the next while all that was there was taken. A single transition waits for nothing.
const QUICK_TURN: Duration = Duration::from_millis(20);
/// The same in a storm: few turns take many.
const STORM_TURN: Duration = Duration::from_millis(100);
/// Taken in the first turn, and at least in each.
const LEAST: u64 = 40;
/// Taken at most in one turn, to bound what is in memory.
const MOST: u64 = 5000;
/// For so long a storm is left alone but for [`LEAST`].
const CALM_MS: u64 = 1000;
/// Transitions a second then; each further second adds half as many.
const RATE: u64 = 4000;

/// The portions of one storm after another.
#[derive(Debug, Default)]
pub struct Portions {
    /// When the storm began, and what was taken of it since.
    storm: Option<(Mono, u64)>,
}

impl Portions {
    /// How many to take now.
    pub fn next(&mut self, now: Mono) -> u32 {
        let (began, taken) = *self.storm.get_or_insert((now, 0));
        let ms = u64::try_from(now.since(began).as_millis()).unwrap_or(u64::MAX).min(3_600_000);
        let worked = ms.saturating_sub(CALM_MS);
        let by_now = RATE * worked / 1000 + RATE * worked * worked / 4_000_000;
        u32::try_from(by_now.saturating_sub(taken).clamp(LEAST, MOST)).unwrap_or(u32::MAX)
    }

    /// From the last taking to the next.
    pub fn turn(&self) -> Duration {
        if self.storm.is_some() { STORM_TURN } else { QUICK_TURN }
    }

    /// So many of them came, and there `may_be_more`.
    pub fn took(&mut self, count: usize, may_be_more: bool) {
        match &mut self.storm {
            Some((_, taken)) if may_be_more => *taken += count as u64,
            storm => *storm = None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Works off `all` with turns of so many ms; how long it took.
    fn worked_off(all: u64, turn_ms: u64) -> u64 {
        let (mut portions, mut left, mut ms) = (Portions::default(), all, 0);
        loop {
            let portion = u64::from(portions.next(Mono(ms * 1000)));
            let came = portion.min(left);
            left -= came;
            portions.took(usize::try_from(came).unwrap(), came == portion);
            if came < portion {
                return ms;
            }
            ms += turn_ms;
        }
    }

    #[test]
    fn a_storm_is_worked_off_in_the_same_time_by_quick_and_by_slow_turns() {
        for turn in [100, 250, 500] {
            assert!((2500..=3250).contains(&worked_off(10_000, turn)), "{turn}: {}", worked_off(10_000, turn));
            assert!((4500..=5250).contains(&worked_off(30_000, turn)), "{turn}: {}", worked_off(30_000, turn));
        }
    }

    #[test]
    fn what_is_few_is_taken_at_once_and_the_next_storm_begins_anew() {
        let mut portions = Portions::default();
        assert_eq!(portions.next(Mono(0)), 40);
        portions.took(3, false);
        assert_eq!(portions.turn(), QUICK_TURN);
        assert_eq!(portions.next(Mono(3_600_000_000)), 40);
        portions.took(40, true);
        assert_eq!(portions.turn(), STORM_TURN);
        assert_eq!(portions.next(Mono(3_602_000_000)), 4000 + 1000 - 40);
    }

    #[test]
    fn a_pause_in_a_storm_asks_for_no_more_than_the_bound() {
        let mut portions = Portions::default();
        let first = portions.next(Mono(0));
        portions.took(usize::try_from(first).unwrap(), true);
        assert_eq!(portions.next(Mono(60_000_000)), 5000);
    }
}
