//! The main database goes away under load and comes back: probing goes on, and every result is written exactly once.

use std::time::Duration;

use serde_json::{Value, json};

use super::database::Database;
use super::harness::{Daemon, Place, SOON, Setup, number, wait_until};
use super::ledger::{self, assert_rows};
use super::mariadb::{Fate, Link, PrivateServer};
use super::origin::{Answer, Origin};

const TARGETS: i64 = 50;

/// Four probes a second each.
fn load(place: &Place, origin: &Origin) {
    let rows: Vec<String> = (0..TARGETS).map(|i| format!("('t{i}', '{}', 250)", origin.url("/"))).collect();
    place.db.sql(&format!("INSERT INTO targets (name, url, frequency_ms) VALUES {}", rows.join(",")));
}

fn setup(place: &Place) -> Setup {
    place.setup().extra("[shutdown]\ngrace = \"20s\"\n")
}

fn spooled(daemon: &Daemon) -> i64 {
    number(&daemon.status()["persistence"], "spooled_results")
}

fn state(daemon: &Daemon) -> Value {
    daemon.status()["database"]["state"].clone()
}

fn wait_drained(daemon: &Daemon) {
    wait_until("what was spooled is written", SOON * 2, || state(daemon) == json!("ok") && spooled(daemon) == 0);
}

/// Every request of the origin is a row, but for those that were on their way at the end, and some that were lost on
/// purpose.
fn assert_complete(place: &Place, origin: &Origin, lost: i64) {
    ledger::assert_consistent(&place.db);
    assert_rows(&place.db, origin, TARGETS + lost);
    assert_eq!(place.db.number("SELECT SUM(thinned_count) FROM target_status"), 0);
}

fn away_and_back(server: &mut PrivateServer, goes: fn(&mut PrivateServer), comes: fn(&mut PrivateServer)) {
    let origin = Origin::start();
    let place = Place::with(Database::on_server(server.server));
    let mut daemon = setup(&place).start();
    load(&place, &origin);
    wait_until("results are written", SOON, || number(&daemon.status()["persistence"], "written") >= 200);
    assert_eq!(state(&daemon), json!("ok"));

    goes(server);
    let asked = origin.total();
    wait_until("the status says away", SOON, || state(&daemon) == json!("away"));
    wait_until("results are spooled for seconds", SOON, || spooled(&daemon) >= 1000);
    let status = daemon.status();
    assert_eq!((&status["state"], &status["healthy"]), (&json!("running"), &json!(false)), "{status:#}");
    assert!(status["database"]["error"].as_str().is_some_and(|e| !e.is_empty()), "{status:#}");
    let probed = i64::try_from(origin.total() - asked).unwrap();
    assert!(probed >= 1000 - 200, "probing goes on: {probed}");
    // It is not known whether there is a row of this name by now.
    let unknown = daemon.request("GET", "/v1/targets/t5o", None);
    let said = unknown.json()["detail"].as_str().unwrap_or_default().to_owned();
    assert_eq!(unknown.status, 404, "{said}");
    let why = "; what was added just now is not known yet, since the definitions cannot be read: the database ";
    assert!(said.contains(why), "{said}");
    // A database that is away never makes a target look down.
    let shown = daemon.get("/v1/targets");
    assert!(shown.as_array().unwrap().iter().all(|t| t["status"] == json!("PASS")), "{shown:#}");

    comes(server);
    wait_drained(&daemon);
    let live = daemon.get("/v1/targets");
    daemon.terminate();
    assert_complete(&place, &origin, 0);
    ledger::assert_not_behind(&place.db, &live);
    daemon.wait_one_line(&["the database is away"]);
}

#[test]
fn a_server_that_dies_and_comes_back_costs_nothing() {
    away_and_back(&mut PrivateServer::start(), PrivateServer::kill, PrivateServer::restart);
}

