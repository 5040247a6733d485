//! The rows of the outbox in memory, their indexes, and which of them have changed since they were stored.
//!
//! Every change of a notice goes through [`Book::edit`], which keeps the indexes right and remembers the change.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;

use serde::{Deserialize, Serialize};

use super::Rules;
use super::rows::{Dispatch, Mark, Notice, NoticeId, NoticeState, Pace, Standing};
use crate::model::ids::IdGenerator;
use crate::model::notifier::{EventKind, Notifier, NotifierId};
use crate::model::subject::SubjectId;
use crate::model::time::UtcMs;

/// Everything that state.db keeps of the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Saved {
    /// Those that were not forgotten.
    pub notices: Vec<Notice>,
    /// Messages on their way.
    pub dispatches: Vec<Dispatch>,
    /// Targets that fail, flap or changed lately.
    pub standings: Vec<Standing>,
    /// One a notifier.
    pub paces: Vec<Pace>,
    /// How far it is.
    pub mark: Mark,
}

/// What is to be stored, in one transaction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// To be inserted or replaced, by id.
    pub notices: Vec<Notice>,
    /// To be inserted or replaced, by id.
    pub dispatches: Vec<Dispatch>,
    /// To be inserted or replaced, by target.
    pub standings: Vec<Standing>,
    /// To be inserted or replaced, by notifier.
    pub paces: Vec<Pace>,
    /// Final and not needed here any more: not to be loaded again; to be deleted once the main database has them.
    pub done_notices: Vec<NoticeId>,
    /// To be deleted.
    pub gone_dispatches: Vec<i64>,
    /// To be deleted.
    pub gone_standings: Vec<SubjectId>,
    /// To be deleted.
    pub gone_paces: Vec<NotifierId>,
    /// To be stored always.
    pub mark: Mark,
}

/// The outbox: what is owed, to whom, and what is on its way.
#[derive(Debug)]
pub struct Book {
    pub(super) rules: Rules,
    pub(super) notifiers: BTreeMap<NotifierId, Notifier>,
    pub(super) notices: HashMap<NoticeId, Notice>,
    pub(super) dispatches: BTreeMap<i64, Dispatch>,
    pub(super) standings: HashMap<SubjectId, Standing>,
    pub(super) paces: HashMap<NotifierId, Pace>,
    pub(super) mark: Mark,
    pub(super) index: Index,
    pub(super) swept_at: UtcMs,
    /// Notifiers with messages that wait because of their rate.
    pub(super) capped: BTreeSet<NotifierId>,
    ids: IdGenerator,
    dirty: Dirty,
}

/// Ways to find notices; follows from the rows.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// By target: all.
    pub by_target: HashMap<SubjectId, BTreeSet<NoticeId>>,
    /// By incident: all.
    pub by_incident: HashMap<i64, BTreeSet<NoticeId>>,
    /// By notifier and target: those that are not final, in order.
    pub lines: HashMap<(NotifierId, SubjectId), BTreeSet<NoticeId>>,
    /// By notifier: owed.
    pub owed: HashMap<NotifierId, BTreeSet<NoticeId>>,
    /// By dispatch: its members.
    pub members: HashMap<i64, BTreeSet<NoticeId>>,
    /// By parent: not attempted.
    pub waiting: HashMap<SubjectId, BTreeSet<NoticeId>>,
    /// By the parent's incident: held by it or merged into it.
    pub held: HashMap<i64, BTreeSet<NoticeId>>,
    /// Held until a time.
    pub limits: BTreeSet<(UtcMs, NoticeId)>,
    /// Due reminders.
    pub reminders: BTreeSet<(UtcMs, NoticeId)>,
    /// By notifier: messages on their way.
    pub under_way: HashMap<NotifierId, BTreeSet<i64>>,
    /// Targets that flap.
    pub flapping: BTreeSet<SubjectId>,
}

#[derive(Debug, Default)]
struct Dirty {
    notices: BTreeSet<NoticeId>,
    dispatches: BTreeSet<i64>,
    standings: BTreeSet<SubjectId>,
    paces: BTreeSet<NotifierId>,
    done_notices: Vec<NoticeId>,
    gone_dispatches: Vec<i64>,
    gone_standings: Vec<SubjectId>,
    gone_paces: Vec<NotifierId>,
    mark: bool,
}

fn set<K: Hash + Eq + Copy, V: Ord>(map: &mut HashMap<K, BTreeSet<V>>, key: K, value: V, on: bool) {
    if on {
        map.entry(key).or_default().insert(value);
    } else if let Some(values) = map.get_mut(&key) {
        values.remove(&value);
        if values.is_empty() {
            map.remove(&key);
        }
    }
}

fn set_time(times: &mut BTreeSet<(UtcMs, NoticeId)>, time: (UtcMs, NoticeId), on: bool) {
    if on {
        times.insert(time);
    } else {
        times.remove(&time);
    }
}

