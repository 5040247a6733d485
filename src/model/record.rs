//! What a target actor hands to persistence, and how many of them become one batch.
//!
//! A batch is what the main database takes in one transaction and what the spool keeps as one row. It is named by
//! (writer, number): each start of the daemon is a writer of its own, numbers count from 1 without a hole. The
//! database remembers the last number of each writer, so that a batch is written exactly once however often it is tried.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::incident::{End, Incident};
use super::message::TargetFacts;
use super::outcome::Phases;
use super::reason::{Reason, Verdict};
use super::state::{Counters, TargetState};
use super::subject::SubjectId;
use super::target::TargetId;
use super::time::UtcMs;

/// One row of `results`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultRecord {
    /// Time-ordered id.
    pub id: i64,
    /// Whose.
    pub target_id: TargetId,
    /// When it was due; equal to `started_at` for the first probe of a new target.
    pub due_at: UtcMs,
    /// When it started.
    pub started_at: UtcMs,
    /// Start minus due time in microseconds.
    pub lateness_us: u32,
    /// PASS, FAIL or UNKNOWN.
    pub verdict: Verdict,
    /// Why not PASS.
    pub reason: Option<Reason>,
    /// The sentence for people; `None` for PASS.
    pub description: Option<Cow<'static, str>>,
    /// HTTP status.
    pub status_code: Option<u16>,
    /// Time without authentication.
    pub latency_us: u32,
    /// Time of each phase.
    pub phases: Phases,
    /// Body bytes read.
    pub body_bytes: u32,
    /// The incident that the target was in after this.
    pub incident_id: Option<i64>,
}

/// The end of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentEnd {
    /// Which.
    pub id: i64,
    /// When.
    pub ended_at: UtcMs,
    /// How.
    pub ended_by: End,
    /// The target as it was then; empty but for its id where that is not known.
    pub facts: Box<TargetFacts>,
}

/// What a transition leaves behind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum IncidentChange {
    /// It began.
    Opened(Box<Incident>),
    /// It ended.
    Ended(IncidentEnd),
}

/// What a target actor hands over after each probe (and when it withdraws an incident).
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Whose.
    pub subject: SubjectId,
    /// The result; `None` where only the state changed.
    pub result: Option<ResultRecord>,
    /// The state after it.
    pub state: TargetState,
    /// What it added to the counters, missed due times before it included.
    pub delta: Counters,
    /// The incident that it opened or ended.
    pub incident: Option<IncidentChange>,
}

/// One row of `target_status`: the last state of a batch, and what the batch adds to the counters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusRecord {
    /// Whose.
    pub subject: SubjectId,
    /// The state. Its counters are those that the daemon counts with; the database adds `delta` instead.
    pub state: TargetState,
    /// Added by this batch.
    pub delta: Counters,
}

/// What one transaction writes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Batch {
    /// The start of the daemon that made it: time-ordered, so that a later start compares greater.
    pub writer: i64,
    /// From 1, without a hole.
    pub number: i64,
    /// In the order in which they came.
    pub results: Vec<ResultRecord>,
    /// One a target.
    pub statuses: Vec<StatusRecord>,
    /// In the order in which they came.
    pub incidents: Vec<IncidentChange>,
}

impl Batch {
    /// Collects what came, in order.
    #[must_use]
    pub fn collect(writer: i64, number: i64, records: Vec<Recorded>) -> Batch {
        let mut batch = Batch { writer, number, results: Vec::with_capacity(records.len()), ..Batch::default() };
        let mut place: HashMap<SubjectId, usize> = HashMap::with_capacity(records.len());
        for record in records {
            batch.results.extend(record.result);
            batch.incidents.extend(record.incident);
            match place.get(&record.subject) {
                Some(&i) => {
                    let status = &mut batch.statuses[i];
                    status.state = record.state;
                    status.delta.add(&record.delta);
                }
                None => {
                    place.insert(record.subject, batch.statuses.len());
                    batch.statuses.push(StatusRecord {
                        subject: record.subject,
                        state: record.state,
                        delta: record.delta,
                    });
                }
            }
        }
        batch
    }

    /// This one and the next of its writer as one, under the later number: the later state of each target, the sum of the
    /// deltas.
    #[must_use]
    pub fn join(mut self, next: Batch) -> Batch {
        self.number = next.number;
        self.results.extend(next.results);
        self.incidents.extend(next.incidents);
        let place: HashMap<SubjectId, usize> = self.statuses.iter().enumerate().map(|(i, s)| (s.subject, i)).collect();
        for status in next.statuses {
            match place.get(&status.subject) {
                Some(&i) => {
                    let known = &mut self.statuses[i];
                    known.delta.add(&status.delta);
                    known.state = status.state;
                }
                None => self.statuses.push(status),
            }
        }
        self
    }

    /// Nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.results.is_empty() && self.statuses.is_empty() && self.incidents.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_state_of_a_target_stands_and_its_deltas_add_up() {
        let record = |id: i64, fails: u32| Recorded {
            subject: SubjectId(id),
            result: None,
            state: TargetState { repeated_fails: fails, ..TargetState::default() },
            delta: Counters { fail_count: 1, ..Counters::default() },
            incident: None,
        };
        let batch = Batch::collect(1, 1, vec![record(1, 1), record(2, 7), record(1, 2)]);
        assert_eq!(batch.statuses.len(), 2);
        assert_eq!((batch.statuses[0].state.repeated_fails, batch.statuses[0].delta.fail_count), (2, 2));
        assert_eq!((batch.statuses[1].state.repeated_fails, batch.statuses[1].delta.fail_count), (7, 1));
    }
}
