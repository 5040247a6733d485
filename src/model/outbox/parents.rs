//! Parents: while a target's parent is FAIL, the target raises no notice of its own and is listed in the parent's.
//!
//! ```text
//!  child fails --held--> parent has an incident      -> held by it; goes out when it ends and the child still fails
//!                        parent was probed, no FAIL  -> goes out
//!                        limit reached               -> goes out
//! ```
//!
//! A notice is held only for a notifier that is told of the parent's incident itself. Chains work by each link holding
//! the next one; a link that would close a circle is not made.

use super::book::Book;
use super::rows::{Notice, NoticeId, NoticeState};
use crate::model::notifier::{EventKind, NotifierId};
use crate::model::reason::Verdict;
use crate::model::subject::SubjectId;
use crate::model::time::UtcMs;

impl Book {
    /// The parent was probed: without a failure its children's are their own. A failure opens an incident, which comes
    /// as a transition. Probes that started before the child failed say nothing.
    pub fn parent_seen(&mut self, now: UtcMs, parent: SubjectId, started_at: UtcMs, verdict: Verdict) {
        let now = self.see(now);
        if verdict == Verdict::Fail || self.standings.get(&parent).is_some_and(|s| s.open.is_some()) {
            return;
        }
        for id in Self::ids(self.index.waiting.get(&parent)) {
            let waits = |n: &Notice| n.state == NoticeState::Held && n.held_by.is_none() && n.at <= started_at;
            if self.notices.get(&id).is_some_and(waits) {
                self.release(now, id);
            }
        }
    }

    /// Parents whose verdict is waited for, each once, and since when.
    pub fn waiting_for_parents(&self) -> impl Iterator<Item = (SubjectId, UtcMs)> + '_ {
        self.index.waiting.iter().filter_map(|(parent, ids)| {
            let waits = |n: &&Notice| n.state == NoticeState::Held && n.held_by.is_none();
            let since = ids.iter().filter_map(|id| self.notices.get(id)).filter(waits).map(|n| n.at).min()?;
            Some((*parent, since))
        })
    }

    /// Decides over a new notice with a parent.
    pub(super) fn hold_new(&mut self, now: UtcMs, id: NoticeId) {
        let Some(notice) = self.notices.get(&id) else { return };
        let Some(parent) = notice.parent else { return };
        match self.standings.get(&parent).and_then(|s| s.open).map(|o| o.incident_id) {
            Some(incident) => {
                self.hold_by(id, incident);
            }
            // Only a failure waits for the verdict: the parent of one that flaps was probed often enough.
            None if notice.event == EventKind::Fail => {
                let until = now.plus(self.rules.parent_wait);
                self.edit(id, |n| {
                    n.state = NoticeState::Held;
                    n.hold_until = Some(until);
                });
            }
            None => {}
        }
    }

    /// The parent has an incident: what its children were about to tell waits for its end.
    pub(super) fn parent_failed(&mut self, parent: SubjectId, incident: i64) {
        for id in Self::ids(self.index.waiting.get(&parent)) {
            let tells_failure = |n: &Notice| {
                n.held_by.is_none() && matches!(n.event, EventKind::Fail | EventKind::Flapping | EventKind::Settled)
            };
            if self.notices.get(&id).is_some_and(tells_failure) {
                self.hold_by(id, incident);
            }
        }
    }

    /// Holds a notice because of the parent's incident, if its notifier is told of that one; one that has ended
    /// meanwhile is merged into it.
    fn hold_by(&mut self, id: NoticeId, incident: i64) {
        let Some(notice) = self.notices.get(&id) else { return };
        let (now, ended, event) = (self.mark.now, notice.ended_at.is_some(), notice.event);
        let told = notice.parent.is_some_and(|p| self.is_told_of(notice.notifier, p, incident));
        if !told || self.closes_circle(notice, incident) || (ended && event != EventKind::Fail) {
            if notice.state == NoticeState::Held {
                self.release(now, id);
            }
            return;
        }
        self.edit(id, |n| {
            n.state = NoticeState::Held;
            n.held_by = Some(incident);
            n.hold_until = None;
        });
        if ended {
            self.finish(now, id, NoticeState::Merged, None);
        }
    }

    /// The incident has ended, or `notifier` will not hear of it: what it holds goes out.
    pub(super) fn release_children(&mut self, now: UtcMs, incident: i64, notifier: Option<NotifierId>) {
        for id in Self::ids(self.index.held.get(&incident)) {
            let held = |n: &Notice| n.state == NoticeState::Held && notifier.is_none_or(|only| n.notifier == only);
            if self.notices.get(&id).is_some_and(held) {
                self.release(now, id);
            }
        }
    }

    /// Lets those go that have waited long enough.
    pub(super) fn release_due(&mut self, now: UtcMs) {
        while let Some((until, id)) = self.index.limits.first().copied() {
            if until > now {
                break;
            }
            self.release(now, id);
        }
    }

    pub(super) fn release(&mut self, now: UtcMs, id: NoticeId) {
        self.edit(id, |n| {
            n.state = NoticeState::Owed;
            n.held_by = None;
            n.hold_until = None;
            n.ready_at = now;
        });
    }

    /// Whether the notifier was told of the incident, will be, or is told of it as flapping.
    pub(super) fn is_told_of(&self, notifier: NotifierId, target: SubjectId, incident: i64) -> bool {
        let alive = |n: &Notice| (n.state.is_open() || n.state == NoticeState::Sent) && !n.doomed;
        let anchor = |event| self.find(incident, notifier, event, 0).is_some_and(|n| n.is_anchor() && alive(n));
        let episode = || self.standings.get(&target).and_then(|s| s.flapping);
        let flapping = || episode().and_then(|f| self.find(f.incident_id, notifier, EventKind::Flapping, 0));
        anchor(EventKind::Fail) || anchor(EventKind::Settled) || flapping().is_some_and(alive)
    }

    /// Whether `incident` is itself held, by however many links, because of the notice's own incident.
    fn closes_circle(&self, notice: &Notice, incident: i64) -> bool {
        let mut at = incident;
        // Chains are short; whoever makes a longer one is told of each link that is left.
        for _ in 0..64 {
            if at == notice.incident_id {
                return true;
            }
            let holder = |event| self.find(at, notice.notifier, event, 0).filter(|n| n.state == NoticeState::Held);
            let next = [EventKind::Fail, EventKind::Settled, EventKind::Flapping].into_iter().find_map(holder);
            match next.and_then(|n| n.held_by) {
                Some(next) => at = next,
                None => return false,
            }
        }
        true
    }
}
