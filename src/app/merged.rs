//! Where each subject stood when the daemon stopped: the newest of what the databases say.
//!
//! ```text
//!  statuses of main  --overtaken by--> newer ones of state.db --and by--> batches of the spool (their counters added)
//!                                            '--only there--> recovered(): a batch that writes them to main again
//! ```

use std::collections::HashMap;

use crate::model::incident::{End, Incident};
use crate::model::record::{Batch, IncidentChange, IncidentEnd, StatusRecord};
use crate::model::state::{Counters, TargetState};
use crate::model::subject::SubjectId;
use crate::model::time::UtcMs;
use crate::store::StoredStatus;

/// The newest state of each subject, from three sources.
#[derive(Default)]
pub(super) struct Merged {
    pub(super) states: HashMap<SubjectId, TargetState>,
    /// Beside them, so that the states can be handed on as they are.
    facts: HashMap<SubjectId, Facts>,
}

#[derive(Default)]
struct Facts {
    /// (writer, number) of the batch that the state is of.
    version: (i64, i64),
    /// The incident that the main database believes open.
    incident_in_main: Option<i64>,
    /// When the newest state was looked at that the main database or the spool holds: all before is in there.
    written_until: Option<UtcMs>,
    /// The state comes from state.db, and no batch that is still to be written holds it.
    only_local: bool,
}

impl Merged {
    /// Room for so many targets at once: growing to it would leave its smaller forms behind.
    pub(super) fn for_targets(n: usize) -> Merged {
        Merged { states: HashMap::with_capacity(n), facts: HashMap::with_capacity(n) }
    }

    /// A status of the main database.
    pub(super) fn add_main(&mut self, s: StoredStatus) {
        let incident_in_main = s.state.incident.map(|i| i.id);
        let (version, written_until) = ((s.writer, s.number), s.state.last_updated);
        let facts = Facts { version, incident_in_main, written_until, only_local: false };
        self.facts.insert(s.subject, facts);
        self.states.insert(s.subject, s.state);
    }

    /// A status of state.db, beside those of the main database.
    pub(super) fn overtake(&mut self, s: StoredStatus) {
        let version = (s.writer, s.number);
        let facts = self.facts.entry(s.subject).or_default();
        if facts.version < version {
            facts.version = version;
            facts.only_local = true;
            // The counters that are kept with the results stand; the transition is newer. No row, no counters: what was
            // counted was lost together with its results, or is in the spool.
            let counters = self.states.get(&s.subject).map(|known| known.counters).unwrap_or_default();
            self.states.insert(s.subject, TargetState { counters, ..s.state });
        }
    }

    /// The states of state.db alone.
    pub(super) fn local_only(local: Vec<StoredStatus>) -> Merged {
        let states = local.into_iter().map(|s| (s.subject, s.state)).collect();
        Merged { states, facts: HashMap::new() }
    }

    /// A spooled batch that the main database does not hold.
    pub(super) fn take_in(&mut self, batch: &Batch) {
        for status in &batch.statuses {
            let version = (batch.writer, batch.number);
            let state = self.states.entry(status.subject).or_default();
            let facts = self.facts.entry(status.subject).or_default();
            let mut counters = state.counters;
            counters.add(&status.delta);
            facts.written_until = facts.written_until.max(status.state.last_updated);
            if version >= facts.version {
                *state = status.state.clone();
                facts.version = version;
                facts.only_local = false;
            }
            state.counters = counters;
        }
    }

    /// Since when there may be transitions that only state.db knows; `None`: there are none.
    pub(super) fn behind_since(&self) -> Option<UtcMs> {
        let behind = self.facts.values().filter(|f| f.only_local);
        behind.map(|f| f.written_until.unwrap_or(UtcMs(0))).min()
    }

