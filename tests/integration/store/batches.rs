use std::borrow::Cow;

use super::fixture::{NOW, TestDb, batch, definition, id, recorded, result};
use skypunch::model::outcome::Phases;
use skypunch::model::reason::{Reason, Verdict};
use skypunch::model::record::{Batch, ResultRecord, StatusRecord};
use skypunch::model::state::{Counters, OpenIncident, Status, TargetState};
use skypunch::model::subject::SubjectId;
use skypunch::model::target::TargetId;
use skypunch::model::time::UtcMs;
use skypunch::model::trace::Event;
use skypunch::store::{StoreError, StoredStatus, Written};

pub fn results_come_back_exactly(db: &TestDb) {
    let mut store = db.store();
    let most = u32::MAX;
    let extreme = ResultRecord {
        id: id(3),
        target_id: TargetId(7),
        due_at: UtcMs(NOW.0 - 4_294_967),
        started_at: NOW,
        lateness_us: most,
        verdict: Verdict::Unknown,
        reason: Some(Reason::IdentityUnreachable),
        description: Some(Cow::Borrowed("odd \u{1F600} \0 \u{1b}[31m 'text'")),
        status_code: Some(u16::MAX),
        latency_us: most,
        phases: Phases {
            resolve_us: Some(0),
            connect_us: Some(most),
            tls_us: Some(1),
            auth_us: Some(2),
            first_byte_us: None,
            body_us: Some(most),
        },
        body_bytes: most,
        incident_id: Some(i64::MAX),
    };
    let bare = ResultRecord { phases: Phases::default(), status_code: None, ..result(7, 1, Verdict::Fail) };
    let all = vec![result(7, 0, Verdict::Pass), bare, extreme];
    let other = result(8, 9, Verdict::Pass);
    let results = all.iter().cloned().chain([other]).collect();
    store.write_batch(&Batch { writer: 1, number: 1, results, ..Batch::default() }).unwrap();
    let mut back = store.history(7, None, 10).unwrap();
    back.reverse();
    assert_eq!(back, all);
}

fn state() -> TargetState {
    TargetState {
        conclusive: Status::Fail,
        inconclusive: true,
        previous_status: Status::Pass,
        status_description: Cow::Borrowed("no route — \u{1F600}"),
        reason: Some(Reason::LocalNetwork),
        last_updated: Some(NOW),
        repeated_fails: u32::MAX,
        repeated_passes: 3,
        counters: Counters {
            pass_count: 1,
            fail_count: 2,
            unknown_count: 3,
            missed_count: 4,
            count200: 5,
            count300: 6,
            count400: 7,
            count500: 8,
            network_fails: i64::MAX / 2,
        },
        last_latency_us: Some(u32::MAX),
        certificate_expires_at: Some(UtcMs(-1)),
        incident: Some(OpenIncident { id: id(5), started_at: UtcMs(NOW.0 - 1) }),
    }
}

pub fn statuses_come_back_exactly(db: &TestDb) {
    let mut store = db.store();
    let mut write = |number, state: TargetState, delta| {
        let statuses = vec![StatusRecord { subject: SubjectId(7), state, delta }];
        store.write_batch(&Batch { writer: 9, number, statuses, ..Batch::default() }).unwrap();
        store.load_statuses().unwrap()
    };
    let stored = |number, state| vec![StoredStatus { subject: SubjectId(7), state, writer: 9, number }];
    assert_eq!(write(1, state(), state().counters), stored(1, state()));
    // Everything is replaced, with nothing where there is nothing; only the counters stay.
    let plain = TargetState { counters: state().counters, ..TargetState::default() };
    assert_eq!(write(2, plain.clone(), Counters::default()), stored(2, plain));
}

pub fn the_same_batch_twice_counts_once(db: &TestDb) {
    let mut store = db.store();
    let one = batch(1, 1, 7, 0, 3, 1);
    assert_eq!(store.write_batch(&one).unwrap(), Written::Now);
    assert_eq!(store.write_batch(&one).unwrap(), Written::AlreadyThere);
    assert_eq!(db.store().write_batch(&one).unwrap(), Written::AlreadyThere, "on another connection");
    assert_eq!(store.history(7, None, 100).unwrap().len(), 4);
    let counters = store.load_statuses().unwrap()[0].state.counters;
    assert_eq!((counters.pass_count, counters.fail_count), (3, 1));
    assert_eq!((store.last_number(1).unwrap(), store.last_number(2).unwrap()), (1, 0));
}

