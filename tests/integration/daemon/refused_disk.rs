//! Disks that are read-only or full: at the start one sentence with the mend and exit code 2; while the daemon runs it
//! probes on, says so, and writes what it has when there is room again.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::database::Database;
use super::harness::{Place, SOON, Setup, number, wait_until};
use super::ledger;
use super::origin::{Answer, Origin};
use super::refused::{Mount, assert_calm, assert_refused, picture};

/// A place whose main database lies in this folder of it.
pub(super) fn place_with_main_in(folder: &str) -> Place {
    let mut place = Place::new();
    place.db = Database::Sqlite(place.path(folder).join("main.db"));
    place
}

#[test]
fn a_read_only_state_folder_is_refused() {
    let place = Place::new();
    let mut daemon = place.start();
    place.db.add("a", "http://127.0.0.1:1/", 60_000);
    daemon.wait_target("a", "status", &json!("FAIL"));
    daemon.terminate();
    let setup = place.setup();
    let before = picture(&setup.state, &[]);
    let mount = Mount::read_only(&setup.state);
    assert_refused(
        &setup,
        &[&setup.state.display().to_string(), "mount it writable", "state.dir", "Read-only file system"],
    );
    assert_eq!(picture(&setup.state, &[]), before);
    drop(mount);
    drop(setup.start());
}

#[test]
fn a_read_only_database_is_refused() {
    let place = place_with_main_in("data");
    let mut daemon = place.start();
    place.db.add("a", "http://127.0.0.1:1/", 60_000);
    daemon.wait_target("a", "status", &json!("FAIL"));
    daemon.terminate();
    let data = place.path("data");
    let before = picture(&data, &[]);
    let mount = Mount::read_only(&data);
    let main = data.join("main.db").display().to_string();
    assert_refused(&place.setup(), &[&main, "let this user write the file and its folder"]);
    assert_eq!(picture(&data, &[]), before);
    // One that is not there cannot be made.
    let other = format!("sqlite://{}", data.join("other.db").display());
    assert_refused(
        &Setup { database: other, ..place.setup() },
        &["other.db", "cannot be made", "Read-only file system"],
    );
    drop(mount);
    drop(place.start());
}

/// Takes all room of a disk but so many bytes.
pub(super) fn fill(dir: &Path, leave: usize) -> PathBuf {
    let path = dir.join("ballast");
    let mut file = File::create(&path).unwrap();
    let chunk = [7u8; 4096];
    let mut written = 0;
    while file.write_all(&chunk).is_ok() {
        written += chunk.len();
    }
    let kept = (written.saturating_sub(leave)) as u64;
    file.set_len(kept).unwrap();
    path
}

#[test]
fn a_full_disk_at_the_start_is_refused() {
    let place = Place::new();
    let setup = place.setup();
    let disk = Mount::tmpfs(&setup.state, "512k");
    for leave in [0, 4096, 16384] {
        let ballast = fill(&setup.state, leave);
        let before = picture(&setup.state, &[]);
        assert_refused(&setup, &[&setup.state.display().to_string(), "make room on its disk"]);
        assert_eq!(picture(&setup.state, &[]), before, "with {leave} bytes left");
        std::fs::remove_file(ballast).unwrap();
    }
    drop(setup.start());
    drop(disk);
    // The main database's disk.
    let place = place_with_main_in("data");
    let disk = Mount::tmpfs(&place.path("data"), "2m");
    place.start().terminate();
    fill(&place.path("data"), 0);
    assert_refused(&place.setup(), &["main.db", "make room on its disk"]);
    std::fs::remove_file(place.path("data/ballast")).unwrap();
    drop(place.start());
    drop(disk);
}

on_both!(a_full_state_folder_holds_up_no_result_and_costs_no_transition);

