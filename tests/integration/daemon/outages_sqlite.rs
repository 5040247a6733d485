//! Every way in which the file of the main database may be ill, under load, at the stop and at the start of the daemon: one
//! body for all, driven by a table. What only a server can suffer from is in `outages`.
//!
//! ```text
//!  load:  daemon, load --break--> probing goes on, results are spooled --mend--> all is written, once
//!  stop:  daemon, load --break--> SIGTERM: ends within its grace, everything is in state.db
//!  start: --break--> daemon starts from what was last known (or is refused), probes --mend--> all is written
//! ```

use serde_json::json;

use super::database::Lock;
use super::harness::{Daemon, Place, SOON, Setup, number, wait_until};
use super::ledger::{self, assert_rows};
use super::origin::Origin;
use super::outages::{GRACE, assert_probes_on, kept, start_without_database, stop_in_time, wait_drained};
use super::refused::{Mount, assert_calm, assert_refused};
use super::refused_disk::{fill, place_with_main_in};

const TARGETS: i64 = 80;

struct World {
    /// Unmounted before its folder goes.
    over: Option<Mount>,
    lock: Option<Lock>,
    #[expect(dead_code, reason = "held as long as the place")]
    disk: Option<Mount>,
    place: Place,
}

impl World {
    /// Has a running daemon open the file anew: another process keeps it from writing, and it lets go of it.
    fn shake(&self, daemon: Option<&Daemon>) -> Option<Lock> {
        let daemon = daemon?;
        let lock = self.place.db.lock();
        wait_until("it lets go of the file", SOON, || daemon.status()["database"]["state"] == json!("away"));
        Some(lock)
    }
}

/// One way to be ill.
struct State {
    /// A daemon may be running.
    breaks: fn(&mut World, Option<&Daemon>),
    mends: fn(&mut World),
    /// What the running daemon says of it.
    says: &'static str,
    /// What a start says to it, where it is no outage.
    refused: Option<&'static [&'static str]>,
}

#[test]
fn locked_by_another_process() {
    survives(&State {
        breaks: |w, _| w.lock = Some(w.place.db.lock()),
        mends: |w| w.lock = None,
        says: "locked",
        refused: None,
    });
}

#[test]
fn on_a_disk_that_becomes_read_only() {
    survives(&State {
        breaks: |w, daemon| {
            let held = w.shake(daemon);
            w.over = Some(Mount::read_only(&w.place.path("data")));
            drop(held);
        },
        mends: |w| w.over = None,
        says: "main.db",
        refused: Some(&["main.db", "let this user write the file and its folder"]),
    });
}

#[test]
fn opened_anew_one_migration_ahead() {
    survives(&State {
        breaks: |w, daemon| {
            w.place.db.sql("INSERT INTO __diesel_schema_migrations (version) VALUES ('0999')");
            drop(w.shake(daemon));
        },
        mends: |w| drop(w.place.db.sql("DELETE FROM __diesel_schema_migrations WHERE version = '0999'")),
        says: "0999",
        refused: Some(&["changed by a newer skypunch", "0999"]),
    });
}

#[test]
fn on_a_full_disk_of_its_own() {
    let place = place_with_main_in("data");
    let disk = Mount::tmpfs(&place.path("data"), "24m");
    let state = State {
        breaks: |w, _| drop(fill(&w.place.path("data"), 0)),
        mends: |w| std::fs::remove_file(w.place.path("data/ballast")).unwrap(),
        says: "make room on its disk",
        refused: Some(&["main.db", "make room on its disk"]),
    };
    survives_at(&state, place, Some(disk));
}

fn survives(state: &State) {
    survives_at(state, place_with_main_in("data"), None);
}

fn wait_said(daemon: &Daemon, words: &str) {
    wait_until(words, SOON * 3, || {
        let error = daemon.status()["database"]["error"].clone();
        error.as_str().is_some_and(|e| e.contains(words))
    });
}

