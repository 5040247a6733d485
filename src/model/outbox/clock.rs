//! The wall clock, which must do here because plans survive restarts. When it is set back, plans move back with it: a
//! retry in five minutes stays a retry in five minutes. When it is set forward, what was planned is due.

use super::book::Book;
use super::rows::NoticeId;
use crate::model::subject::SubjectId;
use crate::model::time::UtcMs;

/// A step back up to this is taken as no step: time stands still for a moment.
const SMALL_STEP_MS: i64 = 1_000;

/// Time from `earlier` to `later` in milliseconds; 0 when it is the other way round.
pub(super) fn ms_since(later: UtcMs, earlier: UtcMs) -> i64 {
    later.0.saturating_sub(earlier.0).max(0)
}

impl Book {
    /// Takes the time in, and gives back the time to plan with, which never goes back by a little.
    pub(super) fn see(&mut self, now: UtcMs) -> UtcMs {
        let back = ms_since(self.mark.now, now);
        if back == 0 {
            self.mark.now = now;
        } else if back > SMALL_STEP_MS {
            self.move_plans(back);
            self.mark.now = now;
            self.swept_at = now;
            self.touch();
        }
        self.mark.now
    }

    fn move_plans(&mut self, back: i64) {
        let moved = |t: UtcMs| UtcMs(t.0.saturating_sub(back));
        let open: Vec<NoticeId> =
            self.notices.values().filter(|n| n.state.is_open() || n.remind_at.is_some()).map(|n| n.id).collect();
        for id in open {
            self.edit(id, |n| {
                n.ready_at = moved(n.ready_at);
                n.hold_until = n.hold_until.map(moved);
                n.remind_at = n.remind_at.map(moved);
            });
        }
        for mut dispatch in self.dispatches.values().cloned().collect::<Vec<_>>() {
            dispatch.due_at = moved(dispatch.due_at);
            dispatch.next_at = moved(dispatch.next_at);
            dispatch.expires_at = moved(dispatch.expires_at);
            self.put_dispatch(dispatch);
        }
        for mut pace in self.paces.values().cloned().collect::<Vec<_>>() {
            pace.sends.iter_mut().for_each(|(t, _)| *t = moved(*t));
            pace.last_fresh = pace.last_fresh.map(moved);
            self.put_pace(pace);
        }
        let targets: Vec<SubjectId> = self.standings.keys().copied().collect();
        for target in targets {
            if let Some(mut standing) = self.standings.get(&target).cloned() {
                standing.changes.iter_mut().for_each(|t| *t = moved(*t));
                if let Some(flapping) = &mut standing.flapping {
                    flapping.last_change = moved(flapping.last_change);
                }
                self.put_standing(standing);
            }
        }
    }
}