/// A spool is replayed from somewhere again and again, as after crashes between COMMIT and removal.
pub fn replays_after_crashes_count_once(db: &TestDb) {
    let mut store = db.store();
    let spool: Vec<Batch> = (1..=20).map(|n| batch(4, n, n % 3, n * 100, 5, 2)).collect();
    let mut seed = 12345u64;
    let mut next = 0;
    while next < spool.len() {
        for b in &spool[next..] {
            store.write_batch(b).unwrap();
            seed = skypunch::model::ids::splitmix64(seed);
            if seed.is_multiple_of(3) {
                store = db.connect(); // it died: the batch is written, but still in the spool
                break;
            }
            next += 1;
        }
    }
    assert_eq!(store.last_number(4).unwrap(), 20);
    assert_eq!(db.number("SELECT COUNT(*) FROM results"), 140);
    assert_eq!(db.number("SELECT SUM(pass_count) FROM target_status"), 100);
    assert_eq!(db.number("SELECT SUM(fail_count) FROM target_status"), 40);
}

pub fn counters_add_up_over_writers(db: &TestDb) {
    let mut store = db.store();
    for (writer, number, from) in [(1, 1, 0), (1, 2, 100), (2, 1, 200)] {
        assert_eq!(store.write_batch(&batch(writer, number, 7, from, 2, 1)).unwrap(), Written::Now);
    }
    let stored = &store.load_statuses().unwrap()[0];
    let c = stored.state.counters;
    assert_eq!((c.pass_count, c.fail_count, c.count200, c.count500), (6, 3, 6, 3));
    assert_eq!((stored.writer, stored.number), (2, 1));
}

pub fn a_deleted_target_does_not_stop_a_batch(db: &TestDb) {
    let mut store = db.store();
    let a = store.insert_definition(&definition("a"), NOW).unwrap();
    let b = store.insert_definition(&definition("b"), NOW).unwrap();
    store.delete_definition(a).unwrap();
    let records = vec![recorded(result(a, 0, Verdict::Pass)), recorded(result(b, 1, Verdict::Pass))];
    assert_eq!(store.write_batch(&Batch::collect(1, 1, records)).unwrap(), Written::Now);
    assert_eq!(store.history(b, None, 9).unwrap().len(), 1);
}

pub fn thinned_results_are_booked(db: &TestDb) {
    let mut store = db.store();
    let mut thin = batch(1, 1, 7, 0, 10, 2);
    thin.results.retain(|r| r.verdict != Verdict::Pass);
    thin.statuses[0].delta.missed_count = 99; // a missed due time has no row anyway
    store.write_batch(&thin).unwrap();
    store.write_batch(&batch(1, 2, 7, 100, 1, 0)).unwrap();
    assert_eq!(db.number("SELECT thinned_count FROM target_status"), 10);
    assert_eq!(db.number("SELECT COUNT(*) FROM results"), 3);
    assert_eq!(db.number("SELECT pass_count + fail_count + unknown_count FROM target_status"), 13);
}

pub fn a_big_batch_is_one_transaction(db: &TestDb) {
    let mut store = db.store();
    let records: Vec<_> = (0..4000).map(|i| recorded(result(i + 1, i, Verdict::Pass))).collect();
    let big = Batch::collect(1, 1, records);
    assert_eq!(store.write_batch(&big).unwrap(), Written::Now);
    assert_eq!(store.write_batch(&big).unwrap(), Written::AlreadyThere);
    assert_eq!(db.number("SELECT COUNT(*) FROM results"), 4000);
    assert_eq!(store.load_statuses().unwrap().len(), 4000);
}

/// Every table of the batch is taken away in turn: nothing of the batch may be left behind.
pub fn a_failed_batch_leaves_nothing(db: &TestDb) {
    let mut store = db.store();
    let mut b = batch(1, 1, 7, 0, 3, 1);
    b.incidents.push(super::fixture::opened(id(50), 7));
    for table in ["results", "incidents", "target_status"] {
        db.client(&format!("ALTER TABLE {table} RENAME TO hidden")).unwrap();
        let error = store.write_batch(&b).unwrap_err();
        assert!(matches!(error, StoreError::Rejected(_)), "{error}");
        assert!(!store.is_connected(), "the connection is not trusted after that");
        db.client(&format!("ALTER TABLE hidden RENAME TO {table}")).unwrap();
        for t in ["results", "incidents", "target_status", "writers"] {
            assert_eq!(db.number(&format!("SELECT COUNT(*) FROM {t}")), 0, "{t} without {table}");
        }
        store = db.connect();
    }
    assert_eq!(store.write_batch(&b).unwrap(), Written::Now);
}