fn survives_at(state: &State, place: Place, disk: Option<Mount>) {
    let mut w = World { over: None, lock: None, disk, place };
    let grace = format!("[shutdown]\ngrace = \"{}s\"\n", GRACE.as_secs());
    let setup: Setup = w.place.setup().extra(&grace);
    let origin = Origin::start();
    // Under load.
    let mut daemon = setup.start();
    let rows: Vec<String> = (0..TARGETS).map(|i| format!("('t{i}', '{}', 500)", origin.url("/"))).collect();
    w.place.db.sql(&format!("INSERT INTO targets (name, url, frequency_ms) VALUES {}", rows.join(",")));
    wait_until("results are written", SOON, || number(&kept(&daemon), "written") >= 200);
    (state.breaks)(&mut w, Some(&daemon));
    wait_said(&daemon, state.says);
    assert_probes_on(&daemon, &origin, false);
    (state.mends)(&mut w);
    wait_drained(&daemon);
    // At the stop.
    (state.breaks)(&mut w, Some(&daemon));
    let ended = stop_in_time(&mut daemon);
    assert!(ended.success(), "{ended}: {}", daemon.log());
    // At the start.
    let mut daemon = match state.refused {
        Some(words) => {
            assert_refused(&setup, words);
            (state.mends)(&mut w);
            setup.start()
        }
        None => {
            let daemon = start_without_database(&setup);
            assert_probes_on(&daemon, &origin, false);
            (state.mends)(&mut w);
            daemon
        }
    };
    wait_drained(&daemon);
    let live = daemon.get("/v1/targets");
    daemon.terminate();
    assert_calm(&daemon);
    ledger::assert_consistent(&w.place.db);
    ledger::assert_not_behind(&w.place.db, &live);
    // The probes that were under way at two stops.
    assert_rows(&w.place.db, &origin, 2 * TARGETS);
    assert_eq!(w.place.db.number("SELECT COUNT(*) FROM results WHERE verdict <> 'PASS'"), 0);
    assert_eq!(w.place.db.number("SELECT SUM(thinned_count) FROM target_status"), 0);
}

#[test]
fn a_full_disk_under_both_files_at_the_stop_is_said_and_the_books_balance() {
    let place = place_with_main_in("disk");
    let disk = Mount::tmpfs(&place.path("disk"), "24m");
    let grace = format!("[shutdown]\ngrace = \"{}s\"\n", GRACE.as_secs());
    let setup = Setup { state: place.path("disk/state"), ..place.setup() }.extra(&grace);
    let origin = Origin::start();
    let mut daemon = setup.start();
    let rows: Vec<String> = (0..TARGETS).map(|i| format!("('t{i}', '{}', 500)", origin.url("/"))).collect();
    place.db.sql(&format!("INSERT INTO targets (name, url, frequency_ms) VALUES {}", rows.join(",")));
    wait_until("results are written", SOON, || number(&kept(&daemon), "written") >= 200);
    let ballast = fill(&place.path("disk"), 0);
    wait_until("nothing is taken any more", SOON * 3, || {
        let status = daemon.status();
        status["persistence"]["state_db_error"].is_string() && number(&status["persistence"], "queued") > 200
    });
    let ended = stop_in_time(&mut daemon);
    // What is in memory alone is lost, and that is no success.
    assert_eq!(ended.code(), Some(1), "{}", daemon.log());
    daemon.wait_one_line(&["stopped before everything was written", "the grace is over"]);
    assert_calm(&daemon);
    std::fs::remove_file(ballast).unwrap();
    let mut daemon = setup.start();
    wait_drained(&daemon);
    let asked = origin.total();
    wait_until("it goes on", SOON, || origin.total() >= asked + 200);
    daemon.terminate();
    ledger::assert_consistent(&place.db);
    assert_eq!(place.db.number("SELECT COUNT(*) FROM results WHERE verdict <> 'PASS'"), 0);
    drop(disk);
}
