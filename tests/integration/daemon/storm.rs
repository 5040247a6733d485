//! An outage of very many targets: probing keeps its schedule, and whoever can be told is told in few messages.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::harness::{Daemon, Place, SOON, number, wait_until};
use super::ledger;
use super::origin::{Answer, Origin};
use super::telling::{Got, Receiver, in_force, notifier};

on_both!(
    a_storm_is_few_messages_that_hold_all_and_no_due_time_is_missed,
    a_thousand_targets_that_change_at_every_probe_are_few_messages_and_whole_books,
);

const TARGETS: i64 = 1_000;
/// Longer than a debug build takes for all, with other tests beside it.
const STORM: Duration = Duration::from_secs(60);

fn all_are(daemon: &Daemon, status: &str) -> bool {
    number(&daemon.status()["targets"], status) == TARGETS
}

fn named(got: &[Got], event: &str) -> BTreeSet<String> {
    let items = got.iter().flat_map(|g| g.body["message"]["items"].as_array().unwrap());
    let of_event = items.filter(|i| i["event"] == json!(event));
    of_event.map(|i| i["target"]["name"].as_str().unwrap().to_owned()).collect()
}

fn counted_only(got: &[Got]) -> u64 {
    got.iter().map(|g| g.body["message"]["more"].as_u64().unwrap()).sum()
}

fn missed(status: &Value) -> i64 {
    number(&status["probes"], "missed")
}

fn a_storm_is_few_messages_that_hold_all_and_no_due_time_is_missed(place: &Place) {
    let (live, dead) = (Receiver::start(), Receiver::start());
    dead.answer(0);
    let origin = Origin::start();
    let daemon = place.start();
    let rows: Vec<String> = (0..TARGETS).map(|i| format!("('t{i:03}', '{}', 3000)", origin.url("/"))).collect();
    place.db.sql(&format!("INSERT INTO targets (name, url, frequency_ms) VALUES {}", rows.join(", ")));
    wait_until("all pass", STORM, || all_are(&daemon, "pass"));
    for (name, port) in [("dead", dead.port), ("live", live.port)] {
        place.db.sql(&format!(
            "INSERT INTO notifiers (name, type, address, group_wait_ms, group_window_ms) \
             VALUES ('{name}', 'WEBHOOK', 'http://127.0.0.1:{port}/', 5000, 5000)"
        ));
    }
    in_force(&daemon, 2);
    let missed_before = missed(&daemon.status());

    origin.answer("/", Answer::Status(500));
    wait_until("all are told of", STORM, || live.items() >= 1_000);
    let failures = live.got();
    assert_eq!(named(&failures, "fail").len(), 1_000);
    assert!(failures.len() <= 3, "{} messages", failures.len());
    assert_eq!(counted_only(&failures), 0, "all are named");
    wait_until("it is noted", STORM, || {
        let sent = "SELECT COUNT(*) FROM notifications WHERE notifier_name = 'live' AND state = 'sent'";
        place.db.number(sent) == TARGETS
    });
    assert!(!dead.got().is_empty(), "the dead one was tried");
    assert_eq!(number(&notifier(&daemon, "dead"), "pass_count"), 0);
    assert_eq!(missed(&daemon.status()), missed_before, "no due time was missed");

    // Back again: the live one hears of each end once; the dead one, once it lives, of all in few messages.
    origin.answer("/", Answer::Status(200));
    wait_until("all pass again", STORM, || all_are(&daemon, "pass"));
    let (before, items) = (dead.got().len(), dead.items());
    dead.answer(200);
    dead.release();
    wait_until("both have heard of all", STORM, || dead.items() >= items + 1_000 && live.items() >= 2_000);
    wait_until("nothing is owed any more", STORM, || {
        let owed = &daemon.status()["notifications"];
        number(owed, "owed") == 0 && number(owed, "sending") == 0
    });
    assert_eq!(named(&dead.got()[before..], "fail").len(), 1_000);
    assert_eq!(named(&live.got(), "recovery").len(), 1_000);
    assert!(live.got().len() <= 6, "{} messages", live.got().len());
    assert_eq!(missed(&daemon.status()), missed_before, "no due time was missed");
    wait_until("it has been copied", SOON, || place.db.number("SELECT COUNT(*) FROM incidents") == TARGETS);
}

fn a_thousand_targets_that_change_at_every_probe_are_few_messages_and_whole_books(place: &Place) {
    let (live, origin) = (Receiver::start(), Origin::start());
    let settings = "[notify]\nflap_changes = 3\nflap_window = \"15s\"\n[shutdown]\ngrace = \"30s\"\n";
    let mut daemon = place.setup().extra(settings).start();
    let rows: Vec<String> =
        (0..TARGETS).map(|i| format!("('t{i:03}', '{}', 4000)", origin.url(&format!("/{i}")))).collect();
    place.db.sql(&format!("INSERT INTO targets (name, url, frequency_ms) VALUES {}", rows.join(", ")));
    wait_until("all pass", STORM, || all_are(&daemon, "pass"));
    place.db.sql(&format!(
        "INSERT INTO notifiers (name, type, address, group_wait_ms, group_window_ms) \
         VALUES ('live', 'WEBHOOK', 'http://127.0.0.1:{}/', 3000, 3000)",
        live.port
    ));
    in_force(&daemon, 1);
    let missed_before = missed(&daemon.status());
    (0..TARGETS).for_each(|i| origin.answer(&format!("/{i}"), Answer::Flips));
    let before = origin.total();
    let changes = u64::try_from(6 * TARGETS).unwrap();
    wait_until("each has changed six times", STORM, || origin.total() >= before + changes);
    wait_until("each is told of as flapping", STORM, || named(&live.got(), "flapping").len() == 1_000);
    (0..TARGETS).for_each(|i| origin.answer(&format!("/{i}"), Answer::Status(200)));
    wait_until("all pass again", STORM, || all_are(&daemon, "pass"));
    wait_until("each is told of as settled", STORM, || named(&live.got(), "settled").len() == 1_000);
    wait_until("nothing is owed any more", STORM, || {
        let owed = &daemon.status()["notifications"];
        number(owed, "owed") == 0 && number(owed, "sending") == 0
    });
    // Some changes before the limit, FLAPPING, SETTLED: each in digests, not by the thousand.
    assert!(live.got().len() <= 40, "{} messages", live.got().len());
    let asked = i64::try_from(origin.total()).unwrap();
    assert!((missed(&daemon.status()) - missed_before) * 50 <= asked, "{:#}", daemon.status()["probes"]);
    let shown = daemon.get("/v1/targets");
    daemon.terminate();
    ledger::assert_consistent(&place.db);
    ledger::assert_not_behind(&place.db, &shown);
    ledger::assert_rows(&place.db, &origin, TARGETS);
    assert_eq!(place.db.number("SELECT COUNT(*) FROM incidents WHERE ended_at IS NULL"), 0);
}
