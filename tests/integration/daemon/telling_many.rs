//! Several recipients, and messages that are refused for what they hold.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::harness::{Daemon, Place, SOON, Setup, file, wait_for, wait_until};
use super::origin::{Answer, Origin};
use super::telling::{Got, Receiver, in_force};

on_both!(
    over_a_crash_the_recovery_stays_in_its_thread_and_nobody_gets_a_second_copy,
    the_recovery_goes_only_to_those_who_have_the_failure,
    a_digest_that_is_too_large_goes_in_pieces,
    what_is_being_tried_is_seen_with_its_last_answer,
);

/// A provider with several recipients that keeps a value for later messages.
const PROVIDER: &str = r#"
type = "PAGER"
title = "Pager"
documentation = "https://pager.example/"

[address]
help = "names"
check = "word"
list = true

[[param]]
name = "server"
type = "url"
required = true
help = "base"

[send]
url = "{{ params.server }}"
for_each = "recipient"

[send.json]
to = "{{ recipient }}"
event = "{{ event }}"
id = "{{ id }}"
thread = "{{ saved.thread }}"

[answer]
save = { thread = "/thread" }

[golden]
address = "ops-a, ops-b"
params = { server = "https://pager.example/" }
"#;

fn setup(place: &Place) -> Setup {
    std::fs::create_dir(place.path("providers")).unwrap();
    let path = file(place, "providers/pager.toml", PROVIDER);
    let folder = path.rsplit_once('/').unwrap().0;
    place.setup().extra(&format!("[notify]\nproviders = {folder:?}\n"))
}

/// A target whose failure goes to `a` and `b`.
fn failing(place: &Place, daemon: &Daemon, receiver: &Receiver, origin: &Origin) {
    place.db.sql(&format!(
        "INSERT INTO notifiers (name, type, address, params, group_wait_ms, group_window_ms, rate_per_minute) \
         VALUES ('ops', 'PAGER', 'a, b', 'server=http://127.0.0.1:{}/', 100, 0, 1000)",
        receiver.port
    ));
    in_force(daemon, 1);
    origin.answer("/", Answer::Status(500));
    place.db.add("shop", &origin.url("/"), 100);
}

fn told(receiver: &Receiver, to: &str) -> Vec<Got> {
    receiver.got().into_iter().filter(|g| g.body["to"] == json!(to)).collect()
}

fn events(receiver: &Receiver, to: &str) -> Vec<String> {
    told(receiver, to).iter().map(|g| g.event().to_owned()).collect()
}

fn sent(place: &Place) -> i64 {
    place.db.number("SELECT COUNT(*) FROM notifications WHERE state = 'sent'")
}

fn over_a_crash_the_recovery_stays_in_its_thread_and_nobody_gets_a_second_copy(place: &Place) {
    let (receiver, origin, setup) = (Receiver::start(), Origin::start(), setup(place));
    let mut daemon = setup.start();
    receiver.refuse(|message| (message["to"] == json!("b")).then_some(503));
    failing(place, &daemon, &receiver, &origin);
    wait_until("b was tried twice", SOON, || told(&receiver, "b").len() >= 2);
    assert_eq!(events(&receiver, "a"), ["fail"]);
    daemon.kill();
    receiver.refuse(|_| None);
    let mut daemon = setup.start();
    wait_until("it is sent", SOON, || sent(place) == 1);
    assert_eq!(events(&receiver, "a"), ["fail"], "no second copy");
    let ids: BTreeSet<String> = told(&receiver, "b").iter().map(|g| g.body["id"].to_string()).collect();
    assert_eq!(ids.len(), 1, "the same id at every attempt: {ids:?}");
    daemon.kill();
    let daemon = setup.start();
    origin.answer("/", Answer::Status(200));
    wait_until("both are told of the end", SOON, || sent(place) == 2);
    for to in ["a", "b"] {
        let last = told(&receiver, to).pop().unwrap();
        assert_eq!((last.event(), &last.body["thread"]), ("recovery", &json!("12.5")), "{to}");
    }
    assert_eq!(events(&receiver, "a"), ["fail", "recovery"]);
    drop(daemon);
}

