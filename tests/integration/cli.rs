//! The real `skypunchctl` against a daemon made of canned answers: what it prints, what it asks, how it exits.
//!
//! ```text
//!  skypunchctl (child process) --HTTP over a Unix socket--> Daemon (threads): records each request, answers from a table
//! ```

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use skypunch::control::api::{ProblemDetails, TargetSummary};
use skypunch::model::state::Status;
use skypunch::model::target::TargetId;
use skypunch::model::time::UtcMs;

const CTL: &str = env!("CARGO_BIN_EXE_skypunchctl");
/// Longer than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// Method, path with query, body.
type Request = (String, String, String);

enum Answer {
    Json(u16, Value),
    /// Lines of a stream, each sent when the gate lets it through.
    Lines(Vec<Value>, Option<Receiver<()>>),
    Raw(Vec<u8>),
}

type Handler = Box<dyn FnMut(&str, &str) -> Answer + Send>;

/// A daemon of canned answers on a socket of its own.
struct Daemon {
    dir: tempfile::TempDir,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Daemon {
    fn new(handler: impl FnMut(&str, &str) -> Answer + Send + 'static) -> Daemon {
        let dir = tempfile::tempdir().unwrap();
        let requests = Arc::default();
        serve(&dir.path().join("s"), Box::new(handler), Arc::clone(&requests));
        Daemon { dir, requests }
    }

    /// Answers everything alike.
    fn always(status: u16, body: Value) -> Daemon {
        Daemon::new(move |_, _| Answer::Json(status, body.clone()))
    }

    fn refusing(status: u16, detail: &str) -> Daemon {
        Daemon::always(status, serde_json::to_value(ProblemDetails::new(status, detail)).unwrap())
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    fn command(&self, args: &[&str]) -> Command {
        ctl(&self.socket(), args)
    }

    fn run(&self, args: &[&str]) -> Run {
        Run::from(self.command(args).stdin(Stdio::null()).output().unwrap())
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    fn only_request(&self) -> Request {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests[0].clone()
    }
}

fn serve(socket: &Path, handler: Handler, requests: Arc<Mutex<Vec<Request>>>) {
    let listener = UnixListener::bind(socket).unwrap();
    let handler = Arc::new(Mutex::new(handler));
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (handler, requests) = (Arc::clone(&handler), Arc::clone(&requests));
            thread::spawn(move || {
                // A client that hangs up early is part of some tests.
                let _hung_up = converse(stream, &handler, &requests);
            });
        }
    });
}

