//! What is secret is used and never shown: not in a log, an answer, an incident, a list of processes.

use serde_json::{Value, json};

use super::harness::{Daemon, Place, SOON, file, wait_until};
use super::origin::{Answer, Origin};

on_both!(secrets_are_used_and_never_shown, what_was_exported_keeps_secrets_when_it_is_applied);

const PASSWORD: &str = "hunter2-basic";
const TOKEN: &str = "hunter3-bearer";
const HEADER: &str = "hunter4-header";
const FROM_FILE: &str = "hunter5-file";

fn add_targets(place: &Place, origin: &Origin, reference: &str) {
    place.db.sql(&format!(
        "INSERT INTO targets (name, url, frequency_ms, authn, authn_parms, headers) VALUES
         ('basic', '{}', 100, 'BASIC', 'user=ann,password={PASSWORD}', 'X-Api-Key: {HEADER}'),
         ('bearer', '{}', 100, 'BEARER', 'token={TOKEN}', NULL),
         ('file', '{}', 100, 'BEARER', 'token=${{file:{reference}}}', NULL),
         ('wrong', 'nonsense', 0, 'BASIC', 'pasword={PASSWORD}', 'X-Api-Key {HEADER}'),
         ('userinfo', 'http://ann:{PASSWORD}@127.0.0.1/', 100, 'NONE', NULL, NULL)",
        origin.url("/basic"),
        origin.url("/bearer"),
        origin.url("/file"),
    ));
}

fn assert_hidden(text: &str, what: &str) {
    // BASIC as it goes over the wire.
    let encoded = base64(&format!("ann:{PASSWORD}"));
    for secret in [PASSWORD, TOKEN, HEADER, FROM_FILE, &encoded] {
        assert!(!text.contains(secret), "{what} shows {secret}: {text}");
    }
}

/// Enough of base64 for ASCII, so that the test does not trust the code that it tests.
fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    text.as_bytes()
        .chunks(3)
        .flat_map(|c| {
            let n = c.iter().fold(0usize, |n, b| n << 8 | usize::from(*b)) << (8 * (3 - c.len()));
            (0..4).map(move |i| if i > c.len() { '=' } else { char::from(ALPHABET[n >> (18 - 6 * i) & 63]) })
        })
        .collect()
}

fn assert_nothing_shown(daemon: &Daemon) {
    let mut answers = String::new();
    let mut ask = |method: &str, path: &str, body: Option<&Value>| {
        let answer = daemon.request(method, path, body);
        answers += &format!("{method} {path} {}\n", String::from_utf8_lossy(&answer.body));
    };
    for path in ["/v1/status", "/v1/targets", "/v1/export", "/v1/incidents"] {
        ask("GET", path, None);
    }
    for name in ["basic", "bearer", "file", "wrong", "userinfo"] {
        ask("GET", &format!("/v1/targets/{name}"), None);
        ask("GET", &format!("/v1/targets/{name}/history"), None);
        ask("POST", &format!("/v1/targets/{name}/test"), None);
    }
    for incident in daemon.get("/v1/incidents").as_array().unwrap() {
        ask("GET", &format!("/v1/incidents/{}", incident["id"].as_str().unwrap()), None);
    }
    let bad = json!({"name": "n", "url": "http://h/", "authn": "BASIC", "authn_parms": format!("{PASSWORD}")});
    ask("POST", "/v1/targets", Some(&bad));
    ask("POST", "/v1/targets", Some(&json!({"name": "n", "authn_parms": [PASSWORD]})));
    ask("PATCH", "/v1/targets/basic", Some(&json!({"authn_parms": format!("user=bob,password={PASSWORD}2")})));
    ask(
        "POST",
        "/v1/apply",
        Some(&json!({"plan": true, "targets": [
        {"name": "basic", "url": "http://h/", "authn_parms": format!("user=eve,password={PASSWORD}"), "headers": {"X-Api-Key": HEADER}}]})),
    );
    assert_hidden(&answers, "an answer");
    assert!(answers.contains("***"), "{answers}");
    let process = |file: &str| std::fs::read(format!("/proc/{}/{file}", daemon.pid())).unwrap();
    assert_hidden(&String::from_utf8_lossy(&process("cmdline")), "the list of processes");
    assert_hidden(&daemon.log(), "the log");
}

