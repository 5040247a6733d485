//! The only place that reads time.
//!
//! A [`Clock`] ties the monotonic clock to the wall clock once, at its making: due times are then followed on the
//! monotonic clock and cannot be moved by a step of the wall clock. [`Clock::manual`] is the double for tests: time
//! passes when the test says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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

/// A clock; clones share it.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: Source,
    /// Wall-clock microseconds (UTC) at `Mono(0)`.
    wall_us_at_zero: u64,
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
        }))
    }

    /// A clock that stands at `wall` until [`Clock::advance`] is called.
    #[must_use]
    pub fn manual(wall: UtcMs) -> Clock {
        Clock(Arc::new(Inner {
            source: Source::Manual(AtomicU64::new(0)),
            wall_us_at_zero: wall.0.max(0).unsigned_abs() * 1000,
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

    /// Wall-clock microseconds (UTC) at `Mono(0)`.
    #[must_use]
    pub fn wall_us_at_zero(&self) -> u64 {
        self.0.wall_us_at_zero
    }

    /// The wall-clock time of a moment.
    #[must_use]
    pub fn utc(&self, at: Mono) -> UtcMs {
        UtcMs(i64::try_from((self.0.wall_us_at_zero + at.0) / 1000).unwrap_or(i64::MAX))
    }

    /// Now, for people and the database.
    #[must_use]
    pub fn utc_now(&self) -> UtcMs {
        self.utc(self.now())
    }
}