fn converse(mut stream: UnixStream, handler: &Mutex<Handler>, requests: &Mutex<Vec<Request>>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(LIMIT))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    requests.lock().unwrap().push((method.into(), path.into(), String::from_utf8(body).unwrap()));
    let answer = (handler.lock().unwrap())(method, path);
    match answer {
        Answer::Json(status, body) => {
            let body = body.to_string();
            write!(
                stream,
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        }
        Answer::Raw(bytes) => stream.write_all(&bytes),
        Answer::Lines(lines, gate) => {
            write!(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            for line in lines {
                if let Some(gate) = &gate {
                    gate.recv_timeout(LIMIT).map_err(std::io::Error::other)?;
                }
                let line = format!("{line}\n");
                write!(stream, "{:x}\r\n{line}\r\n", line.len())?;
                stream.flush()?;
            }
            write!(stream, "0\r\n\r\n")
        }
    }
}

/// The tool with nothing of this machine's environment but a time zone.
fn ctl(socket: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(CTL);
    command.env_clear().env("TZ", "UTC").env("SKYPUNCH_SOCKET", socket).args(args);
    command
}

/// What a run of the tool left behind.
#[derive(Debug)]
struct Run {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Run {
    fn from(o: Output) -> Run {
        let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
        Run { code: o.status.code(), out: text(o.stdout), err: text(o.stderr) }
    }
}

impl Run {
    #[track_caller]
    fn is(self, code: i32, out: &str) {
        assert_eq!((self.code, self.out.as_str(), self.err.as_str()), (Some(code), out, ""));
    }

    /// Nothing printed but an error that holds `part`.
    #[track_caller]
    fn fails(self, code: i32, part: &str) -> String {
        assert_eq!((self.code, self.out.as_str()), (Some(code), ""), "{self:?}");
        assert!(self.err.contains(part), "{self:?} should hold {part}");
        assert!(self.err.chars().all(|c| c == '\n' || !c.is_control()), "{self:?}");
        self.err
    }
}

fn summary(id: i64, name: &str, status: Status) -> TargetSummary {
    TargetSummary {
        id: TargetId(id),
        name: name.into(),
        tenantid: "0".into(),
        status,
        last_updated: Some(UtcMs(1_373_523_474_000)),
        enabled: true,
        pass_count: 12_996,
        fail_count: 0,
        method: "GET".into(),
        url: "http://google.com/".into(),
        reason: None,
        invalid: false,
    }
}

fn detail(name: &str) -> Value {
    let mut keys = skypunch::model::definition::Definition { name: name.into(), ..Default::default() }.to_json();
    let status = json!({
        "id": 8, "status": "NEW", "previous_status": "NEW", "status_description": "", "reason": null,
        "last_updated": null, "pass_count": 0, "fail_count": 0, "unknown_count": 0, "missed_count": 0, "count200": 0,
        "count300": 0, "count400": 0, "count500": 0, "network_fails": 0, "repeated_fails": 0, "repeated_passes": 0,
        "last_latency_us": null, "certificate_expires_at": null, "incident_id": null, "open_incident": null,
        "problems": [],
    });
    keys.extend(status.as_object().unwrap().clone());
    Value::Object(keys)
}

fn daemon_status(pid: u32) -> Value {
    json!({
        "version": "1.0.0", "pid": pid, "uptime_s": 1, "started_at": 0, "healthy": true, "state": "running",
        "targets": {"total": 0, "enabled": 0, "new": 0, "pass": 0, "fail": 0, "unknown": 0, "invalid": 0},
        "probes": {"started": 0, "missed": 0, "in_flight": 0, "per_second": 0.0,
                   "lateness_us": {"p50": 0, "p99": 0, "max": 0}},
        "persistence": {"queued": 0, "written": 0, "spooled_batches": 0, "spooled_results": 0, "spooled_bytes": 0,
                        "thinned": 0, "last_write_ms": null},
        "database": {"kind": "sqlite", "url": "sqlite:///x", "state": "ok", "error": null, "since": 0},
        "definitions": {"last_loaded_at": 0, "last_error": null, "invalid": []},
        "memory_bytes": 0, "log_dropped": 0,
    })
}

/// A pid that no process can have (Linux's limit is 4194304).
const NO_PID: u32 = 4_194_305;

// ---- reading -----------------------------------------------------------------------------------------------------

#[test]
fn no_arguments_show_version_and_usage() {
    let run = Run::from(ctl(Path::new("/nowhere/s"), &[]).output().unwrap());
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.out.starts_with(&format!("skypunchctl {}\n", env!("CARGO_PKG_VERSION"))), "{run:?}");
    assert!(run.out.contains("Usage: skypunchctl") && run.out.contains("incidents"), "{run:?}");
}

#[test]
fn targets_are_listed_in_the_look_of_0_3_0() {
    let google = summary(1, "Google Dot COM", Status::Pass);
    let daemon = Daemon::always(200, json!([google]));
    daemon.run(&["targets"]).is(
        0,
        "\
+----+----------------+--------+---------------------+---------+------------+------------+
| ID | Name           | Status | LastUpdated         | Enabled | Pass Count | Fail Count |
+----+----------------+--------+---------------------+---------+------------+------------+
| 1  | Google Dot COM | PASS   | 2013-07-11 06:17:54 | Yes     | 12996      | 0          |
+----+----------------+--------+---------------------+---------+------------+------------+
",
    );
    assert_eq!(daemon.only_request(), ("GET".into(), "/v1/targets".into(), String::new()));
}

#[test]
fn local_times_are_those_of_the_time_zone() {
    let daemon = Daemon::always(200, json!([summary(1, "a", Status::Pass)]));
    let run = Run::from(daemon.command(&["targets"]).env("TZ", "UTC-2").output().unwrap());
    assert!(run.out.contains("2013-07-11 08:17:54"), "{run:?}");
}

#[test]
fn json_has_the_words_of_the_database_and_milliseconds() {
    let google = json!([summary(1, "Google Dot COM", Status::Pass)]);
    let daemon = Daemon::always(200, google.clone());
    let run = daemon.run(&["--output", "json", "targets"]);
    assert_eq!(serde_json::from_str::<Value>(&run.out).unwrap(), google);
    assert_eq!(google[0]["last_updated"], json!(1_373_523_474_000_i64));
}

#[test]
fn filters_and_references_go_into_the_url() {
    let cases: [(&[&str], Value, &str); 8] = [
        (
            &["targets", "--status", "fail", "--tenant", "a&b", "--tag", "x y", "--enabled", "true"],
            json!([]),
            "/v1/targets?status=FAIL&tenant=a%26b&tag=x+y&enabled=true",
        ),
        (&["targets", "8"], detail("x"), "/v1/targets/8"),
        (&["targets", "name:8"], detail("x"), "/v1/targets/name%3A8"),
        (&["targets", "acme/my shop?"], detail("x"), "/v1/targets/acme%2Fmy%20shop%3F"),
        (
            &["incidents", "--open", "--target", "acme/x"],
            json!([]),
            "/v1/incidents?target=acme%2Fx&open=true&limit=100",
        ),
        (&["history", "x", "--limit", "7"], json!([]), "/v1/targets/x/history?limit=7"),
        (&["targets", "x", "enable"], detail("x"), "/v1/targets/x/enable"),
        (&["targets", "x", "disable"], detail("x"), "/v1/targets/x/disable"),
    ];
    for (args, answer, path) in cases {
        let daemon = Daemon::always(200, answer);
        let run = daemon.run(args);
        assert_eq!(run.code, Some(0), "{args:?}: {run:?}");
        assert_eq!(daemon.only_request().1, path, "{args:?}");
    }
}

#[test]
fn history_since_is_a_time_that_long_ago() {
    let daemon = Daemon::always(200, json!([]));
    let before = skypunch::clock::Clock::system().utc_now().0;
    assert_eq!(daemon.run(&["history", "8", "--since", "1h"]).code, Some(0));
    let path = daemon.only_request().1;
    let since: i64 = path.split("since_ms=").nth(1).unwrap().split('&').next().unwrap().parse().unwrap();
    let after = skypunch::clock::Clock::system().utc_now().0;
    assert!((before - 3_600_000..=after - 3_600_000).contains(&since), "{path}");
}

#[test]
fn status_incidents_and_reload_have_their_tables() {
    let run = Daemon::always(200, daemon_status(8100)).run(&["status"]);
    assert!(run.code == Some(0) && run.out.contains("| Pid               | 8100 "), "{run:?}");
    let incident = json!({"id": "99", "target_id": 3, "name": "shop", "tenantid": "0", "started_at": 0, "ended_at": 1000,
        "ended_by": "recovered", "reason": "reset", "description": "reset", "first_trace": [{"at_us": 1500, "step": "first_byte"}],
        "last_good_trace": null});
    let run = Daemon::always(200, json!([incident])).run(&["incidents"]);
    assert!(run.code == Some(0) && run.out.contains("| 99 | 3      | shop | 1970-01-01 00:00:00 |"), "{run:?}");
    let run = Daemon::always(200, incident).run(&["incidents", "99"]);
    assert!(run.code == Some(0) && run.out.contains("     1.500 ms  First byte    [OK]\n"), "{run:?}");
    Daemon::always(200, json!({"targets": 3, "changed": 1, "invalid": 0}))
        .run(&["reload"])
        .is(0, "definitions read: 3 targets, 1 changed\n");
}

#[test]
fn what_a_name_holds_never_reaches_the_terminal_as_a_control_sequence() {
    let daemon = Daemon::always(200, json!([summary(1, "\u{1b}]0;owned\u{7}\nx", Status::Fail)]));
    let run = daemon.run(&["targets"]);
    assert!(run.out.contains("\\u{1b}]0;owned\\u{7}\\nx"), "{run:?}");
    let daemon = Daemon::refusing(404, "there is no target `\u{1b}[2J`");
    daemon.run(&["targets", "x"]).fails(4, "\\u{1b}[2J");
}

/// Runs the tool on a terminal of 80 columns (util-linux's `script` makes one); gives what reached the screen.
fn on_a_terminal(daemon: &Daemon, args: &str, env: &[(&str, &str)]) -> String {
    let line = format!("stty cols 80 && exec {CTL} {args}");
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]).stdin(Stdio::null());
    command.env_clear().env("PATH", "/usr/bin:/bin").env("TZ", "UTC").env("SKYPUNCH_SOCKET", daemon.socket());
    let run = Run::from(command.envs(env.iter().copied()).output().unwrap());
    assert_eq!(run.code, Some(0), "{run:?}");
    run.out.replace("\r\n", "\n")
}

