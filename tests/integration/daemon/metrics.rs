//! `/metrics` of the real daemon: what is in it, what never is, and how large it may become.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use skypunch::clock::Clock;

use super::harness::{Daemon, Place, SOON, free_port, number, wait_until};
use super::origin::{Answer, Origin};

/// The page that Prometheus scrapes.
pub fn page(daemon: &Daemon) -> String {
    let answer = daemon.request("GET", "/metrics", None);
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
    String::from_utf8(answer.body).unwrap()
}

/// The value of the series that begins so.
fn value(page: &str, series: &str) -> f64 {
    let found: Vec<&str> = page.lines().filter_map(|l| l.strip_prefix(series)?.strip_prefix(' ')).collect();
    assert_eq!(found.len(), 1, "{series}: {found:?}\n{page}");
    found[0].parse().unwrap()
}

fn count(page: &str, begin: &str) -> usize {
    page.lines().filter(|l| l.starts_with(begin)).count()
}

/// The families of a page with their types.
pub fn families(page: &str) -> BTreeMap<String, String> {
    let types = page.lines().filter_map(|l| l.strip_prefix("# TYPE ")).map(|l| l.split_once(' ').unwrap());
    let found: Vec<(String, String)> = types.map(|(n, t)| (n.to_owned(), t.to_owned())).collect();
    let all: BTreeMap<String, String> = found.iter().cloned().collect();
    assert_eq!(all.len(), found.len(), "a family stands twice");
    all
}

/// A daemon with one of everything: targets that pass and fail, tags, a notifier that cannot be told, a credential.
pub fn rich(place: &Place, origin: &Origin, extra: &str) -> Daemon {
    origin.answer("/bad", Answer::Status(503));
    let daemon = place.setup().extra(extra).start();
    place.db.sql(&format!(
        "INSERT INTO targets (name, url, frequency_ms, tags) VALUES ('good', '{}', 200, 'web,shop'), \
         ('bad', '{}', 200, 'web')",
        origin.url("/good?key=hunter2"),
        origin.url("/bad"),
    ));
    place.db.sql(&format!(
        "INSERT INTO notifiers (name, type, address, group_wait_ms, group_window_ms) \
         VALUES ('ops', 'WEBHOOK', 'http://127.0.0.1:{}/hunter2', 0, 1000)",
        free_port()
    ));
    place.db.sql(
        "INSERT INTO credentials (name, type, params) \
         VALUES ('cloud', 'OPENSTACK', 'auth_url=http://127.0.0.1:9/v3,user_id=u,password=hunter2')",
    );
    daemon.wait_target("good", "status", &"PASS".into());
    daemon.wait_target("bad", "status", &"FAIL".into());
    wait_until("all of it is known and written", SOON, || {
        let page = page(&daemon);
        page.contains("\nskypunch_notifier_failed_total{tenant=\"0\",notifier=\"ops\",type=\"WEBHOOK\"} 1")
            && page.contains("\nskypunch_credential_valid{")
            && page.contains("\nskypunch_database_last_write_timestamp_seconds")
            && page.contains("\nskypunch_tag_probe_phase_duration_seconds_count{tag=\"shop\",phase=\"connect\"}")
    });
    daemon
}