pub fn ids_that_come_again_do_not_hold_up_others(db: &TestDb) {
    let mut store = db.store();
    store.write_batch(&batch(1, 1, 7, 0, 3, 0)).unwrap();
    let mut again = batch(2, 1, 7, 2, 4, 0); // its first id is there already
    let twice = again.results[3].clone();
    again.results.push(twice); // and its last stands twice in it
    again.statuses[0].delta.pass_count += 1;
    assert_eq!(store.write_batch(&again).unwrap(), Written::Now);
    let rows = db.number("SELECT COUNT(*) FROM results");
    assert_eq!(rows, 5);
    assert_eq!(db.number("SELECT pass_count - thinned_count FROM target_status"), rows);
}

pub fn absurd_texts_do_not_hold_up_a_batch(db: &TestDb) {
    let mut store = db.store();
    let mut b = batch(1, 1, 7, 0, 0, 1);
    let long: Cow<'static, str> = Cow::Owned("ä\0\u{1F600}".repeat(100_000));
    b.results[0].description = Some(long.clone());
    b.statuses[0].state.status_description = long.clone();
    let mut incident = super::fixture::incident(id(9), 7);
    incident.description = long.to_string();
    incident.first_trace = super::fixture::trace(&long);
    b.incidents.push(skypunch::model::record::IncidentChange::Opened(Box::new(incident.clone())));
    assert_eq!(store.write_batch(&b).unwrap(), Written::Now);
    let kept = store.history(7, None, 1).unwrap()[0].description.clone().unwrap();
    assert!(kept.ends_with('…') && long.starts_with(kept.trim_end_matches('…')), "cut, and shown to be cut");
    let trace = store.incident(incident.id).unwrap().unwrap().first_trace;
    assert_eq!(trace.steps[..2], incident.first_trace.steps[..2], "the steps that fit");
    assert_eq!(trace.steps[2].event, Event::Note { text: "1 steps are too long to be kept".into() });
}

pub fn history_is_bounded(db: &TestDb) {
    let mut store = db.store();
    store.write_batch(&batch(1, 1, 7, 0, 10, 0)).unwrap();
    let starts = |rows: Vec<ResultRecord>| rows.iter().map(|r| r.started_at.0 - NOW.0).collect::<Vec<_>>();
    assert_eq!(starts(store.history(7, None, 3).unwrap()), [9, 8, 7]);
    assert_eq!(starts(store.history(7, Some(UtcMs(NOW.0 + 8)), 99).unwrap()), [9, 8]);
    assert_eq!(store.history(7, Some(UtcMs(i64::MAX)), 99).unwrap(), []);
    assert_eq!(store.history(8, Some(UtcMs(i64::MIN)), 99).unwrap(), []);
}

/// What a target does in a life: many passes, and each thing that may change between two of them.
pub fn passes_after_passes_keep_everything_else(db: &TestDb) {
    let mut store = db.store();
    let pass = TargetState {
        conclusive: Status::Pass,
        previous_status: Status::Pass,
        status_description: Cow::Borrowed("OK"),
        ..TargetState::default()
    };
    let one = Counters { pass_count: 1, count200: 1, ..Counters::default() };
    let of = |delta: Counters| (pass.clone(), delta);
    let steps = [
        of(one),
        of(one),
        (TargetState { status_description: Cow::Borrowed("No Content"), ..pass.clone() }, one),
        (TargetState { certificate_expires_at: Some(NOW), ..pass.clone() }, one),
        (TargetState { certificate_expires_at: Some(NOW), ..pass.clone() }, one),
        of(Counters { missed_count: 3, ..one }),
        of(Counters { pass_count: 1, count300: 1, ..Counters::default() }),
        of(Counters { pass_count: 1, count400: 1, ..Counters::default() }),
        of(Counters { pass_count: 1, count500: 1, ..Counters::default() }),
        of(Counters { unknown_count: 1, network_fails: 1, ..one }),
        (
            TargetState { conclusive: Status::Fail, repeated_fails: 2, reason: Some(Reason::Status), ..pass.clone() },
            one,
        ),
        (TargetState { previous_status: Status::Fail, ..pass.clone() }, one),
        of(one),
        (TargetState { inconclusive: true, reason: Some(Reason::LocalNetwork), ..pass.clone() }, one),
        (TargetState { incident: Some(OpenIncident { id: 7, started_at: NOW }), ..pass.clone() }, one),
        (TargetState { repeated_fails: 1, ..pass.clone() }, one),
        of(one),
        of(Counters { pass_count: 2, count200: 2, ..Counters::default() }),
    ];
    let mut counters = Counters::default();
    for (i, (mut state, delta)) in steps.into_iter().enumerate() {
        let n = i64::try_from(i).unwrap();
        counters.add(&delta);
        state.counters = counters;
        state.last_updated = Some(UtcMs(NOW.0 + n));
        state.last_latency_us = Some(100 + u32::try_from(i).unwrap());
        state.repeated_passes = u32::try_from(i).unwrap();
        let statuses = vec![StatusRecord { subject: SubjectId(7), state: state.clone(), delta }];
        let results =
            (0..delta.pass_count + delta.unknown_count).map(|k| result(7, n * 10 + k, Verdict::Pass)).collect();
        store.write_batch(&Batch { writer: 1, number: n + 1, results, statuses, ..Batch::default() }).unwrap();
        let stored = StoredStatus { subject: SubjectId(7), state, writer: 1, number: n + 1 };
        assert_eq!(store.load_statuses().unwrap(), [stored], "step {i}");
    }
    assert_eq!(db.number("SELECT thinned_count FROM target_status"), 0);
}