fn secrets_are_used_and_never_shown(place: &Place) {
    let origin = Origin::start();
    std::fs::create_dir(place.path("secrets")).unwrap();
    let reference = file(place, "secrets/token", FROM_FILE);
    let folder = place.path("secrets").display().to_string();
    let setup = place.setup().extra(&format!("[log]\nlevel = \"debug\"\n[secrets]\nfolders = [{folder:?}]\n"));
    let mut daemon = setup.start();
    add_targets(place, &origin, &reference);
    for name in ["basic", "bearer", "file"] {
        daemon.wait_target(name, "status", &json!("PASS"));
    }
    let basic = format!("authorization: basic {}\r\n", base64(&format!("ann:{PASSWORD}")).to_lowercase());
    assert!(origin.head("/basic").to_lowercase().contains(&basic), "{}", origin.head("/basic"));
    assert!(origin.head("/basic").contains(HEADER));
    assert!(origin.head("/bearer").contains(&format!("Bearer {TOKEN}\r\n")), "{}", origin.head("/bearer"));
    assert!(origin.head("/file").contains(&format!("Bearer {FROM_FILE}\r\n")), "{}", origin.head("/file"));
    assert_nothing_shown(&daemon);
    for path in ["/basic", "/bearer", "/file"] {
        origin.answer(path, Answer::Status(401));
    }
    for name in ["basic", "bearer", "file"] {
        daemon.wait_target(name, "status", &json!("FAIL"));
    }
    wait_until("the incidents are written", SOON, || {
        daemon.get("/v1/incidents").as_array().is_some_and(|i| i.len() == 3)
    });
    assert_nothing_shown(&daemon);
    // A reference that does not resolve any more names itself, not what it held.
    std::fs::remove_file(&reference).unwrap();
    daemon.wait_target("file", "reason", &json!("auth_config"));
    assert_nothing_shown(&daemon);
    let status = place.db.sql("SELECT status_description FROM target_status").concat().concat();
    let traces = place.db.sql("SELECT description, first_trace, last_good_trace FROM incidents").concat().concat();
    let results = place.db.sql("SELECT DISTINCT description FROM results").concat().concat();
    assert_hidden(&[status, traces, results].concat(), "the database's history");
    let overview = place.db.sql("SELECT * FROM targets_overview WHERE name <> 'userinfo'").concat().concat();
    assert_hidden(&overview, "the overview");
    daemon.terminate();
    // The state folder holds secrets, so it is not for others.
    for entry in std::fs::read_dir(&setup.state).unwrap() {
        let entry = entry.unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&entry.metadata().unwrap().permissions());
        assert_eq!(mode & 0o007, 0, "{:?} {mode:o}", entry.path());
    }
}

fn what_was_exported_keeps_secrets_when_it_is_applied(place: &Place) {
    let origin = Origin::start();
    let daemon = place.start();
    add_targets(place, &origin, "/nowhere");
    place.db.sql("DELETE FROM targets WHERE name IN ('wrong', 'userinfo', 'file')");
    daemon.wait_target("basic", "status", &json!("PASS"));
    let secrets = || place.db.sql("SELECT name, authn_parms, headers FROM targets ORDER BY id");
    let before = secrets();
    let exported = daemon.get("/v1/export");
    let report = daemon.ask("POST", "/v1/apply", Some(&json!({"targets": exported["targets"]})));
    assert!(report["changes"].as_array().unwrap().iter().all(|c| c["action"] == json!("unchanged")), "{report:#}");
    assert_eq!(secrets(), before);
    let shown = daemon.target("basic");
    let edit = json!({"headers": shown["headers"], "authn_parms": shown["authn_parms"], "frequency": "150ms"});
    daemon.ask("PATCH", "/v1/targets/basic", Some(&edit));
    assert_eq!(secrets(), before);
    // In another daemon's database there is nothing that `***` could stand for.
    place.db.sql("DELETE FROM targets");
    daemon.ask("POST", "/v1/reload", None);
    daemon.request("POST", "/v1/apply", Some(&json!({"targets": exported["targets"]}))).problem(422);
    assert_eq!(place.db.number("SELECT COUNT(*) FROM targets"), 0);
}
