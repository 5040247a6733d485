//! Takes one login into account: the credential's next state and what is to be recorded.
//!
//! A credential stands as a target does: PASS, FAIL, an incident from the first login that fails to the next that
//! succeeds. What its targets see meanwhile is UNKNOWN.

use super::CredentialKey;
use crate::model::incident::Incident;
use crate::model::message::TargetFacts;
use crate::model::outcome::Outcome;
use crate::model::reason::{Reason, Verdict};
use crate::model::record::{IncidentChange, IncidentEnd, Recorded};
use crate::model::state::{Counters, Policy, TargetState, Transition, step};
use crate::model::subject::SubjectId;
use crate::model::time::UtcMs;
use crate::model::trace::Trace;
use crate::model::trace::packed::Packed;

/// How a login ended.
#[derive(Debug, Clone)]
pub struct LoginOutcome {
    /// Why it failed, with the sentence for people; `None`: it succeeded.
    pub failed: Option<(Reason, String)>,
    /// How long it took.
    pub latency_us: u32,
    /// Its steps.
    pub trace: Trace,
}

/// The next state and the record of one login. `fresh_id` names the incident if this opens one; `last_good` is the trace
/// of the last login that succeeded.
#[must_use]
pub fn account_login(
    state: TargetState,
    key: &CredentialKey,
    facts: TargetFacts,
    login: &LoginOutcome,
    at: UtcMs,
    fresh_id: i64,
    last_good: Option<&Packed>,
) -> (TargetState, Recorded) {
    let mut outcome = match &login.failed {
        None => Outcome { status_code: None, ..Outcome::pass(201, "logged in") },
        // UNKNOWN for the targets, because it is not their failure; FAIL here, because it is this one's.
        Some((reason, description)) => {
            Outcome { verdict: Verdict::Fail, ..Outcome::not_passed(*reason, description.clone()) }
        }
    };
    outcome.latency_us = login.latency_us;
    let subject = SubjectId::from(key);
    let (state, transition) = step(state, &outcome, at, Policy::default(), fresh_id);
    let facts = TargetFacts {
        id: subject.0,
        last_updated: state.last_updated,
        counters: state.counters,
        repeated_fails: state.repeated_fails,
        ..facts
    };
    let incident = transition.map(|t| match t {
        Transition::Opened(open) => IncidentChange::Opened(Box::new(Incident {
            id: open.id,
            subject,
            started_at: open.started_at,
            ended_at: None,
            ended_by: None,
            reason: outcome.reason.unwrap_or(Reason::Internal),
            description: outcome.description.clone().into_owned(),
            first_trace: login.trace.clone(),
            last_good_trace: last_good.map(Packed::unpack),
            facts: facts.clone(),
        })),
        Transition::Closed { incident, ended_at, by } => IncidentChange::Ended(IncidentEnd {
            id: incident.id,
            ended_at,
            ended_by: by,
            facts: Box::new(facts.clone()),
        }),
    });
    let delta = Counters::of(outcome.verdict, None);
    let recorded = Recorded { subject, result: None, state: state.clone(), delta, incident };
    (state, recorded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::credential::CredentialId;
    use crate::model::incident::End;
    use crate::model::state::Status;

    #[test]
    fn a_login_that_fails_opens_one_incident_and_one_that_succeeds_ends_it() {
        let key = CredentialKey::Row(CredentialId(3));
        let facts = || TargetFacts { name: "prod".into(), ..TargetFacts::default() };
        let login = |reason: Option<Reason>| LoginOutcome {
            failed: reason.map(|r| (r, "no".to_owned())),
            latency_us: 5,
            trace: Trace::default(),
        };
        let (state, recorded) = account_login(
            TargetState::default(),
            &key,
            facts(),
            &login(Some(Reason::IdentityUnreachable)),
            UtcMs(1),
            9,
            None,
        );
        assert_eq!((state.status(), recorded.delta.fail_count), (Status::Fail, 1));
        let Some(IncidentChange::Opened(incident)) = recorded.incident else { panic!("no incident") };
        assert_eq!((incident.id, incident.subject, incident.facts.name.as_str()), (9, SubjectId(-3), "prod"));
        assert_eq!(incident.reason, Reason::IdentityUnreachable);
        let again = login(Some(Reason::IdentityRejected));
        let (state, recorded) = account_login(state, &key, facts(), &again, UtcMs(2), 10, None);
        assert!(recorded.incident.is_none(), "one incident, whatever else goes wrong");
        let (state, recorded) = account_login(state, &key, facts(), &login(None), UtcMs(3), 11, None);
        let Some(IncidentChange::Ended(end)) = recorded.incident else { panic!("it goes on") };
        assert_eq!((end.id, end.ended_by, state.status()), (9, End::Recovered, Status::Pass));
    }
}