impl Index {
    fn note(&mut self, n: &Notice, on: bool) {
        let (id, state) = (n.id, n.state);
        set(&mut self.by_target, n.subject, id, on);
        set(&mut self.by_incident, n.incident_id, id, on);
        if state.is_open() {
            set(&mut self.lines, (n.notifier, n.subject), id, on);
        }
        if state == NoticeState::Owed {
            set(&mut self.owed, n.notifier, id, on);
        }
        if state == NoticeState::Sending
            && let Some(dispatch) = n.dispatch
        {
            set(&mut self.members, dispatch, id, on);
        }
        if let Some(parent) = n.parent.filter(|_| state.is_unattempted()) {
            set(&mut self.waiting, parent, id, on);
        }
        if let Some(incident) = n.held_by.filter(|_| matches!(state, NoticeState::Held | NoticeState::Merged)) {
            set(&mut self.held, incident, id, on);
        }
        if let Some(until) = n.hold_until.filter(|_| state == NoticeState::Held && n.held_by.is_none()) {
            set_time(&mut self.limits, (until, id), on);
        }
        if let Some(at) = n.remind_at {
            set_time(&mut self.reminders, (at, id), on);
        }
    }
}

impl Book {
    /// Goes by other rules from now on; what they have made of the past stays.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// The outbox as it was stored. Messages that were being attempted when the daemon stopped are tried again, with the
    /// same Message-ID; what is owed to notifiers that are not among `notifiers` is cancelled.
    #[must_use]
    pub fn load(rules: Rules, notifiers: Vec<Notifier>, saved: Saved, now: UtcMs) -> Book {
        let mut book = Book {
            ids: IdGenerator::after(rules.node, saved.mark.last_id),
            rules,
            notifiers: BTreeMap::new(),
            notices: HashMap::with_capacity(saved.notices.len()),
            dispatches: BTreeMap::new(),
            standings: HashMap::new(),
            paces: HashMap::new(),
            mark: saved.mark,
            index: Index::default(),
            swept_at: now,
            capped: BTreeSet::new(),
            dirty: Dirty::default(),
        };
        for notice in saved.notices {
            book.index.note(&notice, true);
            book.notices.insert(notice.id, notice);
        }
        for dispatch in saved.dispatches {
            set(&mut book.index.under_way, dispatch.notifier, dispatch.id, true);
            book.dispatches.insert(dispatch.id, dispatch);
        }
        for standing in saved.standings {
            if standing.flapping.is_some() {
                book.index.flapping.insert(standing.subject);
            }
            book.standings.insert(standing.subject, standing);
        }
        book.paces.extend(saved.paces.into_iter().map(|p| (p.notifier, p)));
        let now = book.see(now);
        book.restarted(now);
        book.set_notifiers(now, notifiers);
        book
    }

    /// What has changed since the last call; `None` when nothing has. Where storing it fails, the book is ahead of the
    /// file: store the same again, or load the book anew.
    pub fn take_changes(&mut self) -> Option<Changes> {
        let dirty = std::mem::take(&mut self.dirty);
        if !dirty.mark {
            return None;
        }
        Some(Changes {
            notices: dirty.notices.iter().filter_map(|id| self.notices.get(id).cloned()).collect(),
            dispatches: dirty.dispatches.iter().filter_map(|id| self.dispatches.get(id).cloned()).collect(),
            standings: dirty.standings.iter().filter_map(|id| self.standings.get(id).cloned()).collect(),
            paces: dirty.paces.iter().filter_map(|id| self.paces.get(id).cloned()).collect(),
            done_notices: dirty.done_notices,
            gone_dispatches: dirty.gone_dispatches,
            gone_standings: dirty.gone_standings,
            gone_paces: dirty.gone_paces,
            mark: self.mark,
        })
    }

    /// A notice, while it is needed here.
    #[must_use]
    pub fn notice(&self, id: NoticeId) -> Option<&Notice> {
        self.notices.get(&id)
    }

    /// All notices that are needed here, in no order.
    pub fn notices(&self) -> impl Iterator<Item = &Notice> {
        self.notices.values()
    }

    /// A message on its way.
    #[must_use]
    pub fn dispatch(&self, id: i64) -> Option<&Dispatch> {
        self.dispatches.get(&id)
    }

    /// The members of a message on its way, in order.
    pub fn members(&self, dispatch: i64) -> impl Iterator<Item = &Notice> {
        self.index.members.get(&dispatch).into_iter().flatten().filter_map(|id| self.notices.get(id))
    }

    /// The shortest group wait of all notifiers; as long as can be where there is none.
    #[must_use]
    pub fn shortest_wait(&self) -> std::time::Duration {
        self.notifiers.values().map(|n| n.group_wait).min().unwrap_or(std::time::Duration::MAX)
    }

    /// Notices that are in no message yet, and messages on their way.
    #[must_use]
    pub fn backlog(&self) -> (usize, usize) {
        let owed = self.index.owed.values().map(BTreeSet::len).sum();
        (owed, self.dispatches.len())
    }

