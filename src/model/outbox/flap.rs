//! Flap damping: a target that changes too often is told as one FLAPPING, and one SETTLED when nothing has changed for
//! a whole window.
//!
//! ```text
//!  > N transitions within the window --FLAPPING--> no FAIL, no RECOVERY --a window without any--> SETTLED: PASS or FAIL
//! ```
//!
//! Damped are those who want both FLAPPING and SETTLED to be told; all others hear of each change as ever. SETTLED in
//! failure counts as having been told of the failure.

use super::book::Book;
use super::events::Draft;
use super::rows::{Flapping, NoticeState, Standing, Transition};
use crate::model::notifier::{EventKind, NotifierId};
use crate::model::subject::SubjectId;
use crate::model::time::UtcMs;

impl Book {
    /// Counts a change; begins or prolongs the flapping.
    pub(super) fn changed(&mut self, standing: &mut Standing, t: &Transition, at: UtcMs, now: UtcMs) {
        let limit = self.rules.flap_changes as usize;
        if let Some(flapping) = &mut standing.flapping {
            flapping.changes = flapping.changes.saturating_add(1);
            flapping.last_change = flapping.last_change.max(at);
            return;
        }
        if limit == 0 {
            return;
        }
        let window = self.rules.flap_window;
        standing.changes.retain(|c| c.plus(window) > at);
        standing.changes.iter_mut().for_each(|c| *c = (*c).min(now));
        standing.changes.push(at);
        if standing.changes.len() > limit {
            let changes = u32::try_from(standing.changes.len()).unwrap_or(u32::MAX);
            standing.changes.clear();
            standing.flapping = Some(Flapping { incident_id: t.incident_id, changes, last_change: at });
        }
    }

    /// Sees to it that the notifier is told once of this flapping; whether its FAIL and RECOVERY are damped.
    pub(super) fn tell_flapping(&mut self, now: UtcMs, notifier: NotifierId, t: &Transition, failing: bool) -> bool {
        let target = t.target.id;
        let Some(flapping) = self.standings.get(&target).and_then(|s| s.flapping) else { return false };
        if !self.notifier_wants(notifier, target, EventKind::Flapping) {
            return false;
        }
        let damped = self.notifier_wants(notifier, target, EventKind::Settled);
        if let Some(told) = self.find(flapping.incident_id, notifier, EventKind::Flapping, 0) {
            if told.state.is_unattempted() {
                let id = told.id;
                self.edit(id, |n| {
                    n.changes = flapping.changes;
                    n.failing = failing;
                });
            }
            return damped;
        }
        if damped {
            // What was not attempted yet is said by FLAPPING.
            for id in Self::ids(self.index.lines.get(&(notifier, target))) {
                if self.notices.get(&id).is_some_and(|n| n.state.is_unattempted()) {
                    self.finish(now, id, NoticeState::Merged, None);
                }
            }
        }
        self.owe(
            now,
            Draft {
                notifier,
                incident_id: flapping.incident_id,
                subject: target,
                event: EventKind::Flapping,
                number: 0,
                event_id: t.event_id,
                at: flapping.last_change,
                failing,
                changes: flapping.changes,
                parent: t.parent,
            },
        );
        damped
    }

    /// Targets that flap, in the order of their ids.
    pub fn flapping(&self) -> impl Iterator<Item = SubjectId> + '_ {
        self.index.flapping.iter().copied()
    }

    /// Tells of the targets that did not change for a window.
    pub(super) fn settle_due(&mut self, now: UtcMs) {
        let flapping: Vec<SubjectId> = self.index.flapping.iter().copied().collect();
        for target in flapping {
            if self.settles_at(target).is_some_and(|at| at <= now) {
                self.settle(now, target);
            }
        }
    }

    /// When the next target settles, if none changes before.
    pub(super) fn next_settle(&self) -> Option<UtcMs> {
        self.index.flapping.iter().filter_map(|t| self.settles_at(*t)).min()
    }

    fn settles_at(&self, target: SubjectId) -> Option<UtcMs> {
        let flapping = self.standings.get(&target)?.flapping?;
        Some(flapping.last_change.plus(self.rules.flap_window))
    }

    fn settle(&mut self, now: UtcMs, target: SubjectId) {
        let Some(mut standing) = self.standings.get(&target).cloned() else { return };
        let Some(flapping) = standing.flapping.take() else { return };
        let (incident_id, event_id, parent) = (standing.last_incident, standing.last_event, standing.parent);
        let failing = standing.open.is_some();
        self.put_standing(standing);
        for id in Self::ids(self.index.by_incident.get(&flapping.incident_id)) {
            let Some(told) = self.notices.get(&id) else { continue };
            let notifier = told.notifier;
            if told.event != EventKind::Flapping
                || told.state == NoticeState::Cancelled
                || told.doomed
                || !self.notifier_wants(notifier, target, EventKind::Settled)
            {
                continue;
            }
            if told.state.is_unattempted() {
                self.finish(now, id, NoticeState::Merged, None);
            }
            self.owe(
                now,
                Draft {
                    notifier,
                    incident_id,
                    subject: target,
                    event: EventKind::Settled,
                    number: 0,
                    event_id,
                    at: now,
                    failing,
                    changes: flapping.changes,
                    parent: parent.filter(|_| failing),
                },
            );
        }
    }
}
