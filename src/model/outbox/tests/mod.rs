//! The outbox in a world of its own: a store that takes its changes, a clock, servers that answer as told.

mod examples;
mod flapping;
mod properties;
mod recipients;
mod storm;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::*;
use crate::model::message::Message;
use crate::model::notifier::{EventKind, Filter, Matched, Notifier, NotifierId};
use crate::model::subject::SubjectId;
use crate::model::time::UtcMs;

pub(super) const START: UtcMs = UtcMs(1_795_363_200_000);

/// What one attempt carried.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Try {
    /// Time since the beginning, which no step of the clock moves.
    pub real_ms: i64,
    pub notifier: NotifierId,
    pub message_id: String,
    pub fresh: bool,
    pub items: Vec<Said>,
    /// How it ended: `None` while it flies or when nobody knows.
    pub sent: Option<bool>,
    /// The server had taken it, whatever we know.
    pub taken: bool,
    /// Whom it may go to; empty for all.
    pub audience: Vec<String>,
    /// Who has it so far, where some only have it.
    pub has: Vec<String>,
    /// It was refused for what it holds, and its members are owed again.
    pub split: bool,
    /// It is a piece of one that was split.
    pub piece: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Said {
    pub notice: NoticeId,
    pub incident: i64,
    pub target: SubjectId,
    pub event: EventKind,
    pub number: u32,
    pub both: bool,
    pub failing: bool,
}

pub(super) struct World {
    pub book: Book,
    pub rules: Rules,
    pub notifiers: Vec<Notifier>,
    pub saved: Stored,
    pub now: UtcMs,
    pub real_ms: i64,
    pub events: Vec<Transition>,
    pub open: HashMap<i64, i64>,
    pub parents: HashMap<i64, i64>,
    pub tries: Vec<Try>,
    pub flying: BTreeMap<NotifierId, (i64, usize)>,
    pub again_at: Option<UtcMs>,
    pub capped: Vec<(NotifierId, UtcMs)>,
}

/// state.db.
#[derive(Default)]
pub(super) struct Stored {
    pub notices: BTreeMap<NoticeId, Notice>,
    pub done: Vec<NoticeId>,
    dispatches: BTreeMap<i64, Dispatch>,
    standings: BTreeMap<SubjectId, Standing>,
    paces: BTreeMap<NotifierId, Pace>,
    mark: Mark,
}

impl Stored {
    fn take(&mut self, changes: Changes) {
        self.notices.extend(changes.notices.into_iter().map(|n| (n.id, n)));
        self.dispatches.extend(changes.dispatches.into_iter().map(|d| (d.id, d)));
        self.standings.extend(changes.standings.into_iter().map(|s| (s.subject, s)));
        self.paces.extend(changes.paces.into_iter().map(|p| (p.notifier, p)));
        self.done.extend(changes.done_notices);
        changes.gone_dispatches.iter().for_each(|d| drop(self.dispatches.remove(d)));
        changes.gone_standings.iter().for_each(|t| drop(self.standings.remove(t)));
        changes.gone_paces.iter().for_each(|n| drop(self.paces.remove(n)));
        self.mark = changes.mark;
    }

    fn load(&self) -> Saved {
        let saved = Saved {
            notices: self.notices.values().filter(|n| !self.done.contains(&n.id)).cloned().collect(),
            dispatches: self.dispatches.values().cloned().collect(),
            standings: self.standings.values().cloned().collect(),
            paces: self.paces.values().cloned().collect(),
            mark: self.mark,
        };
        serde_json::from_str(&serde_json::to_string(&saved).unwrap()).unwrap()
    }
}

pub(super) fn notifier(id: i64) -> Notifier {
    Notifier {
        id: NotifierId(id),
        name: format!("n{id}"),
        tenant: "0".into(),
        kind: "SMTP".into(),
        address: "ops@example.org".into(),
        params: vec![],
        enabled: true,
        filter: Filter::default(),
        group_wait: Duration::from_secs(5),
        group_window: Duration::from_secs(30),
        rate_per_minute: 20,
        retry_for: Duration::from_hours(24),
        remind: None,
        templates: vec![],
    }
}

impl World {
    pub fn new(notifiers: Vec<Notifier>) -> World {
        let rules = Rules { host: "watcher".into(), ..Rules::default() };
        World {
            book: Book::load(rules.clone(), notifiers.clone(), Saved::default(), START),
            rules,
            notifiers,
            saved: Stored::default(),
            now: START,
            real_ms: 0,
            events: vec![],
            open: HashMap::new(),
            parents: HashMap::new(),
            tries: vec![],
            flying: BTreeMap::new(),
            again_at: None,
            capped: vec![],
        }
    }

    pub fn store(&mut self) {
        if let Some(changes) = self.book.take_changes() {
            self.saved.take(changes);
        }
    }

    pub fn event(&mut self, target: i64, kind: TransitionKind, incident: i64) {
        let event_id = self.events.len() as i64 + 1;
        self.events.push(Transition {
            event_id,
            incident_id: incident,
            target: Matched {
                id: SubjectId(target),
                name: format!("t{target}"),
                tenant: "0".into(),
                tags: if target % 2 == 0 { vec!["even".into()] } else { vec![] },
                users: vec![],
            },
            parent: self.parents.get(&target).map(|p| SubjectId(*p)),
            kind,
            at: self.now,
        });
        self.book.take(self.now, &self.events[self.events.len() - 1..]);
        self.store();
    }

