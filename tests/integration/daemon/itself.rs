//! The monitor itself is in trouble: its targets are UNKNOWN and nobody is told that they fail; one incident of the monitor
//! is, and its end.
//!
//! ```text
//!  targets @ 500 ms --> origin          notifier `pages`  (all events of targets)  must hear of nothing
//!  trouble of this machine, then none   notifier `itself` (the event `monitor`)    must hear of it once
//! ```

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use skypunch::clock::Clock;

use super::database::Kind;
use super::harness::{Daemon, Place, SOON, Setup, number, wait_for, wait_until};
use super::ledger;
use super::origin::{Answer, Origin};
use super::telling::{Got, Receiver, add, in_force};

on_both!(
    a_process_that_was_stopped_counts_what_it_missed_and_says_so_once,
    descriptors_that_run_out_are_told_of_once_and_no_target_is,
    without_any_descriptor_it_lives_and_no_target_fails,
    a_restart_in_the_middle_of_it_goes_on_with_the_same_incident,
);

pub(super) const TARGETS: i64 = 40;

/// Those who are told.
pub(super) struct Told {
    pages: Receiver,
    itself: Receiver,
}

impl Told {
    /// Two notifiers.
    pub fn of(place: &Place, daemon: &Daemon) -> Told {
        let (pages, itself) = (Receiver::start(), Receiver::start());
        add(place, "pages", pages.port, &[]);
        add(place, "itself", itself.port, &[("events", "monitor")]);
        in_force(daemon, 2);
        Told { pages, itself }
    }

    /// How many messages about the monitor there are.
    pub fn heard(&self) -> usize {
        self.itself.got().len()
    }

    /// All messages about the monitor, when nothing more is owed: one incident, from its beginning to its end.
    pub fn assert_once(&self, daemon: &Daemon, reason: &str) {
        wait_until("it is told, and nothing is owed", SOON * 2, || {
            let owed = &daemon.status()["notifications"];
            let ends = self.itself.got().iter().any(|g| {
                let item = &g.body["message"]["items"][0];
                item["event"] == json!("recovery") || item["recovered_unseen"] == json!(true)
            });
            number(owed, "owed") == 0 && number(owed, "sending") == 0 && ends
        });
        assert_eq!(self.pages.got().iter().map(|g| &g.body).collect::<Vec<_>>(), Vec::<&Value>::new(), "no page");
        let got = self.itself.got();
        let items: Vec<&Value> = got.iter().flat_map(|g| g.body["message"]["items"].as_array().unwrap()).collect();
        let events: Vec<&str> = items.iter().map(|i| i["event"].as_str().unwrap()).collect();
        let both = items[0]["recovered_unseen"] == json!(true);
        assert!(events == ["fail", "recovery"] || both && events == ["fail"], "{events:?}: {items:#?}");
        for item in &items {
            assert_eq!(item["reason"], json!(reason), "{item:#}");
            assert_eq!(item["incident_id"], items[0]["incident_id"]);
        }
        assert!(got.iter().all(|g: &Got| g.names().len() == 1), "of itself alone");
    }
}

/// A daemon whose windows are short.
pub(super) fn setup(place: &Place) -> Setup {
    place.setup().extra("[monitor]\nwindow = \"1s\"\n[notify]\nhost = \"watcher\"\n")
}

/// Two probes a second each.
pub(super) fn load(place: &Place, url: &str) {
    let rows: Vec<String> = (0..TARGETS).map(|i| format!("('t{i}', '{url}', 500)")).collect();
    place.db.sql(&format!("INSERT INTO targets (name, url, frequency_ms) VALUES {}", rows.join(",")));
}

/// Waits for the incident of the monitor.
pub(super) fn wait_trouble(daemon: &Daemon, reason: &str) -> Value {
    let trouble = wait_for("the monitor says that it is in trouble", SOON * 2, || {
        Some(daemon.status()["trouble"].clone()).filter(|t| !t.is_null())
    });
    assert_eq!(trouble["reason"], json!(reason), "{trouble:#}");
    trouble
}

