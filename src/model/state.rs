//! The one place where a target's state changes.
//!
//! ```text
//!            FAIL x fail_after                         PASS x recover_after
//!   NEW ---------------------> FAIL (incident opened) ----------------------> PASS (incident closed)
//!    |  PASS                    ^                                              |
//!    '--------> PASS ----------'  FAIL x fail_after                            '--> …
//!   UNKNOWN: shown while the last outcome was inconclusive; changes no streak and no incident
//! ```
//!
//! [`step`] is pure: state and outcome in, next state and transition out. The target actor carries the transition out.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::incident::End;
use super::outcome::Outcome;
use super::reason::{Reason, Verdict};
use super::time::UtcMs;

/// Where a target stands after thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Never probed with a conclusive outcome.
    #[default]
    New,
    /// It works.
    Pass,
    /// It does not.
    Fail,
    /// The last outcome was inconclusive: our side.
    Unknown,
}

impl Status {
    /// The word for it, in capitals.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Status::New => "NEW",
            Status::Pass => "PASS",
            Status::Fail => "FAIL",
            Status::Unknown => "UNKNOWN",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Status {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "NEW" => Ok(Status::New),
            "PASS" => Ok(Status::Pass),
            "FAIL" => Ok(Status::Fail),
            "UNKNOWN" => Ok(Status::Unknown),
            _ => Err(format!("`{s}` is no status (NEW, PASS, FAIL or UNKNOWN)")),
        }
    }
}

/// The thresholds of one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// FAIL outcomes in a row until the target is FAIL; at least 1.
    pub fail_after: u32,
    /// PASS outcomes in a row until a failed target is PASS; at least 1.
    pub recover_after: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Policy { fail_after: 1, recover_after: 1 }
    }
}

/// What is counted over a target's life, in the words of skypunch 0.3.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Outcomes that passed.
    pub pass_count: i64,
    /// Outcomes that failed.
    pub fail_count: i64,
    /// Outcomes that were inconclusive.
    pub unknown_count: i64,
    /// Due times at which no probe could start.
    pub missed_count: i64,
    /// Answers with status 200 to 299.
    pub count200: i64,
    /// Answers with status 300 to 399.
    pub count300: i64,
    /// Answers with status 400 to 499.
    pub count400: i64,
    /// Answers with status 500 to 599.
    pub count500: i64,
    /// Failures without an answer.
    pub network_fails: i64,
}

impl Counters {
    /// Adds `other` to each; what a person wrote into a row may be near the end of the numbers.
    pub fn add(&mut self, other: &Counters) {
        self.pass_count = self.pass_count.saturating_add(other.pass_count);
        self.fail_count = self.fail_count.saturating_add(other.fail_count);
        self.unknown_count = self.unknown_count.saturating_add(other.unknown_count);
        self.missed_count = self.missed_count.saturating_add(other.missed_count);
        self.count200 = self.count200.saturating_add(other.count200);
        self.count300 = self.count300.saturating_add(other.count300);
        self.count400 = self.count400.saturating_add(other.count400);
        self.count500 = self.count500.saturating_add(other.count500);
        self.network_fails = self.network_fails.saturating_add(other.network_fails);
    }

    /// What must be added to `other` to get `self`.
    #[must_use]
    pub fn minus(&self, other: &Counters) -> Counters {
        Counters {
            pass_count: self.pass_count.saturating_sub(other.pass_count),
            fail_count: self.fail_count.saturating_sub(other.fail_count),
            unknown_count: self.unknown_count.saturating_sub(other.unknown_count),
            missed_count: self.missed_count.saturating_sub(other.missed_count),
            count200: self.count200.saturating_sub(other.count200),
            count300: self.count300.saturating_sub(other.count300),
            count400: self.count400.saturating_sub(other.count400),
            count500: self.count500.saturating_sub(other.count500),
            network_fails: self.network_fails.saturating_sub(other.network_fails),
        }
    }

    /// What one outcome adds.
    #[must_use]
    pub fn of(verdict: Verdict, status_code: Option<u16>) -> Counters {
        let mut c = Counters::default();
        match verdict {
            Verdict::Pass => c.pass_count = 1,
            Verdict::Fail => c.fail_count = 1,
            Verdict::Unknown => c.unknown_count = 1,
        }
        match status_code {
            Some(200..=299) => c.count200 = 1,
            Some(300..=399) => c.count300 = 1,
            Some(400..=499) => c.count400 = 1,
            Some(500..=599) => c.count500 = 1,
            _ if verdict == Verdict::Fail => c.network_fails = 1,
            _ => {}
        }
        c
    }
}

