//! What goes out now, and when to look again.
//!
//! ```text
//!  ready notices --group_wait, group_window--> one message: alone its own kind, several a digest --> dispatch
//!  dispatches in retry --next_at--> again, as they were
//! ```
//!
//! A notifier has one attempt at a time. Retries and new messages take turns where both are due, so neither starves.
//! While some messages are in retry, new ones are begun ever more rarely: a message that a working server always puts
//! off blocks nobody for long, and a dead server does not collect thousands of messages in retry.

use std::collections::HashSet;
use std::time::Duration;

use super::book::Book;
use super::clock::ms_since;
use super::progress::Progress;
use super::rows::{Dispatch, NoticeId, NoticeState, Pace};
use crate::model::notifier::{Notifier, NotifierId};
use crate::model::subject::SubjectId;
use crate::model::time::UtcMs;

/// So many messages may be in retry before new ones are begun more rarely …
const FREE_RETRIES: usize = 2;
/// … each of them then adds this to the gap between new ones.
const GAP_PER_RETRY: Duration = Duration::from_mins(5);
/// A message is tried at least for so long after it was begun, however old its events are.
const LEAST_TRIED: Duration = Duration::from_mins(15);
/// The span of the cap: a minute, and the second that [`Pace::sends`] is exact to.
const CAP_SPAN: Duration = Duration::from_secs(61);
/// How often what is not needed any more is forgotten.
const SWEEP_MS: i64 = 60_000;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Next {
    /// Dispatches to attempt now: store the changes first, then send each, then call [`Book::attempted`].
    pub send: Vec<i64>,
    /// When to call again, if nothing happens before; `None`: when something happens.
    pub again_at: Option<UtcMs>,
    /// Notifiers whose messages wait from now on because of `rate_per_minute`, and until when the first of them does. Each is
    /// named once, until it may tell again and nothing waits.
    pub capped: Vec<(NotifierId, UtcMs)>,
}

enum Turn {
    Retry(i64),
    Fresh(UtcMs, Vec<NoticeId>),
    Later(UtcMs),
    /// The cap lets nothing begin before.
    Capped(UtcMs),
    /// Its last attempt has not ended.
    Busy,
    Nothing,
}

impl Book {
    /// Lets time pass: limits, reminders, settling; and begins the attempts that are due.
    pub fn next(&mut self, now: UtcMs) -> Next {
        let now = self.see(now);
        self.release_due(now);
        self.settle_due(now);
        self.remind_due(now);
        if ms_since(now, self.swept_at) >= SWEEP_MS {
            self.sweep(now);
        }
        let mut next = Next::default();
        let notifiers: Vec<NotifierId> = self.notifiers.values().filter(|n| n.enabled).map(|n| n.id).collect();
        for notifier in notifiers {
            match self.turn(now, notifier) {
                Turn::Retry(dispatch) => {
                    self.begin(now, dispatch, false);
                    next.send.push(dispatch);
                }
                Turn::Fresh(due_at, members) => {
                    if let Some(dispatch) = self.freeze(now, notifier, due_at, &members) {
                        self.begin(now, dispatch, true);
                        next.send.push(dispatch);
                    }
                }
                Turn::Capped(at) => {
                    next.again_at = earliest(next.again_at, Some(at));
                    if self.capped.insert(notifier) {
                        next.capped.push((notifier, at));
                    }
                }
                Turn::Later(at) => {
                    next.again_at = earliest(next.again_at, Some(at));
                    self.forget_cap(now, notifier);
                }
                Turn::Busy => {}
                Turn::Nothing => self.forget_cap(now, notifier),
            }
        }
        let timers = [self.index.limits.first(), self.index.reminders.first()].into_iter().flatten().map(|(at, _)| *at);
        next.again_at = earliest(next.again_at, timers.chain(self.next_settle()).min());
        next
    }

