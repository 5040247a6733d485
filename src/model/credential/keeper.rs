//! What a token actor decides: who gets which token, when to log in, when to leave the identity service in peace.
//!
//! ```text
//!  ask(refused?) --> AtHand(token) | Failed(why) | Wait            (one login for all who wait)
//!  wake(now)     --> Login | nothing, and when to look again
//!  logged_in / login_failed --> state, backoff
//!
//!   no token --login--> valid --renew_at--> valid, renewing --expires--> (a renewal that fails is told only then)
//!      '---- failed: tried again by backoff, whoever asks meanwhile ----'
//! ```
//!
//! Pure: tokens are anything with a serial number, times are given.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::renewal::{backoff, renew_after};
use crate::model::ids::splitmix64;
use crate::model::reason::Reason;
use crate::model::target::TargetId;
use crate::model::time::Mono;
use crate::model::token::Token;

/// Not used in its last moments (and at most a tenth of its life): the service would see it expire.
const MARGIN: Duration = Duration::from_secs(5);
/// A target whose service has refused two tokens in a row causes no third login for so long; doubles.
const REFUSED_FIRST: Duration = Duration::from_secs(30);
/// A target that the catalog leads nowhere does not have it fetched again for so long; doubles. Who doubts the catalog so
/// soon after another is served by the same login.
const DOUBT_FIRST: Duration = Duration::from_secs(10);
/// For so long it is remembered who doubted: a target may be probed less often than its pause is long.
const DOUBT_REMEMBERED: Duration = Duration::from_hours(1);
/// Longest of either.
const PAUSE_LONGEST: Duration = Duration::from_mins(10);

/// With so many notes of targets those that count no longer are thrown away.
const MANY: usize = 64;

/// A token as the keeper sees it.
pub trait Held: Clone {
    /// Unlike that of any other token of this process.
    fn serial(&self) -> u64;
    /// From its issue to its end, by the server's own times.
    fn lifetime(&self) -> Duration;
}

impl Held for Arc<Token> {
    fn serial(&self) -> u64 {
        self.serial
    }

    fn lifetime(&self) -> Duration {
        self.lifetime
    }
}

/// What somebody who asks gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<T, E> {
    /// This token. After a refusal it may be the one that was refused: then it is not doubted again so soon.
    AtHand(T),
    /// None, and no login will be tried for this.
    Failed(E),
    /// A login is due or under way: wait for its end.
    Wait,
}

/// The token and troubles of one credential.
#[derive(Debug)]
pub struct Keeper<T, E> {
    held: Option<Valid<T>>,
    failed: Option<Failed<E>>,
    running: bool,
    /// Somebody waits.
    wanted: bool,
    /// Asked for since the last login.
    used: bool,
    seed: u64,
    refusals: HashMap<TargetId, Pause>,
    doubts: HashMap<TargetId, Pause>,
    /// When the catalog was last fetched anew for a doubt.
    doubted: Option<Mono>,
}

#[derive(Debug)]
struct Valid<T> {
    token: T,
    renew_at: Mono,
    /// Not given to anybody from then on.
    until: Mono,
}

#[derive(Debug)]
struct Failed<E> {
    why: E,
    reason: Reason,
    next_at: Mono,
    times: u32,
}

#[derive(Debug, Clone, Copy)]
struct Pause {
    last: Mono,
    pause: Duration,
}

impl<T: Held, E: Clone> Keeper<T, E> {
    /// Without a token. `seed` spreads the renewals of several credentials.
    #[must_use]
    pub fn new(seed: u64) -> Keeper<T, E> {
        Keeper {
            held: None,
            failed: None,
            running: false,
            wanted: false,
            used: false,
            seed,
            refusals: HashMap::new(),
            doubts: HashMap::new(),
            doubted: None,
        }
    }

    /// The token, if it may be used now.
    #[must_use]
    pub fn at_hand(&self, now: Mono) -> Option<&T> {
        self.held.as_ref().filter(|h| now < h.until).map(|h| &h.token)
    }

    /// Why there is none, while that is so.
    #[must_use]
    pub fn failure(&self, now: Mono) -> Option<&E> {
        if self.at_hand(now).is_some() { None } else { self.failed.as_ref().map(|f| &f.why) }
    }

    /// Until when the token is given to those who ask.
    #[must_use]
    pub fn good_until(&self) -> Option<Mono> {
        self.held.as_ref().map(|h| h.until)
    }

    /// What the last login failed with; the token of an earlier one may still hold.
    #[must_use]
    pub fn last_failure(&self) -> Option<&E> {
        self.failed.as_ref().map(|f| &f.why)
    }

    /// A login is under way.
    #[must_use]
    pub fn is_logging_in(&self) -> bool {
        self.running
    }

    /// `target` asks. `refused`: its service has answered 401 to the token of that serial.
    pub fn ask(&mut self, now: Mono, target: TargetId, refused: Option<u64>) -> Answer<T, E> {
        self.used = true;
        if let Some(serial) = refused
            && self.held.as_ref().is_some_and(|h| h.token.serial() == serial)
            && self.may_doubt(now, target)
        {
            self.held = None;
        } else if refused.is_some() && self.running && self.at_hand(now).is_none() {
            // It takes part in the login that another one's refusal has caused.
            self.may_doubt(now, target);
        }
        if let Some(token) = self.at_hand(now) {
            return Answer::AtHand(token.clone());
        }
        match &self.failed {
            Some(failed) if !self.running && now < failed.next_at => Answer::Failed(failed.why.clone()),
            // Whoever asks while it is tried again does not wait for what has failed before.
            Some(failed) if self.running => Answer::Failed(failed.why.clone()),
            _ => {
                self.wanted = true;
                Answer::Wait
            }
        }
    }