#[test]
fn a_terminal_gets_colours_and_short_names() {
    let targets = [summary(1, &"long name ".repeat(5), Status::Fail), summary(2, "short", Status::New)];
    let daemon = Daemon::always(200, json!(targets));
    let rule = "+----+--------------+--------+-------------+---------+------------+------------+";
    let screen = on_a_terminal(&daemon, "targets", &[]);
    let rows: Vec<&str> = screen.lines().collect();
    assert_eq!(rows[0], rule, "as wide as the terminal: {screen}");
    assert_eq!(
        rows[3],
        "| 1  | long name l… | \u{1b}[31mFAIL\u{1b}[0m   | 2013-07-11  | Yes     | 12996      | 0          |"
    );
    assert!(rows[4].contains("| short        | NEW    |"), "{screen}");
    for (args, env) in
        [("targets --no-color", &[][..]), ("targets", &[("NO_COLOR", "1")]), ("targets --output json", &[])]
    {
        assert!(!on_a_terminal(&daemon, args, env).contains('\u{1b}'), "{args} {env:?}");
    }
    assert!(on_a_terminal(&daemon, "targets", &[("NO_COLOR", "")]).contains('\u{1b}'), "an empty NO_COLOR is none");
    let run = daemon.run(&["targets"]);
    assert!(run.out.contains(&"long name ".repeat(5)) && !run.out.contains('\u{1b}'), "{run:?}");
}

#[test]
fn a_terminal_of_80_columns_wraps_nothing() {
    let why = "no connection to 127.0.0.1:8080: connection refused; this was the last of the 4 addresses of \
               a-host-with-a-very-long-name-that-no-line-can-hold.and-its-domain.example.org, all tried in order";
    let incident = json!({"id": "911911911911911911", "target_id": 3, "name": "the shop of the north", "tenantid": "0",
        "started_at": 0, "ended_at": 1000, "ended_by": "recovered", "reason": "connect_refused", "description": why,
        "first_trace": [], "last_good_trace": null});
    let row = json!({"id": "1", "target_id": 3, "due_at": 0, "started_at": 0, "lateness_us": 3001, "verdict": "FAIL",
        "reason": "connect_refused", "description": why, "status_code": null, "latency_us": 12_345, "phases": {},
        "body_bytes": 0, "incident_id": null});
    let mut target = detail("the shop");
    target["status_description"] = json!(why);
    for (args, answer) in [
        ("targets 8", target),
        ("incidents", json!([incident])),
        ("incidents 911911911911911911", incident.clone()),
        ("history 8", json!([row])),
    ] {
        let daemon = Daemon::always(200, answer);
        let screen = on_a_terminal(&daemon, &format!("--no-color {args}"), &[]);
        assert!(screen.lines().all(|l| l.chars().count() <= 80), "{args}: {screen}");
        let squeezed: String = screen.chars().filter(|c| !matches!(c, ' ' | '|' | '\n')).collect();
        assert!(squeezed.contains(&why.replace(' ', "")), "all of it is shown: {args}: {screen}");
        // Elsewhere it stays on its line.
        let run = daemon.run(&args.split(' ').collect::<Vec<_>>());
        assert!(run.code == Some(0) && run.out.contains(why), "{args}: {run:?}");
    }
}

#[test]
fn a_value_of_any_size_is_shown_capped_and_whole_in_json() {
    let mut target = detail("x");
    target["body"] = json!("b".repeat(64 * 1024));
    let daemon = Daemon::always(200, target);
    let run = daemon.run(&["targets", "8"]);
    assert!(run.code == Some(0) && run.out.contains(&format!("| {}… |", "b".repeat(999))), "{:?}", run.err);
    assert!(daemon.run(&["targets", "8", "--output", "json"]).out.contains(&"b".repeat(64 * 1024)));
    let name = "n".repeat(1 << 20);
    let daemon = Daemon::always(200, json!([summary(1, &name, Status::Pass)]));
    let run = daemon.run(&["targets"]);
    assert!(run.code == Some(0) && run.out.contains(&format!("| {}… |", "n".repeat(199))), "{:?}", run.err);
    assert!(daemon.run(&["targets", "--output", "json"]).out.contains(&name));
}

// ---- streams -----------------------------------------------------------------------------------------------------

