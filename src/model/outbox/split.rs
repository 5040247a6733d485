//! A digest that was refused for what it holds goes again in smaller pieces.
//!
//! ```text
//!  8 refused --> 4 sent --> 8 (the rest) …          a server that takes no long messages
//!  8 refused --> 4 refused --> 2 refused --> 1 refused: failed --> 1 sent --> 2 --> 4 …       one that is not taken
//!  1, 1, 1 refused: nothing is taken, so the rest fails as a whole                                 a server that takes none
//! ```
//!
//! Each refusal of a digest halves what a message may hold, each success doubles it: what must be found is found in
//! about twice the logarithm of its size, and it ends, for only what was sent can let it grow again.

use super::attempt::Attempt;
use super::book::Book;
use super::compose::LISTED;
use super::rows::{NoticeId, NoticeState, Pace};
use crate::model::notifier::EventKind;
use crate::model::time::UtcMs;

/// After so many messages of one notice that were refused, none taken, smaller ones are of no use.
const HOPELESS: u32 = 3;

impl Pace {
    /// Learns how much the server takes; whether a refused message of `members` notices is to be split.
    pub(super) fn learn(&mut self, result: &Attempt, members: usize, taken: bool) -> bool {
        match result {
            Attempt::Sent { .. } => {
                self.refused_alone = 0;
                // A message lists no more than that: it grows no longer.
                self.most = self.most.map(|most| most.saturating_mul(2)).filter(|most| *most < LISTED);
                false
            }
            Attempt::Permanent { content: true, .. } if !taken && members > 1 => {
                let splits = self.refused_alone < HOPELESS;
                self.most = splits.then(|| (members.min(LISTED) / 2).max(1));
                splits
            }
            Attempt::Permanent { content: true, .. } if !taken => {
                self.refused_alone = self.refused_alone.saturating_add(1);
                self.most = self.most.filter(|_| self.refused_alone < HOPELESS);
                false
            }
            Attempt::Permanent { .. } | Attempt::Transient { .. } => false,
        }
    }
}

impl Book {
    /// The members are owed again, to go out in smaller messages under new ids: this one was not accepted, nor was an
    /// earlier attempt that held the same.
    pub(super) fn split(&mut self, now: UtcMs, dispatch: i64, members: &[NoticeId], why: &str) {
        let attempts = self.dispatches.get(&dispatch).map_or(0, |d| d.attempts);
        for id in members {
            self.put_off(now, *id, true);
            if let Some(end) = self.superseded(*id) {
                self.finish(now, *id, end, Some(why));
            } else if self.notices.get(id).is_some_and(|n| n.state == NoticeState::Sending) {
                self.edit(*id, |n| {
                    n.state = NoticeState::Owed;
                    n.dispatch = None;
                    n.message_id = None;
                    n.attempts = n.attempts.saturating_add(attempts);
                    n.answer = Some(why.to_owned());
                });
            }
        }
        if !self.index.members.contains_key(&dispatch) {
            self.end_dispatch(dispatch);
        }
    }

    /// What becomes of a member that says what is no longer so: the target has settled meanwhile, or has recovered.
    fn superseded(&self, id: NoticeId) -> Option<NoticeState> {
        let notice = self.notices.get(&id).filter(|n| n.state == NoticeState::Sending)?;
        let (by, end) = match notice.event {
            EventKind::Flapping => (EventKind::Settled, NoticeState::Merged),
            EventKind::Reminder => (EventKind::Recovery, NoticeState::Cancelled),
            _ => return None,
        };
        let line = self.index.lines.get(&(notice.notifier, notice.subject)).into_iter().flatten();
        let mut after = line.filter(|other| **other > id).filter_map(|other| self.notices.get(other));
        after.any(|n| n.event == by).then_some(end)
    }
}