#[test]
fn a_server_that_freezes_costs_nothing() {
    away_and_back(&mut PrivateServer::start(), |s| s.freeze(), |s| s.thaw());
}

#[test]
fn without_the_database_a_daemon_starts_from_what_was_last_known() {
    let mut server = PrivateServer::start();
    let origin = Origin::start();
    let place = Place::with(Database::on_server(server.server));
    origin.answer("/bad", Answer::Status(503));
    let mut daemon = setup(&place).start();
    place.db.add("bad", &origin.url("/bad"), 100);
    place.db.add("good", &origin.url("/good"), 100);
    let bad = daemon.wait_target("bad", "status", &json!("FAIL"));
    daemon.wait_target("good", "status", &json!("PASS"));
    daemon.terminate();
    server.kill();

    let mut daemon = setup(&place).start();
    assert_eq!(state(&daemon), json!("away"));
    let known = daemon.target("bad");
    for field in ["id", "status", "incident_id", "url", "frequency_ms"] {
        assert_eq!(known[field], bad[field], "{field}");
    }
    let (asked, failed) = (origin.count("/good"), origin.count("/bad"));
    wait_until("both are probed", SOON, || origin.count("/good") >= asked + 5 && origin.count("/bad") >= failed + 5);
    wait_until("results are spooled", SOON, || spooled(&daemon) >= 8);
    daemon.kill();
    let daemon = &mut setup(&place).start();
    assert_eq!(state(daemon), json!("away"));
    assert_eq!(daemon.target("bad")["incident_id"], bad["incident_id"]);
    origin.answer("/bad", Answer::Status(200));
    daemon.wait_target("bad", "status", &json!("PASS"));
    server.restart();
    wait_drained(daemon);
    let live = daemon.get("/v1/targets");
    daemon.terminate();
    ledger::assert_consistent(&place.db);
    ledger::assert_not_behind(&place.db, &live);
    let incidents = place.db.sql("SELECT id, ended_by FROM incidents");
    assert_eq!(incidents, [[bad["incident_id"].as_str().unwrap(), "recovered"]]);
    // Two orderly stops and one kill of two targets at ten probes a second.
    assert_rows(&place.db, &origin, 2 + 2 + 12);
}

#[test]
fn a_link_that_is_cut_between_commit_and_its_answer_writes_nothing_twice() {
    let server = PrivateServer::start();
    let link = Link::to(server.server);
    let origin = Origin::start();
    let place = Place::with(Database::on_server(server.server));
    let [there, here] = [server.server.port, link.port].map(|port| format!(":{port}/"));
    let through = Setup { database: place.db.url().replace(&there, &here), ..setup(&place) };
    let mut daemon = through.start();
    load(&place, &origin);
    wait_until("results are written", SOON, || place.db.number("SELECT COUNT(*) FROM results") >= 100);
    let (rounds, cuts) = (5u32, 10u32);
    for round in 1..=rounds {
        // Between two cuts some COMMITs get their answer; the last one of a round gets none, and the daemon is killed.
        let mut fates = Vec::new();
        for cut in 1..cuts {
            fates.push(if cut % 3 == 0 { Fate::CutAtOnce } else { Fate::CutAfterAnswer });
            fates.push(Fate::Answered);
        }
        fates.push(Fate::Unanswered);
        fates.reverse();
        link.plan(&fates);
        wait_until("all are cut", Duration::from_secs(30), || link.met() == round * cuts);
        daemon.kill();
        ledger::assert_consistent(&place.db);
        daemon = through.start();
    }
    let commits = link.commits();
    wait_drained(&daemon);
    wait_until("it writes on", SOON, || link.commits() > commits);
    let live = daemon.get("/v1/targets");
    daemon.terminate();
    assert_eq!(link.met(), 50);
    // A kill costs at most what waited in memory: results of some 300 ms, at 200 a second.
    assert_complete(&place, &origin, i64::from(rounds) * 120);
    ledger::assert_not_behind(&place.db, &live);
}
