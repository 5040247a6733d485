//! The message of a dispatch: what its notices say, from what was frozen when their events happened.
//!
//! Of a digest the worst [`LISTED`] are listed, the worst [`DETAILED`] of them with their traces; of the rest the first
//! [`NAMED`] are named, and those beyond counted. So a message is bounded however many notices it stands for.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::book::Book;
use super::clock::ms_since;
use super::route::sees;
use super::rows::{Dispatch, Notice, NoticeId, NoticeState};
use crate::model::incident::Incident;
use crate::model::message::{Item, Message, MessageKind, TargetFacts};
use crate::model::notifier::EventKind;
use crate::model::reason::Reason;
use crate::model::time::UtcMs;
use crate::model::trace_diff::differences;

/// Items of a digest with traces and differences.
pub const DETAILED: usize = 50;
/// Items of a digest at most; those beyond are counted.
pub const LISTED: usize = 1_000;
/// Names beyond the items at most.
pub const NAMED: usize = 20_000;
/// Names of children of one item at most.
const CHILDREN: usize = 200;
/// References at most: the first and the latest.
const REFERENCES: usize = 20;
/// What is late by less is in time.
const IN_TIME_MS: i64 = 1_000;

/// What must be known to write a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contents {
    /// The notices that are listed, the worst first.
    pub listed: Vec<NoticeId>,
    /// How many more there are.
    pub more: usize,
    /// Events of those whose names are needed, the worst first.
    pub rest: Vec<i64>,
    /// Events whose target facts are needed.
    pub events: Vec<i64>,
    /// Incidents that are needed.
    pub incidents: Vec<i64>,
    /// Those of them whose traces are needed.
    pub traces: Vec<i64>,
}

/// What the caller has loaded.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// By event id: the target as it was then.
    pub facts: HashMap<i64, TargetFacts>,
    /// By id.
    pub incidents: HashMap<i64, Incident>,
    /// By event id: the target's name, of those of which no more is told.
    pub names: HashMap<i64, String>,
}

impl Book {
    /// What a dispatch lists, and what is needed to write it; `None` when it is no longer on its way.
    #[must_use]
    pub fn contents(&self, dispatch: i64) -> Option<Contents> {
        self.dispatches.get(&dispatch)?;
        let mut members: Vec<&Notice> = self.members(dispatch).collect();
        members.sort_by_cached_key(|n| (rank(n), Reverse(self.children_of(n).count()), n.at, n.id));
        let more = members.len().saturating_sub(LISTED);
        let rest = members.iter().skip(LISTED).take(NAMED).map(|n| n.event_id).collect();
        members.truncate(LISTED);
        let mut contents = Contents { more, rest, ..Contents::default() };
        for (i, notice) in members.iter().enumerate() {
            contents.listed.push(notice.id);
            contents.events.push(notice.event_id);
            contents.events.extend(self.children_of(notice).take(CHILDREN).map(|n| n.event_id));
            contents.incidents.push(notice.incident_id);
            if i < DETAILED {
                contents.traces.push(notice.incident_id);
            }
        }
        for ids in [&mut contents.events, &mut contents.incidents, &mut contents.traces] {
            ids.sort_unstable();
            ids.dedup();
        }
        Some(contents)
    }

    /// The message of a dispatch, as it goes out at `now`. What is not in `known` is left empty.
    #[must_use]
    pub fn message(&self, dispatch: i64, contents: &Contents, known: &Known, now: UtcMs) -> Option<Message> {
        let row = self.dispatches.get(&dispatch)?;
        let notices: Vec<&Notice> = contents.listed.iter().filter_map(|id| self.notices.get(id)).collect();
        let kind = match notices.as_slice() {
            [one] if !row.digest => kind_of(one),
            _ => MessageKind::Digest,
        };
        let late = ms_since(now, row.due_at);
        Some(Message {
            message_id: row.message_id.clone(),
            references: self.references(row, &notices),
            kind,
            notifier: self.notifiers.get(&row.notifier).map(|n| n.name.clone()).unwrap_or_default(),
            at: self.members(dispatch).map(|n| n.at).min().unwrap_or(now),
            late_ms: if late < IN_TIME_MS { 0 } else { late },
            host: self.rules.host.clone(),
            items: notices.iter().enumerate().map(|(i, n)| self.item(n, known, i < DETAILED)).collect(),
            more: contents.more,
            rest: contents.rest.iter().filter_map(|event| known.names.get(event).cloned()).collect(),
        })
    }

