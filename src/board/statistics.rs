//! Counters of the daemon itself: how many probes, how late, how many in flight.

use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::model::time::Mono;

/// Buckets of the lateness histogram: 8 a power of two, so a value is known to about 6 %.
const BUCKETS: usize = 32 * 8;

/// Length of a window of the lateness histogram and of the rate.
const WINDOW_US: u64 = 60_000_000;

/// All of it; every field is written by many threads.
#[derive(Debug, Default)]
pub struct Statistics {
    /// Probes started, those of new targets included.
    pub started: AtomicU64,
    /// Due times at which no probe could start.
    pub missed: AtomicU64,
    /// Those of them at which nothing of ours ran: stopped, asleep, or far too busy.
    pub overslept: AtomicU64,
    /// Those of them at which the probe before still waited for its turn (`probe.young_limit`).
    pub crowded: AtomicU64,
    /// Probes under way.
    pub in_flight: AtomicI64,
    /// Target actors that panicked and were started anew.
    pub restarts: AtomicU64,
    lateness: Lateness,
    rate: Rate,
}

/// Lateness of the last one to two minutes, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LatenessSummary {
    /// Half of the probes started within this.
    pub p50: u32,
    /// 99 of 100 did.
    pub p99: u32,
    /// The latest.
    pub max: u32,
}

impl Statistics {
    /// Counts a scheduled start.
    pub fn scheduled_start(&self, now: Mono, lateness_us: u32) {
        self.lateness.record(now, lateness_us);
    }

    /// Counts any start.
    pub fn any_start(&self, now: Mono) {
        self.started.fetch_add(1, Relaxed);
        self.rate.record(now);
    }

    /// Lateness over the last one to two minutes.
    #[must_use]
    pub fn lateness(&self) -> LatenessSummary {
        self.lateness.summary()
    }

    /// Starts per second over the last ten whole seconds.
    #[must_use]
    pub fn per_second(&self, now: Mono) -> f64 {
        self.rate.per_second(now)
    }
}

/// Two windows: the one being filled and the one before.
#[derive(Debug)]
struct Lateness {
    window: AtomicU64,
    counts: [[AtomicU32; BUCKETS]; 2],
    max: [AtomicU32; 2],
}

impl Default for Lateness {
    fn default() -> Self {
        let row = || std::array::from_fn(|_| AtomicU32::new(0));
        Lateness { window: AtomicU64::new(0), counts: [row(), row()], max: [AtomicU32::new(0), AtomicU32::new(0)] }
    }
}

impl Lateness {
    fn record(&self, now: Mono, us: u32) {
        let window = now.0 / WINDOW_US;
        let last = self.window.load(Relaxed);
        if window > last && self.window.compare_exchange(last, window, Relaxed, Relaxed).is_ok() {
            // One thread clears the row that is filled next (both after a gap); a count that slips in between is lost.
            let rows: &[u64] = if window == last + 1 { &[0] } else { &[0, 1] };
            for row in rows {
                let i = usize::from((window + row) % 2 == 1);
                self.counts[i].iter().for_each(|c| c.store(0, Relaxed));
                self.max[i].store(0, Relaxed);
            }
        }
        let row = usize::from(window % 2 == 1);
        self.counts[row][bucket(us)].fetch_add(1, Relaxed);
        self.max[row].fetch_max(us, Relaxed);
    }

    fn summary(&self) -> LatenessSummary {
        let counts: Vec<u64> = (0..BUCKETS)
            .map(|i| u64::from(self.counts[0][i].load(Relaxed)) + u64::from(self.counts[1][i].load(Relaxed)))
            .collect();
        let max = self.max[0].load(Relaxed).max(self.max[1].load(Relaxed));
        let total: u64 = counts.iter().sum();
        let quantile = |q: f64| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "a rank"
            )]
            let rank = ((total as f64) * q).ceil() as u64;
            let mut seen = 0;
            for (i, n) in counts.iter().enumerate() {
                seen += n;
                if seen >= rank.max(1) {
                    return upper_bound(i).min(max);
                }
            }
            0
        };
        LatenessSummary { p50: quantile(0.5), p99: quantile(0.99), max }
    }
}

fn bucket(us: u32) -> usize {
    if us < 8 {
        return us as usize;
    }
    let power = 31 - us.leading_zeros();
    let within = (us >> (power - 3)) & 7;
    ((power - 2) * 8 + within) as usize
}

fn upper_bound(bucket: usize) -> u32 {
    let b = u32::try_from(bucket).unwrap_or(0);
    if b < 8 {
        return b;
    }
    let (power, within) = (b / 8 + 2, b % 8);
    let low = (8 + u64::from(within)) << (power - 3);
    u32::try_from(low + (1 << (power - 3)) - 1).unwrap_or(u32::MAX)
}

/// Starts of the last seconds: a ring of sixteen (second, count) pairs packed into one word each.
#[derive(Debug, Default)]
struct Rate([AtomicU64; 16]);

impl Rate {
    fn record(&self, now: Mono) {
        let second = now.0 / 1_000_000;
        let cell = &self.0[(second % 16) as usize];
        let old = cell.load(Relaxed);
        let first = old >> 32 != second;
        // Whoever comes second in a new second finds the cell renewed.
        if !first || cell.compare_exchange(old, (second << 32) | 1, Relaxed, Relaxed).is_err() {
            cell.fetch_add(1, Relaxed);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn per_second(&self, now: Mono) -> f64 {
        let second = now.0 / 1_000_000;
        let span = second.min(10);
        let sum: u64 = self
            .0
            .iter()
            .map(|c| c.load(Relaxed))
            .filter(|c| (c >> 32) < second && (c >> 32) + span >= second)
            .map(|c| c & 0xffff_ffff)
            .sum();
        if span == 0 { 0.0 } else { sum as f64 / span as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_ordered_and_hold_their_values() {
        let mut last = 0;
        for us in (0..4096).chain([10_000, 1_000_000, u32::MAX]) {
            let b = bucket(us);
            assert!(b >= last && b < BUCKETS);
            last = b;
            assert!(upper_bound(b) >= us, "{us}");
            assert!(f64::from(upper_bound(b)) <= f64::from(us) * 1.13 + 1.0, "{us}: {}", upper_bound(b));
        }
    }

    #[test]
    fn lateness_and_rate_of_known_starts() {
        let s = Statistics::default();
        for i in 0..10_000u64 {
            let now = Mono(i * 1000);
            s.any_start(now);
            s.scheduled_start(now, if i % 100 == 0 { 5000 } else { 1000 });
        }
        let l = s.lateness();
        assert!((1000..1130).contains(&l.p50), "{l:?}");
        assert_eq!(l.max, 5000);
        assert!((s.per_second(Mono(10_000_000)) - 1000.0).abs() < 1.0);
        // Long after, the old windows are gone.
        s.scheduled_start(Mono(600_000_000), 7);
        assert_eq!(s.lateness(), LatenessSummary { p50: 7, p99: 7, max: 7 });
    }
}
