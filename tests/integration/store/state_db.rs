//! The local file.

use std::path::Path;

use super::fixture::{NOW, TestDb, batch, definition, ended, id, incident, opened, recorded, result};
use skypunch::model::definition::Definition;
use skypunch::model::incident::End;
use skypunch::model::reason::Verdict;
use skypunch::model::record::{Batch, StatusRecord};
use skypunch::model::state::{Counters, OpenIncident, Status, TargetState};
use skypunch::model::subject::SubjectId;
use skypunch::model::time::UtcMs;
use skypunch::secret::Secret;
use skypunch::store::state_db::{EventKind, OutboxChanges};
use skypunch::store::{SpoolPush, StateDb, StoreError};
use tempfile::TempDir;

const BIG: u64 = 64 << 20;

struct File(TempDir);

impl File {
    fn new() -> File {
        File(tempfile::tempdir().unwrap())
    }

    fn open(&self, max_bytes: u64) -> StateDb {
        StateDb::open(&self.0.path().join("state.db"), max_bytes).unwrap()
    }

    /// What a process leaves behind that is killed now: the file and its log as they are, nothing tidied up.
    fn as_if_killed(&self) -> File {
        let copy = File::new();
        for name in ["state.db", "state.db-wal"] {
            let from = self.0.path().join(name);
            if from.exists() {
                std::fs::copy(from, copy.0.path().join(name)).unwrap();
            }
        }
        copy
    }
}

fn kept(thinned: u64) -> SpoolPush {
    SpoolPush::Kept { thinned }
}

fn drain(state: &mut StateDb) -> Vec<Batch> {
    let mut all = Vec::new();
    while let Some((seq, batch)) = state.spool_front().unwrap() {
        state.spool_remove(seq).unwrap();
        all.push(batch);
    }
    all
}

#[test]
fn definitions_survive_a_kill_with_their_secrets() {
    let file = File::new();
    let mut state = file.open(BIG);
    let secret = Some(Secret::new("user=a,password=b"));
    let url = "http://a.example/\u{1F600}".into();
    let a = Definition { id: 1, url, authn: "BASIC".into(), authn_parms: secret, ..definition("a \u{1F600}") };
    let b = Definition { id: 2, ..definition("b") };
    let wrong = Definition { url: "nonsense".into(), ..b.clone() };
    state.save_definitions(&[a.clone(), b.clone()], &[]).unwrap();
    state.save_definitions(&[wrong], &[]).unwrap(); // its last good form stays
    state.save_all_definitions([a.clone()].into_iter(), &[2]).unwrap();
    assert_eq!(file.as_if_killed().open(BIG).load_definitions().unwrap(), [a.clone(), b]);
    let edited = Definition { id: 1, url: "http://edited/".into(), ..a };
    state.save_definitions(std::slice::from_ref(&edited), &[2, 4711]).unwrap();
    assert_eq!(file.as_if_killed().open(BIG).load_definitions().unwrap(), [edited]);
}

#[test]
fn transitions_are_durable_and_recorded_once() {
    let file = File::new();
    let mut state = file.open(BIG);
    let failed = StatusRecord {
        subject: SubjectId(7),
        state: TargetState {
            conclusive: Status::Fail,
            last_updated: Some(NOW),
            repeated_fails: 2,
            counters: Counters { fail_count: 900, ..Counters::default() },
            incident: Some(OpenIncident { id: id(1), started_at: NOW }),
            ..TargetState::default()
        },
        delta: Counters { fail_count: 1, ..Counters::default() },
    };
    for _ in 0..2 {
        state.record_transitions(3, 5, std::slice::from_ref(&failed), &[opened(id(1), 7)]).unwrap();
    }
    let mut after = file.as_if_killed().open(BIG);
    let stored = after.load_statuses().unwrap();
    assert_eq!((stored.len(), stored[0].writer, stored[0].number), (1, 3, 5));
    assert_eq!(stored[0].state, failed.state, "counters are absolute here");
    assert_eq!(after.open_incidents().unwrap(), [incident(id(1), 7)]);
    state.record_transitions(3, 6, &[], &[ended(id(1), UtcMs(NOW.0 + 9), End::Recovered)]).unwrap();
    state.record_transitions(3, 6, &[], &[ended(id(1), UtcMs(NOW.0 + 9), End::Recovered)]).unwrap();
    state.record_transitions(3, 7, &[], &[opened(id(2), 8), ended(id(2), NOW, End::Withdrawn)]).unwrap();
    let mut after = file.as_if_killed().open(BIG);
    assert_eq!(after.open_incidents().unwrap(), []);
    let events = after.events_after(0, 100).unwrap();
    let kinds: Vec<_> = events.iter().map(|e| (e.incident_id, e.subject.0, e.kind)).collect();
    let (first, second) = ((id(1), 7), (id(2), 8));
    assert_eq!(
        kinds,
        [
            (first.0, first.1, EventKind::Opened),
            (first.0, first.1, EventKind::Recovered),
            (second.0, second.1, EventKind::Opened),
            (second.0, second.1, EventKind::Withdrawn)
        ]
    );
    assert_eq!(after.events_after(events[2].id, 100).unwrap(), events[3..]);
    assert_eq!(after.forget_incidents(UtcMs(NOW.0 + 5000), 10).unwrap(), 0, "what the outbox has not taken stays");
    after.save_outbox(&OutboxChanges { cursor: events[3].id, ..OutboxChanges::default() }).unwrap();
    assert_eq!(after.forget_incidents(UtcMs(NOW.0 + 5), 10).unwrap(), 1);
    assert_eq!(after.events_after(0, 100).unwrap().len(), 2);
    after.record_transitions(3, 8, &[], &[opened(id(3), 9)]).unwrap();
    assert_eq!(after.forget_incidents(UtcMs(NOW.0 + 5000), 10).unwrap(), 1, "one that is open stays");
    assert_eq!(after.events_after(0, 100).unwrap().len(), 1);
}

