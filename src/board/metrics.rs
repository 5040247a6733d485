//! What is counted of probes for those who scrape `/metrics`: by verdict and reason, and durations by phase.
//!
//! ```text
//!  records on their way to the database --count--> totals, lateness, tags and targets of the plan
//!  scrape --plan--> which tags and targets have histograms;  --snapshot--> a copy of the numbers
//! ```
//!
//! Counting is no work of the probing threads: persistence does it for each bunch of records that it gets, under one lock.
//! A probe costs it a search among 14 bounds and three additions for its whole, for its lateness and for each phase that was
//! reached, and a look-up of its target; for each of its tags the same again. Tags and targets are counted from the first
//! scrape on; where nobody scrapes they cost nothing.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::Board;
use crate::model::histogram::{DURATION_US, Histogram, LATENESS_US};
use crate::model::monitor;
use crate::model::outcome::Phases;
use crate::model::reason::{Reason, Verdict};
use crate::model::record::{Recorded, ResultRecord};
use crate::model::series::SeriesPolicy;
use crate::model::target::{Target, TargetId};
use crate::model::time::Mono;

/// Length of a window of what was missed lately.
const WINDOW_US: u64 = 60_000_000;

/// The phases of a probe, as the label `phase` names them.
pub const PHASES: [&str; 6] = ["resolve", "connect", "tls", "auth", "first_byte", "body"];

/// Histograms of the durations of probes: the whole, and by phase in the order of [`PHASES`].
#[derive(Debug, Clone)]
pub struct Durations {
    /// From start to end without the auth phase.
    pub whole: Histogram,
    /// Each phase, where it was reached.
    pub phases: [Histogram; 6],
}

impl Default for Durations {
    fn default() -> Self {
        let new = || Histogram::new(DURATION_US);
        Durations { whole: new(), phases: std::array::from_fn(|_| new()) }
    }
}

impl Durations {
    fn record(&mut self, result: &ResultRecord) {
        self.whole.record(result.latency_us);
        let Phases { resolve_us, connect_us, tls_us, auth_us, first_byte_us, body_us } = result.phases;
        for (histogram, us) in
            self.phases.iter_mut().zip([resolve_us, connect_us, tls_us, auth_us, first_byte_us, body_us])
        {
            if let Some(us) = us {
                histogram.record(us);
            }
        }
    }
}

/// Of whom there are histograms.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Whose {
    /// All targets with this tag.
    Tag(String),
    /// This target.
    Target(TargetId),
}

/// What is counted of one of them.
#[derive(Debug, Clone)]
pub struct Counted {
    /// Of whom.
    pub whose: Whose,
    /// PASS, FAIL, UNKNOWN.
    pub verdicts: [u64; 3],
    /// How long they took.
    pub durations: Durations,
}

impl Counted {
    fn new(whose: Whose) -> Counted {
        Counted { whose, verdicts: [0; 3], durations: Durations::default() }
    }

    fn fits(&self, target: &Target) -> bool {
        match &self.whose {
            Whose::Tag(tag) => target.tags.contains(tag),
            Whose::Target(id) => *id == target.id,
        }
    }
}

/// All that is counted, as it was at one moment.
#[derive(Debug, Clone)]
pub struct Totals {
    /// Probes that passed.
    pub passed: u64,
    /// Probes that did not, by reason, in the order of [`Reason::ALL`].
    pub reasons: Vec<u64>,
    /// Start minus due time of scheduled probes.
    pub lateness: Histogram,
    /// How long all of them took.
    pub durations: Durations,
    /// The same for tags and targets, in the order of the plan.
    pub counted: Vec<Counted>,
}

impl Default for Totals {
    fn default() -> Self {
        Totals {
            passed: 0,
            reasons: vec![0; Reason::ALL.len()],
            lateness: Histogram::new(LATENESS_US),
            durations: Durations::default(),
            counted: Vec::new(),
        }
    }
}

/// Started and missed within a window.
#[derive(Debug, Clone, Copy, Default)]
struct Window {
    number: u64,
    started: u64,
    missed: u64,
}

#[derive(Debug)]
struct State {
    totals: Totals,
    /// The sentence of a probe that ended for a reason of ours, since somebody asked last.
    example: Option<(Reason, String)>,
    /// This window and the one before.
    lately: [Window; 2],
    /// Places in `totals.counted` of each target that was counted since the last change.
    members: HashMap<TargetId, Box<[usize]>>,
    /// Told when targets have changed.
    changed: watch::Receiver<()>,
}

