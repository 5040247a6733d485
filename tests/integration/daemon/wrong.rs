//! The main database answers, but is not as it should be: said at once, and probing goes on.

use serde_json::json;

use super::harness::{Daemon, Place, SOON, number, wait_for, wait_until};
use super::ledger;
use super::origin::Origin;

on_both!(
    a_table_that_is_renamed_is_told_at_once_and_the_last_known_definitions_go_on,
    a_daemon_that_has_lost_its_lease_writes_nothing_until_it_has_it_again,
);

/// Waits until the database is away with an error that holds these words.
fn wait_away(daemon: &Daemon, words: &[&str]) {
    let error = wait_for("the database is away", SOON, || {
        let status = daemon.status();
        (status["database"]["state"] == json!("away")).then(|| status["database"]["error"].as_str().unwrap().to_owned())
    });
    assert!(words.iter().all(|w| error.contains(w)), "{error}");
    assert_eq!(daemon.status()["healthy"], json!(false));
}

fn wait_ok(daemon: &Daemon) {
    wait_until("the database is well", SOON, || {
        let status = daemon.status();
        status["database"]["state"] == json!("ok") && number(&status["persistence"], "spooled_results") == 0
    });
}

fn a_table_that_is_renamed_is_told_at_once_and_the_last_known_definitions_go_on(place: &Place) {
    let origin = Origin::start();
    let daemon = place.start();
    place.db.add("a", &origin.url("/"), 100);
    daemon.wait_target("a", "status", &json!("PASS"));
    // A view would keep SQLite from renaming what it shows.
    place.db.sql("DROP VIEW targets_overview; ALTER TABLE targets RENAME TO elsewhere");
    wait_away(&daemon, &["targets"]);
    let asked = origin.count("/");
    wait_until("it is probed on", SOON, || origin.count("/") >= asked + 5);
    assert_eq!(daemon.target("a")["status"], json!("PASS"));
    assert_eq!(daemon.log_lines(&["the definitions cannot be read"]).len(), 1, "told once: {}", daemon.log());
    place.db.sql("ALTER TABLE elsewhere RENAME TO targets");
    wait_ok(&daemon);
    place.db.add("b", &origin.url("/b"), 100);
    daemon.wait_target("b", "status", &json!("PASS"));
}

fn a_daemon_that_has_lost_its_lease_writes_nothing_until_it_has_it_again(place: &Place) {
    let origin = Origin::start();
    let mut daemon = place.setup().extra("[shutdown]\ngrace = \"20s\"\n").start();
    let rows: Vec<String> = (0..10).map(|i| format!("('t{i}', '{}', 100)", origin.url("/"))).collect();
    place.db.sql(&format!("INSERT INTO targets (name, url, frequency_ms) VALUES {}", rows.join(",")));
    let results = "SELECT COUNT(*) FROM results";
    wait_until("results are written", SOON, || place.db.number(results) >= 50);
    place.db.sql("UPDATE lease SET host = 'elsewhere', pid = 7, writer = 4711, held_until = 4102444800000");
    wait_away(&daemon, &["another skypunch works on this database", "pid 7 on elsewhere"]);
    let spooled = || number(&daemon.status()["persistence"], "spooled_results");
    wait_until("results are spooled", SOON, || spooled() >= 50);
    let (written, before) = (place.db.number(results), spooled());
    wait_until("more are spooled", SOON, || spooled() >= before + 100);
    assert_eq!(place.db.number(results), written, "nothing is written");
    assert_eq!(daemon.status()["database"]["state"], json!("away"));
    // The other one has given it back.
    place.db.sql("UPDATE lease SET held_until = 0");
    wait_ok(&daemon);
    let live = daemon.get("/v1/targets");
    daemon.terminate();
    ledger::assert_consistent(&place.db);
    ledger::assert_not_behind(&place.db, &live);
    ledger::assert_rows(&place.db, &origin, 10);
}
