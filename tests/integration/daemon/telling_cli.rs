//! Types of notifiers and test sends, with the command-line tool: the real daemon, a receiver of this test.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};

use serde_json::{Value, json};

use super::harness::{Daemon, Place, SOON, free_port, number, wait_for, wait_until};

/// A webhook's server: reads a request whole, waits until it is told with what to answer, answers.
struct Hook {
    port: u16,
    requests: Receiver<String>,
    answers: Sender<u16>,
}

impl Hook {
    fn start() -> Hook {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, requests) = channel();
        let (answers, wanted) = channel();
        // Ends when the test has: then nobody says with what to answer.
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if answer(stream, &seen, &wanted).is_none() {
                    return;
                }
            }
        });
        Hook { port, requests, answers }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/services/hunter2", self.port)
    }

    fn request(&self) -> String {
        self.requests.recv_timeout(SOON).unwrap()
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        let (dead, _) = channel();
        self.answers = dead;
        // Wakes the thread; it may have ended.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

fn answer(mut stream: TcpStream, seen: &Sender<String>, wanted: &Receiver<u16>) -> Option<()> {
    stream.set_read_timeout(Some(SOON)).ok()?;
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    let text = loop {
        let n = stream.read(&mut buffer).ok().filter(|n| *n > 0)?;
        all.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&all).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = |l: &str| l.to_ascii_lowercase().strip_prefix("content-length: ").and_then(|n| n.parse().ok());
        let length: usize = head.lines().find_map(length).unwrap();
        if body.len() >= length {
            break text;
        }
    };
    seen.send(text).ok()?;
    let status = wanted.recv().ok()?;
    let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 4\r\nConnection: close\r\n\r\nfine");
    stream.write_all(answer.as_bytes()).ok()
}

/// Exit code, standard output and standard error of the tool.
fn ctl(daemon: &Daemon, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skypunchctl"));
    command.arg("--socket").arg(&daemon.socket).args(args).env("TZ", "UTC");
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn types_of_notifiers_are_listed_and_shown() {
    let place = Place::new();
    let daemon = place.start();
    let (code, text, _) = ctl(&daemon, &["notifiers", "types"]);
    assert_eq!(code, Some(0));
    for kind in ["SMTP", "SLACK", "WEBHOOK", "PAGERDUTY"] {
        assert!(text.contains(&format!("| {kind} ")), "{kind}: {text}");
    }
    // The tool knows every field that the daemon tells.
    let (code, text, _) = ctl(&daemon, &["notifiers", "types", "--output", "json"]);
    let all: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &all), (Some(0), &daemon.get("/v1/notifier-types")));
    let names: Vec<&str> = all.as_array().unwrap().iter().map(|t| t["name"].as_str().unwrap()).collect();
    assert!(names.is_sorted() && names.len() > 15, "{names:?}");

    let (code, text, _) = ctl(&daemon, &["notifiers", "types", "webhook"]);
    assert_eq!(code, Some(0));
    assert!(text.contains("| Type              | WEBHOOK "), "{text}");
    assert!(text.contains("| secret | text | No       | Yes    | -       | key of the signature"), "{text}");
    let (code, text, _) = ctl(&daemon, &["notifiers", "types", "Slack", "--output", "json"]);
    let one: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &one["name"]), (Some(0), &json!("SLACK")));
    assert!(all.as_array().unwrap().contains(&one), "{one:#}");

    let (code, _, error) = ctl(&daemon, &["notifiers", "types", "slak"]);
    assert_eq!(code, Some(4), "{error}");
    assert!(error.starts_with("skypunchctl: `slak` is no type of notifier: did you mean SLACK?"), "{error}");
    let (code, _, error) = ctl(&daemon, &["notifiers", "8", "types"]);
    assert!(code == Some(2) && error.contains("notifiers types [TYPE]"), "{error}");
}