    /// Whether a refusal of this target's service may cost a login; notes that it does.
    fn may_doubt(&mut self, now: Mono, target: TargetId) -> bool {
        now_and_then(&mut self.refusals, now, target, (REFUSED_FIRST, Duration::ZERO))
    }

    /// The catalog led `target` nowhere. Whether a fresh token, which brings a fresh catalog, is to be fetched now; the
    /// present one stays in use until then. Each target may ask for that now and then, and one login serves all who ask
    /// at about the same time.
    pub fn doubt_catalog(&mut self, now: Mono, target: TargetId) -> bool {
        let Some(held) = &mut self.held else { return false };
        if !now_and_then(&mut self.doubts, now, target, (DOUBT_FIRST, DOUBT_REMEMBERED)) {
            return false;
        }
        if self.doubted.is_some_and(|at| now.since(at) < DOUBT_FIRST) {
            return false;
        }
        held.renew_at = held.renew_at.min(now);
        (self.used, self.doubted) = (true, Some(now));
        true
    }

    /// The token lacks what somebody needs (a catalog): the next one who asks waits for another.
    pub fn discard(&mut self) {
        self.held = None;
    }

    /// The login that has just ended lacks what somebody needs who came meanwhile: it does not count, and another follows.
    pub fn insufficient(&mut self) {
        (self.held, self.wanted) = (None, true);
    }

    /// The definition has changed: nothing of the past holds. With `again` a login follows, if there was one under way or
    /// one that failed.
    pub fn reset(&mut self, again: bool) {
        let wanted = again && (self.wanted || self.running || self.failed.is_some());
        *self = Keeper { wanted, used: self.used, ..Keeper::new(self.seed) };
    }

    /// What made the last login fail may be gone: the next one need not wait.
    pub fn try_now(&mut self, now: Mono) {
        if let Some(failed) = &mut self.failed {
            failed.next_at = failed.next_at.min(now);
        }
    }

    /// Whether to log in now; if so, it counts as under way. To be asked after each [`Keeper::ask`] that says
    /// [`Answer::Wait`], and at [`Keeper::next_wake`].
    #[must_use]
    pub fn wake(&mut self, now: Mono) -> bool {
        if self.running {
            return false;
        }
        let due = match (&self.held, &self.failed) {
            (_, Some(failed)) => now >= failed.next_at,
            (Some(held), None) if now < held.until => now >= held.renew_at && self.used,
            _ => self.wanted,
        };
        if due {
            self.running = true;
        }
        due
    }

    /// When [`Keeper::wake`] may have something to do.
    #[must_use]
    pub fn next_wake(&self, now: Mono) -> Option<Mono> {
        if self.running {
            return None;
        }
        match (&self.held, &self.failed) {
            // Also at the token's end: from then on the failure counts.
            (Some(held), Some(failed)) if now < held.until => Some(failed.next_at.min(held.until)),
            (_, Some(failed)) => Some(failed.next_at),
            (Some(held), None) if now < held.renew_at => Some(held.renew_at),
            _ => None,
        }
    }

    /// A login has brought a token. `started`: when it began, which is before the token was issued.
    pub fn logged_in(&mut self, started: Mono, token: T) {
        let life = token.lifetime();
        self.held = Some(Valid {
            renew_at: started + renew_after(life, chance(self.seed ^ token.serial())),
            until: started + life.saturating_sub(MARGIN.min(life / 10)),
            token,
        });
        (self.failed, self.running, self.wanted, self.used) = (None, false, false, false);
    }

    /// A login has failed. Gives back whether there is no token any more to go on with. `retry_after` is the service's wish.
    pub fn login_failed(&mut self, now: Mono, reason: Reason, why: E, retry_after: Option<Duration>) -> bool {
        let before = self.failed.as_ref().filter(|f| f.reason == reason).map_or(0, |f| f.times);
        let times = before.saturating_add(1);
        self.failed = Some(Failed { why, reason, next_at: now + backoff(reason, times, retry_after), times });
        (self.running, self.wanted) = (false, false);
        self.at_hand(now).is_none()
    }
}

/// Whether `target` may do now what each may do only now and then; notes that it does. The pause is `first` at first and
/// doubles each time, unless the last time is `remembered` no longer, and four pauses away.
fn now_and_then(
    all: &mut HashMap<TargetId, Pause>,
    now: Mono,
    target: TargetId,
    (first, remembered): (Duration, Duration),
) -> bool {
    let counts = |p: &Pause| now.since(p.last) < p.pause.saturating_mul(4).max(remembered);
    let pause = match all.get(&target) {
        Some(p) if now.since(p.last) < p.pause => return false,
        Some(p) if counts(p) => (p.pause * 2).min(PAUSE_LONGEST),
        _ => first,
    };
    if all.len() >= MANY {
        all.retain(|_, p| counts(p));
    }
    all.insert(target, Pause { last: now, pause });
    true
}

/// 0 to 1, as good as by chance.
fn chance(seed: u64) -> f64 {
    f64::from(u32::try_from(splitmix64(seed) >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests;