/// `promtool check metrics` has nothing to say.
fn assert_promtool_is_content(page: &str) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool of the Debian package prometheus (tests/run installs it)");
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn verdicts_durations_and_the_daemon_itself_are_told_without_secrets() {
    let (place, origin) = (Place::new(), Origin::start());
    let daemon = rich(&place, &origin, "[metrics]\nper_target = \"histograms\"\n");
    // The first probes are out of turn and have no lateness.
    let counted = || value(&page(&daemon), "skypunch_probe_lateness_seconds_count") >= 1.0;
    wait_until("a probe of the schedule is counted", SOON, counted);
    let text = page(&daemon);
    assert_promtool_is_content(&text);
    assert!(!text.contains("hunter2") && !text.contains("://") && !text.contains("127.0.0.1"), "{text}");

    assert!(value(&text, "skypunch_probe_results_total{verdict=\"PASS\",reason=\"\"}") >= 1.0);
    assert!(value(&text, "skypunch_probe_results_total{verdict=\"FAIL\",reason=\"status\"}") >= 1.0);
    assert_eq!(value(&text, "skypunch_probe_results_total{verdict=\"UNKNOWN\",reason=\"internal\"}"), 0.0);
    assert_eq!(value(&text, "skypunch_targets{status=\"PASS\"}"), 1.0);
    assert_eq!(value(&text, "skypunch_target_status{tenant=\"0\",target=\"good\"}"), 1.0);
    assert_eq!(value(&text, "skypunch_target_status{tenant=\"0\",target=\"bad\"}"), 2.0);
    assert!(value(&text, "skypunch_target_last_duration_seconds{tenant=\"0\",target=\"good\"}") > 0.0);
    let phase = "skypunch_probe_phase_duration_seconds_count{phase=\"first_byte\"}";
    assert!(value(&text, phase) >= 2.0);
    assert_eq!(count(&text, "skypunch_probe_phase_duration_seconds_count{phase=\"tls\"}"), 0, "nobody speaks TLS here");
    let web = |v: &str| value(&text, &format!("skypunch_tag_probe_results_total{{tag=\"web\",verdict=\"{v}\"}}"));
    assert!(web("PASS") >= 1.0 && web("FAIL") >= 1.0);
    assert_eq!(count(&text, "skypunch_target_probe_duration_seconds_count{"), 2);
    assert!(value(&text, "skypunch_probe_lateness_seconds_count") >= 1.0);
    assert_eq!(value(&text, "skypunch_results_queue_limit"), 100_000.0);
    assert_eq!(value(&text, "skypunch_database_up"), 1.0);
    assert!(value(&text, "skypunch_notifier_backlog{tenant=\"0\",notifier=\"ops\",type=\"WEBHOOK\"}") >= 1.0);
    assert!(value(&text, "process_resident_memory_bytes") > 1e6 && value(&text, "process_open_fds") > 5.0);
    assert!(text.contains(&format!("skypunch_build_info{{version=\"{}\"}} 1\n", env!("CARGO_PKG_VERSION"))));

    // Counters agree with what the database holds once nothing more is probed.
    place.db.sql("UPDATE targets SET enabled = 0");
    let results = || place.db.number("SELECT COUNT(*) FROM results");
    wait_until("what is counted is what is written", SOON, || {
        let text = page(&daemon);
        let sums = text.lines().filter_map(|l| l.strip_prefix("skypunch_probe_results_total{"));
        let sum: f64 = sums.map(|l| l.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum();
        value(&text, "skypunch_targets{status=\"DISABLED\"}") == 2.0 && sum as i64 == results()
    });
}

#[test]
fn hostile_names_stay_in_their_labels() {
    let (place, origin) = (Place::new(), Origin::start());
    let daemon = place.start();
    let names = [r#"a"} 1"#, r"back\slash", "ünï 漢 \u{1f600}", "{}=,# HELP", "tab\u{202e}x"];
    let rows: Vec<String> =
        names.iter().map(|n| format!("('{n}', '{}', 60000, '{n}x')", origin.url("/").replace('\'', "''"))).collect();
    place.db.sql(&format!("INSERT INTO targets (name, url, frequency_ms, tags) VALUES {}", rows.join(", ")));
    wait_until("all pass", SOON, || number(&daemon.status()["targets"], "pass") == 5);
    let text = page(&daemon);
    assert_promtool_is_content(&text);
    for name in names {
        let escaped = name.replace('\\', r"\\").replace('"', "\\\"");
        assert_eq!(value(&text, &format!("skypunch_target_status{{tenant=\"0\",target=\"{escaped}\"}}")), 1.0);
    }
}

#[test]
fn series_of_targets_and_tags_have_bounds_and_what_does_not_fit_is_counted() {
    let (place, origin) = (Place::new(), Origin::start());
    let rows: Vec<String> =
        (0..30).map(|i| format!("('t{i:02}', '{}', 500, 'tag{}')", origin.url("/"), i % 6)).collect();
    let insert = format!("INSERT INTO targets (name, url, frequency_ms, tags) VALUES {}", rows.join(", "));
    let shown = |settings: &str| {
        let mut daemon = place.setup().extra(settings).start();
        if place.db.number("SELECT COUNT(*) FROM targets") == 0 {
            place.db.sql(&insert);
        }
        wait_until("all pass, and were counted since the first scrape", SOON, || {
            let before = page(&daemon);
            wait_until("more was probed", SOON, || {
                let sum = |p: &str| value(p, "skypunch_probe_results_total{verdict=\"PASS\",reason=\"\"}");
                sum(&page(&daemon)) >= sum(&before) + 60.0
            });
            number(&daemon.status()["targets"], "pass") == 30
        });
        let text = page(&daemon);
        daemon.terminate();
        text
    };
    let left_out = |text: &str| {
        ["targets", "histograms"].map(|what| value(text, &format!("skypunch_metrics_{what}_left_out")) as i64)
    };
    let text = shown("");
    assert_eq!((count(&text, "skypunch_target_status{"), left_out(&text)), (30, [0, 0]));
    assert_eq!(count(&text, "skypunch_target_probe_"), 0, "no histogram of a target unless it is asked for");
    assert_eq!(count(&text, "skypunch_tag_probe_duration_seconds_count{"), 6);

    let text = shown("[metrics]\nper_target = \"histograms\"\nmax_targets = 20\nmax_histograms = 4\n");
    assert_eq!((count(&text, "skypunch_target_status{"), left_out(&text)), (20, [10, 2 + 26]));
    assert_eq!(count(&text, "skypunch_tag_probe_duration_seconds_count{"), 4);
    assert_eq!(count(&text, "skypunch_target_probe_duration_seconds_count{"), 4);
    assert!(text.contains("target=\"t00\"") && !text.contains("target=\"t20\""), "the lowest ids");

    let text = shown("[metrics]\ntarget_tags = [\"tag1\", \"tag9\"]\nmax_histograms = 0\n");
    assert_eq!((count(&text, "skypunch_target_status{"), left_out(&text)), (5, [0, 6]));
    let text = shown("[metrics]\nper_target = \"off\"\n");
    assert_eq!((count(&text, "skypunch_target_status"), left_out(&text)), (0, [0, 0]));
    assert_eq!(value(&text, "skypunch_targets{status=\"PASS\"}"), 30.0, "they are counted all the same");
}

/// One request over TCP; status and body.
fn over_tcp(port: u16, method: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    (status, text.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[test]
fn the_tcp_listener_is_for_reading_only() {
    let place = Place::new();
    let port = free_port();
    let daemon = place.setup().extra(&format!("[http]\nlisten = \"127.0.0.1:{port}\"\n")).start();
    let (status, text) = over_tcp(port, "GET", "/metrics");
    assert_eq!((status, families(&text)), (200, families(&page(&daemon))));
    assert_eq!(over_tcp(port, "GET", "/healthz"), (200, "ok\n".into()));
    assert_eq!(over_tcp(port, "HEAD", "/metrics"), (200, String::new()));
    for (method, path) in [
        ("POST", "/metrics"),
        ("DELETE", "/metrics"),
        ("GET", "/v1/status"),
        ("POST", "/v1/stop"),
        ("GET", "/v1/targets"),
        ("GET", "/metrics/../v1/status"),
    ] {
        let (status, text) = over_tcp(port, method, path);
        assert!(matches!(status, 404 | 405), "{method} {path}: {status} {text}");
    }
    daemon.request("POST", "/metrics", None).problem(405);
    assert_eq!(daemon.status()["state"], Value::from("running"));
}

#[test]
fn a_scrape_of_ten_thousand_targets_is_bounded_and_makes_no_probe_late() {
    const TARGETS: i64 = 10_000;
    /// Of a debug build, on a machine with other work; a release build takes a small part of it.
    const LONGEST: Duration = Duration::from_secs(3);
    let (place, origin) = (Place::new(), Origin::start());
    let daemon = place.start();
    let name = "a-target-with-a-name-of-some-length";
    for thousand in 0..TARGETS / 1000 {
        let rows: Vec<String> = (thousand * 1000..(thousand + 1) * 1000)
            .map(|i| format!("('{name}-{i}', '{}', 60000, 'tag{}')", origin.url("/"), i % 200))
            .collect();
        place.db.sql(&format!("INSERT INTO targets (name, url, frequency_ms, tags) VALUES {}", rows.join(", ")));
    }
    wait_until("all were probed", SOON * 12, || number(&daemon.status()["targets"], "pass") == TARGETS);
    let missed = number(&daemon.status()["probes"], "missed");
    let clock = Clock::system();
    let (mut longest, mut bytes) = (Duration::ZERO, 0);
    for _ in 0..20 {
        let started = clock.now();
        let text = page(&daemon);
        longest = longest.max(clock.now().since(started));
        bytes = text.len();
    }
    println!("10,000 targets: {bytes} bytes, at most {} ms", longest.as_millis());
    let text = page(&daemon);
    assert_eq!(count(&text, "skypunch_target_status{"), 10_000);
    assert_eq!(value(&text, "skypunch_metrics_histograms_left_out"), 100.0, "tags beyond the hundredth");
    assert!(bytes < 6_000_000, "{bytes} bytes");
    assert!(longest < LONGEST, "{longest:?}");
    assert_eq!(number(&daemon.status()["probes"], "missed"), missed);
}

/// The names of metrics in an expression.
fn names(expr: &str) -> BTreeSet<String> {
    let words = expr.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|w| w.starts_with("skypunch_") || w.starts_with("process_")).map(str::to_owned).collect()
}

/// Every `expr` in a JSON value.
pub fn expressions(value: &Value) -> Vec<String> {
    match value {
        Value::Object(map) => map
            .iter()
            .flat_map(|(k, v)| match (k.as_str(), v) {
                ("expr", Value::String(s)) => vec![s.clone()],
                _ => expressions(v),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(expressions).collect(),
        _ => Vec::new(),
    }
}

pub fn etc(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("etc").join(name)
}

#[test]
fn dashboard_and_rules_name_only_what_is_exported() {
    let (place, origin) = (Place::new(), Origin::start());
    let daemon = rich(&place, &origin, "");
    let families = families(&page(&daemon));
    let exported = |name: &str| {
        let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        match histogram.and_then(|base| families.get(base)) {
            Some(kind) => kind == "histogram",
            None => families.contains_key(name),
        }
    };
    let dashboard: Value = serde_json::from_slice(&std::fs::read(etc("grafana-dashboard.json")).unwrap()).unwrap();
    let exprs = expressions(&dashboard);
    assert!(exprs.len() > 30, "{exprs:?}");
    let rules = std::fs::read_to_string(etc("prometheus-rules.yml")).unwrap();
    let rules: String = rules.lines().filter(|l| !l.trim_start().starts_with('#')).map(|l| format!("{l}\n")).collect();
    let in_rules = names(&rules);
    assert!(in_rules.len() > 15, "{in_rules:?}");
    let all: BTreeSet<String> = exprs.iter().flat_map(|e| names(e)).chain(in_rules).collect();
    let unknown: Vec<&String> = all.iter().filter(|name| !exported(name)).collect();
    assert!(unknown.is_empty(), "no such metric: {unknown:?}; there are {families:?}");
    assert!(!exported("skypunch_probe_results_bucket") && !exported("skypunch_nothing"));

    let variables = dashboard["templating"]["list"].as_array().unwrap();
    assert!(variables.iter().any(|v| v["type"] == "datasource" && v["query"] == "prometheus"), "{variables:?}");
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<i64> = panels.iter().map(|p| p["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    for panel in panels.iter().filter(|p| p["type"] != "row") {
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel:#}");
        assert!(panel["gridPos"]["x"].as_i64().unwrap() + panel["gridPos"]["w"].as_i64().unwrap() <= 24, "{panel:#}");
    }
}

#[test]
fn promtool_is_content_with_the_rules_and_their_tests() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/prometheus/rules-test.yml");
    for (args, file) in [(["check", "rules"], etc("prometheus-rules.yml")), (["test", "rules"], tests)] {
        let output = Command::new("promtool").args(args).arg(&file).output().expect("promtool");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("SUCCESS"), "{args:?}: {said}");
    }
    // Each alert is told in words, and stands in the tests.
    let rules = std::fs::read_to_string(etc("prometheus-rules.yml")).unwrap();
    let tests =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/prometheus/rules-test.yml")).unwrap();
    let alerts: Vec<&str> = rules.lines().filter_map(|l| l.trim().strip_prefix("- alert: ")).collect();
    let n = |what: &str| rules.lines().filter(|l| l.trim().starts_with(what)).count();
    assert!(alerts.len() >= 12 && n("summary: ") == alerts.len() && n("description: ") == alerts.len(), "{alerts:?}");
    for alert in alerts {
        assert!(tests.matches(alert).count() >= 2, "{alert} is silent in one test, and fires in the other");
    }
}