fn test_lines(outcome: Value) -> Vec<Value> {
    vec![
        json!({"started": {"started_at_us": 1_373_690_665_113_623_i64, "id": 8, "name": "Localhost nginx test",
                           "method": "GET", "url": "http://localhost"}}),
        json!({"step": {"at_us": 0, "step": "connecting", "address": "127.0.0.1:80"}}),
        json!({"step": {"at_us": 4715, "step": "connected", "address": "127.0.0.1:80", "local": null}}),
        json!({ "outcome": outcome }),
    ]
}

fn outcome(verdict: &str, reason: Value, description: &str) -> Value {
    json!({"verdict": verdict, "reason": reason, "description": description, "status_code": null, "latency_us": 1,
           "phases": {}, "body_bytes": 0, "certificate_expires_at": null})
}

#[test]
fn a_test_prints_each_step_and_exits_by_its_verdict() {
    for (verdict, reason, description, code) in
        [("PASS", json!(null), "OK", 0), ("FAIL", json!("reset"), "cut", 1), ("UNKNOWN", json!("internal"), "ours", 1)]
    {
        let lines = test_lines(outcome(verdict, reason, description));
        let daemon = Daemon::new(move |_, _| Answer::Lines(lines.clone(), None));
        daemon.run(&["targets", "8", "test"]).is(
            code,
            &format!(
                "2013-07-13 04:44:25.113623 Connecting to 127.0.0.1:80 ....\n\
                 2013-07-13 04:44:25.118338 Connection    [OK] to 127.0.0.1:80\n\
                 [8] Localhost nginx test           GET http://localhost {verdict} ({description})\n"
            ),
        );
        assert_eq!(daemon.only_request().0, "POST");
    }
}

