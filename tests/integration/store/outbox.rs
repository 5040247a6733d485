//! What is owed, in state.db.

use super::fixture::{NOW, ended, id, incident, notifier, opened};
use skypunch::model::incident::End;
use skypunch::model::notifier::{NotifierDefinition, NotifierId, NotifierStatus};
use skypunch::model::time::UtcMs;
use skypunch::secret::Secret;
use skypunch::store::StateDb;
use skypunch::store::state_db::{KeptRow, Outbox, OutboxChanges, OutboxRow};
use tempfile::TempDir;

fn open(dir: &TempDir) -> StateDb {
    StateDb::open(&dir.path().join("state.db"), 1 << 20).unwrap()
}

/// What a process leaves behind that is killed now.
fn as_if_killed(dir: &TempDir) -> StateDb {
    let copy = tempfile::tempdir().unwrap();
    for name in ["state.db", "state.db-wal"] {
        if dir.path().join(name).exists() {
            std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
        }
    }
    open(&copy)
}

fn row(id: i64, incident_id: i64, state: &str) -> OutboxRow {
    OutboxRow {
        id,
        notifier_id: 3,
        incident_id,
        state: state.into(),
        finished_at: (state == "sent").then_some(UtcMs(NOW.0 + id)),
        version: 1,
        body: format!("{{\"id\": {id}, \"state\": \"{state}\"}}"),
    }
}

fn kept(kind: &str, id: i64, body: &str) -> KeptRow {
    KeptRow { kind: kind.into(), id, body: body.into() }
}

fn save(state: &mut StateDb, rows: Vec<OutboxRow>, done: Vec<i64>) {
    state.save_outbox(&OutboxChanges { rows, done, cursor: 4, ..OutboxChanges::default() }).unwrap();
}

#[test]
fn what_is_owed_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = open(&dir);
    assert_eq!(state.load_outbox().unwrap(), Outbox::default());
    let changes = OutboxChanges {
        rows: vec![row(1, 50, "owed"), row(2, 51, "held"), row(3, 50, "sent")],
        done: vec![3],
        kept: vec![kept("standing", 7, "a"), kept("standing", 8, "b"), kept("pace", 7, "c")],
        cursor: 4,
        mark: "m".into(),
        ..OutboxChanges::default()
    };
    state.save_outbox(&changes).unwrap();
    let of = |kind: &str, ids: &[i64], state: &mut StateDb| state.kept_of(kind, ids).unwrap();
    assert_eq!(of("standing", &[8, 9], &mut state), [(8, "b".to_owned())].into());
    assert_eq!(of("dispatch", &[7], &mut state), [].into());
    let loaded = as_if_killed(&dir).load_outbox().unwrap();
    assert_eq!(loaded.rows, [row(1, 50, "owed"), row(2, 51, "held")], "done ones are not loaded");
    assert_eq!((loaded.cursor, loaded.mark.as_str(), loaded.kept.len()), (4, "m", 3));
    let next = OutboxChanges {
        rows: vec![OutboxRow { version: 99, ..row(1, 50, "sending") }],
        kept: vec![kept("standing", 7, "changed")],
        dropped: vec![("standing".into(), 8), ("pace".into(), 99)],
        cursor: 5,
        ..OutboxChanges::default()
    };
    state.save_outbox(&next).unwrap();
    let loaded = as_if_killed(&dir).load_outbox().unwrap();
    assert_eq!(loaded.rows[0], OutboxRow { version: 2, ..row(1, 50, "sending") }, "versions are given here");
    assert_eq!(loaded.kept, [kept("pace", 7, "c"), kept("standing", 7, "changed")]);
    assert_eq!((loaded.cursor, loaded.mark.as_str()), (5, ""));
    let of50: Vec<i64> = state.outbox_of(&[50, 50, 99]).unwrap().iter().map(|r| r.id).collect();
    assert_eq!(of50, [1, 3]);
    assert_eq!(state.outbox_of(&[]).unwrap(), []);
}

#[test]
fn what_has_changed_meanwhile_is_copied_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = open(&dir);
    save(&mut state, (1..=3).map(|i| row(i, 50, "owed")).collect(), vec![]);
    let first = state.unsynced(2).unwrap();
    assert_eq!(first.iter().map(|r| (r.id, r.version)).collect::<Vec<_>>(), [(1, 1), (2, 1)]);
    // One of them changes while it is being copied.
    save(&mut state, vec![row(2, 50, "sent")], vec![]);
    state.mark_synced(&[(1, 1), (2, 1)]).unwrap();
    let left: Vec<(i64, i64)> = state.unsynced(10).unwrap().iter().map(|r| (r.id, r.version)).collect();
    assert_eq!(left, [(2, 2), (3, 1)]);
    state.mark_synced(&[(2, 2), (2, 1), (3, 1)]).unwrap();
    assert_eq!(state.unsynced(10).unwrap(), []);
}

