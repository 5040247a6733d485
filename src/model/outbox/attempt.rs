//! What the result of an attempt means.
//!
//! ```text
//!  Sent       every member is sent
//!  Transient  again after 1 s, 2 s, 4 s, … 5 min (each +-20 %), not before Retry-After; too old: expired
//!  Permanent  every member is failed; a digest that was refused for what it holds is split (split.rs)
//! ```
//!
//! What some recipients have is sent, however it ends for the others.
//!
//! A recovery that waits behind its failure is said by the failure itself as soon as that is known not to have arrived;
//! after an attempt whose outcome nobody knows it stays a message of its own.

use std::time::Duration;

use super::book::Book;
use super::progress::Progress;
use super::rows::{Dispatch, NoticeId, NoticeState};
use crate::model::egress;
use crate::model::ids::splitmix64;
use crate::model::notifier::EventKind;
use crate::model::text::shorten;
use crate::model::time::UtcMs;

/// The first gap, doubled after each attempt, …
const FIRST_GAP: Duration = Duration::from_secs(1);
/// … up to this.
const LONGEST_GAP: Duration = Duration::from_mins(5);
/// After so many failed attempts in a row a success means that the server is back: what is in retry goes at once.
const SERVER_WAS_AWAY: u32 = 3;

/// An answer is no longer than this.
const MAX_ANSWER: usize = 300;

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// Accepted; what the server said.
    Sent {
        /// Free of secrets and control characters.
        answer: String,
    },
    /// Not accepted; trying again may help.
    Transient {
        /// Free of secrets and control characters.
        why: String,
        /// Not before this, as the server said.
        after: Option<Duration>,
    },
    /// Refused for good.
    Permanent {
        /// Free of secrets and control characters.
        why: String,
        /// For what the message holds, not for whom it is to: less of it may be taken.
        content: bool,
    },
}

/// Time until the next attempt, after `attempts` of them (from 1): 1 s, doubling up to 5 min, each 20 % more or less as
/// `seed` says.
#[must_use]
pub fn backoff(attempts: u32, seed: u64) -> Duration {
    let plain = FIRST_GAP.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(LONGEST_GAP);
    let permille = 800 + u32::try_from(splitmix64(seed) % 401).unwrap_or(200);
    plain.saturating_mul(permille) / 1000
}

impl Book {
    /// Takes in what became of an attempt, and how far the message is with it. `seed` is any number: the same one gives
    /// the same jitter.
    pub fn attempted(&mut self, now: UtcMs, dispatch: i64, result: &Attempt, progress: Progress, seed: u64) {
        let now = self.see(now);
        let Some(mut row) = self.dispatches.get(&dispatch).cloned().filter(|d| d.in_flight) else { return };
        row.in_flight = false;
        row.uncertain |= progress.unanswered;
        row.progress = progress;
        let notifier = row.notifier;
        let members = Self::ids(self.index.members.get(&dispatch));
        let mut pace = self.paces.get(&notifier).cloned().unwrap_or_else(|| super::Pace::new(notifier));
        let failures_before = pace.failures;
        pace.failures = match result {
            Attempt::Sent { .. } => 0,
            _ => pace.failures.saturating_add(1),
        };
        let splits = pace.learn(result, members.len(), row.progress.is_taken());
        self.put_pace(pace);
        match result {
            Attempt::Sent { answer } => {
                let progress = row.progress.clone();
                self.put_dispatch(row);
                self.reached(&members, progress.reached(true), &progress.saved);
                self.finish_all(now, &members, NoticeState::Sent, answer);
                if failures_before >= SERVER_WAS_AWAY {
                    self.retry_all(now, notifier);
                }
            }
            Attempt::Permanent { why, .. } if splits => {
                self.put_dispatch(row);
                self.split(now, dispatch, &members, why);
            }
            Attempt::Permanent { why, .. } => self.give_up(now, row, &members, NoticeState::Failed, why),
            Attempt::Transient { why, .. } if now >= row.expires_at => {
                self.give_up(now, row, &members, NoticeState::Expired, why);
            }
            Attempt::Transient { why, after } => {
                // Not from its id: ids are shared with other notifiers, whose doings must not show here.
                let own = notifier.0.unsigned_abs() ^ (row.due_at.0.unsigned_abs() << 16) ^ u64::from(row.attempts);
                let gap = backoff(row.attempts, seed ^ splitmix64(own));
                row.next_at = now.plus(gap.max(after.unwrap_or_default())).min(row.expires_at);
                row.why = Some(why.clone());
                let known = !row.uncertain && !row.progress.is_taken();
                self.put_dispatch(row);
                for id in members {
                    self.put_off(now, id, known);
                }
            }
        }
    }

