//! A real Prometheus scrapes the real daemon, and is asked for what it has seen.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::harness::{Place, SOON, free_port, wait_for, wait_until};
use super::metrics::{etc, expressions, rich};
use super::origin::Origin;

/// Prometheus with a folder and a port of its own; ends with its owner.
struct Prometheus {
    child: Child,
    port: u16,
    _dir: TempDir,
}

impl Prometheus {
    /// One that scrapes `target` each second and knows the rules of etc/.
    fn start(target: u16) -> Prometheus {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let config = dir.path().join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{:?}]\n\
             scrape_configs:\n  - job_name: skypunch\n    static_configs: [{{targets: [\"127.0.0.1:{target}\"]}}]\n",
            etc("prometheus-rules.yml").display().to_string()
        );
        std::fs::write(&config, text).unwrap();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the Debian package prometheus (tests/run installs it)");
        let prometheus = Prometheus { child, port, _dir: dir };
        wait_until("Prometheus is ready", SOON * 2, || prometheus.try_get("/-/ready").is_some_and(|(s, _)| s == 200));
        prometheus
    }

    fn try_get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(SOON)).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: x\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let status = text.split(' ').nth(1)?.parse().ok()?;
        Some((status, text.split_once("\r\n\r\n")?.1.to_owned()))
    }

    /// The data of an answer of its API.
    fn api(&self, path: &str) -> Value {
        let (status, text) = self.try_get(&format!("/api/v1/{path}")).unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {status} {e}: {text}"));
        assert_eq!(answer["status"], "success", "{path}: {answer:#}");
        answer["data"].clone()
    }

    /// What a query gives: labels and value of each series.
    fn query(&self, expr: &str) -> Vec<(Value, f64)> {
        let encoded: String = url::form_urlencoded::byte_serialize(expr.as_bytes()).collect();
        let data = self.api(&format!("query?query={encoded}"));
        let rows = data["result"].as_array().unwrap_or_else(|| panic!("{expr}: {data:#}"));
        rows.iter().map(|r| (r["metric"].clone(), r["value"][1].as_str().unwrap().parse().unwrap())).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn a_real_prometheus_scrapes_it_and_understands_dashboard_and_rules() {
    let (place, origin) = (Place::new(), Origin::start());
    let port = free_port();
    let daemon = rich(&place, &origin, &format!("[http]\nlisten = \"127.0.0.1:{port}\"\n"));
    let prometheus = Prometheus::start(port);
    let one = |expr: &str, wanted: f64| {
        wait_for(expr, SOON, || {
            let found = prometheus.query(expr);
            (found.len() == 1 && found[0].1 == wanted).then(|| found[0].0.clone())
        })
    };
    one("up{job=\"skypunch\"}", 1.0);
    let series = one("skypunch_target_status == 2", 2.0);
    assert_eq!((series["target"].as_str(), series["tenant"].as_str()), (Some("bad"), Some("0")), "{series:#}");
    one("skypunch_targets{status=\"PASS\"}", 1.0);
    one("count(skypunch_probe_results_total)", 29.0);
    one("skypunch_notifier_backlog > bool 0", 1.0);
    wait_until("rates and quantiles come out of two scrapes", SOON, || {
        let quantile = "histogram_quantile(0.5, sum by (le) (rate(skypunch_probe_duration_seconds_bucket[30s]))) > 0";
        let by_reason = "sum by (reason) (rate(skypunch_probe_results_total{verdict=\"FAIL\"}[30s])) > 0";
        prometheus.query(quantile).len() == 1 && prometheus.query(by_reason).len() == 1
    });

    // Nothing was wrong with the page, and no sample was dropped.
    let targets = prometheus.api("targets");
    let target = &targets["activeTargets"][0];
    assert_eq!((&target["health"], &target["lastError"]), (&json!("up"), &json!("")), "{target:#}");
    let scraped = prometheus.query("scrape_samples_scraped");
    assert_eq!(scraped[0].1, prometheus.query("scrape_samples_post_metric_relabeling")[0].1);
    let metadata = prometheus.api("metadata");
    assert_eq!(metadata["skypunch_probe_lateness_seconds"][0]["type"], "histogram", "{metadata:#}");

    // Each expression of the dashboard is one; with the variables filled in.
    let dashboard: Value = serde_json::from_slice(&std::fs::read(etc("grafana-dashboard.json")).unwrap()).unwrap();
    for expr in expressions(&dashboard) {
        prometheus.query(&expr.replace("$instance", ".*").replace("$__rate_interval", "30s"));
    }
    wait_until("each rule was evaluated", SOON, || {
        let groups = prometheus.api("rules");
        let rules: Vec<&Value> =
            groups["groups"].as_array().unwrap().iter().flat_map(|g| g["rules"].as_array().unwrap()).collect();
        assert!(rules.iter().all(|r| r["health"] != "err"), "{rules:#?}");
        rules.len() >= 12 && rules.iter().all(|r| r["health"] == "ok")
    });
    // The example is on its way: it fires after five minutes.
    wait_until("the alert of a failing target is pending", SOON, || {
        prometheus.query("ALERTS{alertname=\"TargetFailing\", target=\"bad\"}").len() == 1
    });
    drop(daemon);
    one("up{job=\"skypunch\"}", 0.0);
}