#[test]
fn only_what_is_done_copied_and_old_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = open(&dir);
    let rows = (1..=5).map(|i| row(i, 50, if i == 5 { "owed" } else { "sent" })).collect();
    save(&mut state, rows, vec![1, 2, 4]);
    assert_eq!(state.forget_outbox(UtcMs(NOW.0 + 100), 10).unwrap(), 0, "nothing is copied yet");
    state.mark_synced(&[(1, 1), (2, 1), (3, 1), (4, 1), (5, 1)]).unwrap();
    assert_eq!(state.forget_outbox(UtcMs(NOW.0 + 4), 1).unwrap(), 1, "few at a time, the oldest first");
    assert_eq!(state.forget_outbox(UtcMs(NOW.0 + 4), 10).unwrap(), 1, "3 is not done, 4 is not old");
    let left: Vec<i64> = state.outbox_of(&[50]).unwrap().iter().map(|r| r.id).collect();
    assert_eq!(left, [3, 4, 5]);
}

#[test]
fn counters_of_notifiers_are_kept_and_copied() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = open(&dir);
    let status = |pass_count, version| NotifierStatus {
        pass_count,
        last_sent_at: Some(NOW),
        version,
        ..NotifierStatus::default()
    };
    let set = |state: &mut StateDb, s| {
        let statuses = vec![(NotifierId(3), s)];
        state.save_outbox(&OutboxChanges { statuses, ..OutboxChanges::default() }).unwrap();
    };
    set(&mut state, status(1, 0));
    set(&mut state, status(2, 0));
    assert_eq!(as_if_killed(&dir).notifier_statuses().unwrap()[&NotifierId(3)], status(2, 2));
    assert_eq!(state.unsynced_statuses().unwrap(), [(NotifierId(3), status(2, 2))]);
    state.mark_statuses_synced(&[(NotifierId(3), 2)]).unwrap();
    assert_eq!(state.unsynced_statuses().unwrap(), []);
    set(&mut state, status(3, 0));
    assert_eq!(state.unsynced_statuses().unwrap().len(), 1);
}

#[test]
fn an_incident_stays_until_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = open(&dir);
    let end = UtcMs(NOW.0 + 1);
    state.record_transitions(1, 1, &[], &[opened(id(1), 7), ended(id(1), end, End::Recovered)]).unwrap();
    let last = state.events_after(0, 10).unwrap()[1].id;
    let later = UtcMs(NOW.0 + 1000);
    let at = |state: &mut StateDb, cursor, rows, done| {
        state.save_outbox(&OutboxChanges { rows, done, cursor, ..OutboxChanges::default() }).unwrap();
    };
    at(&mut state, last - 1, vec![], vec![]);
    assert_eq!(state.forget_incidents(later, 10).unwrap(), 0, "its end is still to be taken");
    at(&mut state, last, vec![row(1, id(1), "owed")], vec![]);
    assert_eq!(state.forget_incidents(later, 10).unwrap(), 0, "a notice of it is open");
    let known = state.incident(id(1)).unwrap().unwrap();
    assert_eq!(
        (known.first_trace, known.last_good_trace),
        (incident(1, 7).first_trace, incident(1, 7).last_good_trace)
    );
    assert_eq!(state.incident(4711).unwrap(), None);
    at(&mut state, last, vec![row(1, id(1), "sent")], vec![1]);
    assert_eq!(state.forget_incidents(later, 10).unwrap(), 1);
    assert_eq!(state.incident(id(1)).unwrap(), None);
}

#[test]
fn the_last_known_notifiers_survive_a_kill_with_their_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = open(&dir);
    let secret = NotifierDefinition { id: 1, params: Some(Secret::new("password=hunter2")), ..notifier("a") };
    let b = NotifierDefinition { id: 2, ..notifier("b") };
    state.save_notifiers(&[secret.clone(), b.clone()], &[]).unwrap();
    assert_eq!(as_if_killed(&dir).load_notifiers().unwrap(), [secret.clone(), b.clone()]);
    // 2 is wrong now and keeps its last good form, 1 is gone.
    let c = NotifierDefinition { id: 3, ..notifier("c") };
    state.save_notifiers(std::slice::from_ref(&c), &[2]).unwrap();
    assert_eq!(state.load_notifiers().unwrap(), [b, c]);
}
