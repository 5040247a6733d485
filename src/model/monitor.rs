//! When the monitor itself is in trouble: this machine, its network, or skypunch. An incident of its own, so that one
//! message says what would otherwise be a target's UNKNOWN a hundred times, and nobody is told of it as their failure.
//!
//! ```text
//!  totals --window closes--> share of what we could not do --step--> FAIL: incident | PASS, three in a row: recovered
//!                              between half the limit and the limit: UNKNOWN, nothing changes
//! ```
//!
//! A window closes after its time, and not before a few probes ended in it: so it works for ten targets an hour and for ten
//! thousand a second. A due time that is missed because the probe before it took so long is the target's doing and not
//! counted, unless that probe still waited for its turn then.

use std::time::Duration;

use super::account::ended;
use super::incident::Incident;
use super::message::TargetFacts;
use super::outcome::Outcome;
use super::reason::{Reason, Verdict};
use super::record::{IncidentChange, Recorded};
use super::state::{Counters, Policy, TargetState, Transition, step};
use super::subject::SubjectId;
use super::time::{Mono, UtcMs};
use super::trace::Trace;

/// So many probes must have ended, or due times been overslept, to say anything.
const LEAST: u64 = 3;

/// One bad window opens the incident, so many good ones in a row end it.
const POLICY: Policy = Policy { fail_after: 1, recover_after: 3 };

/// What usually is the cause of due times at which nothing ran.
const OVERSLEPT: &str =
    "the machine or the process was suspended, or more targets are watched than its processors can probe";

/// What usually is the cause of probes that wait for their turn.
const CROWDED: &str = "more targets are watched than the processors of this machine can probe";

/// From when on it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MonitorRule {
    /// So many of 100 due times could not be served, for a reason of ours.
    pub share: u32,
    /// Within so long a time.
    pub window: Duration,
}

impl Default for MonitorRule {
    fn default() -> Self {
        MonitorRule { share: 20, window: Duration::from_secs(10) }
    }
}

/// What is counted since the start of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Probes that ended, whatever they found.
    pub ended: u64,
    /// Those of them that had no descriptors, ports or memory.
    pub resources: u64,
    /// Those that had no network or no resolver.
    pub network: u64,
    /// Those that panicked.
    pub internal: u64,
    /// Due times at which nothing of ours ran.
    pub overslept: u64,
    /// Due times at which the probe before still waited for its turn.
    pub crowded: u64,
}

impl Totals {
    fn since(&self, earlier: &Totals) -> Totals {
        Totals {
            ended: self.ended.saturating_sub(earlier.ended),
            resources: self.resources.saturating_sub(earlier.resources),
            network: self.network.saturating_sub(earlier.network),
            internal: self.internal.saturating_sub(earlier.internal),
            overslept: self.overslept.saturating_sub(earlier.overslept),
            crowded: self.crowded.saturating_sub(earlier.crowded),
        }
    }
}

/// Whether probes that end so say something of the monitor itself.
#[must_use]
pub fn is_ours(reason: Reason) -> bool {
    matches!(reason, Reason::LocalResources | Reason::LocalNetwork | Reason::Internal)
}

/// The window that is open.
#[derive(Debug)]
pub struct Watch {
    rule: MonitorRule,
    /// `probe.young_limit`.
    young_limit: usize,
    began: Mono,
    before: Totals,
}

impl Watch {
    /// Begins to look. So many young probes may run at once on each thread.
    #[must_use]
    pub fn new(rule: MonitorRule, young_limit: usize, now: Mono) -> Watch {
        Watch { rule, young_limit, began: now, before: Totals::default() }
    }

    /// Looks at the totals; what is to be said when that closes a window. `example` is the sentence of a probe that ended
    /// for a reason of ours.
    pub fn look(&mut self, now: Mono, totals: Totals, example: Option<&str>) -> Option<Outcome> {
        let seen = totals.since(&self.before);
        let took = now.since(self.began);
        if took < self.rule.window || seen.ended + seen.overslept + seen.crowded < LEAST {
            return None;
        }
        (self.began, self.before) = (now, totals);
        Some(self.judge(&seen, took, example))
    }

