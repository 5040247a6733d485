//! Reminders: told again and again, with growing gaps, that a target still fails.

use std::time::Duration;

use super::book::Book;
use super::events::Draft;
use super::rows::{NoticeId, NoticeState};
use crate::model::notifier::{EventKind, NotifierId};
use crate::model::subject::SubjectId;
use crate::model::time::UtcMs;

/// Gaps grow up to this; a first gap beyond it stays as it is.
const LONGEST_GAP: Duration = Duration::from_hours(24);

/// Time until the reminder after `told` of them: `first`, doubling up to a day.
#[must_use]
pub fn remind_gap(first: Duration, told: u32) -> Duration {
    first.saturating_mul(1 << told.min(20)).min(LONGEST_GAP.max(first)).max(Duration::from_secs(1))
}

impl Book {
    /// Plans the next reminder of a failure that was told and goes on, if its notifier asks for it and none is owed.
    pub(super) fn arm_reminder(&mut self, now: UtcMs, id: NoticeId) {
        let Some(notice) = self.notices.get(&id) else { return };
        if !notice.is_anchor() || notice.state != NoticeState::Sent || !self.is_open(notice.subject, notice.incident_id)
        {
            return;
        }
        let asked = self
            .notifiers
            .get(&notice.notifier)
            .filter(|_| self.notifier_wants(notice.notifier, notice.subject, EventKind::Reminder));
        let planned = match asked.and_then(|n| n.remind) {
            None => None,
            Some(_) if notice.remind_at.is_some() => return,
            Some(_) if self.find_open_reminder(notice.incident_id, notice.notifier) => None,
            Some(first) => Some(now.plus(remind_gap(first, notice.reminders))),
        };
        if planned != notice.remind_at {
            self.edit(id, |n| n.remind_at = planned);
        }
    }

    /// A reminder came to its end: the next one is planned.
    pub(super) fn reminded(&mut self, now: UtcMs, incident: i64, notifier: NotifierId) {
        for id in Self::ids(self.index.by_incident.get(&incident)) {
            if self.notices.get(&id).is_some_and(|n| n.notifier == notifier && n.is_anchor()) {
                self.arm_reminder(now, id);
            }
        }
    }

    /// Owes the reminders that are due.
    pub(super) fn remind_due(&mut self, now: UtcMs) {
        while let Some((at, id)) = self.index.reminders.first().copied() {
            if at > now {
                break;
            }
            let Some(anchor) = self.notices.get(&id).cloned() else { break };
            self.edit(id, |n| n.remind_at = None);
            if !self.is_open(anchor.subject, anchor.incident_id) {
                continue;
            }
            let parent = self.standings.get(&anchor.subject).and_then(|s| s.parent);
            let cause = parent.and_then(|p| self.standings.get(&p));
            if cause.is_some_and(|s| s.open.is_some_and(|o| self.is_told_of(anchor.notifier, s.subject, o.incident_id)))
            {
                // The parent's reminders speak for it.
                self.arm_reminder(now, id);
                continue;
            }
            if !self.notifier_wants(anchor.notifier, anchor.subject, EventKind::Reminder) {
                continue;
            }
            let number = anchor.reminders.saturating_add(1);
            self.edit(id, |n| n.reminders = number);
            self.owe(
                now,
                Draft {
                    notifier: anchor.notifier,
                    incident_id: anchor.incident_id,
                    subject: anchor.subject,
                    event: EventKind::Reminder,
                    number,
                    event_id: anchor.event_id,
                    at: now,
                    failing: true,
                    changes: 0,
                    parent: None,
                },
            );
        }
    }

    fn find_open_reminder(&self, incident: i64, notifier: NotifierId) -> bool {
        let all = self.index.by_incident.get(&incident).into_iter().flatten().filter_map(|id| self.notices.get(id));
        all.into_iter().any(|n| n.notifier == notifier && n.event == EventKind::Reminder && n.state.is_open())
    }

    fn is_open(&self, target: SubjectId, incident: i64) -> bool {
        self.standings.get(&target).and_then(|s| s.open).is_some_and(|o| o.incident_id == incident)
    }
}
