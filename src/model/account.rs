//! Takes one probe into account: the next state and what is to be recorded.

use super::incident::Incident;
use super::message::TargetFacts;
use super::outcome::Probe;
use super::reason::{Reason, Verdict};
use super::record::{IncidentChange, IncidentEnd, Recorded, ResultRecord};
use super::state::{Counters, TargetState, Transition, step, withdraw};
use super::subject::SubjectId;
use super::target::Target;
use super::time::UtcMs;
use super::trace::packed::Packed;

/// What [`account`] needs to know beside the probe.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// Wall-clock time of the due time.
    pub due_at: UtcMs,
    /// Wall-clock time of the end.
    pub ended_at: UtcMs,
    /// Due times missed since the last record.
    pub missed: u64,
    /// Id of the result.
    pub result_id: i64,
    /// Id of the incident, if this opens one.
    pub incident_id: i64,
    /// The last trace that passed.
    pub last_good: Option<&'a Packed>,
}

/// The next state and the record of one probe.
#[must_use]
pub fn account(state: TargetState, target: &Target, probe: &Probe, with: Circumstances<'_>) -> (TargetState, Recorded) {
    let outcome = &probe.outcome;
    let (mut state, transition) = step(state, outcome, with.ended_at, target.policy, with.incident_id);
    let missed = Counters { missed_count: i64::try_from(with.missed).unwrap_or(i64::MAX), ..Counters::default() };
    state.counters.add(&missed);
    let mut delta = Counters::of(outcome.verdict, outcome.status_code);
    delta.add(&missed);
    let incident = transition.map(|t| match t {
        Transition::Opened(open) => IncidentChange::Opened(Box::new(Incident {
            id: open.id,
            subject: target.id.into(),
            started_at: open.started_at,
            ended_at: None,
            ended_by: None,
            reason: outcome.reason.unwrap_or(Reason::Internal),
            description: outcome.description.clone().into_owned(),
            first_trace: probe.trace.clone(),
            last_good_trace: with.last_good.map(Packed::unpack),
            facts: TargetFacts::new(target, &state),
        })),
        closed @ Transition::Closed { .. } => ended(closed, TargetFacts::new(target, &state)),
    });
    let result = ResultRecord {
        id: with.result_id,
        target_id: target.id,
        due_at: with.due_at,
        started_at: probe.started_at,
        lateness_us: probe.started.us_since(probe.due),
        verdict: outcome.verdict,
        reason: outcome.reason,
        description: (outcome.verdict != Verdict::Pass).then(|| outcome.description.clone()),
        status_code: outcome.status_code,
        latency_us: outcome.latency_us,
        phases: outcome.phases,
        body_bytes: outcome.body_bytes,
        incident_id: state.incident.map(|i| i.id),
    };
    let recorded = Recorded { subject: target.id.into(), result: Some(result), state: state.clone(), delta, incident };
    (state, recorded)
}

/// Ends the open incident of a target that is disabled or deleted; `None` when it has none.
#[must_use]
pub fn account_withdrawal(state: TargetState, subject: SubjectId, at: UtcMs) -> (TargetState, Option<Recorded>) {
    let (state, transition) = withdraw(state, at);
    let recorded = transition.map(|t| Recorded {
        subject,
        result: None,
        state: state.clone(),
        delta: Counters::default(),
        incident: Some(ended(t, TargetFacts { id: subject.0, ..TargetFacts::default() })),
    });
    (state, recorded)
}

/// The end of an incident, with what was known of its subject then.
pub(super) fn ended(transition: Transition, facts: TargetFacts) -> IncidentChange {
    let facts = Box::new(facts);
    match transition {
        Transition::Opened(open) => IncidentChange::Ended(IncidentEnd {
            id: open.id,
            ended_at: open.started_at,
            ended_by: super::incident::End::Withdrawn,
            facts,
        }),
        Transition::Closed { incident, ended_at, by } => {
            IncidentChange::Ended(IncidentEnd { id: incident.id, ended_at, ended_by: by, facts })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::definition::Definition;
    use crate::model::outcome::Outcome;
    use crate::model::state::Status;
    use crate::model::time::Mono;
    use crate::model::trace::{Event, Trace};

    fn probe(outcome: Outcome) -> Probe {
        let mut trace = Trace::default();
        trace.push(1, Event::FirstByte);
        Probe { due: Mono(1000), started: Mono(1700), started_at: UtcMs(5), outcome, trace }
    }

    fn with(id: i64, last_good: Option<&Packed>) -> Circumstances<'_> {
        Circumstances {
            due_at: UtcMs(4),
            ended_at: UtcMs(6),
            missed: 2,
            result_id: id,
            incident_id: id + 100,
            last_good,
        }
    }

    #[test]
    fn a_failure_is_recorded_with_its_incident_and_both_traces() {
        let target = Definition { id: 3, name: "x".into(), url: "http://h/".into(), ..Definition::default() }
            .validate()
            .unwrap();
        let good = probe(Outcome::pass(200, "OK")).trace;
        let failed = probe(Outcome::not_passed(Reason::Reset, "cut"));
        let (state, recorded) = account(TargetState::default(), &target, &failed, with(1, Some(&Packed::new(&good))));
        assert_eq!(state.status(), Status::Fail);
        assert_eq!((recorded.delta.fail_count, recorded.delta.network_fails, recorded.delta.missed_count), (1, 1, 2));
        let result = recorded.result.unwrap();
        assert_eq!((result.lateness_us, result.incident_id), (700, Some(101)));
        let Some(IncidentChange::Opened(incident)) = recorded.incident else { panic!() };
        assert_eq!((incident.reason, incident.last_good_trace), (Reason::Reset, Some(good)));

        let (state, recorded) = account(state, &target, &probe(Outcome::pass(200, "OK")), with(2, None));
        let Some(IncidentChange::Ended(end)) = recorded.incident else { panic!() };
        assert_eq!(end.id, 101);
        assert_eq!(recorded.result.unwrap().description, None);
        assert_eq!(state.counters.missed_count, 4);
        assert!(account_withdrawal(state, target.id.into(), UtcMs(9)).1.is_none());
    }
}