fn the_recovery_goes_only_to_those_who_have_the_failure(place: &Place) {
    let (receiver, origin, setup) = (Receiver::start(), Origin::start(), setup(place));
    let daemon = setup.start();
    receiver.refuse(|message| (message["to"] == json!("b")).then_some(404));
    failing(place, &daemon, &receiver, &origin);
    wait_until("it is sent", SOON, || sent(place) == 1);
    let answer = place.db.sql("SELECT answer FROM notifications")[0][0].clone();
    assert!(answer.contains("1 of 2 were refused") && answer.contains("HTTP 404"), "{answer}");
    receiver.refuse(|_| None);
    origin.answer("/", Answer::Status(200));
    wait_until("its end is told", SOON, || sent(place) == 2);
    assert_eq!(
        (events(&receiver, "a"), events(&receiver, "b")),
        (vec!["fail".into(), "recovery".into()], vec!["fail".into()])
    );
}

fn a_digest_that_is_too_large_goes_in_pieces(place: &Place) {
    let receiver = Receiver::start();
    let mut origin = Origin::start();
    let daemon = place.start();
    for i in 0..30 {
        place.db.add(&format!("t{i:02}"), &origin.url("/"), 500);
    }
    let items = |message: &Value| message["message"]["items"].as_array().map_or(0, Vec::len);
    receiver.refuse(|message| (message["message"]["items"].as_array().map_or(0, Vec::len) > 8).then_some(413));
    wait_until("all pass", SOON, || {
        let all = daemon.get("/v1/targets");
        all.as_array().is_some_and(|all| all.len() == 30 && all.iter().all(|t| t["status"] == json!("PASS")))
    });
    place.db.sql(&format!(
        "INSERT INTO notifiers (name, type, address, group_wait_ms, rate_per_minute) \
         VALUES ('ops', 'WEBHOOK', 'http://127.0.0.1:{}/', 1500, 1000)",
        receiver.port
    ));
    in_force(&daemon, 1);
    origin.stop();
    wait_until("all are told", SOON, || sent(place) == 30);
    let got = receiver.got();
    assert_eq!(items(&got[0].body), 30, "one digest at first");
    let mut names: Vec<String> = got.iter().filter(|g| items(&g.body) <= 8).flat_map(Got::names).collect();
    names.sort();
    assert_eq!(names.len(), 30, "each once: {names:?}");
    names.dedup();
    assert_eq!(names.len(), 30, "each once: {names:?}");
}

fn what_is_being_tried_is_seen_with_its_last_answer(place: &Place) {
    let (receiver, origin, setup) = (Receiver::start(), Origin::start(), setup(place));
    let daemon = setup.start();
    receiver.refuse(|_| Some(503));
    failing(place, &daemon, &receiver, &origin);
    let told = wait_for("it waits for its third attempt", SOON, || {
        let incident = daemon.get("/v1/incidents").get(0)?["id"].as_str()?.to_owned();
        let told = daemon.get(&format!("/v1/incidents/{incident}"))["notifications"].get(0)?.clone();
        (told["attempts"].as_i64()? >= 2 && told["next_at"].is_i64()).then_some(told)
    });
    assert_eq!((&told["state"], &told["notifier_name"]), (&json!("sending"), &json!("ops")), "{told:#}");
    assert!(told["answer"].as_str().unwrap().contains("HTTP 503"), "{told:#}");
    receiver.refuse(|_| None);
    wait_until("it is sent", SOON, || sent(place) == 1);
    let incident = place.db.sql("SELECT incident_id FROM notifications")[0][0].clone();
    let told = daemon.get(&format!("/v1/incidents/{incident}"))["notifications"][0].clone();
    assert_eq!((&told["state"], &told["next_at"]), (&json!("sent"), &json!(null)), "{told:#}");
}