    /// A batch with the transitions that only state.db knows: the daemon was killed before they were written. `known` are
    /// its incidents since [`Merged::behind_since`]; those that are written already change nothing.
    pub(super) fn recovered(&self, writer: i64, number: i64, known: &[Incident], now: UtcMs) -> Option<Batch> {
        let mut batch = Batch { writer, number, ..Batch::default() };
        for (id, facts) in self.facts.iter().filter(|(_, f)| f.only_local) {
            let Some(state) = self.states.get(id) else { continue };
            let current = state.incident.map(|i| i.id);
            if let Some(stale) = facts.incident_in_main.filter(|i| Some(*i) != current)
                && !known.iter().any(|i| i.id == stale && i.ended_at.is_some())
            {
                let ended_at = state.last_updated.unwrap_or(now);
                let end = IncidentEnd { id: stale, ended_at, ended_by: End::Recovered, facts: Box::default() };
                batch.incidents.push(IncidentChange::Ended(end));
            }
            let status = StatusRecord { subject: *id, state: state.clone(), delta: Counters::default() };
            batch.statuses.push(status);
        }
        for incident in known.iter().filter(|i| self.facts.get(&i.subject).is_some_and(|f| f.only_local)) {
            let current = self.states.get(&incident.subject).and_then(|s| s.incident).map(|i| i.id);
            if incident.ended_at.is_none() && current != Some(incident.id) {
                continue;
            }
            batch.incidents.push(IncidentChange::Opened(Box::new(incident.clone())));
            // The row may be there, as an open one.
            if let (Some(ended_at), Some(ended_by)) = (incident.ended_at, incident.ended_by) {
                let end = IncidentEnd { id: incident.id, ended_at, ended_by, facts: Box::default() };
                batch.incidents.push(IncidentChange::Ended(end));
            }
        }
        (!batch.is_empty()).then_some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::message::TargetFacts;
    use crate::model::reason::Reason;
    use crate::model::state::{OpenIncident, Status};
    use crate::model::trace::Trace;

    fn stored(number: i64, pass_count: i64, incident: Option<i64>) -> StoredStatus {
        let state = TargetState {
            conclusive: if incident.is_some() { Status::Fail } else { Status::Pass },
            counters: Counters { pass_count, ..Counters::default() },
            incident: incident.map(|id| OpenIncident { id, started_at: UtcMs(5) }),
            last_updated: Some(UtcMs(77)),
            ..TargetState::default()
        };
        StoredStatus { subject: SubjectId(1), state, writer: 10, number }
    }

    fn merge(main: Vec<StoredStatus>, local: Vec<StoredStatus>) -> Merged {
        let mut merged = Merged::default();
        main.into_iter().for_each(|s| merged.add_main(s));
        local.into_iter().for_each(|s| merged.overtake(s));
        merged
    }

    #[test]
    fn a_newer_transition_overtakes_but_the_counters_of_the_results_stand() {
        let merged = merge(vec![stored(5, 100, None)], vec![stored(6, 90, Some(3))]);
        let state = &merged.states[&SubjectId(1)];
        assert_eq!((state.counters.pass_count, state.conclusive), (100, Status::Fail));
        let batch = merged.recovered(11, 1, &[], UtcMs(99)).unwrap();
        assert_eq!(batch.statuses[0].delta, Counters::default());
        // An older one does not.
        let merged = merge(vec![stored(7, 100, None)], vec![stored(6, 90, Some(3))]);
        assert!(merged.recovered(11, 1, &[], UtcMs(99)).is_none());
    }

    #[test]
    fn a_recovery_that_only_state_db_knows_ends_the_incident_in_the_main_database() {
        let merged = merge(vec![stored(5, 100, Some(3))], vec![stored(6, 90, None)]);
        let batch = merged.recovered(11, 1, &[], UtcMs(99)).unwrap();
        let end = IncidentEnd { id: 3, ended_at: UtcMs(77), ended_by: End::Recovered, facts: Box::default() };
        assert_eq!(batch.incidents, vec![IncidentChange::Ended(end)]);
    }

    #[test]
    fn an_incident_that_began_and_ended_where_only_state_db_saw_it_is_written_whole() {
        let mut merged = merge(vec![stored(5, 100, None)], vec![stored(6, 90, None)]);
        assert_eq!(merged.behind_since(), Some(UtcMs(77)));
        let incident = |id, ended_at: Option<i64>| Incident {
            id,
            subject: SubjectId(1),
            started_at: UtcMs(70),
            ended_at: ended_at.map(UtcMs),
            ended_by: ended_at.map(|_| End::Recovered),
            reason: Reason::Status,
            description: String::new(),
            first_trace: Trace::default(),
            last_good_trace: None,
            facts: TargetFacts::default(),
        };
        let unknown = incident(8, Some(80));
        let other = Incident { subject: SubjectId(2), ..incident(9, None) };
        let batch = merged.recovered(11, 1, &[unknown.clone(), other], UtcMs(99)).unwrap();
        let end = IncidentEnd { id: 8, ended_at: UtcMs(80), ended_by: End::Recovered, facts: Box::default() };
        let whole = vec![IncidentChange::Opened(Box::new(unknown)), IncidentChange::Ended(end)];
        assert_eq!(batch.incidents, whole, "and nothing of a target that is not behind");
        // What the spool holds is known until later.
        let mut spooled = stored(5, 0, None).state;
        spooled.last_updated = Some(UtcMs(79));
        let statuses = vec![StatusRecord { subject: SubjectId(1), state: spooled, delta: Counters::default() }];
        merged.take_in(&Batch { writer: 10, number: 5, statuses, ..Batch::default() });
        assert_eq!(merged.behind_since(), Some(UtcMs(79)));
    }

    #[test]
    fn spooled_batches_add_their_counters_and_carry_their_state() {
        let mut merged = merge(vec![stored(5, 100, None)], vec![stored(6, 90, Some(3))]);
        let newer = stored(6, 0, Some(3)).state;
        let delta = Counters { fail_count: 2, ..Counters::default() };
        let statuses = vec![StatusRecord { subject: SubjectId(1), state: newer, delta }];
        merged.take_in(&Batch { writer: 10, number: 6, statuses, ..Batch::default() });
        let state = &merged.states[&SubjectId(1)];
        assert_eq!((state.counters.pass_count, state.counters.fail_count), (100, 2));
        assert!(merged.recovered(11, 1, &[], UtcMs(99)).is_none(), "the spool will bring it");
    }
}