/// Waits until all is as it was.
pub(super) fn wait_well(daemon: &Daemon) {
    wait_until("it is well again by itself", SOON * 2, || {
        let status = daemon.status();
        status["trouble"].is_null() && number(&status["targets"], "pass") == TARGETS
    });
}

/// No target has failed, was told of or has an incident; the monitor has one that has ended.
pub(super) fn assert_targets_untouched(place: &Place) {
    assert_eq!(place.db.number("SELECT COUNT(*) FROM results WHERE verdict = 'FAIL'"), 0);
    let incidents = place.db.sql("SELECT subject_kind, subject_id, subject_name, ended_by FROM incidents");
    assert_eq!(incidents, [["monitor", "0", "watcher", "recovered"]]);
}

/// How long it is stopped. What is due meanwhile is missed, and comes after it but once, however long it lasts; a minute is
/// long enough for what others think of it too: the lease has ended, the server may have given its connections up.
fn stop_of(place: &Place) -> Duration {
    match place.kind() {
        Kind::Sqlite => Duration::from_secs(4),
        Kind::Mariadb => Duration::from_mins(1),
    }
}

fn a_process_that_was_stopped_counts_what_it_missed_and_says_so_once(place: &Place) {
    let (origin, length) = (Origin::start(), stop_of(place));
    let mut daemon = setup(place).start();
    let told = Told::of(place, &daemon);
    load(place, &origin.url("/"));
    wait_until("there is load", SOON, || origin.total() >= 200);
    let missed = |daemon: &Daemon| number(&daemon.status()["probes"], "missed");
    let before = missed(&daemon);
    let clock = Clock::system();
    daemon.signal(Signal::STOP);
    let stopped = clock.utc_now();
    std::thread::sleep(length);
    let went_on = clock.utc_now();
    daemon.signal(Signal::CONT);
    let trouble = wait_trouble(&daemon, "local_resources");
    let why = trouble["why"].as_str().unwrap();
    assert!(why.contains("because nothing of skypunch ran") && why.contains("suspended"), "{why}");
    wait_well(&daemon);
    told.assert_once(&daemon, "local_resources");
    daemon.wait_one_line(&["the monitor itself is in trouble"]);
    daemon.wait_one_line(&["the monitor itself is well again"]);
    wait_until("the database is well", SOON, || daemon.status()["database"]["state"] == json!("ok"));
    // What was missed is told of for two minutes; there is nothing else to complain of.
    let unhealthy = daemon.status()["unhealthy"].clone();
    let others = |c: &&Value| !matches!(c["about"].as_str(), Some("probes.missed" | "probes.lateness_us"));
    assert_eq!(unhealthy.as_array().unwrap().iter().find(others), None, "{unhealthy:#}");
    // Two a second; the one before and the one after are served.
    let least = i64::try_from(length.as_secs() * 2).unwrap() - 2;
    assert!(missed(&daemon) - before >= TARGETS * least, "{:#}", daemon.status()["probes"]);
    daemon.terminate();
    ledger::assert_consistent(&place.db);
    ledger::assert_rows(&place.db, &origin, TARGETS);
    assert_targets_untouched(place);
    // At most the probe that was under way, the due time that is served late, and the next one.
    let (from, to) = (stopped.0, went_on.0 + 100);
    let burst = place.db.sql(&format!(
        "SELECT target_id, COUNT(*) FROM results WHERE started_at > {from} AND started_at < {to}
         GROUP BY target_id HAVING COUNT(*) > 3"
    ));
    assert!(burst.is_empty(), "target, probes within 100 ms: {burst:?}");
    let few = place.db.sql(&format!(
        "SELECT target_id, missed_count FROM target_status WHERE target_id > 0 AND missed_count < {least}"
    ));
    assert!(few.is_empty(), "target, missed in {length:?} at two a second: {few:?}");
}

/// Sets the soft limit of a running process.
fn limit_descriptors(daemon: &Daemon, soft: u64) {
    let pid = daemon.pid().to_string();
    let done = std::process::Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={soft}:")]).status();
    assert!(done.unwrap().success());
}