    fn item(&self, n: &Notice, known: &Known, detailed: bool) -> Item {
        let incident = known.incidents.get(&n.incident_id);
        let name = |event: i64| known.facts.get(&event).map(TargetFacts::called);
        let mut children: Vec<String> = self.children_of(n).take(CHILDREN).filter_map(|c| name(c.event_id)).collect();
        children.sort();
        children.dedup();
        let more = self.children_of(n).count().saturating_sub(CHILDREN);
        if more > 0 {
            children.push(format!("… and {more} more"));
        }
        let target = known
            .facts
            .get(&n.event_id)
            .cloned()
            .unwrap_or_else(|| TargetFacts { id: n.subject.0, ..TargetFacts::default() });
        if n.failing {
            children.extend(self.users_seen(n, &target));
        }
        let traced = incident.filter(|_| detailed);
        let good = traced.and_then(|i| i.last_good_trace.as_ref());
        Item {
            event: n.event,
            recovered_unseen: n.event == EventKind::Fail && n.ended_at.is_some(),
            incident_id: n.incident_id.to_string(),
            alert_id: self.alert_of(n).to_string(),
            started_at: incident.map_or(n.at, |i| i.started_at),
            ended_at: match n.event {
                EventKind::Recovery => Some(n.at),
                EventKind::Settled if !n.failing => n.ended_at.or(incident.and_then(|i| i.ended_at)),
                _ => n.ended_at,
            },
            number: n.number,
            changes: n.changes,
            status: if n.failing { "FAIL" } else { "PASS" }.to_owned(),
            reason: incident.map(|i| i.reason.as_str().to_owned()).unwrap_or_default(),
            description: incident.map(|i| i.description.clone()).unwrap_or_default(),
            cause: incident.map(|i| cause(&i.description, i.reason)).unwrap_or_default(),
            target,
            trace: traced.map(|i| i.first_trace.lines()).unwrap_or_default(),
            last_good_trace: good.map(|t| t.lines()).unwrap_or_default(),
            changed: traced.zip(good).map(|(i, good)| differences(good, &i.first_trace)).unwrap_or_default(),
            children,
        }
    }

    /// The targets that use a credential, as far as the notifier is told of them.
    fn users_seen(&self, n: &Notice, credential: &TargetFacts) -> Vec<String> {
        let Some(notifier) = self.notifiers.get(&n.notifier) else { return Vec::new() };
        let seen: Vec<&str> =
            credential.users.iter().filter(|user| sees(notifier, user)).map(|user| user.name.as_str()).collect();
        let mut names: Vec<String> = seen.iter().take(CHILDREN).map(|name| (*name).to_owned()).collect();
        if seen.len() > CHILDREN {
            names.push(format!("… and {} more", seen.len() - CHILDREN));
        }
        names
    }

    /// The incident under whose id a receiver that keeps incidents has the one that `n` is about. Notices of a target stay
    /// here while it fails or flaps.
    fn alert_of(&self, n: &Notice) -> i64 {
        let (mut flapping, mut settled) = (None, HashMap::new());
        for id in self.index.by_target.get(&n.subject).into_iter().flatten().take_while(|id| **id <= n.id) {
            let Some(told) = self.notices.get(id).filter(|told| told.notifier == n.notifier) else { continue };
            let incident = told.incident_id;
            match told.event {
                EventKind::Flapping => flapping = Some(*settled.get(&incident).unwrap_or(&incident)),
                EventKind::Settled => drop(settled.insert(incident, flapping.take().unwrap_or(incident))),
                _ => {}
            }
        }
        match (n.event, flapping) {
            (EventKind::Flapping, Some(alert)) => alert,
            _ => *settled.get(&n.incident_id).unwrap_or(&n.incident_id),
        }
    }

    /// What the incident of a failure keeps from being told to the same notifier.
    fn children_of<'a>(&'a self, n: &'a Notice) -> impl Iterator<Item = &'a Notice> {
        let tells = matches!(n.event, EventKind::Fail | EventKind::Reminder | EventKind::Flapping) || n.failing;
        let held = self.index.held.get(&n.incident_id).filter(|_| tells).into_iter().flatten();
        held.filter_map(|id| self.notices.get(id)).filter(|child| child.notifier == n.notifier)
    }

    /// Message-IDs of what was told before of the same incidents, oldest first: the failure, its reminders; for SETTLED
    /// the FLAPPING before it.
    fn references(&self, row: &Dispatch, notices: &[&Notice]) -> Vec<String> {
        let mut before: Vec<(NoticeId, &str)> = Vec::new();
        for n in notices {
            for id in self.index.by_target.get(&n.subject).into_iter().flatten().take_while(|id| **id < n.id) {
                let Some(told) = self.notices.get(id) else { continue };
                let belongs = told.incident_id == n.incident_id
                    || (n.event == EventKind::Settled && told.event == EventKind::Flapping);
                if belongs
                    && told.notifier == n.notifier
                    && told.state == NoticeState::Sent
                    && let Some(message_id) = told.message_id.as_deref().filter(|m| *m != row.message_id)
                {
                    before.push((*id, message_id));
                }
            }
        }
        before.sort_unstable();
        let mut references: Vec<String> = Vec::new();
        for (_, message_id) in before {
            if !references.iter().any(|r| r == message_id) {
                if references.len() == REFERENCES {
                    references.remove(1);
                }
                references.push(message_id.to_owned());
            }
        }
        references
    }
}

/// What it usually means: said at the end of the sentence, by the reason alone where that says nothing.
fn cause(description: &str, reason: Reason) -> String {
    let said = description.rsplit_once("; usually ").map(|(_, cause)| cause.trim_end_matches('.'));
    said.unwrap_or_else(|| reason.usually()).to_owned()
}

/// The worse the lower.
fn rank(n: &Notice) -> u8 {
    match n.event {
        EventKind::Fail | EventKind::Settled if n.failing => 0,
        EventKind::Reminder => 1,
        EventKind::Flapping => 2,
        EventKind::Fail => 3,
        EventKind::Settled => 4,
        EventKind::Recovery => 5,
    }
}

fn kind_of(n: &Notice) -> MessageKind {
    match n.event {
        EventKind::Fail if n.ended_at.is_some() => MessageKind::Both,
        EventKind::Fail => MessageKind::Fail,
        EventKind::Recovery => MessageKind::Recovery,
        EventKind::Reminder => MessageKind::Reminder,
        EventKind::Flapping => MessageKind::Flapping,
        EventKind::Settled => MessageKind::Settled,
    }
}