    fn judge(&self, seen: &Totals, took: Duration, example: Option<&str>) -> Outcome {
        let all = seen.ended + seen.overslept + seen.crowded;
        let bad = seen.resources + seen.network + seen.internal + seen.overslept + seen.crowded;
        let limit = all.saturating_mul(u64::from(self.rule.share));
        if bad == 0 || bad.saturating_mul(200) < limit {
            return Outcome { status_code: None, ..Outcome::pass(200, "the monitor works") };
        }
        let parts = [
            (seen.resources, Reason::LocalResources),
            (seen.network, Reason::LocalNetwork),
            (seen.internal, Reason::Internal),
        ];
        let (most, reason) = parts.into_iter().max_by_key(|(n, _)| *n).unwrap_or((0, Reason::Internal));
        let within = humantime::format_duration(Duration::from_secs(took.as_secs().max(1)));
        let rule = format!("told from monitor.share = {} of 100 on", self.rule.share);
        let (reason, sentence) = if seen.crowded > most.max(seen.overslept) {
            let what = format!(
                "{} of {all} due times of the last {within} were missed, because probes waited for their turn: at most {} of \
                 each thread may be in their first moments, which is probe.young_limit ({rule}); usually {CROWDED}",
                seen.crowded, self.young_limit
            );
            (Reason::LocalResources, what)
        } else if seen.overslept > most {
            let what = format!(
                "{} of {all} due times of the last {within} were missed, because nothing of skypunch ran ({rule}); \
                 usually {OVERSLEPT}",
                seen.overslept
            );
            (Reason::LocalResources, what)
        } else {
            let example = example.map(bare).filter(|e| !e.is_empty());
            let example = example.map_or(String::new(), |e| format!(", as this one: {e}"));
            let what = format!(
                "{bad} of {all} probes of the last {within} were inconclusive for a reason of this machine ({rule}){example}; \
                 usually {}",
                reason.usually()
            );
            (reason, what)
        };
        let outcome = Outcome::not_passed(reason, sentence);
        // UNKNOWN for the targets, because it is not their failure; FAIL here, because it is this one's.
        let verdict = if bad.saturating_mul(100) >= limit { Verdict::Fail } else { Verdict::Unknown };
        Outcome { verdict, ..outcome }
    }
}

/// A sentence without what it usually means, which is said once.
fn bare(sentence: &str) -> &str {
    sentence.rsplit_once("; usually ").map_or(sentence, |(said, _)| said).trim_end_matches('.')
}

