//! People are told once when a target fails and once when it recovers, whatever breaks on the way.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::harness::{Daemon, Place, SOON, file, listen, number, wait_for, wait_until};
use super::origin::{Answer, Origin};

on_both!(
    a_failure_and_its_end_are_told_once_each,
    a_message_whose_answer_a_crash_lost_is_sent_again_under_the_same_id,
    what_was_taken_without_an_answer_is_not_told_again_in_other_words,
    a_reference_to_what_is_unfit_is_tried_until_it_is_mended,
    a_dead_notifier_delays_no_other_and_is_told_when_it_is_back,
    a_failure_that_ended_before_it_could_be_told_is_one_message_that_says_both,
    one_outage_of_many_targets_is_one_digest,
    a_child_is_listed_in_its_parents_message_and_raises_none,
    who_asked_for_other_targets_or_events_is_not_told,
    a_refusal_for_good_is_not_repeated_and_ends_without_a_recovery,
    a_target_that_flaps_and_is_removed_does_not_wait_for_its_window,
);

/// A message as the receiver got it.
#[derive(Debug, Clone)]
pub(super) struct Got {
    pub key: String,
    pub body: Value,
}

impl Got {
    pub fn event(&self) -> &str {
        self.body["event"].as_str().unwrap()
    }

    pub fn names(&self) -> Vec<String> {
        let items = self.body["message"]["items"].as_array().unwrap();
        let mut names: Vec<_> = items.iter().map(|i| i["target"]["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }
}

#[derive(Default)]
struct Inner {
    got: Vec<Got>,
    /// The status that is answered; 0: none, the connection is held; 1: none, it is closed.
    status: u16,
    /// Messages for which another status is answered.
    refused: Option<fn(&Value) -> Option<u16>>,
    held: Vec<TcpStream>,
}

/// The server of a notifier.
pub(super) struct Receiver {
    pub port: u16,
    inner: Arc<Mutex<Inner>>,
}

impl Receiver {
    fn on(port: u16) -> Receiver {
        let listener = listen(port);
        let port = listener.local_addr().unwrap().port();
        let inner = Arc::new(Mutex::new(Inner { status: 200, ..Inner::default() }));
        let shared = Arc::clone(&inner);
        std::thread::spawn(move || {
            for tcp in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || take(tcp, &shared));
            }
        });
        Receiver { port, inner }
    }

    pub fn start() -> Receiver {
        Receiver::on(0)
    }

    /// Another status for some messages.
    pub fn refuse(&self, rule: fn(&Value) -> Option<u16>) {
        self.inner.lock().unwrap().refused = Some(rule);
    }

    pub fn answer(&self, status: u16) {
        self.inner.lock().unwrap().status = status;
    }

    /// Closes the connections that were held.
    pub fn release(&self) {
        self.inner.lock().unwrap().held.clear();
    }

    pub fn got(&self) -> Vec<Got> {
        self.inner.lock().unwrap().got.clone()
    }

    /// Things that all messages so far name.
    pub fn items(&self) -> usize {
        let inner = self.inner.lock().unwrap();
        inner.got.iter().map(|g| g.body["message"]["items"].as_array().unwrap().len()).sum()
    }

    pub fn wait(&self, n: usize) -> Vec<Got> {
        wait_for(&format!("{n} messages"), SOON, || Some(self.got()).filter(|g| g.len() >= n))
    }
}

fn take(tcp: TcpStream, shared: &Mutex<Inner>) {
    let mut reader = BufReader::new(tcp.try_clone().unwrap());
    let (mut length, mut key, mut line) = (0, String::new(), String::new());
    while reader.read_line(&mut line).unwrap_or(0) > 2 {
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap(),
            "idempotency-key" => value.trim().clone_into(&mut key),
            _ => {}
        }
        line.clear();
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    // Half a request, of a sender that was killed.
    let Ok(body) = serde_json::from_slice::<Value>(&body) else { return };
    let mut inner = shared.lock().unwrap();
    let status = inner.refused.and_then(|rule| rule(&body)).unwrap_or(inner.status);
    let is_page = body.get("to").is_some();
    inner.got.push(Got { key, body });
    let mut tcp = tcp;
    if status == 0 {
        inner.held.push(tcp);
        return;
    }
    drop(inner);
    if status == 1 {
        return;
    }
    let answer = if is_page { r#"{"thread":"12.5"}"# } else { "ok" };
    // The sender may have been killed meanwhile.
    drop(write!(tcp, "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}", answer.len()));
}

/// Adds a notifier as a person would, but one that waits for little.
pub(super) fn add(place: &Place, name: &str, port: u16, more: &[(&str, &str)]) {
    let mut columns = String::from("name, type, address, group_wait_ms, group_window_ms, rate_per_minute");
    let mut values = format!("'{name}', 'WEBHOOK', 'http://127.0.0.1:{port}/hunter2', 100, 0, 1000");
    for (column, value) in more {
        columns += &format!(", {column}");
        values += &format!(", '{value}'");
    }
    place.db.sql(&format!("INSERT INTO notifiers ({columns}) VALUES ({values})"));
}

pub(super) fn in_force(daemon: &Daemon, notifiers: usize) {
    wait_until("notifiers are in force", SOON, || {
        let all = daemon.get("/v1/notifiers");
        all.as_array().unwrap().iter().filter(|n| n["invalid"] != json!(true)).count() == notifiers
    });
}

pub fn notifier(daemon: &Daemon, name: &str) -> Value {
    daemon.get(&format!("/v1/notifiers/{name}"))
}

fn a_failure_and_its_end_are_told_once_each(place: &Place) {
    let receiver = Receiver::start();
    let origin = Origin::start();
    let mut daemon = place.start();
    add(place, "ops", receiver.port, &[]);
    in_force(&daemon, 1);
    origin.answer("/", Answer::Status(500));
    place.db.add("shop", &origin.url("/"), 100);
    // A first probe that fails is told too.
    let fail = &receiver.wait(1)[0];
    assert_eq!((fail.event(), fail.names()), ("fail", vec!["shop".to_owned()]));
    let item = &fail.body["message"]["items"][0];
    assert_eq!((&item["reason"], &item["status"]), (&json!("status"), &json!("FAIL")), "{item:#}");
    assert_eq!(item["cause"], json!("the service has a fault: its own log says which"));
    assert!(item["trace"].as_array().unwrap().len() > 3, "{item:#}");
    wait_until("it fails on", SOON, || number(&daemon.target("shop"), "repeated_fails") >= 5);
    origin.answer("/", Answer::Status(200));
    let recovery = &receiver.wait(2)[1];
    assert_eq!((recovery.event(), recovery.names()), ("recovery", vec!["shop".to_owned()]));
    assert_eq!(recovery.body["message"]["references"], json!([fail.body["message"]["message_id"]]));
    wait_until("both are copied", SOON, || {
        place.db.number("SELECT COUNT(*) FROM notifications WHERE state = 'sent'") == 2
    });
    let rows = place.db.sql("SELECT event, notifier_name, target_name, answer FROM notifications ORDER BY id");
    assert_eq!(rows, [["fail", "ops", "shop", "HTTP 200: ok"], ["recovery", "ops", "shop", "HTTP 200: ok"]]);
    assert_eq!(number(&notifier(&daemon, "ops"), "pass_count"), 2);
    // Nothing is told again after a restart.
    daemon.terminate();
    let daemon = place.start();
    daemon.wait_target("shop", "status", &json!("PASS"));
    wait_until("it was probed", SOON, || origin.count("/") > 10);
    assert_eq!(receiver.got().len(), 2);
    assert!(!daemon.log().contains("hunter2"), "{}", daemon.log());
}

fn a_message_whose_answer_a_crash_lost_is_sent_again_under_the_same_id(place: &Place) {
    let receiver = Receiver::start();
    let origin = Origin::start();
    let mut daemon = place.start();
    add(place, "ops", receiver.port, &[]);
    in_force(&daemon, 1);
    receiver.answer(0);
    origin.answer("/", Answer::Status(500));
    place.db.add("shop", &origin.url("/"), 100);
    let first = receiver.wait(1)[0].clone();
    daemon.kill();
    receiver.answer(200);
    let daemon = place.start();
    let again = receiver.wait(2)[1].clone();
    assert_eq!((first.event(), again.event()), ("fail", "fail"));
    assert_eq!(first.key, again.key, "a copy can be known by its id");
    assert!(!first.key.is_empty());
    origin.answer("/", Answer::Status(200));
    let recovery = receiver.wait(3)[2].clone();
    assert_eq!(recovery.event(), "recovery");
    daemon.wait_target("shop", "status", &json!("PASS"));
    wait_until("both are sent", SOON, || {
        place.db.number("SELECT COUNT(*) FROM notifications WHERE state = 'sent'") == 2
    });
    assert_eq!(receiver.got().len(), 3);
}

fn what_was_taken_without_an_answer_is_not_told_again_in_other_words(place: &Place) {
    let receiver = Receiver::start();
    let origin = Origin::start();
    let daemon = place.start();
    add(place, "ops", receiver.port, &[]);
    in_force(&daemon, 1);
    receiver.answer(1);
    origin.answer("/", Answer::Status(500));
    place.db.add("shop", &origin.url("/"), 100);
    receiver.wait(1);
    origin.answer("/", Answer::Status(200));
    daemon.wait_target("shop", "status", &json!("PASS"));
    let closed = receiver.wait(receiver.got().len() + 1).len();
    receiver.answer(200);
    wait_until("both are sent", SOON, || {
        place.db.number("SELECT COUNT(*) FROM notifications WHERE state = 'sent'") == 2
    });
    // Whoever drops what has an id that he has seen hears of the end all the same.
    let got = receiver.got();
    let (recovery, fails) = got.split_last().unwrap();
    assert!(fails.len() >= closed, "{} after {closed}", fails.len());
    assert!(fails.iter().all(|f| f.event() == "fail" && f.key == fails[0].key), "{fails:?}");
    assert!(recovery.event() == "recovery" && recovery.key != fails[0].key, "{recovery:?}");
}

fn a_reference_to_what_is_unfit_is_tried_until_it_is_mended(place: &Place) {
    let receiver = Receiver::start();
    let origin = Origin::start();
    let secret = file(place, "hook", "hunter2-hunter2-hunter2");
    let folder = secret.rsplit_once('/').unwrap().0;
    let daemon = place.setup().extra(&format!("[secrets]\nfolders = [{folder:?}]\n")).start();
    place.db.sql(&format!(
        "INSERT INTO notifiers (name, type, address, group_wait_ms) VALUES ('ops', 'WEBHOOK', '${{file:{secret}}}', 0)"
    ));
    in_force(&daemon, 1);
    origin.answer("/", Answer::Status(500));
    place.db.add("shop", &origin.url("/"), 100);
    wait_until("it was tried", SOON, || number(&notifier(&daemon, "ops"), "fail_count") >= 1);
    let why = notifier(&daemon, "ops")["last_answer"].as_str().unwrap_or_default().to_owned();
    assert!(why.starts_with("address: it is not a URL"), "{why}");
    file(place, "hook", format!("http://127.0.0.1:{}/", receiver.port));
    assert_eq!(receiver.wait(1)[0].event(), "fail");
    assert!(!daemon.log().contains("hunter2"), "{}", daemon.log());
}

fn a_dead_notifier_delays_no_other_and_is_told_when_it_is_back(place: &Place) {
    let live = Receiver::start();
    let port = super::harness::free_port();
    let origin = Origin::start();
    let daemon = place.start();
    add(place, "dead", port, &[]);
    add(place, "live", live.port, &[]);
    in_force(&daemon, 2);
    origin.answer("/", Answer::Status(500));
    place.db.add("shop", &origin.url("/"), 100);
    assert_eq!(live.wait(1)[0].event(), "fail");
    wait_until("the dead one was tried", SOON, || number(&notifier(&daemon, "dead"), "fail_count") >= 1);
    let why = notifier(&daemon, "dead")["last_answer"].as_str().unwrap_or_default().to_owned();
    assert!(why.contains("refused") && !why.contains("hunter2"), "{why}");
    let back = Receiver::on(port);
    assert_eq!(back.wait(1)[0].event(), "fail");
    origin.answer("/", Answer::Status(200));
    assert_eq!((back.wait(2)[1].event(), live.wait(2)[1].event()), ("recovery", "recovery"));
    assert_eq!((back.got().len(), live.got().len()), (2, 2));
}

fn a_failure_that_ended_before_it_could_be_told_is_one_message_that_says_both(place: &Place) {
    let port = super::harness::free_port();
    let origin = Origin::start();
    let daemon = place.start();
    add(place, "ops", port, &[]);
    in_force(&daemon, 1);
    origin.answer("/", Answer::Status(500));
    place.db.add("shop", &origin.url("/"), 100);
    wait_until("it was tried", SOON, || number(&notifier(&daemon, "ops"), "fail_count") >= 1);
    origin.answer("/", Answer::Status(200));
    daemon.wait_target("shop", "status", &json!("PASS"));
    let back = Receiver::on(port);
    let both = back.wait(1)[0].clone();
    assert_eq!(both.event(), "both", "{:#}", both.body);
    assert!(both.body["message"]["items"][0]["ended_at"].is_i64(), "{:#}", both.body);
    wait_until("nothing is owed", SOON, || {
        place.db.number("SELECT COUNT(*) FROM notifications WHERE state IN ('owed', 'sending', 'held')") == 0
            && place.db.number("SELECT COUNT(*) FROM notifications WHERE state = 'sent'") >= 1
    });
    assert_eq!(back.got().len(), 1);
}

fn one_outage_of_many_targets_is_one_digest(place: &Place) {
    let receiver = Receiver::start();
    let mut origin = Origin::start();
    let daemon = place.start();
    for i in 0..60 {
        place.db.add(&format!("t{i:02}"), &origin.url("/"), 500);
    }
    wait_until("all pass", SOON, || {
        let all = daemon.get("/v1/targets");
        let all = all.as_array().unwrap();
        all.len() == 60 && all.iter().all(|t| t["status"] == json!("PASS"))
    });
    place.db.sql(&format!(
        "INSERT INTO notifiers (name, type, address, group_wait_ms) \
         VALUES ('ops', 'WEBHOOK', 'http://127.0.0.1:{}/', 1500)",
        receiver.port
    ));
    in_force(&daemon, 1);
    origin.stop();
    let digest = receiver.wait(1)[0].clone();
    assert_eq!((digest.event(), digest.names().len()), ("digest", 60), "{:#}", digest.body["title"]);
    assert_eq!(receiver.got().len(), 1);
}

fn a_child_is_listed_in_its_parents_message_and_raises_none(place: &Place) {
    let receiver = Receiver::start();
    let origin = Origin::start();
    let daemon = place.start();
    add(place, "ops", receiver.port, &[]);
    in_force(&daemon, 1);
    // Probed so seldom that only the question of its child finds the failure soon.
    place.db.add("router", &origin.url("/router"), 600_000);
    place.db.add("shop", &origin.url("/shop"), 100);
    place.db.sql("UPDATE targets SET parent = 'router' WHERE name = 'shop'");
    daemon.wait_target("router", "status", &json!("PASS"));
    daemon.wait_target("shop", "status", &json!("PASS"));
    wait_until("the parent is known", SOON, || daemon.target("shop")["parent"] == json!("router"));
    origin.answer("/router", Answer::Status(503));
    origin.answer("/shop", Answer::Status(502));
    let fail = receiver.wait(1)[0].clone();
    assert_eq!((fail.event(), fail.names()), ("fail", vec!["router".to_owned()]), "{:#}", fail.body);
    assert_eq!(fail.body["message"]["items"][0]["children"], json!(["shop"]), "{:#}", fail.body);
    daemon.wait_target("shop", "status", &json!("FAIL"));
    assert_eq!(receiver.got().len(), 1);
}

fn who_asked_for_other_targets_or_events_is_not_told(place: &Place) {
    let (all, tagged, recoveries) = (Receiver::start(), Receiver::start(), Receiver::start());
    let origin = Origin::start();
    let daemon = place.start();
    add(place, "all", all.port, &[]);
    add(place, "tagged", tagged.port, &[("match_tags", "prod")]);
    add(place, "named", recoveries.port, &[("match_name", "web-*"), ("events", "fail")]);
    in_force(&daemon, 3);
    origin.answer("/", Answer::Status(500));
    place.db.add("shop", &origin.url("/"), 100);
    place.db.add("web-1", &origin.url("/"), 100);
    wait_until("both are told", SOON, || all.got().iter().map(|g| g.names().len()).sum::<usize>() == 2);
    assert_eq!(recoveries.wait(1)[0].names(), ["web-1"]);
    origin.answer("/", Answer::Status(200));
    wait_until("both have recovered", SOON, || all.got().iter().map(|g| g.names().len()).sum::<usize>() == 4);
    assert_eq!(recoveries.got().len(), 1);
    assert!(tagged.got().is_empty());
}

fn a_refusal_for_good_is_not_repeated_and_ends_without_a_recovery(place: &Place) {
    let receiver = Receiver::start();
    let origin = Origin::start();
    let daemon = place.start();
    add(place, "ops", receiver.port, &[]);
    in_force(&daemon, 1);
    receiver.answer(404);
    origin.answer("/", Answer::Status(500));
    place.db.add("shop", &origin.url("/"), 100);
    receiver.wait(1);
    wait_until("it has failed", SOON, || {
        place.db.number("SELECT COUNT(*) FROM notifications WHERE state = 'failed'") == 1
    });
    receiver.answer(200);
    origin.answer("/", Answer::Status(200));
    daemon.wait_target("shop", "status", &json!("PASS"));
    wait_until("its end is written", SOON, || {
        place.db.number("SELECT COUNT(*) FROM incidents WHERE ended_by = 'recovered'") == 1
    });
    let told = daemon.get("/v1/notifiers/ops");
    assert_eq!((number(&told, "pass_count"), number(&told, "fail_count")), (0, 1));
    assert_eq!(receiver.got().len(), 1);
}

fn a_target_that_flaps_and_is_removed_does_not_wait_for_its_window(place: &Place) {
    let receiver = Receiver::start();
    let origin = Origin::start();
    let daemon = place.setup().extra("[notify]\nflap_changes = 2\nflap_window = \"1h\"\n").start();
    add(place, "ops", receiver.port, &[]);
    in_force(&daemon, 1);
    place.db.sql("UPDATE notifiers SET group_wait_ms = 600000");
    wait_until("its wait is in force", SOON, || notifier(&daemon, "ops")["group_wait_ms"] == json!(600_000));
    let id = place.db.add("shop", &origin.url("/"), 100);
    for (answer, status) in [(200, "PASS"), (500, "FAIL"), (200, "PASS"), (500, "FAIL"), (200, "PASS")] {
        origin.answer("/", Answer::Status(answer));
        daemon.wait_target("shop", "status", &json!(status));
    }
    let flapping = |state: &str| {
        place.db.number(&format!("SELECT COUNT(*) FROM notifications WHERE event = 'flapping' AND state = '{state}'"))
    };
    wait_until("it flaps", SOON, || flapping("owed") == 1);
    // Its last incident has ended: there is none that could be withdrawn.
    place.db.sql(&format!("DELETE FROM targets WHERE id = {id}"));
    wait_until("nobody is to be told any more", SOON, || flapping("cancelled") == 1);
    assert!(receiver.got().is_empty());
}