    /// The same by notifier; those that have neither are left out.
    #[must_use]
    pub fn backlog_by_notifier(&self) -> HashMap<NotifierId, (usize, usize)> {
        let mut all: HashMap<NotifierId, (usize, usize)> = HashMap::new();
        for (id, owed) in self.index.owed.iter().filter(|(_, owed)| !owed.is_empty()) {
            all.entry(*id).or_default().0 = owed.len();
        }
        for dispatch in self.dispatches.values() {
            all.entry(dispatch.notifier).or_default().1 += 1;
        }
        all
    }

    /// The last transition that was taken: later ones are read from there.
    #[must_use]
    pub fn cursor(&self) -> i64 {
        self.mark.cursor
    }

    /// Where a target stands, if anything is known of it here.
    #[must_use]
    pub fn standing(&self, target: SubjectId) -> Option<&Standing> {
        self.standings.get(&target)
    }

    pub(super) fn next_id(&mut self, now: UtcMs) -> i64 {
        self.mark.last_id = self.ids.next(now.0);
        self.dirty.mark = true;
        self.mark.last_id
    }

    pub(super) fn touch(&mut self) {
        self.dirty.mark = true;
    }

    pub(super) fn add(&mut self, notice: Notice) {
        self.index.note(&notice, true);
        self.dirty.notices.insert(notice.id);
        self.dirty.mark = true;
        self.notices.insert(notice.id, notice);
    }

    /// Changes a notice; the one place where that happens.
    pub(super) fn edit(&mut self, id: NoticeId, change: impl FnOnce(&mut Notice)) {
        if let Some(notice) = self.notices.get_mut(&id) {
            self.index.note(notice, false);
            change(notice);
            self.index.note(notice, true);
            self.dirty.notices.insert(id);
            self.dirty.mark = true;
        }
    }

    pub(super) fn forget_notice(&mut self, id: NoticeId) {
        if let Some(notice) = self.notices.remove(&id) {
            self.index.note(&notice, false);
            // One that was made and ended within a transaction must still be stored: its last form goes first.
            self.dirty.done_notices.push(id);
            self.dirty.mark = true;
        }
    }

    /// Whether its last form is still to be stored.
    pub(super) fn is_dirty(&self, id: NoticeId) -> bool {
        self.dirty.notices.contains(&id)
    }

    pub(super) fn put_dispatch(&mut self, dispatch: Dispatch) {
        set(&mut self.index.under_way, dispatch.notifier, dispatch.id, true);
        self.dirty.dispatches.insert(dispatch.id);
        self.dirty.mark = true;
        self.dispatches.insert(dispatch.id, dispatch);
    }

    pub(super) fn end_dispatch(&mut self, id: i64) {
        if let Some(dispatch) = self.dispatches.remove(&id) {
            set(&mut self.index.under_way, dispatch.notifier, id, false);
            self.dirty.dispatches.remove(&id);
            self.dirty.gone_dispatches.push(id);
            self.dirty.mark = true;
        }
    }

    pub(super) fn put_standing(&mut self, standing: Standing) {
        let target = standing.subject;
        if standing.flapping.is_some() {
            self.index.flapping.insert(target);
        } else {
            self.index.flapping.remove(&target);
        }
        self.dirty.standings.insert(target);
        self.dirty.gone_standings.retain(|t| *t != target);
        self.dirty.mark = true;
        self.standings.insert(target, standing);
    }

    pub(super) fn forget_standing(&mut self, target: SubjectId) {
        if self.standings.remove(&target).is_some() {
            self.index.flapping.remove(&target);
            self.dirty.standings.remove(&target);
            self.dirty.gone_standings.push(target);
            self.dirty.mark = true;
        }
    }

    pub(super) fn put_pace(&mut self, pace: Pace) {
        self.dirty.paces.insert(pace.notifier);
        self.dirty.gone_paces.retain(|n| *n != pace.notifier);
        self.dirty.mark = true;
        self.paces.insert(pace.notifier, pace);
    }

    pub(super) fn forget_pace(&mut self, notifier: NotifierId) {
        if self.paces.remove(&notifier).is_some() {
            self.dirty.paces.remove(&notifier);
            self.dirty.gone_paces.push(notifier);
            self.dirty.mark = true;
        }
    }

    /// Ids in a set of the index, copied: the set may change while they are gone through.
    pub(super) fn ids(set: Option<&BTreeSet<NoticeId>>) -> Vec<NoticeId> {
        set.into_iter().flatten().copied().collect()
    }

    /// The notice of that key.
    pub(super) fn find(&self, incident: i64, notifier: NotifierId, event: EventKind, number: u32) -> Option<&Notice> {
        let all = self.index.by_incident.get(&incident).into_iter().flatten().filter_map(|id| self.notices.get(id));
        all.into_iter().find(|n| n.notifier == notifier && n.event == event && n.number == number)
    }
}