/// The next state of the monitor; the record if that is a transition. Nothing is counted: it has no probes of its own.
#[must_use]
pub fn account_monitor(
    state: TargetState,
    host: &str,
    judged: &Outcome,
    at: UtcMs,
    fresh_id: i64,
) -> (TargetState, Option<Recorded>) {
    let (mut state, transition) = step(state, judged, at, POLICY, fresh_id);
    state.counters = Counters::default();
    let facts = TargetFacts {
        id: SubjectId::MONITOR.0,
        name: host.to_owned(),
        tenant: "0".to_owned(),
        enabled: true,
        last_updated: state.last_updated,
        ..TargetFacts::default()
    };
    let incident = transition.map(|t| match t {
        Transition::Opened(open) => IncidentChange::Opened(Box::new(Incident {
            id: open.id,
            subject: SubjectId::MONITOR,
            started_at: open.started_at,
            ended_at: None,
            ended_by: None,
            reason: judged.reason.unwrap_or(Reason::Internal),
            description: judged.description.clone().into_owned(),
            first_trace: Trace::default(),
            last_good_trace: None,
            facts,
        })),
        closed @ Transition::Closed { .. } => ended(closed, facts),
    });
    let recorded = incident.map(|incident| Recorded {
        subject: SubjectId::MONITOR,
        result: None,
        state: state.clone(),
        delta: Counters::default(),
        incident: Some(incident),
    });
    (state, recorded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::state::Status;

    const WINDOW_US: u64 = 10_000_000;

    /// Windows of (ended, network, overslept) one after the other: F(ail), P(ass), ? (between), - (not closed).
    fn judged(windows: &[(u64, u64, u64)]) -> String {
        let mut watch = Watch::new(MonitorRule::default(), 256, Mono(0));
        let mut totals = Totals::default();
        let windows = windows.iter().zip(1u64..);
        let letter = |((ended, network, overslept), n): (&(u64, u64, u64), u64)| {
            totals.ended += ended;
            totals.network += network;
            totals.overslept += overslept;
            match watch.look(Mono(n * WINDOW_US), totals, None).map(|o| o.verdict) {
                None => '-',
                Some(Verdict::Pass) => 'P',
                Some(Verdict::Fail) => 'F',
                Some(Verdict::Unknown) => '?',
            }
        };
        windows.map(letter).collect()
    }

    #[test]
    fn the_share_of_what_we_could_not_do_decides() {
        assert_eq!(judged(&[(100, 19, 0), (100, 20, 0), (100, 10, 0), (100, 9, 0), (100, 0, 0)]), "?F?PP");
        assert_eq!(judged(&[(10, 0, 500), (500, 0, 10)]), "FP", "a stop of the process");
        assert_eq!(judged(&[(1_000_000, 1, 0)]), "P", "one target of many without a route");
    }

    #[test]
    fn few_probes_make_a_window_longer() {
        assert_eq!(judged(&[(1, 1, 0), (1, 1, 0), (1, 1, 0), (0, 0, 0), (2, 0, 0), (1, 0, 0)]), "--F--P");
        let mut watch = Watch::new(MonitorRule::default(), 256, Mono(0));
        let many = Totals { ended: 1000, network: 1000, ..Totals::default() };
        assert_eq!(watch.look(Mono(WINDOW_US - 1), many, None), None, "not before its time");
    }

    #[test]
    fn what_is_said_names_the_reason_an_example_the_cause_once_and_the_limit() {
        let mut watch = Watch::new(MonitorRule::default(), 256, Mono(0));
        let seen = Totals { ended: 8, network: 7, resources: 1, ..Totals::default() };
        let example = "resolving x: no name server answered; usually this machine is lost";
        let said = watch.look(Mono(WINDOW_US), seen, Some(example)).unwrap();
        assert_eq!(said.reason, Some(Reason::LocalNetwork));
        assert_eq!(
            said.description,
            "8 of 8 probes of the last 10s were inconclusive for a reason of this machine (told from monitor.share = 20 of \
             100 on), as this one: resolving x: no name server answered; usually this machine has lost its network or its \
             resolver"
        );
        let seen = Totals { overslept: 60, ended: 9, ..seen };
        let said = watch.look(Mono(2 * WINDOW_US), seen, Some(example)).unwrap();
        assert_eq!(said.reason, Some(Reason::LocalResources));
        assert!(said.description.starts_with("60 of 61 due times"), "{}", said.description);
        let seen = Totals { crowded: 70, ended: 39, ..seen };
        let said = watch.look(Mono(3 * WINDOW_US), seen, Some(example)).unwrap();
        assert_eq!((said.verdict, said.reason), (Verdict::Fail, Some(Reason::LocalResources)));
        assert_eq!(
            said.description,
            "70 of 100 due times of the last 10s were missed, because probes waited for their turn: at most 256 of each thread \
             may be in their first moments, which is probe.young_limit (told from monitor.share = 20 of 100 on); usually more \
             targets are watched than the processors of this machine can probe"
        );
    }

    #[test]
    fn one_incident_from_the_first_bad_window_to_the_third_good_one() {
        let fail = Outcome { verdict: Verdict::Fail, ..Outcome::not_passed(Reason::LocalNetwork, "no network") };
        let between = Outcome::not_passed(Reason::LocalNetwork, "hardly");
        let good = Outcome::pass(200, "the monitor works");
        let mut state = TargetState::default();
        let mut seen = String::new();
        for (i, outcome) in [&good, &fail, &fail, &good, &good, &between, &fail, &good, &good, &between, &good, &good]
            .into_iter()
            .enumerate()
        {
            let i = i64::try_from(i).unwrap();
            let (next, recorded) = account_monitor(state, "h", outcome, UtcMs(i), 100 + i);
            seen.push(match recorded.and_then(|r| r.incident) {
                None => '-',
                Some(IncidentChange::Opened(incident)) => {
                    assert_eq!((incident.subject, incident.id), (SubjectId::MONITOR, 101));
                    assert_eq!(incident.facts.called(), "the monitor on h");
                    'o'
                }
                Some(IncidentChange::Ended(end)) => {
                    assert_eq!(end.id, 101);
                    'c'
                }
            });
            state = next;
        }
        assert_eq!(seen, "-o--------c-");
        assert_eq!((state.status(), state.counters), (Status::Pass, Counters::default()));
    }
}