/// A quarter of so low a limit is kept from probes, and what stays open, without those of probes, reaches into it.
fn leave_no_descriptors_to_probes(daemon: &Daemon) {
    let open = || number(&daemon.status()["descriptors"], "open").unsigned_abs();
    let stays = (0..50).map(|_| open()).min().unwrap();
    limit_descriptors(daemon, stays + 7);
}

fn descriptors_that_run_out_are_told_of_once_and_no_target_is(place: &Place) {
    let origin = Origin::start();
    let mut daemon = setup(place).start();
    let told = Told::of(place, &daemon);
    load(place, &origin.url("/"));
    wait_until("there is load", SOON, || origin.total() >= 200);
    let limit = number(&daemon.status()["descriptors"], "limit").unsigned_abs();
    leave_no_descriptors_to_probes(&daemon);
    let trouble = wait_trouble(&daemon, "local_resources");
    assert!(trouble["why"].as_str().unwrap().contains("monitor.share = 20 of 100"), "{trouble:#}");
    let status = daemon.status();
    assert_eq!(status["healthy"], json!(false));
    assert!(number(&status["targets"], "fail") == 0 && number(&status["targets"], "unknown") > 0, "{status:#}");
    // Who looks what is wrong is answered, and who asked for it is told while it lasts.
    let got = told.itself.wait(1);
    assert_eq!((got[0].event(), got[0].names()), ("fail", vec!["watcher".to_owned()]));
    limit_descriptors(&daemon, limit);
    wait_well(&daemon);
    told.assert_once(&daemon, "local_resources");
    daemon.terminate();
    ledger::assert_consistent(&place.db);
    assert_targets_untouched(place);
}

fn without_any_descriptor_it_lives_and_no_target_fails(place: &Place) {
    let origin = Origin::start();
    let mut daemon = setup(place).start();
    let told = Told::of(place, &daemon);
    load(place, &origin.url("/"));
    wait_until("there is load", SOON, || origin.total() >= 200);
    let limit = number(&daemon.status()["descriptors"], "limit").unsigned_abs();
    // Nothing can be opened any more: no probe, no caller, no webhook, no connection to a database.
    limit_descriptors(&daemon, 8);
    let unknown = "SELECT COUNT(*) FROM results WHERE verdict = 'UNKNOWN' AND reason = 'local_resources'";
    wait_until("probes say so, by a connection that was there", SOON * 2, || place.db.number(unknown) >= 4 * TARGETS);
    assert!(daemon.is_alive(), "{}", daemon.log());
    limit_descriptors(&daemon, limit);
    wait_well(&daemon);
    told.assert_once(&daemon, "local_resources");
    daemon.terminate();
    ledger::assert_consistent(&place.db);
    assert_targets_untouched(place);
    assert!(daemon.log_lines(&["panicked"]).is_empty(), "{}", daemon.log());
}

fn a_restart_in_the_middle_of_it_goes_on_with_the_same_incident(place: &Place) {
    let origin = Origin::start();
    let mut daemon = setup(place).start();
    let told = Told::of(place, &daemon);
    load(place, &origin.url("/"));
    wait_until("there is load", SOON, || origin.total() >= 200);
    leave_no_descriptors_to_probes(&daemon);
    let trouble = wait_trouble(&daemon, "local_resources");
    told.itself.wait(1);
    wait_until("that is noted", SOON, || number(&daemon.status()["notifications"], "sending") == 0);
    daemon.kill();
    // With its descriptors back.
    let mut daemon = setup(place).start();
    let known = daemon.status()["trouble"].clone();
    assert_eq!(known["incident_id"], trouble["incident_id"], "{known:#}");
    let shown = daemon.get("/v1/incidents?open=true");
    assert_eq!((&shown[0]["subject_kind"], &shown[0]["name"]), (&json!("monitor"), &json!("watcher")), "{shown:#}");
    wait_well(&daemon);
    told.assert_once(&daemon, "local_resources");
    origin.answer("/", Answer::Status(500));
    told.pages.wait(1);
    daemon.terminate();
    let of_itself = "SELECT COUNT(*) FROM incidents WHERE subject_kind = 'monitor'";
    assert_eq!(place.db.number(of_itself), 1);
    ledger::assert_consistent(&place.db);
}