    fn turn(&self, now: UtcMs, id: NotifierId) -> Turn {
        let Some(notifier) = self.notifiers.get(&id) else { return Turn::Nothing };
        let under_way = self.index.under_way.get(&id);
        let dispatches = || under_way.into_iter().flatten().filter_map(|d| self.dispatches.get(d));
        if dispatches().any(|d| d.in_flight) {
            return Turn::Busy;
        }
        let none = Pace::new(id);
        let pace = self.paces.get(&id).unwrap_or(&none);
        let open_at = cap_open_at(pace, now, notifier.rate_per_minute);
        let retry = dispatches().min_by_key(|d| (d.next_at, d.id)).map(|d| (d.next_at, d.id));
        let in_retry = under_way.map_or(0, |d| d.len());
        let fresh = self.fresh(notifier, pace, in_retry);
        let Some(at) = earliest(retry.map(|r| r.0), fresh.as_ref().map(|f| f.begin_at)) else { return Turn::Nothing };
        if at > now {
            return Turn::Later(at);
        }
        if open_at > now {
            return Turn::Capped(open_at);
        }
        let retry = retry.filter(|r| r.0 <= now);
        match fresh.filter(|f| f.begin_at <= now) {
            Some(fresh) if retry.is_none() || pace.retried_last => {
                // Collected now, so that everything that came until this moment is in it.
                Turn::Fresh(fresh.due_at, fresh.members)
            }
            _ => retry.map_or(Turn::Nothing, |r| Turn::Retry(r.1)),
        }
    }

    /// Nothing waits for the cap: it is news again when something does, unless the cap is closed all the while.
    fn forget_cap(&mut self, now: UtcMs, id: NotifierId) {
        let open = |n: &Notifier| self.paces.get(&id).is_none_or(|p| cap_open_at(p, now, n.rate_per_minute) <= now);
        if self.notifiers.get(&id).is_none_or(open) {
            self.capped.remove(&id);
        }
    }

    /// The next new message of a notifier, if anything is ready.
    fn fresh(&self, notifier: &Notifier, pace: &Pace, in_retry: usize) -> Option<Fresh> {
        let owed = self.index.owed.get(&notifier.id)?;
        let most = pace.most.unwrap_or(usize::MAX).min(owed.len());
        let (mut first, mut audience) = (None, None);
        let mut members = Vec::with_capacity(most);
        // Targets of which a notice is left for a later message.
        let mut left: HashSet<SubjectId> = HashSet::new();
        for id in owed {
            let Some(notice) = self.notices.get(id) else { continue };
            if self.is_behind(notifier.id, notice.subject, *id) || left.contains(&notice.subject) {
                continue;
            }
            // All of a message goes to the same recipients.
            let to = self.audience_of(notice);
            if members.len() == most || *audience.get_or_insert(to) != to {
                left.insert(notice.subject);
                continue;
            }
            first = earliest(first, Some(notice.ready_at));
            members.push(*id);
        }
        let waited = first?.plus(notifier.group_wait);
        if pace.most.is_some() {
            // A piece of what was gathered already.
            return Some(Fresh { due_at: waited, begin_at: waited, members });
        }
        let due_at = pace.last_fresh.map_or(waited, |last| waited.max(last.plus(notifier.group_window)));
        let rare = u32::try_from((in_retry + 1).saturating_sub(FREE_RETRIES)).unwrap_or(u32::MAX);
        let begin_at = match pace.last_fresh.filter(|_| rare > 0 && in_retry >= FREE_RETRIES) {
            Some(last) => due_at.max(last.plus(GAP_PER_RETRY.saturating_mul(rare))),
            None => due_at,
        };
        Some(Fresh { due_at, begin_at, members })
    }

    /// Whether an earlier notice of the target to the notifier must come first: one that is held or in another message.
    fn is_behind(&self, notifier: NotifierId, target: SubjectId, id: NoticeId) -> bool {
        let line = self.index.lines.get(&(notifier, target)).into_iter().flatten();
        let mut before = line.take_while(|other| **other < id).filter_map(|other| self.notices.get(other));
        before.any(|n| n.state != NoticeState::Owed)
    }