#[test]
fn a_test_prints_steps_as_they_come() {
    let (open, gate): (Sender<()>, Receiver<()>) = channel();
    let lines = test_lines(outcome("PASS", json!(null), "OK"));
    let mut once = Some((lines, gate));
    let daemon = Daemon::new(move |_, _| {
        let (lines, gate) = once.take().unwrap();
        Answer::Lines(lines, Some(gate))
    });
    let mut child = daemon.command(&["targets", "8", "test"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut printed = BufReader::new(child.stdout.take().unwrap()).lines();
    open.send(()).unwrap(); // started
    open.send(()).unwrap(); // connecting
    assert!(printed.next().unwrap().unwrap().ends_with("Connecting to 127.0.0.1:80 ...."));
    // Only now may the rest come: what was read above was not held back until the end.
    open.send(()).unwrap();
    open.send(()).unwrap();
    assert!(printed.next().unwrap().unwrap().contains("Connection    [OK]"));
    assert!(printed.next().unwrap().unwrap().ends_with("PASS (OK)"));
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_test_that_ends_without_an_outcome_has_failed() {
    let lines = test_lines(json!({}))[..2].to_vec();
    let daemon = Daemon::new(move |_, _| Answer::Lines(lines.clone(), None));
    let run = daemon.run(&["targets", "8", "test"]);
    assert_eq!(run.code, Some(1));
    assert!(run.err.contains("ended the test before its outcome"), "{run:?}");
}

#[test]
fn watch_prints_lines_and_what_was_left_out() {
    let event = json!({"id": 1, "name": "a", "method": "GET", "url": "http://a/", "verdict": "PASS", "reason": null,
                       "description": "OK", "latency_us": 5, "status_code": 200, "started_at": 1_373_523_057_053_i64});
    let lines = vec![event.clone(), json!({"lagged": 3})];
    let daemon = Daemon::new(move |_, _| Answer::Lines(lines.clone(), None));
    let run = daemon.run(&["watch", "a"]);
    assert_eq!(run.code, Some(1), "the stream ends only when the daemon does: {run:?}");
    assert!(run.out.starts_with("2013-07-11 06:10:57,053 [1] a  "), "{run:?}");
    assert!(run.out.ends_with("... 3 results left out: they came faster than they were read\n"), "{run:?}");
    assert_eq!(daemon.only_request().1, "/v1/watch?target=a");
    let run = daemon.run(&["watch", "--output", "json"]);
    assert_eq!(serde_json::from_str::<Value>(run.out.lines().next().unwrap()).unwrap(), event);
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let many: Vec<TargetSummary> = (0..10_000).map(|i| summary(i, &format!("target {i}"), Status::Pass)).collect();
    let daemon = Daemon::always(200, json!(many));
    let mut child = daemon.command(&["targets"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let run = Run::from(child.wait_with_output().unwrap());
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
}

// ---- changing ----------------------------------------------------------------------------------------------------

#[test]
fn changes_send_what_was_said_and_tell_what_was_done() {
    let cases: [(&[&str], &str, &str, &str, &str); 5] = [
        (&["targets", "8", "disable"], "POST", "/v1/targets/8/disable", "", "Target: shop has been Disabled\n"),
        (&["targets", "8", "enable"], "POST", "/v1/targets/8/enable", "", "Target: shop has been Enabled\n"),
        (
            &["add", "target", "--name", "shop", "--url", "http://shop/", "--frequency", "10s", "--set", "redirects=3"],
            "POST",
            "/v1/targets",
            r#"{"frequency":"10s","name":"shop","redirects":3,"url":"http://shop/"}"#,
            "Target: shop has been added with ID 8\n",
        ),
        (
            &["edit", "target", "0/shop", "--timeout-ms", "500", "--unset", "host"],
            "PATCH",
            "/v1/targets/0%2Fshop",
            r#"{"host":null,"timeout_ms":500}"#,
            "Target: shop has been changed\n",
        ),
        (&["remove", "target", "shop"], "DELETE", "/v1/targets/shop", "", "Target: shop has been removed\n"),
    ];
    for (args, method, path, body, text) in cases {
        let daemon = Daemon::always(200, detail("shop"));
        daemon.run(args).is(0, text);
        assert_eq!(daemon.only_request(), (method.into(), path.into(), body.into()), "{args:?}");
    }
}

#[test]
fn changes_of_notifiers_send_what_was_said_and_tell_what_was_done() {
    let cases: [(&[&str], &str, &str, &str, &str); 5] = [
        (&["notifiers", "8", "disable"], "POST", "/v1/notifiers/8/disable", "", "Notifier: ops has been Disabled\n"),
        (&["notifiers", "ops", "enable"], "POST", "/v1/notifiers/ops/enable", "", "Notifier: ops has been Enabled\n"),
        (
            &["add", "notifier", "--name", "ops", "--type", "SMTP", "--address", "a@x", "--remind", "1h"],
            "POST",
            "/v1/notifiers",
            r#"{"address":"a@x","name":"ops","remind":"1h","type":"SMTP"}"#,
            "Notifier: ops has been added with ID 8\n",
        ),
        (
            &["edit", "notifier", "0/ops", "--events", "fail,recovery", "--unset", "remind"],
            "PATCH",
            "/v1/notifiers/0%2Fops",
            r#"{"events":"fail,recovery","remind":null}"#,
            "Notifier: ops has been changed\n",
        ),
        (&["remove", "notifier", "ops"], "DELETE", "/v1/notifiers/ops", "", "Notifier: ops has been removed\n"),
    ];
    let detail = json!({"id": 8, "name": "ops", "tenantid": "0", "type": "SMTP", "address": "a@x", "enabled": true,
        "pass_count": 0, "fail_count": 0, "last_sent_at": null, "last_failed_at": null, "last_answer": null,
        "problems": []});
    for (args, method, path, body, text) in cases {
        let daemon = Daemon::always(200, detail.clone());
        daemon.run(args).is(0, text);
        assert_eq!(daemon.only_request(), (method.into(), path.into(), body.into()), "{args:?}");
    }
    let daemon = Daemon::always(200, json!([detail_of_list(&detail)]));
    let run = daemon.run(&["notifiers", "--tenant", "0"]);
    assert!(run.out.contains("| ID | Name | Enabled | Type | Address |"), "{run:?}");
    assert_eq!(daemon.only_request().1, "/v1/notifiers?tenant=0");
    let run = Daemon::always(200, detail).run(&["notifiers", "8"]);
    assert!(run.out.contains("| Address            | a@x "), "{run:?}");
    Daemon::refusing(404, "there is no notifier `123`").run(&["notifiers", "123"]).fails(4, "written name:123");
}

fn detail_of_list(detail: &Value) -> Value {
    let mut row = detail.clone();
    row["invalid"] = json!(false);
    row
}

#[test]
fn a_secret_comes_from_standard_input_and_is_never_shown() {
    let daemon = Daemon::always(201, detail("shop"));
    let args = ["add", "target", "--name", "shop", "--url", "http://shop/", "--authn", "BASIC", "--authn-parms", "-"];
    let mut child =
        daemon.command(&args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"user=a,password=hunter2\n").unwrap();
    Run::from(child.wait_with_output().unwrap()).is(0, "Target: shop has been added with ID 8\n");
    assert!(daemon.only_request().2.contains(r#""authn_parms":"user=a,password=hunter2""#));
    let argument = [&args[..9], &["user=a,password=hunter2"]].concat();
    let error = Daemon::always(201, detail("shop")).run(&argument).fails(2, "can be read by every user");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn apply_sends_the_file_and_tells_the_changes() {
    let report = json!({"applied": false, "changes": [
        {"action": "update", "tenantid": "0", "name": "shop", "id": 4,
         "fields": [{"field": "frequency_ms", "from": 60_000, "to": 10_000}]}]});
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[[target]]\nname = 'shop'\nurl = 'http://shop/'\nfrequency = '10s'\n").unwrap();
    let daemon = Daemon::always(200, report.clone());
    daemon.run(&["apply", file.path().to_str().unwrap(), "--plan"]).is(
        0,
        "update [4] shop\n         frequency_ms: 60000 -> 10000\n1 to update (plan: nothing has been changed)\n",
    );
    let body = r#"{"targets":[{"frequency":"10s","name":"shop","url":"http://shop/"}],"plan":true,"prune":false}"#;
    assert_eq!(daemon.only_request(), ("POST".into(), "/v1/apply".into(), body.into()));
    // The same from standard input.
    let daemon = Daemon::always(200, report);
    let input = std::fs::File::open(file.path()).unwrap();
    let run = Run::from(daemon.command(&["apply", "-", "--plan"]).stdin(input).output().unwrap());
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(daemon.only_request().2, body);
}

#[test]
fn what_is_exported_applies_again() {
    let target =
        json!({"name": "shop", "tenantid": "0", "url": "http://shop/", "authn": "BASIC", "authn_parms": "***"});
    let daemon = Daemon::always(200, json!({ "targets": [target] }));
    let run = daemon.run(&["export"]);
    assert!(run.out.ends_with("authn = \"BASIC\"\n# authn_parms is left out: it holds a secret\n"), "{run:?}");
    let file = daemon.dir.path().join("targets.toml");
    let file = file.to_str().unwrap();
    daemon.run(&["export", file]).is(0, &format!("1 targets written to {file}\n"));
    assert_eq!(std::fs::read_to_string(file).unwrap(), run.out);
    let daemon = Daemon::always(200, json!({"applied": true, "changes": []}));
    daemon.run(&["apply", file]).is(0, "no targets\n");
}

// ---- start and stop ----------------------------------------------------------------------------------------------

#[test]
fn start_and_stop_tell_what_is_so_already() {
    let daemon = Daemon::always(200, daemon_status(8100));
    let told = format!("skypunch is already running\npid 8100, socket {}\n", daemon.socket().display());
    daemon.run(&["start"]).is(0, &told);
    let dir = tempfile::tempdir().unwrap();
    let run = Run::from(ctl(&dir.path().join("s"), &["stop"]).output().unwrap());
    run.is(3, "skypunch is not running\n");
}

#[test]
fn stop_waits_until_the_socket_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
    let (path, mut polls) = (socket.clone(), 0);
    let handler = move |method: &str, _: &str| {
        if method == "POST" {
            return Answer::Json(200, json!({ "pid": NO_PID }));
        }
        polls += 1;
        if polls == 3 {
            std::fs::remove_file(&path).unwrap();
        }
        Answer::Json(200, daemon_status(NO_PID))
    };
    serve(&socket, Box::new(handler), Arc::clone(&requests));
    let run = Run::from(ctl(&socket, &["stop"]).output().unwrap());
    run.is(0, &format!("skypunch with pid {NO_PID} has been stopped\n"));
    assert_eq!(requests.lock().unwrap().len(), 4, "one stop, three looks");
}

/// A folder with the tool and a daemon that is this shell script.
///
/// Other processes write the two files: a file that this one had open for writing could be inherited by a child that
/// another test starts at that moment, and could then not be run ("text file busy").
fn with_script(script: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let tool = dir.path().join("skypunchctl");
    assert!(Command::new("cp").arg(CTL).arg(&tool).status().unwrap().success());
    let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$0" && chmod 755 "$0""#;
    let daemon = dir.path().join("skypunch");
    assert!(Command::new("sh").arg("-c").arg(write).arg(daemon).arg(script).status().unwrap().success());
    (dir, tool)
}

#[test]
fn start_tells_why_the_daemon_ended() {
    let (dir, tool) = with_script("echo \"no key \\`databse\\`: did you mean \\`database\\`?\" >&2; exit 2");
    let socket = dir.path().join("s");
    let args = ["--socket", socket.to_str().unwrap(), "start"];
    let run = Run::from(Command::new(tool).env_clear().env("PATH", "/usr/bin:/bin").args(args).output().unwrap());
    let error = run.fails(2, "skypunchctl: skypunch did not start (exit status: 2):\n");
    assert!(error.ends_with("\nno key `databse`: did you mean `database`?\n"), "{error}");
}

#[test]
fn start_fails_when_the_daemon_does_and_not_by_what_it_was_told() {
    let (dir, tool) = with_script("exit 101");
    let socket = dir.path().join("s");
    let args = ["--socket", socket.to_str().unwrap(), "start"];
    let run = Run::from(Command::new(tool).env_clear().env("PATH", "/usr/bin:/bin").args(args).output().unwrap());
    run.fails(1, "skypunch did not start (exit status: 101):\nit said nothing\n");
}

// ---- check -------------------------------------------------------------------------------------------------------

#[test]
fn check_finds_missing_folders_and_bears_an_output_that_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let check = |extra: &str| {
        let file = dir.path().join("skypunch.toml");
        let place = format!("[state]\ndir = \"{d}/state\"\n[control]\nsocket = \"{d}/s\"\n");
        std::fs::write(&file, format!("{extra}\n{place}")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_skypunch"));
        command.env_clear().env("HOME", dir.path()).args(["check", "--config"]).arg(file).stdin(Stdio::null());
        command
    };
    let run = Run::from(
        check(&format!("[log]\nfile = \"{d}/no/log\"\n[secrets]\nfolders = [\"{d}/none\"]")).output().unwrap(),
    );
    assert_eq!(
        (run.code, run.err),
        (
            Some(2),
            format!(
                "skypunch: log.file: the folder {d}/no does not exist: make it, or write another path\n\
                 skypunch: secrets.folders: {d}/none does not exist: make the folder, or leave it out\n"
            )
        )
    );
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let run = Run::from(check("").stdout(full).output().unwrap());
    assert_eq!(run.code, Some(1));
    assert!(run.err.starts_with("skypunch: the output cannot be written: No space left"), "{run:?}");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let run = Run::from(check("").stdout(writer).stderr(Stdio::piped()).output().unwrap());
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
}

#[test]
fn start_returns_when_the_daemon_is_ready() {
    let (dir, tool) = with_script(
        "echo \"$* $SKYPUNCH__CONTROL__SOCKET\" > \"$0.args.part\"; mv \"$0.args.part\" \"$0.args\"; exec sleep 60",
    );
    let socket = dir.path().join("s");
    let config = dir.path().join("config.toml");
    std::fs::write(&config, "").unwrap();
    let args = ["--socket", socket.to_str().unwrap(), "start", "--config", config.to_str().unwrap()];
    let mut command = Command::new(tool);
    command.env_clear().env("PATH", "/usr/bin:/bin").args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let written = dir.path().join("skypunch.args");
    let clock = skypunch::clock::Clock::system();
    let begin = clock.now();
    while !written.exists() {
        assert!(clock.now().since(begin) < LIMIT, "the script has not run");
        thread::sleep(Duration::from_millis(5));
    }
    let told = std::fs::read_to_string(&written).unwrap();
    assert_eq!(told, format!("run --config {} {}\n", config.display(), socket.display()));
    // The script cannot answer: its socket is served here, first as one that still loads.
    let mut looks = 0;
    let handler = move |_: &str, _: &str| {
        looks += 1;
        let mut status = daemon_status(8100);
        if looks < 3 {
            status["state"] = json!("starting");
        }
        Answer::Json(200, status)
    };
    serve(&socket, Box::new(handler), Arc::default());
    Run::from(child.wait_with_output().unwrap()).is(0, "started with pid 8100\n");
    // The script lives on in a group of its own, with nobody waiting for it: end it.
    let script = std::fs::canonicalize(dir.path()).unwrap();
    end_process_in(&script);
}

/// Ends the process whose standard error is the start.log of that folder.
fn end_process_in(dir: &Path) {
    let log = dir.join("start.log");
    let mut ended = 0;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        if std::fs::read_link(entry.path().join("fd/2")).is_ok_and(|to| to == log) {
            let pid = entry.file_name().into_string().unwrap();
            assert!(Command::new("kill").arg(&pid).status().unwrap().success());
            ended += 1;
        }
    }
    assert_eq!(ended, 1, "the daemon runs on after `start` has returned");
}

// ---- what can go wrong -------------------------------------------------------------------------------------------

#[test]
fn refusals_have_their_exit_codes_and_sentences() {
    for (status, code) in [(400, 2), (404, 4), (409, 2), (422, 2), (500, 1), (503, 1)] {
        Daemon::refusing(status, "this is why").run(&["targets", "x"]).fails(code, "skypunchctl: this is why\n");
    }
    let daemon = Daemon::refusing(404, "there is no target with id 123");
    for args in
        [&["targets", "123"][..], &["targets", "123", "test"], &["remove", "target", "123"], &["history", "123"]]
    {
        daemon.run(args).fails(4, "there is no target with id 123; a name of digits is written name:123\n");
    }
    let mut ambiguous = ProblemDetails::new(409, "`shop` is ambiguous: write one of");
    ambiguous.candidates = vec!["3 (acme/shop)".into(), "4 (0/shop)".into()];
    let daemon = Daemon::always(409, serde_json::to_value(ambiguous).unwrap());
    daemon.run(&["targets", "shop"]).fails(2, "write one of\n  3 (acme/shop)\n  4 (0/shop)\n");
    let mut wrong = ProblemDetails::new(422, "the target is wrong");
    wrong.problems =
        vec![skypunch::model::definition::Problem { field: "timeout_ms".into(), message: "is too long".into() }];
    let daemon = Daemon::always(422, serde_json::to_value(wrong).unwrap());
    daemon.run(&["edit", "target", "8", "--timeout", "2m"]).fails(2, "\n  timeout_ms: is too long\n");
}

#[test]
fn a_daemon_that_cannot_be_reached_is_named_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("none");
    let stale = dir.path().join("stale");
    drop(UnixListener::bind(&stale).unwrap());
    for socket in [&missing, &stale] {
        for args in [&["targets"][..], &["status"], &["apply", "/dev/null"], &["watch"], &["targets", "1", "test"]] {
            let run = Run::from(ctl(socket, args).output().unwrap());
            let error = run.fails(3, "skypunchctl start");
            assert!(error.contains(socket.to_str().unwrap()), "{error}");
        }
    }
}

#[test]
fn something_else_on_the_socket_is_an_error_and_no_hang() {
    for raw in [&b"SSH-2.0-OpenSSH_9.2\r\n"[..], b"", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{x}"] {
        let daemon = Daemon::new(move |_, _| Answer::Raw(raw.to_vec()));
        daemon.run(&["targets"]).fails(1, "does not speak as skypunch");
    }
    let daemon = Daemon::new(|_, _| Answer::Raw(b"HTTP/1.1 502 X\r\nContent-Length: 2\r\n\r\nno".to_vec()));
    daemon.run(&["targets"]).fails(1, "GET /v1/targets was answered with 502");
}

#[test]
fn wrong_input_is_refused_before_the_daemon_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str, content: &[u8]| {
        let file = dir.path().join(name);
        std::fs::write(&file, content).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let not_toml = path("not.toml", b"[[target]\nname = 1\n");
    let latin1 = path("latin1.toml", b"[[target]]\nname = 'caf\xe9'\n");
    let no_url = path("no-url.toml", b"[[target]]\nname = 'a'\n");
    let empty = path("empty.toml", b"");
    let bad_notifier =
        path("notifier.toml", b"[[notifier]]\nname = 'n'\ntype = 'SMTP'\naddress = 'a@x'\nevents = 'nothing'\n");
    let folder = dir.path().to_str().unwrap().to_owned();
    let in_file = format!("{empty}/x");
    let long = "x".repeat(100_000);
    let add = |extra: &[&'static str]| [&["add", "target", "--name", "a", "--url", "http://a/"][..], extra].concat();
    let notify = |extra: &[&'static str]| {
        [&["add", "notifier", "--name", "a", "--type", "SMTP", "--address", "a@x"][..], extra].concat()
    };
    let cases: Vec<(Vec<&str>, &str)> = vec![
        (vec!["taregts"], "'targets'"),
        (vec!["tar\u{1b}[2Jgets"], "unrecognized subcommand 'tar\\u{1b}[2Jgets'"),
        (vec!["targets", "8", "te\u{7}st"], "\\u{7}"),
        (vec!["targets", "--sttaus", "FAIL"], "'--status'"),
        (vec!["targets", "--status", "BROKEN"], "NEW, PASS, FAIL, UNKNOWN"),
        (vec!["targets", "8", "tset"], "'test'"),
        (vec!["targets", "8", "test", "again"], "unexpected argument 'again'"),
        (vec!["targets", "99999999999999999999"], "too large for an id"),
        (vec!["targets", ""], "the target is empty"),
        (vec!["targets", "--enabled", "perhaps"], "true, false"),
        (vec!["--output", "yaml", "targets"], "table, json"),
        (vec!["targets", "--socket"], "a value is required"),
        (vec!["incidents", "x"], "`x` is no incident id: write the digits that `skypunchctl incidents` shows"),
        (vec!["incidents", "99999999999999999999"], "is no incident id"),
        (vec!["history", "8", "--limit", "0"], "0 is not in 1..=100000"),
        (vec!["history", "8", "--since", "-1h"], "unexpected argument '-1'"),
        (vec!["history", "8", "--since", "yesterday"], "`yesterday` is not a duration"),
        (vec!["history", "8", "--since", "999999999999999999999h"], "is not a duration"),
        (vec!["history"], "required"),
        (vec!["add"], "target"),
        (vec!["add", "notifer"], "'notifier'"),
        (vec!["add", "notifier", "--name", "a"], "type: is empty: write SMTP"),
        (vec!["add", "notifier", "--name", "a", "--type", "SMTP"], "address: is empty"),
        (notify(&["--events", "fial"]), "events: `fial` is not an event (did you mean fail?)"),
        (notify(&["--group-wait", "1h"]), "group_wait_ms: 3600000 is out of range"),
        (notify(&["--rate-per-minute", "0"]), "rate_per_minute: 0 is out of range"),
        (notify(&["--remind", "soon"]), "remind: `soon` is not a duration"),
        (notify(&["--templates", "fail ="]), "templates: line 1: this is not TOML"),
        (notify(&["--params", "user=a,password=x"]), "params: `password` is a secret, and arguments can be read"),
        (notify(&["--set", "adress=x"]), "adress: there is no such key; did you mean `address`?"),
        (vec!["notifiers", "8", "enabel"], "'enable'"),
        (vec!["add", "credntial"], "'credential'"),
        (vec!["add", "credential", "--params", "auth_url=http://k,user_id=u,password=${env:P}"], "name: is empty"),
        (vec!["add", "credential", "--name", "c"], "params: is missing: write auth_url="),
        (
            vec!["add", "credential", "--name", "c", "--params", "auth_url=http://k,user_id=u,password=x"],
            "params: `password` is a secret, and arguments can be read",
        ),
        (
            vec!["add", "credential", "--name", "c", "--params", "auth_url=http://k,username=u,password=${env:P}"],
            "params: `user_domain_name` (or `user_domain_id`) is missing",
        ),
        (vec!["add", "credential", "--name", "c", "--type", "VAULT"], "type: `VAULT` is no type of credential"),
        (vec!["credentials", ""], "the credential is empty"),
        (vec!["edit", "credential", "8"], "for example --params - (see skypunchctl edit credential --help)"),
        (add(&["--authn", "OPENSTACK"]), "authn_parms: OPENSTACK needs a login: write credential"),
        (
            vec!["add", "target", "--name", "a", "--url", "openstack://compute/pubic", "--credential", "c"],
            "url: `pubic` is no interface (did you mean public?)",
        ),
        (vec!["notifiers", ""], "the notifier is empty"),
        (vec!["edit", "notifier", "8"], "for example --events fail,recovery (see skypunchctl edit notifier --help)"),
        (vec!["apply", &bad_notifier], "[[notifier]] 1 (`n`): events: `nothing` is not an event"),
        (vec!["add", "target", "--name", "a"], "url: is empty"),
        (vec!["add", "target", "--url", "http://a/"], "name: is empty"),
        (vec!["add", "target", "--name", &long, "--url", "http://a/"], "longer than 128 characters"),
        (vec!["add", "target", "--name", "a\u{1b}[2J", "--url", "http://a/"], "holds a control character"),
        (add(&["--url", "http://b/"]), "cannot be used multiple times"),
        (add(&["--method", "FETCH"]), "method: `FETCH` is not a method"),
        (add(&["--authn", "BASCI"]), "did you mean BASIC?"),
        (add(&["--frequency", "0s"]), "frequency_ms: 0 is out of range"),
        (add(&["--frequency-ms", "-5"]), "frequency_ms: -5 is out of range"),
        (add(&["--frequency-ms", "9223372036854775807"]), "out of range"),
        (add(&["--frequency-ms", "9223372036854775808"]), "not a whole number"),
        (add(&["--frequency", "1s", "--timeout", "2s"]), "timeout_ms: 2000"),
        (add(&["--pass-result", "OK"]), "pass_result"),
        (add(&["--tls-verify", "perhaps"]), "tls_verify: `perhaps` is neither true nor false"),
        (add(&["--frequncy", "1s"]), "'--frequency'"),
        (add(&["--set", "frequncy=1s"]), "did you mean `frequency`?"),
        (add(&["--set", "na\u{1b}me=x"]), "na\\u{1b}me: there is no such key"),
        (add(&["--set", "frequency"]), "write --set KEY=VALUE"),
        (add(&["--header", "no colon"]), "line 1 has no colon"),
        (add(&["--header", "A: b\r\nC: d"]), "--header `A` holds a line break"),
        (vec!["edit", "target", "8"], "nothing is to be changed"),
        (vec!["apply"], "required"),
        (vec!["apply", "/no/such/file"], "/no/such/file cannot be read: No such file"),
        (vec!["apply", &folder], "is a directory"),
        (vec!["apply", &in_file], "Not a directory"),
        (vec!["apply", &not_toml], "line 1, column"),
        (vec!["apply", &latin1], "line 2 is not UTF-8 text"),
        (vec!["apply", &no_url], "[[target]] 1 (`a`): url: is empty"),
        (vec!["apply", &empty, "--prune"], "would delete all"),
        (vec!["start", "--config", "/no/such/file"], "/no/such/file cannot be read"),
    ];
    let daemon = Daemon::always(500, json!({}));
    let missing = dir.path().join("no-daemon");
    for (args, part) in &cases {
        // `start` looks whether a daemon answers before it reads anything.
        let socket = if args[0] == "start" { missing.clone() } else { daemon.socket() };
        let run = Run::from(ctl(&socket, args).stdin(Stdio::null()).output().unwrap());
        run.fails(2, part);
    }
    assert_eq!(daemon.requests(), [], "nothing wrong reaches the daemon");
}

#[test]
fn an_argument_that_is_not_utf_8_is_refused() {
    let daemon = Daemon::always(500, json!({}));
    let mut command = daemon.command(&["targets"]);
    command.arg(std::ffi::OsString::from_vec(b"caf\xe9".to_vec()));
    Run::from(command.output().unwrap()).fails(2, "UTF-8");
    assert_eq!(daemon.requests(), []);
}
