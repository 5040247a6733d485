//! Transitions and changed notifiers to notices: one per incident, notifier and event.
//!
//! ```text
//!  opened     FAIL to whom the filter lets see it; nothing while it flaps; held while the parent may be the cause
//!  recovered  FAIL never attempted, or known not to be delivered -> it says both
//!             FAIL sent, or nobody knows yet                     -> RECOVERY behind it
//!             FAIL failed, expired, cancelled, merged            -> nothing
//!  withdrawn  what is owed of the incident is cancelled
//! ```

use std::collections::BTreeMap;

use super::book::Book;
use super::rows::{Notice, NoticeId, NoticeState, Open, Standing, Transition, TransitionKind};
use super::{sees, wants};
use crate::model::notifier::{EventKind, Notifier, NotifierId};
use crate::model::subject::SubjectId;
use crate::model::time::UtcMs;

/// A notice to be: what differs from one to the next.
pub(super) struct Draft {
    pub notifier: NotifierId,
    pub incident_id: i64,
    pub subject: SubjectId,
    pub event: EventKind,
    pub number: u32,
    pub event_id: i64,
    pub at: UtcMs,
    pub failing: bool,
    pub changes: u32,
    pub parent: Option<SubjectId>,
}

impl Book {
    /// Takes transitions in the order of their ids. Those that were taken before change nothing.
    pub fn take(&mut self, now: UtcMs, transitions: &[Transition]) {
        let now = self.see(now);
        for t in transitions {
            if t.event_id <= self.mark.cursor {
                continue;
            }
            self.mark.cursor = t.event_id;
            self.touch();
            match t.kind {
                TransitionKind::Opened => self.opened(now, t),
                TransitionKind::Recovered => self.recovered(now, t),
                TransitionKind::Withdrawn => self.withdrawn(now, t),
            }
        }
    }

    fn opened(&mut self, now: UtcMs, t: &Transition) {
        let at = t.at.min(now);
        let mut standing = self.standing_of(t);
        let before = standing.open.replace(Open { incident_id: t.incident_id, event_id: t.event_id, at });
        self.changed(&mut standing, t, at, now);
        let flapping = standing.flapping;
        self.put_standing(standing);
        if let Some(before) = before.filter(|b| b.incident_id != t.incident_id) {
            self.release_children(now, before.incident_id, None);
        }
        for notifier in self.seeing(t) {
            if flapping.is_some() && self.tell_flapping(now, notifier, t, true) {
                continue;
            }
            if self.notifier_wants(notifier, t.target.id, EventKind::Fail) {
                self.owe(
                    now,
                    Draft {
                        notifier,
                        incident_id: t.incident_id,
                        subject: t.target.id,
                        event: EventKind::Fail,
                        number: 0,
                        event_id: t.event_id,
                        at,
                        failing: true,
                        changes: 0,
                        parent: t.parent,
                    },
                );
            }
        }
        self.parent_failed(t.target.id, t.incident_id);
    }

    fn recovered(&mut self, now: UtcMs, t: &Transition) {
        let at = t.at.min(now);
        let mut standing = self.standing_of(t);
        standing.open = standing.open.filter(|o| o.incident_id != t.incident_id);
        self.changed(&mut standing, t, at, now);
        let flapping = standing.flapping;
        self.put_standing(standing);
        let mut damped = Vec::new();
        for notifier in self.seeing(t) {
            if flapping.is_some() && self.tell_flapping(now, notifier, t, false) {
                damped.push(notifier);
            }
        }
        for id in Self::ids(self.index.by_incident.get(&t.incident_id)) {
            let Some(notice) = self.notices.get(&id) else { continue };
            let notifier = notice.notifier;
            if notice.is_anchor() {
                self.recover_anchor(now, id, at, t, !damped.contains(&notifier));
            } else if notice.event == EventKind::Reminder && notice.state.is_unattempted() {
                self.finish(now, id, NoticeState::Cancelled, None);
            }
        }
        self.release_children(now, t.incident_id, None);
    }

