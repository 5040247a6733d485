//! `skypunchctl status`: whether skypunch itself is well, by its exit code and in words.

use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::database::Database;
use super::harness::{Daemon, Place, SOON, free_port, number, wait_until};
use super::mariadb::PrivateServer;
use super::origin::{Answer, Origin};

on_both!(a_daemon_that_does_its_work_is_well_whatever_its_targets_do);

/// Exit code and standard output of the tool.
fn ctl(socket: &Path, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skypunchctl"));
    let output = command.arg("--socket").arg(socket).args(args).env("TZ", "UTC").output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn unhealthy(daemon: &Daemon) -> Vec<String> {
    let status = daemon.status();
    let about = |c: &Value| c["about"].as_str().unwrap().to_owned();
    status["unhealthy"].as_array().unwrap().iter().map(about).collect()
}

fn a_daemon_that_does_its_work_is_well_whatever_its_targets_do(place: &Place) {
    let origin = Origin::start();
    origin.answer("/bad", Answer::Status(500));
    let mut daemon = place.start();
    place.db.add("good", &origin.url("/"), 200);
    place.db.add("bad", &origin.url("/bad"), 200);
    place.db.sql("INSERT INTO targets (name, url) VALUES ('wrong', 'no url')");
    daemon.wait_target("bad", "status", &json!("FAIL"));
    wait_until("it is written", SOON, || number(&daemon.status()["persistence"], "written") >= 5);
    let (code, text) = ctl(&daemon.socket, &["status"]);
    assert_eq!(code, Some(0), "{text}");
    let line = |label: &str| {
        let found: Vec<&str> = text.lines().filter(|l| l.starts_with(&format!("| {label} "))).collect();
        assert_eq!(found.len(), 1, "{label}: {text}");
        found[0].split('|').nth(2).unwrap().trim().to_owned()
    };
    assert_eq!((line("Healthy").as_str(), line("Fail").as_str(), line("Invalid Rows").as_str()), ("Yes", "1", "1"));
    assert!(line("Results Queued").ends_with(" of 100000"), "{text}");
    assert!(line("Results Spooled").starts_with("0 in 0 batches, 0 B of 134.2 MB"), "{text}");
    assert!(line("Probes In Flight").ends_with(" on 1 thread, at most 256 young on each"), "{text}");
    assert!(line("Database Lag").ends_with('s') && line("File Descriptors").contains(" of "), "{text}");
    assert!(line("state.db") != "0 B" && line("Memory").ends_with(" MB"), "{text}");
    assert_eq!(line("Settings"), place.path("skypunch.toml").display().to_string());
    assert!(!text.contains("Unhealthy"), "{text}");

    // The same in the words of the database.
    let (code, text) = ctl(&daemon.socket, &["status", "--output", "json"]);
    let status: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &status["healthy"], &status["unhealthy"]), (Some(0), &json!(true), &json!([])), "{text}");
    let lag = status["database"]["lag_ms"].as_u64().unwrap();
    assert!(lag < 5_000, "{lag}");
    assert!(number(&status["persistence"], "state_db_bytes") > 0 && number(&status["descriptors"], "open") > 5);

    daemon.terminate();
    assert_eq!(ctl(&daemon.socket, &["status"]).0, Some(3), "it is not reachable");
}

#[test]
fn a_mariadb_that_is_away_makes_it_unwell_until_it_is_back() {
    let server = PrivateServer::start();
    let (place, origin) = (Place::with(Database::on_server(server.server)), Origin::start());
    let daemon = place.start();
    place.db.add("good", &origin.url("/"), 200);
    daemon.wait_target("good", "status", &json!("PASS"));
    server.freeze();
    wait_until("it is away", SOON, || unhealthy(&daemon).contains(&"database".to_owned()));
    wait_until("it lags", SOON, || daemon.status()["database"]["lag_ms"].as_u64().is_some_and(|ms| ms > 1_500));
    let (code, text) = ctl(&daemon.socket, &["status"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("| Healthy           | No "), "{text}");
    assert!(text.contains("| Unhealthy         | Database State: the database did not answer within"), "{text}");
    server.thaw();
    wait_until("it is well again", SOON * 2, || unhealthy(&daemon).is_empty());
    wait_until("it has caught up", SOON, || {
        daemon.status()["database"]["lag_ms"].as_u64().is_some_and(|ms| ms < 1_500)
    });
    assert_eq!(ctl(&daemon.socket, &["status"]).0, Some(0));
}

#[test]
fn a_notifier_that_cannot_be_told_makes_it_unwell() {
    let (place, origin) = (Place::new(), Origin::start());
    origin.answer("/bad", Answer::Status(500));
    let daemon = place.start();
    place.db.sql(&format!(
        "INSERT INTO notifiers (name, type, address, group_wait_ms) VALUES ('ops', 'WEBHOOK', 'http://127.0.0.1:{}/hunter2', 0)",
        free_port()
    ));
    place.db.add("bad", &origin.url("/bad"), 200);
    wait_until("it says so", SOON, || unhealthy(&daemon) == ["notifications"]);
    let (code, text) = ctl(&daemon.socket, &["status"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("| Unhealthy         | Notifier Backlog: ops has 1 on the way, and the last try failed: "),
        "{text}"
    );
    assert!(
        text.contains("| Notifier Backlog  | ops: 0 owed, 1 being sent, last taken never; the last try failed: "),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_daemon_that_slept_has_missed_probes_and_says_so() {
    let (place, origin) = (Place::new(), Origin::start());
    let daemon = place.start();
    for i in 0..4 {
        place.db.add(&format!("t{i}"), &origin.url("/"), 100);
    }
    wait_until("they are probed", SOON, || number(&daemon.status()["probes"], "started") >= 40);
    daemon.signal(Signal::STOP);
    std::thread::sleep(std::time::Duration::from_secs(2)); // the time that it sleeps
    daemon.signal(Signal::CONT);
    wait_until("the missed due times are told", SOON, || unhealthy(&daemon).contains(&"probes.missed".to_owned()));
    let (code, text) = ctl(&daemon.socket, &["status"]);
    assert!(code == Some(1) && text.contains("| Unhealthy         | Probes Missed: "), "{text}");
}