#[test]
fn a_test_send_tells_each_step_and_touches_no_counter() {
    let place = Place::new();
    let daemon = place.start();
    let hook = Hook::start();
    let body = json!({"name": "chat", "type": "WEBHOOK", "address": hook.url(), "params": "secret=correct-horse"});
    let id = number(&daemon.ask("POST", "/v1/notifiers", Some(&body)), "id");

    hook.answers.send(200).unwrap();
    let (code, text, error) = ctl(&daemon, &["notifiers", "chat", "test"]);
    assert_eq!(code, Some(0), "{text}{error}");
    let lines: Vec<&str> = text.lines().collect();
    let (last, steps) = lines.split_last().unwrap();
    assert!(last.starts_with(&format!("[{id}] chat WEBHOOK http://127.0.0.1")) && last.contains(" PASS ("), "{text}");
    assert!(steps.iter().any(|l| l.contains("[OK] to 127.0.0.1:")), "{text}");
    assert!(steps.iter().all(|l| l.starts_with("20") && l.as_bytes()[19] == b'.'), "a time stamp each: {text}");
    assert!(!text.contains("hunter2") && !text.contains("correct-horse"), "{text}");
    assert!(hook.request().to_lowercase().contains("\"test\""), "it says that it is a test");

    for (event, word) in [("fail", "FAIL"), ("recovery", "RECOVER")] {
        hook.answers.send(200).unwrap();
        let (code, text, _) = ctl(&daemon, &["notifiers", &id.to_string(), "test", "--event", event]);
        assert_eq!(code, Some(0), "{text}");
        let request = hook.request();
        assert!(request.contains("[TEST]") && request.to_uppercase().contains(word), "{event}: {request}");
    }

    hook.answers.send(404).unwrap();
    let (code, text, _) = ctl(&daemon, &["notifiers", "chat", "test"]);
    assert!(code == Some(1) && text.lines().last().unwrap().contains(" FAIL ("), "{text}");
    assert!(text.lines().last().unwrap().contains("404"), "{text}");
    hook.request();

    // Each line comes when it happens: the steps are here while the server still thinks.
    let mut lines = daemon.lines("POST", "/v1/notifiers/chat/test");
    let started = lines.next().unwrap();
    assert_eq!((&started["started"]["name"], &started["started"]["type"]), (&json!("chat"), &json!("WEBHOOK")));
    assert!(lines.next().unwrap()["step"]["text"].is_string());
    hook.request();
    hook.answers.send(200).unwrap();
    let last = lines.last().unwrap();
    assert_eq!(last["result"]["sent"], json!(true), "{last}");

    let shown = daemon.get("/v1/notifiers/chat");
    assert_eq!((&shown["pass_count"], &shown["fail_count"]), (&json!(0), &json!(0)), "{shown:#}");
    wait_until("it is in the log", SOON, || daemon.log_lines(&["a sample was asked for", "notifier: "]).len() == 5);
}

#[test]
fn a_notifier_that_is_wrong_is_not_tested() {
    let place = Place::new();
    let daemon = place.start();
    place.db.sql("INSERT INTO notifiers (name, type, address) VALUES ('bad', 'SLAK', 'https://hooks.example/hunter2')");
    wait_until("it is known", SOON, || daemon.get("/v1/notifiers").as_array().is_some_and(|all| all.len() == 1));
    let (code, text, error) = ctl(&daemon, &["notifiers", "bad", "test"]);
    assert_eq!((code, text.as_str()), (Some(2), ""), "{error}");
    assert!(
        error.contains("cannot be tested: its row is not valid\n") && error.contains("did you mean SLACK"),
        "{error}"
    );
    assert!(!error.contains("hunter2"), "{error}");
    assert_eq!(ctl(&daemon, &["notifiers", "bda", "test"]).0, Some(4));
    let refused = daemon.request("POST", "/v1/notifiers/bad/test?event=sunset", None).problem(400);
    assert!(refused["detail"].as_str().unwrap().contains("`event`"), "{refused}");
    let (code, _, error) = ctl(&daemon, &["notifiers", "bad", "enable", "--event", "fail"]);
    assert!(code == Some(2) && error.contains("--event is for"), "{error}");
}

#[test]
fn what_is_on_its_way_and_what_was_told_are_shown() {
    let place = Place::new();
    let daemon = place.start();
    let hook = Hook::start();
    let chat = json!({"name": "chat", "type": "WEBHOOK", "address": hook.url(), "group_wait": "0s"});
    daemon.ask("POST", "/v1/notifiers", Some(&chat));
    let backlog = || {
        let mut all = daemon.status()["notifications"].clone();
        all.as_object_mut().unwrap().remove("backlog").unwrap();
        all
    };
    assert_eq!(backlog(), json!({"owed": 0, "sending": 0, "invalid": 0}));
    let url = format!("http://127.0.0.1:{}/", free_port());
    daemon.ask("POST", "/v1/targets", Some(&json!({"name": "shop", "url": url, "frequency": "200ms"})));
    assert!(hook.request().contains("shop"));
    assert_eq!(backlog(), json!({"owed": 0, "sending": 1, "invalid": 0}));
    let (code, text, _) = ctl(&daemon, &["status"]);
    assert!(code == Some(0) && text.contains("0 owed, 1 being sent"), "{text}");
    hook.answers.send(200).unwrap();
    wait_until("nothing is on its way", SOON, || backlog()["sending"] == json!(0));

    let incident =
        wait_for("the incident is written", SOON, || daemon.get("/v1/incidents")[0]["id"].as_str().map(str::to_owned));
    let path = format!("/v1/incidents/{incident}");
    let told = wait_for("it is known that it was told", SOON, || {
        let told = daemon.get(&path)["notifications"].clone();
        (told[0]["state"] == json!("sent")).then_some(told)
    });
    let first = &told[0];
    assert_eq!(
        (&first["event"], &first["notifier_name"], &first["attempts"]),
        (&json!("fail"), &json!("chat"), &json!(1))
    );
    let (code, text, _) = ctl(&daemon, &["incidents", &incident]);
    assert!(code == Some(0) && text.contains("\nWhat was told:\n"), "{text}");
    assert!(text.contains("| chat     | fail  | sent  | 20"), "{text}");
}
