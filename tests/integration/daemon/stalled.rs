//! Callers that stall: a thousand of them hold up nobody, and take a bounded part of memory and descriptors.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use skypunch::clock::Clock;

use super::harness::{Daemon, Place, SOON, Setup, number, wait_until};
use super::origin::Origin;

const STALLED: usize = 1000;

fn setup(place: &Place, control: &[(&str, &str)]) -> Setup {
    let mut setup = place.setup();
    for (name, value) in control {
        setup.environment.push((format!("SKYPUNCH__CONTROL__{name}"), (*value).to_owned()));
    }
    setup
}

/// Connects and sends this.
fn stall(socket: &Path, sent: &[u8]) -> UnixStream {
    let mut stream = UnixStream::connect(socket).unwrap();
    // It may have been cut off before all was sent.
    let _cut = stream.write_all(sent);
    stream
}

/// What is told before the end of the connection.
fn told(stream: &mut UnixStream) -> String {
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut bytes = Vec::new();
    // What was sent and not read ends the connection with a reset, behind what is told.
    let _reset = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// How long `skypunchctl status` takes.
fn status_takes(daemon: &Daemon) -> Duration {
    let clock = Clock::system();
    let start = clock.now();
    let said = Command::new(env!("CARGO_BIN_EXE_skypunchctl"))
        .args(["--output", "json", "--socket", daemon.socket.to_str().unwrap(), "status"])
        .output()
        .unwrap();
    let took = clock.now().since(start);
    let status: Value = serde_json::from_slice(&said.stdout).unwrap_or_else(|e| panic!("{e}: {said:?}"));
    assert_eq!(status["state"], json!("running"));
    took
}

#[test]
fn a_thousand_callers_that_stall_hold_up_nobody() {
    let origin = Origin::start();
    let place = Place::new();
    let daemon = setup(&place, &[("REQUEST_TIMEOUT", "10m")]).start();
    for i in 0..20 {
        place.db.add(&format!("t{i}"), &origin.url("/"), 200);
    }
    daemon.wait_target("t19", "status", &json!("PASS"));
    let figures = |d: &Daemon| {
        let status = d.status();
        (number(&status, "memory_bytes"), number(&status["descriptors"], "open"))
    };
    let (memory, open) = figures(&daemon);
    let half_body = format!(
        "POST /v1/targets HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{}",
        "x".repeat(40_000)
    );
    let head = format!("GET /v1/status HTTP/1.1\r\nHost: a\r\nX-Long: {}", "x".repeat(30_000));
    for (what, sent) in [
        ("nothing", &b""[..]),
        ("half a head", b"GET /v1/status HTTP/1.1\r\nHost: a"),
        ("a long half of a head", head.as_bytes()),
        ("half a body", half_body.as_bytes()),
    ] {
        let probes = |field| number(&daemon.status()["probes"], field);
        let before = (probes("missed"), probes("started"), origin.count("/"));
        // The quickest of some: other tests run beside this one. Held up are all of them, and for ten minutes.
        let mut quickest = Duration::MAX;
        let mut stalled = Vec::new();
        for i in 0..STALLED {
            stalled.push(stall(&daemon.socket, sent));
            if i % 250 == 249 {
                quickest = quickest.min(status_takes(&daemon));
            }
        }
        assert!(quickest < Duration::from_secs(1), "{what}: {quickest:?}");
        let (memory_now, open_now) = figures(&daemon);
        assert!(open_now - open <= 256 + 30, "{what}: {open} {open_now}");
        let most = 256 * 320 * 1024; // buffers of each that may stay, and what the allocator keeps of others
        assert!(memory_now - memory < most, "{what}: {memory} {memory_now}");
        wait_until("probes go on", SOON, || origin.count("/") > before.2 + 40);
        let (missed, started) = (probes("missed") - before.0, probes("started") - before.1);
        assert!(missed <= started / 10, "{what}: {missed} missed, {started} started");
        eprintln!(
            "{what}: status in {quickest:?}, {} KiB more, {} descriptors",
            (memory_now - memory) / 1024,
            open_now - open
        );
        drop(stalled);
    }
    let cut =
        ["a caller of the control socket was cut off", "256 callers are connected, which is control.max_connections"];
    let lines = daemon.log_lines(&cut);
    assert!(!lines.is_empty() && lines.len() < 100, "{} lines", lines.len());
    assert!(lines[0].contains("uid: 0") && lines[0].contains(&format!("pid: {}", std::process::id())), "{}", lines[0]);
    wait_until("all is given back", SOON, || figures(&daemon).1 <= open + 5);
}

#[test]
fn each_limit_is_told_with_its_name_its_value_and_its_key() {
    let place = Place::new();
    let limits = [("REQUEST_TIMEOUT", "1s"), ("MAX_HEAD", "4KiB"), ("MAX_BODY", "64KiB")];
    let daemon = setup(&place, &limits).start();
    let assert_told = |sent: &[u8], words: &[&str]| {
        let text = told(&mut stall(&daemon.socket, sent));
        for word in words {
            assert!(text.contains(word), "{word:?} is not in: {text}");
        }
        assert!(text.contains("application/problem+json"), "{text}");
    };
    assert_told(b"GET / HTTP/1.1\r\nHos", &["HTTP/1.1 408", "control.request_timeout = 1s", "19 bytes"]);
    assert_told(b"", &["HTTP/1.1 408", "control.request_timeout = 1s", "0 bytes"]);
    let long = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(5000));
    assert_told(long.as_bytes(), &["HTTP/1.1 431", "control.max_head = 4KiB"]);
    let post = |rest: &str| format!("POST /v1/targets HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{rest}");
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(97));
    assert_told(many.as_bytes(), &["HTTP/1.1 431", "more than 96 headers"]);
    assert_told(b"\x16\x03\x01", &["HTTP/1.1 400", "head of the request cannot be read"]);
    assert_told(b"GET / HTTP/1.1\r\n\r\n", &["HTTP/1.1 400", "it must have one Host header"]);
    // What comes before a head is not one: it has to come in time.
    assert_told(b"\r\n\r\n", &["HTTP/1.1 408", "control.request_timeout = 1s", "4 bytes"]);
    assert_told(post("Transfer-Encoding: chunked\r\n\r\nx\r\n").as_bytes(), &["HTTP/1.1 400", "body is not what"]);
    let half = post("Content-Length: 9\r\n\r\n{");
    assert_told(half.as_bytes(), &["HTTP/1.1 408", "control.request_timeout = 1s", "1 of 9 bytes"]);
    let chunked = post("Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n");
    assert_told(chunked.as_bytes(), &["HTTP/1.1 408", "control.request_timeout = 1s", "1 bytes"]);
    let announced = post("Content-Length: 65537\r\n\r\n");
    assert_told(announced.as_bytes(), &["HTTP/1.1 413", "control.max_body = 64KiB"]);
    let piece = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    let endless = post("Transfer-Encoding: chunked\r\n\r\n") + &piece.repeat(3);
    assert_told(endless.as_bytes(), &["HTTP/1.1 413", "control.max_body = 64KiB"]);
    // A drip is not a sign of life that counts.
    let mut drip = stall(&daemon.socket, b"GET / HTTP/1.1\r\nX: ");
    let clock = Clock::system();
    let start = clock.now();
    while drip.write_all(b"x").is_ok() {
        assert!(clock.now().since(start) < SOON);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(clock.now().since(start) < Duration::from_secs(5));
    assert_eq!(daemon.status()["state"], json!("running"));
}

