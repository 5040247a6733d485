//! The only place that reads time.
//!
//! A [`Clock`] ties the monotonic clock to the wall clock once, at its making: due times are then followed on the
//! monotonic clock and cannot be moved by a step of the wall clock. What people and the database are shown follows such
//! a step (a clock that was set, a machine that slept): [`Clock::follow_wall`]. [`Clock::manual`] is the double for
//! tests: time passes when the test says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::model::time::{Mono, UtcMs};

/// The wall clock as it stands now, steps included: for the stamps of log lines, which must agree with those of other
/// programs on the machine. Everything else asks a [`Clock`].
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads time")]
pub fn wall_now() -> UtcMs {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UtcMs(i64::try_from(wall.as_millis()).unwrap_or(i64::MAX))
}

/// A smaller difference is no step: both clocks are read one after the other, and are slewed together.
pub const STEP: std::time::Duration = std::time::Duration::from_millis(100);

/// A clock; clones share it.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: Source,
    /// Wall-clock microseconds (UTC) at `Mono(0)`.
    wall_us_at_zero: u64,
    /// By how much the wall clock has stepped since then, in microseconds.
    stepped_us: AtomicI64,
}

#[derive(Debug)]
enum Source {
    System(Instant),
    Manual(AtomicU64),
}

impl Clock {
    /// The system's clock.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads time")]
    pub fn system() -> Clock {
        let origin = Instant::now();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock(Arc::new(Inner {
            source: Source::System(origin),
            wall_us_at_zero: u64::try_from(wall.as_micros()).unwrap_or(u64::MAX),
            stepped_us: AtomicI64::new(0),
        }))
    }

    /// A clock that stands at `wall` until [`Clock::advance`] is called.
    #[must_use]
    pub fn manual(wall: UtcMs) -> Clock {
        Clock(Arc::new(Inner {
            source: Source::Manual(AtomicU64::new(0)),
            wall_us_at_zero: wall.0.max(0).unsigned_abs() * 1000,
            stepped_us: AtomicI64::new(0),
        }))
    }

    /// Lets `by` pass on a manual clock; the system's clock goes its own way.
    pub fn advance(&self, by: std::time::Duration) {
        if let Source::Manual(us) = &self.0.source {
            us.fetch_add(crate::model::time::micros(by), Ordering::SeqCst);
        }
    }

    /// Now, for ordering and measuring.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads time")]
    pub fn now(&self) -> Mono {
        match &self.0.source {
            Source::System(origin) => {
                Mono(u64::try_from(Instant::now().duration_since(*origin).as_micros()).unwrap_or(u64::MAX))
            }
            Source::Manual(us) => Mono(us.load(Ordering::SeqCst)),
        }
    }

    /// Wall-clock microseconds (UTC) at `Mono(0)`, as they were then: what due times are reckoned from.
    #[must_use]
    pub fn wall_us_at_zero(&self) -> u64 {
        self.0.wall_us_at_zero
    }

    /// Looks at the machine's wall clock, to be called about once a second: when it has stepped, the times shown by this
    /// clock go by it from now on. A manual clock stays as it is.
    pub fn follow_wall(&self) {
        if let Source::System(_) = self.0.source {
            self.follow(wall_now());
        }
    }

    fn follow(&self, now: UtcMs) {
        let off = (now.0 - self.utc_now().0) * 1000;
        if off.unsigned_abs() > crate::model::time::micros(STEP) {
            self.0.stepped_us.fetch_add(off, Ordering::Relaxed);
        }
    }

    /// The wall-clock time of a moment.
    #[must_use]
    pub fn utc(&self, at: Mono) -> UtcMs {
        let unstepped = i64::try_from(self.0.wall_us_at_zero + at.0).unwrap_or(i64::MAX);
        UtcMs(unstepped.saturating_add(self.0.stepped_us.load(Ordering::Relaxed)) / 1000)
    }

    /// Now, for people and the database.
    #[must_use]
    pub fn utc_now(&self) -> UtcMs {
        self.utc(self.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_step_of_the_wall_clock_moves_what_is_shown_and_not_what_is_due() {
        let clock = Clock::manual(UtcMs(1_000_000));
        clock.advance(Duration::from_secs(1));
        clock.follow(UtcMs(1_001_050));
        assert_eq!(clock.utc_now(), UtcMs(1_001_000), "slewing is no step");
        for step in [3_600_000, -7_200_000] {
            let (zero, mono, shown) = (clock.wall_us_at_zero(), clock.now(), clock.utc_now().0);
            clock.follow(UtcMs(shown + step));
            assert_eq!(clock.utc_now(), UtcMs(shown + step));
            assert_eq!((clock.wall_us_at_zero(), clock.now()), (zero, mono));
        }
    }
}
