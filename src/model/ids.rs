//! Ids made by the application: 63 bits, unique, and in the order of time.

/// Bits below the milliseconds: 10 for the node, 12 for a sequence within the millisecond.
const NODE_BITS: u32 = 10;
const SEQ_BITS: u32 = 12;

/// 2020-01-01T00:00:00Z: 41 bits of milliseconds last until 2089.
const EPOCH_MS: i64 = 1_577_836_800_000;

/// Makes ids for results and incidents of one daemon.
///
/// 41 bits of milliseconds since 2020, 10 bits of node, 12 bits of sequence. When more than 4,096 are asked for within a
/// millisecond, or the clock steps back, the generator goes on from its last one, so ids never repeat or
/// go back while it lives.
#[derive(Debug)]
pub struct IdGenerator {
    node: i64,
    last: i64,
}

impl IdGenerator {
    /// A generator whose ids carry the low 10 bits of `node`.
    #[must_use]
    pub fn new(node: u16) -> IdGenerator {
        IdGenerator { node: i64::from(node) & ((1 << NODE_BITS) - 1), last: 0 }
    }

    /// A generator that goes on after `last`, the last id that an earlier one made.
    #[must_use]
    pub fn after(node: u16, last: i64) -> IdGenerator {
        let (ms, seq) = (last >> (NODE_BITS + SEQ_BITS), last & ((1 << SEQ_BITS) - 1));
        IdGenerator { last: (ms << SEQ_BITS) | seq, ..IdGenerator::new(node) }
    }

    /// The next id at the wall-clock time `now_ms`.
    pub fn next(&mut self, now_ms: i64) -> i64 {
        let ticks = (now_ms - EPOCH_MS).max(0) << SEQ_BITS;
        self.last = ticks.max(self.last + 1);
        let (ms, seq) = (self.last >> SEQ_BITS, self.last & ((1 << SEQ_BITS) - 1));
        (ms << (NODE_BITS + SEQ_BITS)) | (self.node << SEQ_BITS) | seq
    }

    /// The lowest id that can have been made at or after `ms`.
    #[must_use]
    pub fn first_at(ms: i64) -> i64 {
        let bits = NODE_BITS + SEQ_BITS;
        ms.saturating_sub(EPOCH_MS).clamp(0, i64::MAX >> bits) << bits
    }
}

/// Spreads consecutive numbers evenly over 64 bits (Steele, Lea, Flood 2014: SplitMix64's output function).
#[must_use]
pub fn splitmix64(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_carry_their_time_and_fit_63_bits() {
        let mut ids = IdGenerator::new(1023);
        let now = 1_795_363_200_000;
        let id = ids.next(now);
        assert!(id > 0);
        assert!(id >= IdGenerator::first_at(now) && id < IdGenerator::first_at(now + 1));
        assert!(IdGenerator::first_at(3_755_289_599_000) > 0, "2088 still fits");
        assert_eq!(IdGenerator::first_at(i64::MIN), 0);
        assert!(IdGenerator::first_at(i64::MAX) > id);
    }

    proptest! {
        #[test]
        fn ids_always_grow(times in proptest::collection::vec(1_577_836_800_000i64..3_700_000_000_000, 1..200)) {
            let mut ids = IdGenerator::new(7);
            let mut last = 0;
            for t in times {
                for _ in 0..3 {
                    let id = ids.next(t);
                    prop_assert!(id > last);
                    last = id;
                }
            }
        }
    }

    #[test]
    fn ids_go_on_after_a_restart_with_the_clock_set_back() {
        let last = IdGenerator::new(5).next(1_795_363_200_000);
        assert!(IdGenerator::after(5, last).next(1_795_000_000_000) > last);
    }

    #[test]
    fn ten_thousand_within_a_millisecond_are_distinct_and_ordered() {
        let mut ids = IdGenerator::new(1);
        let made: Vec<i64> = (0..10_000).map(|_| ids.next(1_795_363_200_000)).collect();
        assert!(made.windows(2).all(|w| w[0] < w[1]));
    }
}