    /// The target fails; its incident.
    pub fn fail(&mut self, target: i64) -> i64 {
        let incident = 1_000 + self.events.len() as i64;
        self.open.insert(target, incident);
        self.event(target, TransitionKind::Opened, incident);
        incident
    }

    pub fn recover(&mut self, target: i64) {
        let incident = self.open.remove(&target).unwrap();
        self.event(target, TransitionKind::Recovered, incident);
    }

    pub fn withdraw(&mut self, target: i64) {
        let incident = self.open.remove(&target).unwrap();
        self.event(target, TransitionKind::Withdrawn, incident);
    }

    pub fn set_notifiers(&mut self) {
        self.book.set_notifiers(self.now, self.notifiers.clone());
        self.store();
    }

    pub fn pass(&mut self, ms: i64) {
        self.now.0 += ms;
        self.real_ms += ms;
    }

    /// Begins what is due; the messages that go out.
    pub fn step(&mut self) -> Vec<Message> {
        let next = self.book.next(self.now);
        self.store();
        self.again_at = next.again_at;
        self.capped.extend(next.capped);
        let mut messages = vec![];
        for id in next.send {
            let dispatch = self.book.dispatch(id).unwrap().clone();
            let items = self.book.members(id).map(|n| Said {
                notice: n.id,
                incident: n.incident_id,
                target: n.subject,
                event: n.event,
                number: n.number,
                both: n.ended_at.is_some(),
                failing: n.failing,
            });
            let (fresh, items) = (dispatch.attempts == 1, items.collect());
            assert!(self.flying.insert(dispatch.notifier, (id, self.tries.len())).is_none(), "one attempt at a time");
            self.tries.push(Try {
                real_ms: self.real_ms,
                notifier: dispatch.notifier,
                message_id: dispatch.message_id,
                fresh,
                items,
                sent: None,
                taken: false,
                audience: self.book.audience(id).to_vec(),
                has: vec![],
                split: false,
                piece: self.book.paces.get(&dispatch.notifier).is_some_and(|p| p.most.is_some()),
            });
            let contents = self.book.contents(id).unwrap();
            messages.push(self.book.message(id, &contents, &Known::default(), self.now).unwrap());
        }
        messages
    }

    /// The server of a notifier answers.
    pub fn answer(&mut self, notifier: i64, result: &Attempt) {
        self.answer_some(notifier, result, &[], &[]);
    }

    /// The server of a notifier answers; `has` now have it too, `never` never will.
    pub fn answer_some(&mut self, notifier: i64, result: &Attempt, has: &[&str], never: &[&str]) {
        let Some((dispatch, at)) = self.flying.remove(&NotifierId(notifier)) else { return };
        let mut progress = self.book.dispatch(dispatch).unwrap().progress.clone();
        progress.has.extend(has.iter().map(|r| (*r).to_owned()));
        progress.never.extend(never.iter().map(|r| ((*r).to_owned(), "550".to_owned())));
        let all = matches!(result, Attempt::Sent { .. }) && progress.never.is_empty();
        self.tries[at].has = if all { vec![] } else { progress.has.clone() };
        self.book.attempted(self.now, dispatch, result, progress, 7);
        let state = |said: &Said| self.book.notice(said.notice).unwrap().state;
        let states: Vec<NoticeState> = self.tries[at].items.iter().map(state).collect();
        let sent = matches!(result, Attempt::Sent { .. }) || states.contains(&NoticeState::Sent);
        self.tries[at].sent = Some(sent);
        self.tries[at].taken = sent;
        self.tries[at].split = matches!(result, Attempt::Permanent { .. })
            && self.book.dispatch(dispatch).is_none()
            && states.iter().any(|s| matches!(s, NoticeState::Owed | NoticeState::Merged));
        self.store();
    }

    /// Kill -9 and start again; servers in `took` had accepted what was being sent.
    pub fn restart(&mut self, took: bool) {
        for (_, at) in std::mem::take(&mut self.flying).into_values() {
            self.tries[at].taken = took;
        }
        self.book = Book::load(self.rules.clone(), self.notifiers.clone(), self.saved.load(), self.now);
        self.store();
    }

    /// Lets `ms` pass with working servers; every message that went out.
    pub fn run(&mut self, ms: i64) -> Vec<Message> {
        let (mut all, end) = (vec![], self.real_ms + ms);
        loop {
            all.extend(self.step());
            let flying: Vec<i64> = self.flying.keys().map(|n| n.0).collect();
            if !flying.is_empty() {
                flying.into_iter().for_each(|n| self.answer(n, &sent()));
                continue;
            }
            let left = end - self.real_ms;
            let wait = self.again_at.map_or(left, |at| (at.0 - self.now.0).max(1)).min(left);
            if wait <= 0 {
                return all;
            }
            self.pass(wait);
        }
    }

    pub fn state(&self, incident: i64, notifier: i64, event: EventKind) -> Option<NoticeState> {
        let of = |n: &&Notice| n.incident_id == incident && n.notifier.0 == notifier && n.event == event;
        self.saved.notices.values().find(of).map(|n| n.state)
    }
}

pub(super) fn sent() -> Attempt {
    Attempt::Sent { answer: "250 ok".into() }
}

pub(super) fn transient() -> Attempt {
    Attempt::Transient { why: "451 try later".into(), after: None }
}

pub(super) fn permanent() -> Attempt {
    Attempt::Permanent { why: "550 no such user".into(), content: false }
}

pub(super) fn too_large() -> Attempt {
    Attempt::Permanent { why: "552 too large".into(), content: true }
}
