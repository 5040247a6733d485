//! How many transitions the notifier takes in one turn.
//!
//! A storm of them is worked off by its age, whatever a turn takes. While it breaks out the processors are full with what must
//! be done at once, probes, results and incidents: the notifier keeps out of their way but for the first, since nobody is told
//! before the group wait ends. 10,000 take 3.2 s, 30,000 take 5.3 s.

use std::time::Duration;

use crate::model::time::Mono;

/// From one taking to the next while all that was there was taken. A single transition waits for nothing.
const QUICK_TURN: Duration = Duration::from_millis(20);
/// The same in a storm: few turns take many.
const STORM_TURN: Duration = Duration::from_millis(100);
/// Taken at once, and at least in each turn. More than that is a storm.
const LEAST: u64 = 100;
/// Taken at most in one turn, to bound what is in memory.
const MOST: u64 = 5000;
/// For so long a storm is left alone at most, but for the first [`LEAST`]; and no longer than three tenths of the shortest group
/// wait, so that what belongs together is told together.
const CALM: Duration = Duration::from_millis(1500);
/// Transitions a second then; each further second adds half as many.
const RATE: u64 = 4000;

/// The portions of one storm after another.
#[derive(Debug, Default)]
pub struct Portions {
    /// When the storm began, and what was taken of it since.
    storm: Option<(Mono, u64)>,
    calm: Duration,
}

impl Portions {
    /// How many to take now, where some notifier waits for company for no longer than `shortest_wait`.
    pub fn next(&mut self, now: Mono, shortest_wait: Duration) -> u32 {
        self.calm = CALM.min(shortest_wait / 10 * 3);
        let (began, taken) = *self.storm.get_or_insert((now, 0));
        let worked = now.since(began).saturating_sub(self.calm).as_millis();
        let worked = u64::try_from(worked).unwrap_or(u64::MAX).min(3_600_000);
        let by_now = RATE * worked / 1000 + RATE * worked * worked / 4_000_000;
        u32::try_from(by_now.saturating_sub(taken).clamp(LEAST, MOST)).unwrap_or(u32::MAX)
    }

    /// When to take again, if the last time was that.
    pub fn again_at(&self, last: Mono) -> Mono {
        match self.storm {
            Some((began, _)) => (last + STORM_TURN).max(began + self.calm),
            None => last + QUICK_TURN,
        }
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

    /// The default.
    const WAIT: Duration = Duration::from_secs(5);

    /// Works off `all`, each turn so many ms late; how long it took.
    fn worked_off(all: u64, late_ms: u64) -> u64 {
        let (mut portions, mut left, mut now) = (Portions::default(), all, Mono(0));
        loop {
            let portion = u64::from(portions.next(now, WAIT));
            let came = portion.min(left);
            left -= came;
            portions.took(usize::try_from(came).unwrap(), came == portion);
            if came < portion {
                return now.0 / 1000;
            }
            now = portions.again_at(now) + Duration::from_millis(late_ms);
        }
    }

    #[test]
    fn a_storm_is_worked_off_in_the_same_time_by_quick_and_by_slow_turns() {
        for late in [0, 150, 400] {
            assert!((3100..=3800).contains(&worked_off(10_000, late)), "{late}: {}", worked_off(10_000, late));
            assert!((5200..=6000).contains(&worked_off(30_000, late)), "{late}: {}", worked_off(30_000, late));
        }
    }

    #[test]
    fn what_is_few_is_taken_at_once_and_the_next_storm_begins_anew() {
        let mut portions = Portions::default();
        assert_eq!(portions.next(Mono(0), WAIT), 100);
        portions.took(3, false);
        assert_eq!(portions.again_at(Mono(0)), Mono(20_000));
        assert_eq!(portions.next(Mono(3_600_000_000), WAIT), 100);
        portions.took(100, true);
        assert_eq!(portions.again_at(Mono(3_600_000_000)), Mono(3_601_500_000), "the storm is left alone");
        assert_eq!(portions.next(Mono(3_602_500_000), WAIT), 4000 + 1000 - 100);
        portions.took(4900, true);
        assert_eq!(portions.again_at(Mono(3_602_500_000)), Mono(3_602_600_000));
    }

    #[test]
    fn a_storm_is_not_left_alone_where_nobody_waits_for_company() {
        let mut portions = Portions::default();
        let first = portions.next(Mono(0), Duration::ZERO);
        portions.took(usize::try_from(first).unwrap(), true);
        assert_eq!(portions.again_at(Mono(0)), Mono(100_000));
        assert_eq!(portions.next(Mono(100_000), Duration::from_secs(1)), 100);
        assert_eq!(portions.again_at(Mono(100_000)), Mono(300_000));
    }

    #[test]
    fn a_pause_in_a_storm_asks_for_no_more_than_the_bound() {
        let mut portions = Portions::default();
        let first = portions.next(Mono(0), WAIT);
        portions.took(usize::try_from(first).unwrap(), true);
        assert_eq!(portions.next(Mono(60_000_000), WAIT), 5000);
    }
}
