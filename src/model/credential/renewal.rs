//! When to log in again: before a token expires, and after a login that failed. Pure: durations in, duration out.
//!
//! ```text
//!  login |----------- renew_after ----------->|--jitter--|-- min(120 s, lifetime/4) --| expiry
//!  rejected      30 s, 1 min, 2 min … 15 min      (an account may be locked by too many tries)
//!  unreachable   1 s, 2 s, 4 s … 30 s            (but not before the service's Retry-After)
//! ```

use std::time::Duration;

use crate::model::reason::Reason;

/// A token is renewed at the latest so long before it expires; 120 s are keystoneauth's.
const MAX_MARGIN: Duration = Duration::from_secs(120);
/// The first wait after a refusal, and the longest.
const REJECTED: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(15 * 60));
/// The first wait after any other failure, and the longest.
const UNREACHABLE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// No `Retry-After` is followed for longer.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(15 * 60);

/// How long after its login a token is renewed: `lifetime - min(120 s, lifetime / 4)`, and by up to a quarter of that
/// margin earlier, so that several daemons with one credential do not log in at the same moment. `jitter` is 0 to 1 by
/// chance.
#[must_use]
pub fn renew_after(lifetime: Duration, jitter: f64) -> Duration {
    let margin = MAX_MARGIN.min(lifetime / 4);
    let jitter = if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 0.0 };
    lifetime - margin - (margin / 4).mul_f64(jitter)
}

/// How long to wait after `failures` logins in a row (1 or more) that failed for `reason`. The count starts anew when
/// the reason changes. `retry_after` is what the service asked for: never is it asked sooner, up to 15 min.
#[must_use]
pub fn backoff(reason: Reason, failures: u32, retry_after: Option<Duration>) -> Duration {
    let (first, longest) = if reason == Reason::IdentityRejected { REJECTED } else { UNREACHABLE };
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    let wait = first.saturating_mul(doubled).min(longest);
    wait.max(retry_after.unwrap_or_default().min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_token_is_renewed_two_minutes_or_a_quarter_before_its_end() {
        assert_eq!(renew_after(s(3600), 0.0), s(3480));
        assert_eq!(renew_after(s(3600), 1.0), s(3450));
        assert_eq!(renew_after(s(30), 0.0), Duration::from_millis(22_500));
        assert_eq!(renew_after(s(480), 0.0), s(360));
        assert_eq!(renew_after(s(480), f64::NAN), s(360));
    }

    #[test]
    fn failures_wait_longer_and_longer() {
        let waits = |reason, n: &[u32]| n.iter().map(|n| backoff(reason, *n, None).as_secs()).collect::<Vec<_>>();
        assert_eq!(waits(Reason::IdentityRejected, &[1, 2, 3, 5, 6, 7, 1000]), [30, 60, 120, 480, 900, 900, 900]);
        assert_eq!(waits(Reason::IdentityUnreachable, &[0, 1, 2, 3, 6, 7, 1000]), [1, 1, 2, 4, 30, 30, 30]);
        assert_eq!(waits(Reason::AuthConfig, &[1, 9]), [1, 30]);
        assert_eq!(backoff(Reason::IdentityUnreachable, 1, Some(s(90))), s(90));
        assert_eq!(backoff(Reason::IdentityUnreachable, 7, Some(s(5))), s(30));
        assert_eq!(backoff(Reason::IdentityUnreachable, 1, Some(s(86_400))), s(900));
    }

    proptest! {
        #[test]
        fn renewal_comes_before_expiry_and_never_in_the_first_half(ms in 1_u64..100_000_000_000, jitter in -1.0_f64..2.0) {
            let lifetime = Duration::from_millis(ms);
            let after = renew_after(lifetime, jitter);
            let margin = s(120).min(lifetime / 4);
            prop_assert!(after <= lifetime - margin);
            prop_assert!(after >= lifetime - margin - margin / 4);
            prop_assert!(after >= lifetime / 2);
        }

        #[test]
        fn no_wait_is_shorter_than_the_one_before(failures in 1_u32..2000, asked in proptest::option::of(0_u64..10_000), rejected in any::<bool>()) {
            let reason = if rejected { Reason::IdentityRejected } else { Reason::IdentityUnreachable };
            let asked = asked.map(s);
            prop_assert!(backoff(reason, failures + 1, asked) >= backoff(reason, failures, asked));
            prop_assert!(backoff(reason, failures, asked) <= s(900));
            prop_assert!(backoff(reason, failures, asked) >= asked.unwrap_or_default().min(s(900)));
        }
    }
}