/// Whatever somebody did to the row: the next pass says again what is true.
pub fn a_status_that_was_touched_is_set_right(db: &TestDb) {
    let mut store = db.store();
    let passed = |writer, number| {
        let mut b = batch(writer, number, 7, number, 1, 0);
        b.statuses[0].state.previous_status = Status::Pass;
        b
    };
    store.write_batch(&passed(1, 1)).unwrap();
    store.write_batch(&passed(1, 2)).unwrap();
    let mut number = 2;
    for edit in [
        "status = 'FAIL'",
        "previous_status = 'NEW'",
        "conclusive_status = 'FAIL'",
        "status_description = 'mine'",
        "reason = 'dns'",
        "repeated_fails = 9",
        "certificate_expires_at = 1",
        "incident_id = 1",
        "incident_started_at = 1",
        "writer = 9",
        "number = 0",
        "last_updated = NULL",
    ] {
        db.client(&format!("UPDATE target_status SET {edit}")).unwrap();
        number += 1;
        let expected = passed(1, number).statuses.remove(0).state;
        store.write_batch(&passed(1, number)).unwrap();
        let stored = store.load_statuses().unwrap().remove(0);
        assert_eq!((stored.writer, stored.number), (1, number), "{edit}");
        assert_eq!(stored.state.counters.pass_count, number, "{edit}");
        assert_eq!(TargetState { counters: expected.counters, ..stored.state }, expected, "{edit}");
    }
    db.client("DELETE FROM target_status").unwrap();
    store.write_batch(&passed(1, number + 1)).unwrap();
    assert_eq!(store.load_statuses().unwrap()[0].state.counters.pass_count, 1);
}

pub fn history_reaches_back_over_gaps(db: &TestDb) {
    let mut store = db.store();
    // Seconds, minutes, days and a month apart; other targets all the time.
    let ages = [0, 900, 8_192, 70_000, 140_000, 600_000, 86_400_000, 600_000_000, 2_600_000_000i64];
    let mut records: Vec<_> = ages.iter().map(|age| recorded(result(7, -age, Verdict::Pass))).collect();
    records.extend((0..300).map(|i| recorded(result(8, -1 - i * 9_000_001, Verdict::Pass))));
    store.write_batch(&Batch::collect(1, 1, records)).unwrap();
    let found = |rows: Vec<ResultRecord>| rows.iter().map(|r| NOW.0 - r.started_at.0).collect::<Vec<_>>();
    assert_eq!(found(store.history(7, None, 100).unwrap()), ages);
    for n in 0..=ages.len() {
        assert_eq!(found(store.history(7, None, u32::try_from(n).unwrap()).unwrap()), ages[..n], "{n} wanted");
        let until = ages[..n].last().copied().unwrap_or(-1);
        assert_eq!(found(store.history(7, Some(UtcMs(NOW.0 - until)), 100).unwrap()), ages[..n], "since {until}");
    }
    assert_eq!(store.history(8, None, 1000).unwrap().len(), 300);
    assert_eq!(store.history(9, None, 1000).unwrap(), []);
}