/// The incident that a target is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenIncident {
    /// Its id.
    pub id: i64,
    /// When it began.
    pub started_at: UtcMs,
}

/// Everything that is known of a target's standing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TargetState {
    /// Where it stands, UNKNOWN set aside: NEW, PASS or FAIL.
    pub conclusive: Status,
    /// The last outcome was UNKNOWN.
    pub inconclusive: bool,
    /// The conclusive status before the last outcome.
    pub previous_status: Status,
    /// The last outcome's description.
    pub status_description: Cow<'static, str>,
    /// The last outcome's reason.
    pub reason: Option<Reason>,
    /// When the last outcome came; `None` when there was none.
    pub last_updated: Option<UtcMs>,
    /// FAIL outcomes in a row, the UNKNOWN between them set aside: 0.3.0's "repeated fails".
    pub repeated_fails: u32,
    /// PASS outcomes in a row, likewise.
    pub repeated_passes: u32,
    /// The counters.
    pub counters: Counters,
    /// Latency of the last outcome.
    pub last_latency_us: Option<u32>,
    /// `notAfter` of the last certificate seen.
    pub certificate_expires_at: Option<UtcMs>,
    /// The incident it is in.
    pub incident: Option<OpenIncident>,
}

impl TargetState {
    /// The status to show.
    #[must_use]
    pub fn status(&self) -> Status {
        if self.inconclusive { Status::Unknown } else { self.conclusive }
    }
}

/// What a step asks the actor to carry out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// An incident began.
    Opened(OpenIncident),
    /// An incident ended.
    Closed {
        /// Which.
        incident: OpenIncident,
        /// When.
        ended_at: UtcMs,
        /// How.
        by: End,
    },
}

/// Takes one outcome into account. `fresh_id` names the incident if this opens one.
#[must_use]
pub fn step(
    mut state: TargetState,
    outcome: &Outcome,
    at: UtcMs,
    policy: Policy,
    fresh_id: i64,
) -> (TargetState, Option<Transition>) {
    state.counters.add(&Counters::of(outcome.verdict, outcome.status_code));
    state.previous_status = state.conclusive;
    state.status_description = outcome.description.clone();
    state.reason = outcome.reason;
    state.last_updated = Some(at);
    state.last_latency_us = Some(outcome.latency_us);
    if outcome.certificate_expires_at.is_some() {
        state.certificate_expires_at = outcome.certificate_expires_at;
    }
    state.inconclusive = outcome.verdict == Verdict::Unknown;
    let mut transition = None;
    match outcome.verdict {
        Verdict::Unknown => {}
        Verdict::Pass => {
            state.repeated_fails = 0;
            state.repeated_passes = state.repeated_passes.saturating_add(1);
            if state.conclusive != Status::Fail || state.repeated_passes >= policy.recover_after {
                state.conclusive = Status::Pass;
                transition = close(&mut state, at, End::Recovered);
            }
        }
        Verdict::Fail => {
            state.repeated_passes = 0;
            state.repeated_fails = state.repeated_fails.saturating_add(1);
            if state.conclusive != Status::Fail && state.repeated_fails >= policy.fail_after {
                state.conclusive = Status::Fail;
                let incident = OpenIncident { id: fresh_id, started_at: at };
                state.incident = Some(incident);
                transition = Some(Transition::Opened(incident));
            }
        }
    }
    (state, transition)
}

/// Ends a target's open incident because it is no longer watched (disabled or deleted).
#[must_use]
pub fn withdraw(mut state: TargetState, at: UtcMs) -> (TargetState, Option<Transition>) {
    let transition = close(&mut state, at, End::Withdrawn);
    if transition.is_some() {
        // What it will be when it is watched again is not known: the next probe begins anew.
        state.conclusive = Status::New;
        state.repeated_fails = 0;
        state.repeated_passes = 0;
    }
    (state, transition)
}

