use super::*;
use crate::model::outcome::Phases;
use crate::model::reason::Verdict;
use crate::model::record::ResultRecord;
use crate::model::state::{Counters, TargetState};
use crate::model::subject::SubjectId;
use crate::model::target::TargetId;
use crate::model::time::UtcMs;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// A main database with a watermark, and a spool, as they behave from outside.
#[derive(Default)]
struct World {
    main: Vec<i64>,
    mark: i64,
    spool: BTreeMap<i64, Arc<Batch>>,
    seq: i64,
    up: bool,
    /// The answer to a write that arrived gets lost.
    lose_answer: bool,
    /// An unanswered write.
    pending: Option<MainWork>,
    /// Batches whose transitions state.db does not have yet.
    transitions: BTreeSet<i64>,
}

impl World {
    fn write(&mut self, batch: &Batch) {
        if batch.number > self.mark {
            let early = self.transitions.first().is_some_and(|n| *n <= batch.number);
            assert!(!early, "the main database alone knows a transition of {}", batch.number);
            self.main.extend(batch.results.iter().map(|r| r.id));
            self.mark = batch.number;
        }
    }

    fn turn(&mut self, flow: &mut Flow, now: Mono, hang: bool) {
        if let Some(work) = flow.next_main(now) {
            if hang {
                self.pending = Some(work);
            } else {
                if self.up || self.lose_answer {
                    self.write(&work.batch);
                }
                flow.main_done(self.up, now);
            }
        }
        if let Some(work) = flow.next_local(now) {
            let done = match work {
                LocalWork::Push(batch) => {
                    self.seq += 1;
                    self.spool.insert(self.seq, batch);
                    LocalDone::Done
                }
                LocalWork::Front => LocalDone::Front(self.spool.first_key_value().map(|(s, b)| (*s, Arc::clone(b)))),
                LocalWork::Remove(seq) => {
                    self.spool.remove(&seq);
                    LocalDone::Done
                }
                LocalWork::Transitions(number, ..) => {
                    self.transitions.remove(&number);
                    LocalDone::Done
                }
            };
            flow.local_done(done, now);
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Happens {
    Batch,
    Transition,
    Up,
    Down,
    DownAfterCommit,
    Turn,
    Hang,
    Answer(bool),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => Just(Happens::Batch),
        2 => Just(Happens::Transition),
        1 => Just(Happens::Up),
        1 => Just(Happens::Down),
        1 => Just(Happens::DownAfterCommit),
        8 => Just(Happens::Turn),
        1 => Just(Happens::Hang),
        2 => any::<bool>().prop_map(Happens::Answer),
    ]
}

/// A batch with one result of this id, or none, and statuses that count one pass.
fn enqueue(flow: &mut Flow, id: i64, subjects: &[i64]) {
    let result = ResultRecord {
        id,
        target_id: TargetId(1),
        due_at: UtcMs(0),
        started_at: UtcMs(0),
        lateness_us: 0,
        verdict: Verdict::Pass,
        reason: None,
        description: None,
        status_code: None,
        latency_us: 0,
        phases: Phases::default(),
        body_bytes: 0,
        incident_id: None,
    };
    let status = |id: &i64| StatusRecord {
        subject: SubjectId(*id),
        state: TargetState::default(),
        delta: Counters { pass_count: 1, ..Counters::default() },
    };
    let number = flow.next_number();
    let results = if id > 0 { vec![result] } else { Vec::new() };
    let statuses = subjects.iter().map(status).collect();
    flow.enqueue(Batch { writer: 1, number, results, statuses, ..Batch::default() });
}

/// One that the next batch will hold.
fn transition(flow: &mut Flow) {
    let status = StatusRecord {
        subject: crate::model::subject::SubjectId(1),
        state: Default::default(),
        delta: Default::default(),
    };
    let end = crate::model::record::IncidentEnd {
        id: 9,
        ended_at: crate::model::time::UtcMs(1),
        ended_by: crate::model::incident::End::Recovered,
        facts: Box::default(),
    };
    flow.transition(flow.next_number(), status, IncidentChange::Ended(end));
}

proptest! {
    #[test]
    fn every_batch_is_written_exactly_once_and_in_order(events in proptest::collection::vec(happens(), 0..200)) {
        let mut flow = Flow::new(1, false);
        let mut world = World { up: true, ..World::default() };
        let mut now = Mono(0);
        let mut made = 0;
        for event in events {
            now = Mono(now.0 + 100_000);
            match event {
                Happens::Batch => {
                    made += 1;
                    enqueue(&mut flow, made, &[]);
                }
                Happens::Transition => {
                    world.transitions.insert(flow.next_number());
                    transition(&mut flow);
                }
                Happens::Up => (world.up, world.lose_answer) = (true, false),
                Happens::Down => (world.up, world.lose_answer) = (false, false),
                Happens::DownAfterCommit => (world.up, world.lose_answer) = (false, true),
                Happens::Turn => world.turn(&mut flow, now, false),
                Happens::Hang => if world.pending.is_none() { world.turn(&mut flow, now, true) },
                Happens::Answer(arrived) => if let Some(work) = world.pending.take() {
                    if arrived { world.write(&work.batch); }
                    flow.main_done(arrived, now);
                },
            }
        }
        // In the end the database is back and has time.
        world.up = true;
        if world.pending.take().is_some() {
            flow.main_done(false, now);
        }
        for _ in 0..2000 {
            now = Mono(now.0 + 100_000);
            world.turn(&mut flow, now, false);
        }
        prop_assert_eq!(&world.main, &(1..=made).collect::<Vec<_>>());
        prop_assert!(flow.is_safe() && flow.is_settled() && !flow.spooling() && world.spool.is_empty());
    }
}

#[test]
fn while_neither_database_takes_anything_memory_grows_by_no_status() {
    let mut flow = Flow::new(1, true);
    // What is left out has no result and is counted all the same: 7 of 20 targets in each flush, for hours.
    for flush in 0..100_000 {
        let subjects: Vec<i64> = (0..7).map(|i| 1 + (flush * 7 + i) % 20).collect();
        enqueue(&mut flow, 0, &subjects);
        if let Some(LocalWork::Push(_)) = flow.next_local(Mono(flush.unsigned_abs() * 200_000)) {
            flow.local_done(LocalDone::Failed, Mono(flush.unsigned_abs() * 200_000));
        }
    }
    let statuses: usize = flow.queue.iter().map(|b| b.statuses.len()).sum();
    assert!(statuses <= MANY * 7 + 3 * 20, "{statuses} statuses of 20 targets in {} batches", flow.queue.len());
    let counted: i64 = flow.queue.iter().flat_map(|b| &b.statuses).map(|s| s.delta.pass_count).sum();
    assert_eq!(counted, 700_000, "what is counted stays");
    assert!(flow.queue.iter().is_sorted_by(|a, b| a.number < b.number));
    assert_eq!(flow.queue.back().map(|b| b.number), Some(100_000));
    // Results are joined to a bound: one transaction must not hold all of an outage.
    for id in 1..=20_000 {
        enqueue(&mut flow, id, &[1]);
    }
    assert!(flow.queue.iter().all(|b| b.results.len() <= MAX_JOINED), "a batch is too large");
    assert_eq!(flow.results_in_memory(), 20_000);
    // One that is on its way to state.db is nowhere else.
    while !matches!(flow.next_local(Mono(u64::MAX / 2)), Some(LocalWork::Push(b)) if !b.results.is_empty()) {
        flow.local_done(LocalDone::Done, Mono(u64::MAX / 2));
    }
    assert_eq!(flow.results_in_memory(), 20_000);
}

#[test]
fn a_slow_write_is_copied_into_the_spool() {
    let mut flow = Flow::new(1, false);
    flow.enqueue(Batch { writer: 1, number: 1, ..Batch::default() });
    assert!(flow.next_main(Mono(0)).is_some());
    assert_eq!(flow.next_local(Mono(0)), None);
    let later = Mono(0) + PATIENCE;
    assert_eq!(flow.wake_at(), Some(later));
    assert_eq!(flow.next_main(later), None);
    assert!(matches!(flow.next_local(later), Some(LocalWork::Push(b)) if b.number == 1));
    assert!(!flow.is_safe(), "the push has no answer yet");
    flow.local_done(LocalDone::Done, later);
    assert!(flow.is_safe());
    assert!(!flow.is_settled(), "the main database may still answer");
    flow.main_done(false, later);
    assert!(flow.is_settled(), "it does not: state.db has it");
}

#[test]
fn while_held_all_goes_through_the_spool() {
    let mut flow = Flow::new(1, false);
    flow.hold(true);
    flow.enqueue(Batch { writer: 1, number: 1, ..Batch::default() });
    assert_eq!(flow.next_main(Mono(0)), None);
    assert!(matches!(flow.next_local(Mono(0)), Some(LocalWork::Push(_))));
    flow.local_done(LocalDone::Done, Mono(0));
    assert_eq!(flow.next_local(Mono(1)), None);
    flow.hold(false);
    assert_eq!(flow.next_local(Mono(1)), Some(LocalWork::Front));
}

#[test]
fn transitions_go_first_and_survive_a_failure() {
    let mut flow = Flow::new(1, true);
    flow.enqueue(Batch { writer: 1, number: 1, ..Batch::default() });
    transition(&mut flow);
    assert!(matches!(flow.next_local(Mono(0)), Some(LocalWork::Transitions(2, s, _)) if s.len() == 1));
    flow.local_done(LocalDone::Failed, Mono(0));
    assert_eq!(flow.next_local(Mono(1)), None, "pauses after a failure");
    assert!(matches!(flow.next_local(Mono(1_000_000)), Some(LocalWork::Transitions(..))));
}

#[test]
fn the_main_database_gets_no_transition_before_state_db_unless_that_cannot_be_written() {
    for works in [true, false] {
        let mut flow = Flow::new(1, false);
        flow.enqueue(Batch { writer: 1, number: 1, ..Batch::default() });
        transition(&mut flow);
        flow.enqueue(Batch { writer: 1, number: 2, ..Batch::default() });
        assert!(flow.next_main(Mono(0)).is_some_and(|w| w.batch.number == 1), "it holds none");
        flow.main_done(true, Mono(0));
        assert_eq!(flow.next_main(Mono(0)), None, "it waits to be durable");
        assert!(matches!(flow.next_local(Mono(0)), Some(LocalWork::Transitions(2, ..))));
        assert_eq!(flow.next_main(Mono(0)), None, "it is not durable yet");
        flow.local_done(if works { LocalDone::Done } else { LocalDone::Failed }, Mono(0));
        assert!(flow.next_main(Mono(0)).is_some_and(|w| w.batch.number == 2));
    }
}