/// What is counted of probes.
#[derive(Debug)]
pub struct Metrics {
    /// Which series there are.
    pub policy: SeriesPolicy,
    state: Mutex<State>,
}

impl Metrics {
    /// Nothing yet. `changed` is told when targets have changed.
    #[must_use]
    pub fn new(policy: SeriesPolicy, changed: watch::Receiver<()>) -> Metrics {
        let (totals, example, lately, members) = Default::default();
        Metrics { policy, state: Mutex::new(State { totals, example, lately, members, changed }) }
    }

    /// Only these have histograms from now on; what is counted of those that had some stays.
    pub fn plan(&self, wanted: &[Whose]) {
        let mut state = self.state();
        if state.totals.counted.iter().map(|c| &c.whose).eq(wanted) {
            return;
        }
        let mut before: HashMap<Whose, Counted> =
            state.totals.counted.drain(..).map(|c| (c.whose.clone(), c)).collect();
        state.totals.counted =
            wanted.iter().map(|w| before.remove(w).unwrap_or_else(|| Counted::new(w.clone()))).collect();
        state.members.clear();
    }

    /// A copy of what is counted.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.state().totals.clone()
    }

    /// Probes started, and due times missed, in the last one to two minutes.
    #[must_use]
    pub fn lately(&self, now: Mono) -> (u64, u64) {
        let number = now.0 / WINDOW_US;
        let recent = self.state().lately.map(|w| if w.number + 1 >= number { (w.started, w.missed) } else { (0, 0) });
        (recent[0].0 + recent[1].0, recent[0].1 + recent[1].1)
    }

    /// How many probes have ended, and for reasons of ours, with the sentence of one of these.
    #[must_use]
    pub fn of_ours(&self) -> (monitor::Totals, Option<String>) {
        let state = self.state();
        let of = |reason: Reason| state.totals.reasons[reason as usize];
        let totals = monitor::Totals {
            ended: state.totals.passed + state.totals.reasons.iter().sum::<u64>(),
            resources: of(Reason::LocalResources),
            network: of(Reason::LocalNetwork),
            internal: of(Reason::Internal),
            overslept: 0,
            crowded: 0,
        };
        (totals, state.example.as_ref().map(|(_, sentence)| sentence.clone()))
    }

    /// The next sentence is kept anew.
    pub fn forget_example(&self) {
        self.state().example = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while it was held leaves whole numbers.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board {
    /// Counts what probes have found; `records` are on their way to the database.
    pub fn count(&self, records: &[Recorded], now: Mono) {
        let mut guard = self.metrics.state();
        let state = &mut *guard;
        if state.changed.has_changed().unwrap_or(false) {
            state.changed.mark_unchanged();
            state.members.clear();
        }
        let number = now.0 / WINDOW_US;
        let window = &mut state.lately[usize::from(number % 2 == 1)];
        if window.number != number {
            *window = Window { number, ..Window::default() };
        }
        for record in records {
            window.missed += u64::try_from(record.delta.missed_count).unwrap_or(0);
            let Some(result) = &record.result else { continue };
            window.started += 1;
            let totals = &mut state.totals;
            match result.reason {
                None => totals.passed += 1,
                Some(reason) => {
                    totals.reasons[reason as usize] += 1;
                    if monitor::is_ours(reason) && state.example.as_ref().is_none_or(|(known, _)| *known != reason) {
                        let sentence = result.description.as_deref().unwrap_or_default();
                        state.example = Some((reason, sentence.to_owned()));
                    }
                }
            }
            // A probe out of turn, as the first of a new target, is due when it starts.
            if result.lateness_us > 0 {
                totals.lateness.record(result.lateness_us);
            }
            totals.durations.record(result);
            if totals.counted.is_empty() {
                continue;
            }
            let places = state.members.entry(result.target_id).or_insert_with(|| {
                let entry = self.get(result.target_id);
                let target = entry.and_then(|e| e.lock().target.clone());
                let counted = totals.counted.iter().enumerate();
                target.map_or_else(Box::default, |t| counted.filter(|(_, c)| c.fits(&t)).map(|(i, _)| i).collect())
            });
            for place in places.iter() {
                let counted = &mut totals.counted[*place];
                counted.verdicts[result.verdict as usize] += 1;
                counted.durations.record(result);
            }
        }
    }
}

/// The words of [`Counted::verdicts`].
pub const VERDICTS: [Verdict; 3] = [Verdict::Pass, Verdict::Fail, Verdict::Unknown];

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::board::Entry;
    use crate::model::definition::Definition;
    use crate::model::state::{Counters, TargetState};
    use crate::model::time::UtcMs;

    fn record(id: i64, reason: Option<Reason>, missed: i64) -> Recorded {
        let phases = Phases { connect_us: Some(900), ..Phases::default() };
        let result = ResultRecord {
            id: 1,
            target_id: TargetId(id),
            due_at: UtcMs(0),
            started_at: UtcMs(0),
            lateness_us: 700,
            verdict: reason.map_or(Verdict::Pass, Reason::verdict),
            reason,
            description: None,
            status_code: None,
            latency_us: 2_000,
            phases,
            body_bytes: 0,
            incident_id: None,
        };
        Recorded {
            subject: TargetId(id).into(),
            result: Some(result),
            state: TargetState::default(),
            delta: Counters { missed_count: missed, ..Counters::default() },
            incident: None,
        }
    }

    fn put(board: &Board, id: i64, tags: &str) {
        let definition = Definition {
            id,
            name: format!("t{id}"),
            url: "http://localhost/".into(),
            tags: Some(tags.into()),
            ..Definition::default()
        };
        let target = Arc::new(definition.validate().unwrap());
        board.insert(TargetId(id), Entry::new(Some(target), TargetState::default()));
        board.definitions.send_replace(());
    }

    #[test]
    fn verdicts_reasons_phases_and_lateness_are_counted() {
        let board = Board::default();
        board.count(
            &[record(1, None, 0), record(1, Some(Reason::Dns), 2), record(1, Some(Reason::Internal), 0)],
            Mono(0),
        );
        let totals = board.metrics.totals();
        assert_eq!((totals.passed, totals.reasons[Reason::Dns as usize]), (1, 1));
        assert_eq!(totals.reasons.iter().sum::<u64>(), 2);
        assert_eq!((totals.lateness.count(), totals.durations.whole.sum_us()), (3, 6_000));
        assert_eq!(totals.durations.phases.each_ref().map(Histogram::count), [0, 3, 0, 0, 0, 0]);
        assert!(Reason::ALL.iter().enumerate().all(|(i, r)| *r as usize == i));
        assert!(VERDICTS.iter().enumerate().all(|(i, v)| *v as usize == i));
    }

    #[test]
    fn what_was_missed_lately_is_forgotten_after_two_minutes() {
        let board = Board::default();
        board.count(&[record(1, None, 5)], Mono(0));
        board.count(&[record(1, None, 7)], Mono(WINDOW_US));
        assert_eq!(board.metrics.lately(Mono(WINDOW_US)), (2, 12));
        assert_eq!(board.metrics.lately(Mono(2 * WINDOW_US)), (1, 7));
        assert_eq!(board.metrics.lately(Mono(9 * WINDOW_US)), (0, 0));
    }

    #[test]
    fn tags_and_targets_are_counted_as_planned_and_follow_their_definitions() {
        let board = Board::default();
        put(&board, 1, "web,shop");
        put(&board, 2, "web");
        let tag = |t: &str| Whose::Tag(t.into());
        board.count(&[record(1, None, 0)], Mono(0));
        board.metrics.plan(&[tag("shop"), tag("web"), Whose::Target(TargetId(2))]);
        board.count(&[record(1, None, 0), record(2, Some(Reason::Dns), 0), record(3, None, 0)], Mono(0));
        let counts = || board.metrics.totals().counted.iter().map(|c| c.verdicts).collect::<Vec<_>>();
        assert_eq!(counts(), [[1, 0, 0], [1, 1, 0], [0, 1, 0]]);
        put(&board, 2, "shop");
        board.count(&[record(2, Some(Reason::Internal), 0)], Mono(0));
        assert_eq!(counts(), [[1, 0, 1], [1, 1, 0], [0, 1, 1]]);
        board.metrics.plan(&[Whose::Target(TargetId(2)), tag("new")]);
        board.count(&[record(2, None, 0)], Mono(0));
        assert_eq!(counts(), [[1, 1, 1], [0, 0, 0]], "what was counted stays, what is not planned goes");
    }
}