#[test]
fn the_spool_is_first_in_first_out_and_survives_a_kill() {
    let file = File::new();
    let mut state = file.open(BIG);
    let mut batches: Vec<Batch> = (1..=5).map(|n| batch(3, n, n, n * 100, 3, 1)).collect();
    batches[2].incidents = vec![opened(id(50), 3), ended(id(50), NOW, End::Recovered)];
    for b in &batches {
        assert_eq!(state.spool_push(b).unwrap(), kept(0));
    }
    assert_eq!(state.spool_push(&batches[4]).unwrap(), SpoolPush::AlreadyThere);
    let mut after = file.as_if_killed().open(BIG);
    assert_eq!((after.spool_len().batches, after.spool_len().results), (5, 20));
    assert_eq!(after.spool_len(), state.spool_len());
    let (seq, front) = after.spool_front().unwrap().unwrap();
    assert_eq!(after.spool_front().unwrap().unwrap(), (seq, front), "looking does not take");
    assert_eq!(drain(&mut after), batches);
    assert_eq!(after.spool_len().bytes, 0);
    // A sequence number is not given again when all have gone.
    after.spool_push(&batch(3, 6, 1, 0, 1, 0)).unwrap();
    assert!(after.spool_front().unwrap().unwrap().0 > seq + 4);
}

#[test]
fn a_full_spool_thins_passes_and_nothing_else() {
    let file = File::new();
    let mut state = file.open(20_000);
    let mut thinned = 0;
    for n in 1..=60 {
        match state.spool_push(&batch(3, n, n % 4 + 1, n * 100, 40, 2)).unwrap() {
            SpoolPush::Kept { thinned: t } => thinned += t,
            SpoolPush::AlreadyThere => panic!("each is new"),
        }
        assert!(state.spool_len().bytes <= 20_000, "{n}: {:?}", state.spool_len());
    }
    assert!(thinned > 1000, "{thinned}");
    let db = TestDb::sqlite();
    let mut store = db.store();
    let all = drain(&mut state);
    let passes = |b: &Batch| b.results.iter().filter(|r| r.verdict == Verdict::Pass).count();
    let thin = all.iter().take_while(|b| passes(b) == 0).count();
    // Batches of 40 passes each, joined perhaps.
    let whole = |b: &Batch| passes(b) > 0 && passes(b) % 40 == 0;
    assert!(thin > 0 && all[thin..].iter().all(whole), "the oldest first, and no newer one");
    for b in all {
        store.write_batch(&b).unwrap();
    }
    assert_eq!(db.number("SELECT COUNT(*) FROM results WHERE verdict = 'FAIL'"), 120, "every failure");
    assert_eq!(db.number("SELECT SUM(pass_count) FROM target_status"), 2400, "every pass is counted");
    assert_eq!(db.number("SELECT SUM(thinned_count) FROM target_status"), i64::try_from(thinned).unwrap());
    assert_eq!(db.number("SELECT COUNT(*) FROM results"), 2520 - i64::try_from(thinned).unwrap());
    assert_eq!(store.last_number(3).unwrap(), 60);
    let newest = store.load_statuses().unwrap();
    assert!(newest.iter().all(|s| s.number >= 57), "the last state of each target stands");
}

