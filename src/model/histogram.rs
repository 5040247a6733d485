//! A histogram of durations: how many lie below each of a few fixed bounds, and their sum.
//!
//! The bounds are those of Prometheus's `le`: a duration counts in the first bucket whose bound it does not exceed.

/// Bounds of the durations of probes and of their phases, in microseconds: 1 ms to 30 s.
pub const DURATION_US: &[u32] = &[
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000, 30_000_000,
];

/// Bounds of lateness, in microseconds: 0.5 ms to 10 s.
pub const LATENESS_US: &[u32] = &[
    500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000, 5_000_000,
    10_000_000,
];

/// Durations by size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    bounds: &'static [u32],
    /// One a bound, and one for what lies above all of them.
    counts: Box<[u64]>,
    sum_us: u64,
}

impl Histogram {
    /// Nothing in it. `bounds` grow.
    #[must_use]
    pub fn new(bounds: &'static [u32]) -> Histogram {
        Histogram { bounds, counts: vec![0; bounds.len() + 1].into(), sum_us: 0 }
    }

    /// Counts a duration.
    pub fn record(&mut self, us: u32) {
        let bucket = self.bounds.partition_point(|bound| *bound < us);
        self.counts[bucket] += 1;
        self.sum_us = self.sum_us.saturating_add(us.into());
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum in microseconds.
    #[must_use]
    pub fn sum_us(&self) -> u64 {
        self.sum_us
    }

    /// Each bound with how many do not exceed it; what lies above all of them is in [`Histogram::count`] only.
    pub fn cumulative(&self) -> impl Iterator<Item = (u32, u64)> {
        self.bounds.iter().zip(&self.counts).scan(0, |sum, (bound, n)| {
            *sum += n;
            Some((*bound, *sum))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_up_to_its_bound() {
        let mut h = Histogram::new(&[10, 20]);
        for us in [0, 10, 11, 20, 21, u32::MAX] {
            h.record(us);
        }
        assert_eq!(h.cumulative().collect::<Vec<_>>(), [(10, 2), (20, 4)]);
        assert_eq!((h.count(), h.sum_us()), (6, 62 + u64::from(u32::MAX)));
        for bounds in [DURATION_US, LATENESS_US] {
            assert!(bounds.is_sorted_by(|a, b| a < b));
        }
    }
}