    /// No further attempt: sent where somebody has it.
    fn give_up(&mut self, now: UtcMs, row: Dispatch, members: &[NoticeId], state: NoticeState, why: &str) {
        let progress = row.progress.clone();
        self.put_dispatch(row);
        if progress.is_taken() {
            self.reached(members, progress.reached(false), &progress.saved);
            let answer = format!("{}; not for the others: {why}", progress.answer);
            self.finish_all(now, members, NoticeState::Sent, &shorten(&answer, MAX_ANSWER));
        } else {
            self.finish_all(now, members, state, why);
        }
    }

    /// Keeps with the members what later messages about their incidents need.
    fn reached(&mut self, members: &[NoticeId], reached: Vec<String>, saved: &[(String, String)]) {
        if reached.is_empty() && saved.is_empty() {
            return;
        }
        for id in members {
            self.edit(*id, |n| {
                n.reached.clone_from(&reached);
                n.saved = saved.to_vec();
            });
        }
    }

    fn finish_all(&mut self, now: UtcMs, members: &[NoticeId], state: NoticeState, answer: &str) {
        for id in members {
            let doomed = state != NoticeState::Sent && self.notices.get(id).is_some_and(|n| n.doomed);
            self.finish(now, *id, if doomed { NoticeState::Cancelled } else { state }, Some(answer));
        }
    }

    /// A member of a message that did not arrive.
    pub(super) fn put_off(&mut self, now: UtcMs, id: NoticeId, known_undelivered: bool) {
        let Some(notice) = self.notices.get(&id) else { return };
        if notice.doomed {
            self.finish(now, id, NoticeState::Cancelled, None);
            return;
        }
        if !known_undelivered || !notice.is_anchor() {
            return;
        }
        let recovery = self.find(notice.incident_id, notice.notifier, EventKind::Recovery, 0);
        if let Some((recovery, at)) = recovery.filter(|r| r.state.is_unattempted()).map(|r| (r.id, r.at)) {
            self.says_both(id, at);
            self.finish(now, recovery, NoticeState::Merged, None);
        }
    }

    pub(super) fn retry_all(&mut self, now: UtcMs, notifier: crate::model::notifier::NotifierId) {
        let waiting: Vec<i64> = self.index.under_way.get(&notifier).into_iter().flatten().copied().collect();
        for id in waiting {
            if let Some(mut dispatch) = self.dispatches.get(&id).cloned().filter(|d| d.next_at > now) {
                dispatch.next_at = now;
                self.put_dispatch(dispatch);
            }
        }
    }

    /// The egress policy has changed: what it kept back is tried at once.
    pub fn retry_denied(&mut self, now: UtcMs) {
        let now = self.see(now);
        let denied = |d: &&Dispatch| d.next_at > now && d.why.as_deref().is_some_and(egress::is_told_in);
        let denied: Vec<Dispatch> = self.dispatches.values().filter(denied).cloned().collect();
        for dispatch in denied {
            self.put_dispatch(Dispatch { next_at: now, ..dispatch });
        }
    }

    /// The daemon stopped in the middle of attempts: nobody knows whether they arrived.
    pub(super) fn restarted(&mut self, now: UtcMs) {
        let in_flight: Vec<i64> = self.dispatches.values().filter(|d| d.in_flight).map(|d| d.id).collect();
        for id in in_flight {
            if let Some(mut dispatch) = self.dispatches.get(&id).cloned() {
                dispatch.in_flight = false;
                dispatch.uncertain = true;
                dispatch.next_at = now;
                self.put_dispatch(dispatch);
            }
            for member in Self::ids(self.index.members.get(&id)) {
                if self.notices.get(&member).is_some_and(|n| n.doomed) {
                    self.finish(now, member, NoticeState::Cancelled, None);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_double_from_a_second_to_five_minutes_with_a_fifth_of_jitter() {
        for (attempts, plain) in [(1, 1.0), (2, 2.0), (5, 16.0), (9, 256.0), (10, 300.0), (4_000_000, 300.0)] {
            let gaps: Vec<f64> = (0..200).map(|seed| backoff(attempts, seed).as_secs_f64()).collect();
            assert!(gaps.iter().all(|g| (plain * 0.799..=plain * 1.201).contains(g)), "{attempts}: {gaps:?}");
            assert!(gaps.iter().any(|g| *g < plain * 0.85) && gaps.iter().any(|g| *g > plain * 1.15));
        }
    }
}
