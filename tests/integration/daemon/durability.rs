//! What was counted was kept, once: over kill -9 in mid-load, and to the last result at an orderly stop.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use skypunch::clock::Clock;

use super::harness::{Place, SOON, number, wait_until};
use super::ledger::{self, assert_rows};
use super::origin::{Answer, Origin};

on_both!(
    kill_9_under_load_keeps_counters_and_results_in_agreement,
    an_orderly_stop_writes_everything,
    a_second_sigterm_ends_at_once_and_loses_nothing,
);

const TARGETS: u64 = 200;
const FAILING: u64 = 10;

/// Targets at four probes a second each; the last ones share a path that can be told to fail.
fn load(place: &Place, origin: &Origin) {
    let url = |i| origin.url(if i < TARGETS - FAILING { "/good" } else { "/flaps" });
    let rows: Vec<String> = (0..TARGETS).map(|i| format!("('t{i}', '{}', 250)", url(i))).collect();
    place.db.sql(&format!("INSERT INTO targets (name, url, frequency_ms) VALUES {}", rows.join(",")));
}

fn kill_9_under_load_keeps_counters_and_results_in_agreement(place: &Place) {
    let origin = Origin::start();
    let clock = Clock::system();
    drop(place.start()); // makes the tables
    load(place, &origin);
    let kills = 5;
    for round in 0..kills {
        let mut daemon = place.start();
        // Each round dies in another moment: around a transition to FAIL, to PASS, and between them.
        let before = origin.total();
        wait_until("there is load", SOON, || origin.total() >= before + 150);
        let status = if round % 2 == 0 { 503 } else { 200 };
        origin.answer("/flaps", Answer::Status(status));
        let (flips, wait) = (origin.count("/flaps"), [1, 4, 8, 20, 40][round]);
        wait_until("the change is seen", SOON, || origin.count("/flaps") >= flips + wait);
        daemon.kill();
        ledger::assert_consistent(&place.db);
    }
    let started = clock.now();
    let mut daemon = place.start();
    assert!(clock.now().since(started) < Duration::from_secs(5), "a restart after kill -9 waits for nothing");
    origin.answer("/flaps", Answer::Status(503));
    wait_until("all that flap fail", SOON, || {
        daemon.get("/v1/targets?status=FAIL").as_array().is_some_and(|a| a.len() as u64 == FAILING)
    });
    wait_until("their incidents are written", SOON, || {
        daemon.get("/v1/incidents?open=true").as_array().is_some_and(|a| a.len() as u64 == FAILING)
    });
    let live = daemon.get("/v1/targets");
    daemon.terminate();
    ledger::assert_consistent(&place.db);
    assert_eq!(place.db.number("SELECT COUNT(*) FROM incidents WHERE ended_at IS NULL"), 10);
    ledger::assert_not_behind(&place.db, &live);
    // A kill costs what waits for company: 800 a second, for some tens of milliseconds on an idle machine.
    assert_rows(&place.db, &origin, i64::try_from(kills).unwrap() * 400);
}

fn an_orderly_stop_writes_everything(place: &Place) {
    let origin = Origin::start();
    let mut daemon = place.start();
    load(place, &origin);
    wait_until("there is load", SOON, || origin.total() >= 800);
    daemon.terminate();
    assert!(!daemon.socket.exists(), "the socket is removed");
    assert_eq!(daemon.log_lines(&["stopped"]).len(), 1, "{}", daemon.log());
    ledger::assert_consistent(&place.db);
    // What a slow database had not taken is in the state folder, and comes with the next start.
    place.db.sql("UPDATE targets SET enabled = FALSE");
    let mut next = place.start();
    wait_until("what was spooled is written", SOON, || spooled(&next.status()) == 0);
    next.terminate();
    ledger::assert_consistent(&place.db);
    let in_flight = i64::try_from(TARGETS).unwrap();
    assert_rows(&place.db, &origin, in_flight);
    assert_eq!(place.db.number("SELECT COUNT(*) FROM lease WHERE held_until > 0"), 0, "the lease is given back");
}

fn a_second_sigterm_ends_at_once_and_loses_nothing(place: &Place) {
    let origin = Origin::start();
    let setup = place.setup();
    std::fs::create_dir_all(&setup.state).unwrap();
    let mut daemon = setup.start();
    load(place, &origin);
    wait_until("there is load", SOON, || origin.total() >= 300);
    daemon.terminate();
    // A client that holds a lock keeps the lease from being given back.
    let slow = setup.clone().extra("[shutdown]\ngrace = \"1m\"\n");
    let mut daemon = slow.start();
    let lock = place.db.lock();
    let before = origin.total();
    wait_until("there is load", SOON, || origin.total() >= before + 200);
    daemon.signal(Signal::TERM);
    wait_until("it stops", SOON, || daemon.log_lines(&["stopping on SIGTERM"]).len() == 2);
    let asked = origin.total();
    let status = || daemon.try_request("GET", "/v1/status", None).ok().map(|a| a.json());
    wait_until("all is safe", SOON, || status().is_none_or(|s| s["persistence"]["queued"] == json!(0)));
    assert!(daemon.is_alive(), "it waits for the database");
    let clock = Clock::system();
    let second = clock.now();
    daemon.signal(Signal::TERM);
    let ended = daemon.wait(SOON);
    assert!(clock.now().since(second) < Duration::from_secs(3), "it ends at once");
    // 0 when all was safe in state.db at that moment, 1 when it could not be told in time.
    assert!(matches!(ended.code(), Some(0 | 1)), "{ended}");
    drop(lock);

    let mut daemon = place.start();
    wait_until("what was spooled is written", SOON, || spooled(&daemon.status()) == 0);
    daemon.terminate();
    ledger::assert_consistent(&place.db);
    let rows = place.db.number("SELECT COUNT(*) FROM results");
    let (asked, in_flight) = (i64::try_from(asked).unwrap(), 2 * i64::try_from(TARGETS).unwrap());
    assert!(rows + in_flight >= asked, "{rows} rows of {asked} requests");
}

fn spooled(status: &Value) -> i64 {
    number(&status["persistence"], "spooled_results")
}