fn close(state: &mut TargetState, ended_at: UtcMs, by: End) -> Option<Transition> {
    state.incident.take().map(|incident| Transition::Closed { incident, ended_at, by })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outcome(verdict: Verdict) -> Outcome {
        match verdict {
            Verdict::Pass => Outcome::pass(200, "OK"),
            Verdict::Fail => Outcome::not_passed(Reason::ConnectRefused, "refused"),
            Verdict::Unknown => Outcome::not_passed(Reason::LocalResources, "no descriptors"),
        }
    }

    /// Runs a word such as "PFFU" and gives the state and the transitions as letters: o(pened), c(losed).
    fn run(word: &str, policy: Policy) -> (TargetState, String) {
        let mut state = TargetState::default();
        let mut seen = String::new();
        for (i, letter) in word.chars().enumerate() {
            let verdict = match letter {
                'P' => Verdict::Pass,
                'F' => Verdict::Fail,
                _ => Verdict::Unknown,
            };
            let at = UtcMs(i64::try_from(i).unwrap());
            let (next, transition) = step(state, &outcome(verdict), at, policy, at.0 + 100);
            seen.push(match transition {
                None => '-',
                Some(Transition::Opened(_)) => 'o',
                Some(Transition::Closed { .. }) => 'c',
            });
            state = next;
        }
        (state, seen)
    }

    #[test]
    fn one_fail_opens_and_one_pass_closes_by_default() {
        let (state, seen) = run("PFFP", Policy::default());
        assert_eq!(seen, "-o-c");
        assert_eq!(state.status(), Status::Pass);
        assert_eq!(state.previous_status, Status::Fail);
    }

    #[test]
    fn the_first_probe_may_open_an_incident() {
        assert_eq!(run("F", Policy::default()).1, "o");
    }

    #[test]
    fn thresholds_count_in_a_row() {
        let policy = Policy { fail_after: 3, recover_after: 2 };
        assert_eq!(run("PFFPFFFFPFPP", policy).1, "------o----c");
    }

    #[test]
    fn unknown_neither_adds_to_nor_resets_a_streak() {
        let policy = Policy { fail_after: 2, recover_after: 2 };
        let (state, seen) = run("PFUFUPUP", policy);
        assert_eq!(seen, "---o---c");
        assert_eq!(state.counters.unknown_count, 3);
    }

    #[test]
    fn fail_unknown_fail_is_one_incident() {
        let (state, seen) = run("FUF", Policy::default());
        assert_eq!(seen, "o--");
        assert_eq!(state.status(), Status::Fail);
        assert_eq!(run("FU", Policy::default()).0.status(), Status::Unknown);
        assert_eq!(run("FU", Policy::default()).0.previous_status, Status::Fail);
    }

    #[test]
    fn a_withdrawn_incident_ends_and_the_target_begins_anew() {
        let (state, _) = run("F", Policy::default());
        let (state, transition) = withdraw(state, UtcMs(9));
        assert!(matches!(transition, Some(Transition::Closed { by: End::Withdrawn, .. })));
        assert_eq!(state.status(), Status::New);
        assert_eq!(withdraw(state, UtcMs(10)).1, None);
    }

    proptest! {
        #[test]
        fn incidents_alternate_and_counters_add_up(
            word in "[PFU]{0,60}", fail_after in 1u32..5, recover_after in 1u32..5,
        ) {
            let policy = Policy { fail_after, recover_after };
            let (state, seen) = run(&word, policy);
            // Opened and closed take turns, beginning with opened.
            let turns: String = seen.chars().filter(|c| *c != '-').collect();
            prop_assert!(turns.replace("oc", "").trim_end_matches('o').is_empty());
            prop_assert_eq!(state.incident.is_some(), turns.ends_with('o'));
            prop_assert_eq!(state.incident.is_some(), state.conclusive == Status::Fail);
            let c = state.counters;
            prop_assert_eq!(c.pass_count + c.fail_count + c.unknown_count, i64::try_from(word.len()).unwrap());
            prop_assert_eq!(c.network_fails, c.fail_count);
            prop_assert_eq!(c.count200, c.pass_count);
        }

        #[test]
        fn unknown_outcomes_change_nothing_but_what_is_shown(word in "[PF]{1,20}", holes in "[U]{1,5}", at in 0usize..20) {
            let policy = Policy { fail_after: 2, recover_after: 2 };
            let at = at.min(word.len());
            let holed = format!("{}{holes}{}", &word[..at], &word[at..]);
            let (plain, seen) = run(&word, policy);
            let (with, holed_seen) = run(&holed, policy);
            prop_assert_eq!(plain.conclusive, with.conclusive);
            prop_assert_eq!(plain.repeated_fails, with.repeated_fails);
            let strip = |s: &str| s.chars().filter(|c| *c != '-').collect::<String>();
            prop_assert_eq!(strip(&seen), strip(&holed_seen));
        }
    }
}