#[test]
fn the_front_keeps_its_number_while_others_are_joined() {
    let file = File::new();
    let mut state = file.open(1_000);
    for n in 1..=40 {
        state.spool_push(&batch(3, n, 1, n * 100, 5, 0)).unwrap();
    }
    assert_eq!(state.spool_front().unwrap().unwrap().1.number, 1, "it may be on its way under that number");
    assert!(state.spool_len().batches < 40);
    let all = drain(&mut state);
    assert!(all.windows(2).all(|w| w[0].number < w[1].number));
    assert_eq!(all.last().unwrap().number, 40);
    let passes: i64 = all.iter().flat_map(|b| &b.statuses).map(|s| s.delta.pass_count).sum();
    assert_eq!(passes, 200);
}

#[test]
fn failures_are_kept_beyond_the_bound() {
    let file = File::new();
    let mut state = file.open(500);
    for n in 1..=10 {
        assert_eq!(state.spool_push(&batch(3, n, n, n * 100, 0, 20)).unwrap(), kept(0));
    }
    assert_eq!(state.spool_len().results, 200);
    assert_eq!(drain(&mut state).iter().map(|b| b.results.len()).sum::<usize>(), 200);
}

#[test]
fn states_in_the_spool_are_newer_than_those_of_the_last_transition() {
    let file = File::new();
    let mut state = file.open(BIG);
    let status = |fails, number| {
        let s = TargetState { repeated_fails: fails, ..TargetState::default() };
        (vec![StatusRecord { subject: SubjectId(7), state: s, delta: Counters::default() }], number)
    };
    let (early, n) = status(1, 10);
    state.record_transitions(3, n, &early, &[]).unwrap();
    let (spooled, number) = status(2, 12);
    state.spool_push(&Batch { writer: 3, number, statuses: spooled, ..Batch::default() }).unwrap();
    assert_eq!(state.load_statuses().unwrap()[0].state.repeated_fails, 2);
    let (late, n) = status(3, 13);
    state.record_transitions(3, n, &late, &[]).unwrap();
    assert_eq!(state.load_statuses().unwrap()[0].state.repeated_fails, 3);
    state.spool_push(&Batch::collect(4, 1, vec![recorded(result(8, 0, Verdict::Pass))])).unwrap();
    assert_eq!(state.load_statuses().unwrap().len(), 2);
    assert_eq!(state.forget_statuses(NOW, 10).unwrap(), 1);
    assert_eq!(state.load_statuses().unwrap().len(), 2, "what is in the spool is still to be written");
}

#[test]
fn statuses_of_targets_that_are_gone_are_forgotten() {
    let file = File::new();
    let mut state = file.open(BIG);
    let status = |target, at| {
        let s = TargetState { last_updated: Some(UtcMs(NOW.0 + at)), ..TargetState::default() };
        StatusRecord { subject: SubjectId(target), state: s, delta: Counters::default() }
    };
    let all: Vec<StatusRecord> = [(1, 0), (2, 1), (3, 2), (4, 3), (5, 90)].map(|(id, at)| status(id, at)).into();
    state.record_transitions(3, 1, &all, &[]).unwrap();
    state.save_definitions(&[Definition { id: 2, ..definition("stays") }], &[]).unwrap();
    assert_eq!(state.forget_statuses(UtcMs(NOW.0 + 50), 2).unwrap(), 2, "few at a time");
    assert_eq!(state.forget_statuses(UtcMs(NOW.0 + 50), 2).unwrap(), 1);
    assert_eq!(state.forget_statuses(UtcMs(NOW.0 + 50), 2).unwrap(), 0);
    let left: Vec<i64> = state.load_statuses().unwrap().iter().map(|s| s.subject.0).collect();
    assert_eq!(left, [2, 5], "one is still defined, one was heard of lately");
}

#[test]
fn a_damaged_file_says_what_to_do() {
    let file = File::new();
    let path = file.0.path().join("state.db");
    std::fs::write(&path, "not a database ".repeat(1000)).unwrap();
    let error = StateDb::open(&path, BIG).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, StoreError::Damaged(_)) && text.contains("state.db") && text.contains("move"), "{text}");
    // Damaged in the middle: met when it is opened or when the rows are read, never a panic.
    let file = File::new();
    let path = file.0.path().join("state.db");
    let mut state = file.open(BIG);
    for n in 1..=50 {
        state.spool_push(&batch(3, n, n, n * 100, 30, 5)).unwrap();
    }
    drop(state);
    let mut bytes = std::fs::read(&path).unwrap();
    for page in bytes.chunks_mut(4096).skip(1) {
        page.fill(0xa5);
    }
    std::fs::write(&path, bytes).unwrap();
    let error = StateDb::open(&path, BIG).unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
}