    /// Makes the members one message, for good.
    fn freeze(&mut self, now: UtcMs, notifier: NotifierId, due_at: UtcMs, members: &[NoticeId]) -> Option<i64> {
        let id = match members {
            [] => return None,
            [one] => one.0,
            _ => self.next_id(now),
        };
        let retry_for = self.notifiers.get(&notifier)?.retry_for;
        let message_id = format!("{id}.{notifier}@{}", self.rules.host);
        let mut newest = UtcMs(i64::MIN);
        for member in members {
            self.edit(*member, |n| {
                n.state = NoticeState::Sending;
                n.dispatch = Some(id);
                n.message_id = Some(message_id.clone());
                newest = newest.max(n.ready_at);
            });
        }
        self.put_dispatch(Dispatch {
            id,
            notifier,
            digest: members.len() > 1,
            message_id,
            attempts: 0,
            in_flight: false,
            uncertain: false,
            due_at,
            next_at: now,
            expires_at: newest.plus(retry_for).max(now.plus(retry_for.min(LEAST_TRIED))),
            why: None,
            progress: Progress::default(),
        });
        Some(id)
    }

    fn begin(&mut self, now: UtcMs, id: i64, fresh: bool) {
        let Some(mut dispatch) = self.dispatches.get(&id).cloned() else { return };
        dispatch.attempts = dispatch.attempts.saturating_add(1);
        dispatch.in_flight = true;
        let mut pace = self.paces.get(&dispatch.notifier).cloned().unwrap_or_else(|| Pace::new(dispatch.notifier));
        pace.sends.retain(|(at, _)| at.plus(CAP_SPAN) > now);
        match pace.sends.last_mut().filter(|(at, _)| ms_since(now, *at) < 1_000) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => pace.sends.push((now, 1)),
        }
        if fresh {
            pace.last_fresh = Some(now);
        }
        pace.retried_last = !fresh;
        self.put_dispatch(dispatch);
        self.put_pace(pace);
    }

    /// Forgets what nothing refers to any more: targets that do not fail, do not flap, and are owed nothing.
    fn sweep(&mut self, now: UtcMs) {
        self.swept_at = now;
        let mut targets: Vec<SubjectId> = self.index.by_target.keys().copied().collect();
        targets.extend(self.standings.keys().filter(|t| !self.index.by_target.contains_key(*t)));
        for target in targets {
            let standing = self.standings.get(&target);
            if standing.is_some_and(|s| s.open.is_some() || s.flapping.is_some()) {
                continue;
            }
            let ids = Self::ids(self.index.by_target.get(&target));
            // Merged into a parent's message: its name is told there.
            let listed =
                |n: &super::rows::Notice| n.held_by.is_some_and(|incident| self.is_incident_open(n.parent, incident));
            let needed = ids.iter().filter_map(|id| self.notices.get(id));
            if needed.into_iter().any(|n| n.state.is_open() || self.is_dirty(n.id) || listed(n)) {
                continue;
            }
            let window = self.rules.flap_window;
            let recent = standing.is_some_and(|s| s.changes.iter().any(|c| c.plus(window) > now));
            ids.into_iter().for_each(|id| self.forget_notice(id));
            if !recent {
                self.forget_standing(target);
            }
        }
        let gone: Vec<NotifierId> = self.paces.keys().copied().collect();
        for notifier in gone {
            if !self.notifiers.contains_key(&notifier) && !self.index.under_way.contains_key(&notifier) {
                self.forget_pace(notifier);
            }
        }
    }

    fn is_incident_open(&self, target: Option<SubjectId>, incident: i64) -> bool {
        let open = target.and_then(|t| self.standings.get(&t)).and_then(|s| s.open);
        open.is_some_and(|o| o.incident_id == incident)
    }
}

struct Fresh {
    /// When the groups' times are over: what comes later is late.
    due_at: UtcMs,
    /// When it may begin, with those in retry considered.
    begin_at: UtcMs,
    members: Vec<NoticeId>,
}

fn earliest(a: Option<UtcMs>, b: Option<UtcMs>) -> Option<UtcMs> {
    a.into_iter().chain(b).min()
}

/// When the cap lets the next attempt begin.
fn cap_open_at(pace: &Pace, now: UtcMs, rate_per_minute: u32) -> UtcMs {
    let counted = pace.sends.iter().rev().filter(|(at, _)| at.plus(CAP_SPAN) > now);
    let mut left = rate_per_minute.max(1);
    for (at, count) in counted {
        if *count >= left {
            return at.plus(CAP_SPAN);
        }
        left -= count;
    }
    now
}