    /// The incident that `id` has told or will tell of has ended.
    fn recover_anchor(&mut self, now: UtcMs, id: NoticeId, at: UtcMs, t: &Transition, tell: bool) {
        let Some(notice) = self.notices.get(&id).cloned() else { return };
        self.edit(id, |n| n.remind_at = None);
        match notice.state {
            NoticeState::Held if notice.held_by.is_some() && notice.event == EventKind::Fail => {
                self.finish(now, id, NoticeState::Merged, None);
            }
            NoticeState::Held if notice.held_by.is_some() => {
                // Whoever was told that it flaps is told that it has settled.
                self.says_both(id, at);
                self.release(now, id);
            }
            NoticeState::Held | NoticeState::Owed => self.says_both(id, at),
            NoticeState::Sending if self.is_known_undelivered(&notice) => self.says_both(id, at),
            NoticeState::Sending | NoticeState::Sent
                if tell && !notice.doomed && self.notifier_wants(notice.notifier, t.target.id, EventKind::Recovery) =>
            {
                self.owe(
                    now,
                    Draft {
                        notifier: notice.notifier,
                        incident_id: t.incident_id,
                        subject: t.target.id,
                        event: EventKind::Recovery,
                        number: 0,
                        event_id: t.event_id,
                        at,
                        failing: false,
                        changes: 0,
                        parent: None,
                    },
                );
            }
            _ => {}
        }
    }

    /// Attempted, and every attempt is known not to have arrived at anybody.
    pub(super) fn is_known_undelivered(&self, notice: &Notice) -> bool {
        let dispatch = notice.dispatch.and_then(|d| self.dispatches.get(&d));
        dispatch.is_some_and(|d| !d.in_flight && !d.uncertain && !d.progress.is_taken())
    }

    pub(super) fn says_both(&mut self, id: NoticeId, at: UtcMs) {
        self.edit(id, |n| {
            n.ended_at = Some(at);
            n.failing = false;
        });
    }

    fn withdrawn(&mut self, now: UtcMs, t: &Transition) {
        let mut standing = self.standing_of(t);
        let episode = standing.flapping.take().map(|f| f.incident_id);
        standing.open = None;
        standing.changes.clear();
        self.put_standing(standing);
        for id in Self::ids(self.index.by_target.get(&t.target.id)) {
            let Some(notice) = self.notices.get(&id) else { continue };
            let of_episode = episode == Some(notice.incident_id) && notice.event == EventKind::Flapping;
            if notice.incident_id == t.incident_id || of_episode {
                self.edit(id, |n| n.remind_at = None);
                self.cancel(now, id);
            }
        }
        self.release_children(now, t.incident_id, None);
    }

    /// The target was deleted or disabled: it will not settle any more. Its open incident ends by a transition of its
    /// own.
    pub fn target_gone(&mut self, now: UtcMs, target: SubjectId) {
        let now = self.see(now);
        let Some(mut standing) = self.standings.get(&target).cloned() else { return };
        let episode = standing.flapping.take();
        standing.changes.clear();
        self.put_standing(standing);
        if let Some(episode) = episode {
            for id in Self::ids(self.index.by_incident.get(&episode.incident_id)) {
                if self.notices.get(&id).is_some_and(|n| n.event == EventKind::Flapping) {
                    self.cancel(now, id);
                }
            }
        }
    }

