//! What is old goes, from the main database and from state.db.

use skypunch::clock::Clock;
use skypunch::model::incident::{End, Incident};
use skypunch::model::reason::Reason;
use skypunch::model::record::{IncidentChange, IncidentEnd, StatusRecord};
use skypunch::model::state::{Counters, TargetState};
use skypunch::model::subject::SubjectId;
use skypunch::model::time::UtcMs;
use skypunch::model::trace::Trace;
use skypunch::store::StateDb;
use skypunch::store::state_db::OutboxChanges;

use super::harness::{Place, SOON, wait_until};
use super::origin::Origin;

on_both!(what_is_old_is_removed_and_what_is_new_stays);

const HOUR: i64 = 3_600_000;

fn record(state: &mut StateDb, id: i64, target: i64, at: UtcMs, ended: bool) {
    let status = TargetState { last_updated: Some(at), ..TargetState::default() };
    let status = StatusRecord { subject: SubjectId(target), state: status, delta: Counters::default() };
    let opened = Incident {
        id,
        subject: SubjectId(target),
        started_at: at,
        ended_at: None,
        ended_by: None,
        reason: Reason::Status,
        description: "it was down".into(),
        first_trace: Trace::default(),
        last_good_trace: None,
        facts: Default::default(),
    };
    let mut changes = vec![IncidentChange::Opened(Box::new(opened))];
    changes.extend(ended.then_some(IncidentChange::Ended(IncidentEnd {
        id,
        ended_at: at,
        ended_by: End::Withdrawn,
        facts: Box::default(),
    })));
    state.record_transitions(1, id, &[status], &changes).unwrap();
}

fn what_is_old_is_removed_and_what_is_new_stays(place: &Place) {
    let setup = place
        .setup()
        .extra("[persistence]\nflush_interval = \"50ms\"\nkeep_results = \"1h\"\nkeep_notifications = \"24h\"\n");
    let origin = Origin::start();
    let mut daemon = setup.start();
    let id = place.db.add("stays", &origin.url("/"), 200);
    wait_until("results are written", SOON, || place.db.number("SELECT COUNT(*) FROM results") >= 3);
    daemon.terminate();
    // Two results of two hours ago: of this target, and of one that is gone.
    let now = Clock::system().utc_now();
    let (old, older) = (now.0 - 2 * HOUR, now.0 - 48 * HOUR);
    for (n, target) in [(1, id), (2, 900)] {
        place.db.sql(&format!(
            "INSERT INTO results (id, target_id, due_at, started_at, lateness_us, verdict, latency_us, body_bytes) \
             VALUES ({n}, {target}, {old}, {old}, 0, 'PASS', 1, 1)"
        ));
    }
    // Two that were told: one is older than they are kept.
    for (n, at) in [(1, older), (2, old)] {
        place.db.sql(&format!(
            "INSERT INTO notifications (id, notifier_id, notifier_name, incident_id, target_id, target_name, event, \
             number, state, attempts, created_at, version) VALUES ({n}, 1, 'ops', 1, 900, 'gone', 'fail', 0, 'sent', 1, \
             {at}, 1)"
        ));
    }
    place.db.sql(&format!("UPDATE target_status SET pass_count = pass_count + 1 WHERE target_id = {id}"));
    place.db.sql(&format!(
        "INSERT INTO target_status (target_id, status, previous_status, status_description, conclusive_status, \
         last_updated, pass_count) VALUES (900, 'PASS', 'NEW', 'OK', 'PASS', {old}, 1)"
    ));
    {
        let mut state = StateDb::open(&place.path("state/state.db"), 1 << 30).unwrap();
        record(&mut state, 1, 901, UtcMs(older), true);
        record(&mut state, 2, 902, now, true);
        record(&mut state, 3, id, UtcMs(older), false);
        // Those who tell people have seen all of it.
        state.save_outbox(&OutboxChanges { cursor: 1000, ..OutboxChanges::default() }).unwrap();
    }
    let _daemon = setup.start();
    wait_until("the old results are removed", SOON, || {
        place.db.number(&format!("SELECT COUNT(*) FROM results WHERE started_at <= {old}")) == 0
    });
    let gone = "SELECT COUNT(*) FROM target_status WHERE target_id IN (900, 901)";
    wait_until("the statuses of targets that are gone are removed", SOON, || place.db.number(gone) == 0);
    assert_eq!(place.db.number(&format!("SELECT pruned_count FROM target_status WHERE target_id = {id}")), 1);
    wait_until("what was told long ago is removed", SOON, || {
        place.db.sql("SELECT id FROM notifications ORDER BY id") == [["2"]]
    });
    super::ledger::assert_consistent(&place.db);
    assert!(place.db.number("SELECT COUNT(*) FROM results") >= 3, "what is new stays");

    let state = super::database::Database::Sqlite(place.path("state/state.db"));
    let incidents = "SELECT id FROM incidents WHERE id < 10 ORDER BY id";
    wait_until("the old incident is forgotten", SOON, || state.sql(incidents) == [["2"], ["3"]]);
    assert_eq!(state.number("SELECT COUNT(*) FROM events WHERE incident_id = 1"), 0);
    assert_eq!(state.number("SELECT COUNT(*) FROM events WHERE incident_id = 2"), 2);
    let known = format!("SELECT COUNT(*) FROM target_status WHERE target_id IN (901, 902, {id})");
    wait_until("so is its target's status", SOON, || state.number(&known) == 2);
}
