//! The SQLite file disappears, comes back, or is replaced by another one; edits that meet each other.

use serde_json::json;

use super::database::Kind;
use super::harness::{Place, SOON, number, wait_until};
use super::origin::Origin;

fn database_state(daemon: &super::harness::Daemon) -> String {
    daemon.status()["database"]["state"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_file_that_is_moved_away_is_away_and_nothing_is_lost() {
    let origin = Origin::start();
    let place = Place::on(Kind::Sqlite);
    let mut daemon = place.start();
    place.db.add("a", &origin.url("/a"), 100);
    wait_until("it is probed", SOON, || origin.count("/a") >= 3);
    let (file, aside) = (place.path("main.db"), place.path("aside.db"));
    std::fs::rename(&file, &aside).unwrap();
    wait_until("it is away", SOON, || database_state(&daemon) == "away");
    let asked = origin.count("/a");
    wait_until("probing goes on", SOON, || origin.count("/a") >= asked + 5);
    assert!(!file.exists(), "no empty file takes its place");
    assert!(number(&daemon.status()["persistence"], "spooled_results") > 0);
    std::fs::rename(&aside, &file).unwrap();
    wait_until("it is back", SOON, || {
        let status = daemon.status();
        status["database"]["state"] == json!("ok") && status["persistence"]["spooled_results"] == json!(0)
    });
    daemon.terminate();
    super::ledger::assert_consistent(&place.db);
    let rows = place.db.number("SELECT COUNT(*) FROM results");
    let asked = i64::try_from(origin.count("/a")).unwrap();
    assert!((asked - 1..=asked).contains(&rows), "{rows} rows of {asked} requests");
}

#[test]
fn a_file_that_is_replaced_is_read_anew() {
    let origin = Origin::start();
    let place = Place::on(Kind::Sqlite);
    let mut daemon = place.start();
    place.db.add("a", &origin.url("/a"), 100);
    wait_until("it is probed", SOON, || origin.count("/a") >= 3);
    let copy = place.path("copy.db");
    place.db.sql(&format!("VACUUM INTO '{}'", copy.display()));
    for ending in ["-wal", "-shm"] {
        // As somebody does who restores a backup by the book.
        let _gone = std::fs::remove_file(place.path(&format!("main.db{ending}")));
    }
    std::fs::rename(&copy, place.path("main.db")).unwrap();
    place.db.add("b", &origin.url("/b"), 100);
    wait_until("the new file's row is probed", SOON, || origin.count("/b") >= 3);
    wait_until("results go into the new file", SOON, || {
        place.db.number("SELECT COUNT(*) FROM results WHERE target_id = 2") >= 3
    });
    daemon.terminate();
}

fn edits_at_the_same_time_all_count(place: &Place) {
    let origin = Origin::start();
    let daemon = place.start();
    place.db.add("a", &origin.url("/a"), 60_000);
    wait_until("it is known", SOON, || daemon.request("GET", "/v1/targets/a", None).status == 200);
    for round in 2..12 {
        std::thread::scope(|scope| {
            for key in ["fail_after", "recover_after", "redirects"] {
                let daemon = &daemon;
                scope.spawn(move || {
                    let answer = daemon.request("PATCH", "/v1/targets/a", Some(&json!({key: round})));
                    assert_eq!(answer.status, 200);
                });
            }
        });
        let target = daemon.target("a");
        for key in ["fail_after", "recover_after", "redirects"] {
            assert_eq!(target[key], json!(round), "{key} in round {round}");
        }
    }
}

/// A row that is wrong at a restart goes on in its last good form.
fn the_last_good_form_survives_a_restart(place: &Place) {
    let origin = Origin::start();
    let mut daemon = place.start();
    place.db.add("a", &origin.url("/a"), 100);
    wait_until("it is probed", SOON, || origin.count("/a") >= 3);
    place.db.sql("UPDATE targets SET url = 'nonsense' WHERE name = 'a'");
    wait_until("it is reported", SOON, || !daemon.target("a")["problems"].as_array().unwrap().is_empty());
    daemon.terminate();
    let asked = origin.count("/a");
    let mut daemon = place.start();
    wait_until("the last good form is probed", SOON, || origin.count("/a") >= asked + 3);
    assert_eq!(daemon.target("a")["problems"].as_array().map(Vec::len), Some(1));
    daemon.terminate();
}

on_both!(edits_at_the_same_time_all_count, the_last_good_form_survives_a_restart);