fn a_full_state_folder_holds_up_no_result_and_costs_no_transition(place: &Place) {
    let state = place.path("small");
    let disk = Mount::tmpfs(&state, "8m");
    let setup = Setup { state: state.clone(), ..place.setup() };
    let origin = Origin::start();
    let mut daemon = setup.start();
    let rows: Vec<String> = (0..10).map(|i| format!("('t{i}', '{}', 100)", origin.url("/"))).collect();
    place.db.sql(&format!("INSERT INTO targets (name, url, frequency_ms) VALUES {}", rows.join(",")));
    let written = || number(&daemon.status()["persistence"], "written");
    wait_until("results are written", SOON, || written() >= 50);
    let ballast = fill(&state, 0);
    // There is room in its log, for a while.
    let mut fails = false;
    wait_until("it says that it cannot note what changes", SOON * 2, || {
        fails = !fails;
        origin.answer("/", Answer::Status(if fails { 500 } else { 200 }));
        let status = daemon.status();
        let about = |c: &serde_json::Value| c["about"] == json!("state_db");
        status["unhealthy"].as_array().unwrap().iter().any(about)
    });
    let before = written();
    wait_until("results are written on", SOON, || written() >= before + 50);
    origin.answer("/", Answer::Status(500));
    daemon.wait_target("t0", "status", &json!("FAIL"));
    std::fs::remove_file(ballast).unwrap();
    wait_until("it is well again", SOON * 2, || daemon.status()["healthy"] == json!(true));
    wait_until("the failures are written", SOON, || {
        place.db.number("SELECT COUNT(*) FROM incidents WHERE ended_at IS NULL") == 10
    });
    assert_calm(&daemon);
    let live = daemon.get("/v1/targets");
    daemon.terminate();
    ledger::assert_consistent(&place.db);
    ledger::assert_not_behind(&place.db, &live);
    ledger::assert_rows(&place.db, &origin, 10);
    drop(disk);
}

#[test]
fn a_disk_that_is_full_while_it_runs_stops_no_probe_and_costs_no_transition() {
    let place = place_with_main_in("disk");
    let disk = Mount::tmpfs(&place.path("disk"), "16m");
    let setup = Setup { state: place.path("disk/state"), ..place.setup() }.extra("[shutdown]\ngrace = \"20s\"\n");
    let origin = Origin::start();
    let mut daemon = setup.start();
    let rows: Vec<String> = (0..10).map(|i| format!("('t{i}', '{}', 100)", origin.url("/"))).collect();
    place.db.sql(&format!("INSERT INTO targets (name, url, frequency_ms) VALUES {}", rows.join(",")));
    let written = || number(&daemon.status()["persistence"], "written");
    wait_until("results are written", SOON, || written() >= 50);
    let ballast = fill(&place.path("disk"), 0);
    // Both databases have room of their own in their logs, for a while.
    let healthy = || daemon.status()["healthy"] == json!(true);
    wait_until("it says that it cannot write", SOON * 2, || !healthy());
    let asked = origin.total();
    wait_until("it probes on", SOON, || origin.total() >= asked + 200);
    let status = daemon.status();
    let error = status["database"]["error"].as_str().unwrap_or_default();
    assert!(error.contains("main.db") && error.contains("make room on its disk"), "{status:#}");
    origin.answer("/", Answer::Status(500));
    daemon.wait_target("t0", "status", &json!("FAIL"));
    std::fs::remove_file(ballast).unwrap();
    wait_until("it is well again", SOON * 2, || healthy() && number(&daemon.status()["persistence"], "queued") < 100);
    wait_until("the failures are written", SOON, || {
        place.db.number("SELECT COUNT(*) FROM incidents WHERE ended_at IS NULL") == 10
    });
    assert_calm(&daemon);
    let live = daemon.get("/v1/targets");
    daemon.terminate();
    ledger::assert_consistent(&place.db);
    ledger::assert_not_behind(&place.db, &live);
    ledger::assert_rows(&place.db, &origin, 10);
    drop(disk);
}
