//! What is told of a failure that lasts, and of a target that cannot decide: reminders and flapping, through the daemon.

use serde_json::{Value, json};

use super::harness::{Place, SOON, wait_until};
use super::origin::{Answer, Origin};
use super::telling::{Got, Receiver, in_force};

on_both!(
    a_failure_that_lasts_is_told_again_with_growing_gaps_over_a_kill_too,
    a_target_that_flaps_is_told_as_one_flapping_and_one_settled,
    a_target_that_settles_in_failure_is_told_of_its_recovery,
);

fn events(got: &[Got]) -> Vec<&str> {
    got.iter().map(Got::event).collect()
}

fn item(got: &Got) -> &Value {
    &got.body["message"]["items"][0]
}

fn message_id(got: &Got) -> Value {
    got.body["message"]["message_id"].clone()
}

/// A notifier that waits so long for company and tells again after so long, both in milliseconds.
fn add(place: &Place, receiver: &Receiver, wait: u32, remind: &str) {
    place.db.sql(&format!(
        "INSERT INTO notifiers (name, type, address, group_wait_ms, group_window_ms, rate_per_minute, remind_ms) \
         VALUES ('ops', 'WEBHOOK', 'http://127.0.0.1:{}/', {wait}, 0, 1000, {remind})",
        receiver.port
    ));
}

/// When what it tells of happened, in milliseconds.
fn at(got: &Got) -> i64 {
    got.body["message"]["at"].as_i64().unwrap()
}

fn a_failure_that_lasts_is_told_again_with_growing_gaps_over_a_kill_too(place: &Place) {
    let receiver = Receiver::start();
    let origin = Origin::start();
    let mut daemon = place.start();
    add(place, &receiver, 100, "1000");
    in_force(&daemon, 1);
    origin.answer("/", Answer::Status(500));
    place.db.add("shop", &origin.url("/"), 100);
    receiver.wait(2);
    // A kill neither begins the reminders anew nor forgets them.
    wait_until("the first reminder is written", SOON, || {
        place.db.number("SELECT COUNT(*) FROM notifications WHERE event = 'reminder' AND state = 'sent'") == 1
    });
    daemon.kill();
    let daemon = place.start();
    let got = receiver.wait(4);
    assert_eq!(events(&got), ["fail", "reminder", "reminder", "reminder"]);
    let numbers: Vec<_> = got[1..].iter().map(|g| item(g)["number"].clone()).collect();
    assert_eq!(numbers, [json!(1), json!(2), json!(3)]);
    for (earlier, gap) in [(0, 1_000), (1, 2_000), (2, 4_000)] {
        let waited = at(&got[earlier + 1]) - at(&got[earlier]);
        assert!(waited >= gap, "{waited} ms instead of {gap}");
    }
    let incident = &item(&got[0])["incident_id"];
    assert!(got.iter().all(|g| item(g)["incident_id"] == *incident && item(g)["status"] == json!("FAIL")));
    origin.answer("/", Answer::Status(200));
    let got = receiver.wait(5);
    assert_eq!(got[4].event(), "recovery");
    let before: Vec<_> = got[..4].iter().map(message_id).collect();
    assert_eq!(got[4].body["message"]["references"], json!(before));
    // No further one is planned: the next gap would be eight seconds.
    daemon.wait_target("shop", "status", &json!("PASS"));
    wait_until("all is written", SOON, || {
        place.db.number("SELECT COUNT(*) FROM notifications WHERE state = 'sent'") == 5
    });
    let told = place.db.sql("SELECT event, number, attempts FROM notifications ORDER BY id");
    let numbers = ["0", "1", "2", "3", "0"];
    let expected: Vec<_> = events(&got).into_iter().zip(numbers).map(|(e, n)| [e, n, "1"]).collect();
    assert_eq!(told, expected);
    assert_eq!(receiver.got().len(), 5);
}

/// More than four changes are flapping; who does not change for so long has settled.
const RULES: &str = "[notify]\nflap_changes = 4\nflap_window = \"4s\"\n";

/// Six changes, one each probe, and a seventh where it is 500 that stays.
fn flap(origin: &Origin, stays: u16) {
    origin.script("/", &[500, 200, 500, 200, 500, 200]);
    origin.answer("/", Answer::Status(stays));
}

fn a_target_that_flaps_is_told_as_one_flapping_and_one_settled(place: &Place) {
    let receiver = Receiver::start();
    let origin = Origin::start();
    let daemon = place.setup().extra(RULES).start();
    // It waits for company until it is known that the target flaps.
    add(place, &receiver, 3000, "NULL");
    in_force(&daemon, 1);
    place.db.add("shop", &origin.url("/"), 100);
    daemon.wait_target("shop", "status", &json!("PASS"));
    flap(&origin, 200);
    let got = receiver.wait(2);
    assert_eq!(events(&got), ["flapping", "settled"]);
    assert!(item(&got[0])["changes"].as_i64().is_some_and(|n| n > 4), "{:#}", got[0].body);
    assert_eq!((&item(&got[1])["status"], &item(&got[1])["changes"]), (&json!("PASS"), &json!(6)), "{:#}", got[1].body);
    assert_eq!(got[1].body["message"]["references"], json!([message_id(&got[0])]));
    assert!(at(&got[1]) - at(&got[0]) >= 4_000, "{} to {}", at(&got[0]), at(&got[1]));
    let silent = "SELECT COUNT(*) FROM notifications WHERE event IN ('fail', 'recovery') AND state <> 'merged'";
    assert_eq!(place.db.number(silent), 0);
    // From then on each change is told as before.
    origin.answer("/", Answer::Status(500));
    assert_eq!(receiver.wait(3)[2].event(), "fail");
    origin.answer("/", Answer::Status(200));
    assert_eq!(receiver.wait(4)[3].event(), "recovery");
    assert_eq!(receiver.got().len(), 4);
}

fn a_target_that_settles_in_failure_is_told_of_its_recovery(place: &Place) {
    let receiver = Receiver::start();
    let origin = Origin::start();
    let daemon = place.setup().extra(RULES).start();
    add(place, &receiver, 0, "NULL");
    in_force(&daemon, 1);
    place.db.add("shop", &origin.url("/"), 100);
    daemon.wait_target("shop", "status", &json!("PASS"));
    flap(&origin, 500);
    let last = |event: &str| receiver.got().last().is_some_and(|g| g.event() == event);
    wait_until("it has settled", SOON, || last("settled"));
    let got = receiver.got();
    let told = events(&got);
    // What came before it was known to flap is told as it was.
    let (before, since) = told.split_at(told.iter().position(|e| *e == "flapping").unwrap());
    assert_eq!(since, ["flapping", "settled"], "{told:?}");
    assert!(before.len() <= 4 && before.iter().all(|e| ["fail", "recovery", "both"].contains(e)), "{told:?}");
    assert_eq!(item(got.last().unwrap())["status"], json!("FAIL"));
    let settled = got.len();
    origin.answer("/", Answer::Status(200));
    let recovery = receiver.wait(settled + 1)[settled].clone();
    assert_eq!(recovery.event(), "recovery");
    let references = recovery.body["message"]["references"].as_array().unwrap();
    assert!(references.contains(&message_id(&got[settled - 1])), "{references:?}");
    assert_eq!(receiver.got().len(), settled + 1);
}