    /// The notifiers that are in force from now on. What is owed to others, or to disabled ones, is cancelled.
    pub fn set_notifiers(&mut self, now: UtcMs, notifiers: Vec<Notifier>) {
        let now = self.see(now);
        let notifiers: BTreeMap<_, _> = notifiers.into_iter().map(|n| (n.id, n)).collect();
        let before = std::mem::replace(&mut self.notifiers, notifiers);
        let leads = |n: &Notifier| (n.kind.clone(), n.address.clone(), n.params.clone());
        let mended = before.values().filter(|b| self.notifiers.get(&b.id).is_some_and(|n| leads(n) != leads(b)));
        for notifier in mended.map(|n| n.id).collect::<Vec<_>>() {
            // Its pauses were those of where it led before.
            self.retry_all(now, notifier);
        }
        let mut ids: Vec<NoticeId> = self.notices.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let Some(notice) = self.notices.get(&id) else { continue };
            if self.is_enabled(notice.notifier) {
                self.arm_reminder(now, id);
            } else {
                self.edit(id, |n| n.remind_at = None);
                self.cancel(now, id);
            }
        }
        let gone: Vec<NotifierId> = self.paces.keys().filter(|n| !self.notifiers.contains_key(n)).copied().collect();
        for notifier in gone {
            if !self.index.under_way.contains_key(&notifier) {
                self.forget_pace(notifier);
            }
        }
    }

    /// Nobody is to be told any more; one that is being attempted at this moment may still arrive.
    pub(super) fn cancel(&mut self, now: UtcMs, id: NoticeId) {
        let Some(notice) = self.notices.get(&id) else { return };
        match (notice.state, notice.dispatch.and_then(|d| self.dispatches.get(&d))) {
            (NoticeState::Sending, Some(dispatch)) if dispatch.in_flight => self.edit(id, |n| n.doomed = true),
            (NoticeState::Held | NoticeState::Owed | NoticeState::Sending, _) => {
                self.finish(now, id, NoticeState::Cancelled, None);
            }
            _ => {}
        }
    }

    /// A notice comes to its end, with what follows from that for others.
    pub(super) fn finish(&mut self, now: UtcMs, id: NoticeId, state: NoticeState, answer: Option<&str>) {
        let Some(notice) = self.notices.get(&id) else { return };
        let (incident, notifier, event) = (notice.incident_id, notice.notifier, notice.event);
        let target = notice.subject;
        let (anchor, dispatch) = (notice.is_anchor(), notice.dispatch.filter(|_| notice.state == NoticeState::Sending));
        let attempts = dispatch.and_then(|d| self.dispatches.get(&d)).map_or(0, |d| d.attempts);
        self.edit(id, |n| {
            n.state = state;
            n.doomed = false;
            n.hold_until = None;
            n.attempts = n.attempts.saturating_add(attempts);
            n.finished_at = Some(now);
            n.answer = answer.map(str::to_owned);
        });
        if let Some(dispatch) = dispatch.filter(|d| !self.index.members.contains_key(d)) {
            self.end_dispatch(dispatch);
        }
        if event == EventKind::Reminder {
            self.reminded(now, incident, notifier);
        }
        if anchor && state == NoticeState::Sent {
            self.arm_reminder(now, id);
        } else if anchor {
            for other in Self::ids(self.index.by_incident.get(&incident)) {
                let follows = self.notices.get(&other).is_some_and(|n| {
                    n.notifier == notifier
                        && matches!(n.event, EventKind::Recovery | EventKind::Reminder)
                        && n.state.is_unattempted()
                });
                if follows {
                    self.finish(now, other, NoticeState::Cancelled, None);
                }
            }
            if !self.is_told_of(notifier, target, incident) {
                self.release_children(now, incident, Some(notifier));
            }
        }
    }

    /// Writes a notice down, unless there is one of that key; held where the target's parent may be the cause.
    pub(super) fn owe(&mut self, now: UtcMs, draft: Draft) {
        if self.find(draft.incident_id, draft.notifier, draft.event, draft.number).is_some() {
            return;
        }
        let id = NoticeId(self.next_id(now));
        self.add(Notice {
            id,
            notifier: draft.notifier,
            incident_id: draft.incident_id,
            subject: draft.subject,
            event: draft.event,
            number: draft.number,
            state: NoticeState::Owed,
            event_id: draft.event_id,
            at: draft.at,
            created_at: now,
            ready_at: draft.at,
            failing: draft.failing,
            changes: draft.changes,
            ended_at: None,
            parent: draft.parent.filter(|p| *p != draft.subject),
            held_by: None,
            hold_until: None,
            doomed: false,
            dispatch: None,
            message_id: None,
            attempts: 0,
            finished_at: None,
            answer: None,
            remind_at: None,
            reminders: 0,
            reached: Vec::new(),
            saved: Vec::new(),
        });
        self.hold_new(now, id);
    }

    fn standing_of(&self, t: &Transition) -> Standing {
        let mut standing = self.standings.get(&t.target.id).cloned().unwrap_or(Standing {
            subject: t.target.id,
            parent: None,
            open: None,
            last_incident: 0,
            last_event: 0,
            changes: Vec::new(),
            flapping: None,
        });
        standing.parent = t.parent.filter(|p| *p != t.target.id);
        standing.last_incident = t.incident_id;
        standing.last_event = t.event_id;
        standing
    }

    fn seeing(&self, t: &Transition) -> Vec<NotifierId> {
        self.notifiers.values().filter(|n| sees(n, &t.target)).map(|n| n.id).collect()
    }

    pub(super) fn is_enabled(&self, notifier: NotifierId) -> bool {
        self.notifiers.get(&notifier).is_some_and(|n| n.enabled)
    }

    pub(super) fn notifier_wants(&self, notifier: NotifierId, subject: SubjectId, event: EventKind) -> bool {
        self.notifiers.get(&notifier).is_some_and(|n| n.enabled && wants(n, subject, event))
    }
}