#[test]
fn limits_change_at_a_reload() {
    let place = Place::new();
    let setup = place.setup();
    let daemon = setup.start();
    let text = std::fs::read_to_string(&setup.config).unwrap();
    std::fs::write(
        &setup.config,
        text.replace("[control]\n", "[control]\nmax_head = \"4KiB\"\nmax_body = \"64KiB\"\n"),
    )
    .unwrap();
    let changed = daemon.ask("POST", "/v1/reload", None)["settings_changed"].clone();
    assert_eq!(changed, json!(["control.max_head", "control.max_body"]));
    let long = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(5000));
    assert!(told(&mut stall(&daemon.socket, long.as_bytes())).contains("control.max_head = 4KiB"));
    let body = json!({"name": "x".repeat(70_000)});
    let problem = daemon.request("POST", "/v1/targets", Some(&body)).problem(413);
    assert!(problem["detail"].as_str().unwrap().contains("control.max_body = 64KiB"), "{problem:#}");
}

#[test]
fn watchers_that_read_nothing_are_bounded_and_hold_up_nobody() {
    let origin = Origin::start();
    let place = Place::new();
    let daemon = setup(&place, &[("MAX_CONNECTIONS", "64")]).start();
    for i in 0..40 {
        place.db.add(&format!("t{i}"), &origin.url("/"), 100);
    }
    daemon.wait_target("t39", "status", &json!("PASS"));
    let memory = |d: &Daemon| number(&d.status(), "memory_bytes");
    let mut reads = daemon.lines("GET", "/v1/watch");
    let request = b"GET /v1/watch HTTP/1.1\r\nHost: a\r\n\r\n";
    let deaf: Vec<UnixStream> = (0..200).map(|_| stall(&daemon.socket, request)).collect();
    let before = memory(&daemon);
    let asked = origin.count("/");
    let mut seen = 0;
    // Bounded: each line comes within a limit, or the test fails.
    while origin.count("/") < asked + 6000 {
        seen += u32::from(reads.next().is_some());
    }
    assert!(seen > 3000, "who reads gets them: {seen}");
    let after = memory(&daemon);
    assert!(after - before < 64 * 512 * 1024, "{before} {after}");
    assert!((0..4).any(|_| status_takes(&daemon) < Duration::from_secs(1)));
    eprintln!("200 that read nothing: {} KiB more after 6000 results", (after - before) / 1024);
    drop(deaf);
}