#[test]
fn a_batch_that_cannot_be_read_is_reported_and_can_be_passed_over() {
    let file = File::new();
    let path = file.0.path().join("state.db");
    let mut state = file.open(BIG);
    state.spool_push(&batch(3, 1, 1, 0, 4, 0)).unwrap();
    state.spool_push(&batch(3, 2, 1, 100, 4, 0)).unwrap();
    drop(state);
    sqlite3(&path, "UPDATE spool SET body = x'63' WHERE number = 1");
    let mut state = file.open(BIG);
    assert!(matches!(state.spool_front(), Err(StoreError::Unreadable(_))));
    assert_eq!(state.spool_skip().unwrap(), 4);
    assert_eq!(drain(&mut state).len(), 1);
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let file = File::new();
    drop(file.open(BIG));
    let path = file.0.path().join("state.db");
    sqlite3(&path, "INSERT INTO __diesel_schema_migrations (version) VALUES ('0999')");
    assert!(matches!(StateDb::open(&path, BIG), Err(StoreError::TooNew(_))));
}

#[test]
fn incidents_of_an_older_version_get_the_names_that_their_events_hold() {
    let file = File::new();
    let mut state = file.open(BIG);
    state.record_transitions(1, 1, &[], &[opened(id(1), 7)]).unwrap();
    let path = file.0.path().join("state.db");
    drop(state);
    sqlite3(
        &path,
        "ALTER TABLE incidents DROP COLUMN subject_name; ALTER TABLE incidents DROP COLUMN tenantid; \
         DELETE FROM __diesel_schema_migrations WHERE version = '0003'",
    );
    let mut state = file.open(BIG);
    assert_eq!(state.open_incidents().unwrap(), [incident(id(1), 7)]);
    assert_eq!(state.target_names(&[id(1), id(2)]).unwrap(), [(id(1), "shop".to_owned())].into());
    assert_eq!(state.names_of(&[1, 99]).unwrap(), [(1, "7/shop".to_owned())].into());
    sqlite3(&path, "UPDATE events SET facts = json_set(facts, '$.tenant', '0')");
    assert_eq!(state.names_of(&[1]).unwrap(), [(1, "shop".to_owned())].into());
}

fn sqlite3(path: &Path, sql: &str) {
    let mut command = std::process::Command::new("sqlite3");
    command.arg(path).arg(sql);
    super::fixture::output(command).unwrap();
}

/// An outage of many rounds: each batch holds the statuses of 20 targets and nothing else that can be dropped.
#[test]
fn a_long_outage_does_not_grow_the_spool_without_end() {
    let file = File::new();
    let bound = 30_000;
    let mut state = file.open(bound);
    let rounds = 300;
    for n in 1..=rounds {
        let records = (1..=20).map(|t| recorded(result(t, n * 1000 + t, Verdict::Pass))).collect();
        state.spool_push(&Batch::collect(3, n, records)).unwrap();
        assert!(state.spool_len().bytes <= bound, "round {n}: {:?}", state.spool_len());
    }
    let measured = file.as_if_killed().open(bound).spool_len();
    assert_eq!(measured, state.spool_len(), "what is kept in mind is what is there");
    let all = drain(&mut state);
    let passes: i64 = all.iter().flat_map(|b| &b.statuses).map(|s| s.delta.pass_count).sum();
    assert_eq!(passes, 20 * rounds);
}

#[test]
fn a_spool_that_is_behind_is_few_batches_and_its_front_is_left_alone() {
    let file = File::new();
    let mut state = file.open(1 << 30);
    for n in 1..=100 {
        state.spool_push(&batch(3, n, n % 4 + 1, n * 100, 9, 1)).unwrap();
    }
    let size = state.spool_len();
    assert_eq!(size.results, 1000, "all are there");
    assert!(size.batches < 20, "{size:?}");
    assert_eq!(state.spool_push(&batch(3, 100, 1, 0, 1, 0)).unwrap(), SpoolPush::AlreadyThere);
    let db = TestDb::sqlite();
    let mut store = db.store();
    // The front was written, and its answer lost; then all of it comes.
    let front = state.spool_front().unwrap().unwrap().1;
    assert_eq!(front.number, 1, "under its own number");
    store.write_batch(&front).unwrap();
    for n in 101..=110 {
        state.spool_push(&batch(3, n, n % 4 + 1, n * 100, 9, 1)).unwrap();
    }
    for b in drain(&mut state) {
        store.write_batch(&b).unwrap();
    }
    assert_eq!(db.number("SELECT COUNT(*) FROM results"), 1100);
    assert_eq!(db.number("SELECT SUM(pass_count + fail_count) FROM target_status"), 1100);
    assert_eq!(store.last_number(3).unwrap(), 110);
}
