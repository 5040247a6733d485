//! One failure, one incident: whatever happens between its beginning and its end.

use std::process::Command;

use serde_json::{Value, json};

use super::harness::{Place, SOON, number, wait_for, wait_until};
use super::origin::{Answer, Origin};

on_both!(
    killing_and_restarting_the_server_gives_one_incident,
    thresholds_decide_what_opens_and_what_ends,
    a_disabled_target_withdraws_its_incident,
    a_deleted_target_withdraws_its_incident,
    the_name_of_a_target_that_is_gone_stands_with_its_incident,
    many_withdrawals_are_written_behind_the_results_before_them,
    an_open_incident_survives_a_crash,
);

/// The steps of a trace, by name.
fn steps(trace: &Value) -> Vec<String> {
    let steps = trace["steps"].as_array().or_else(|| trace.as_array()).unwrap_or_else(|| panic!("no trace: {trace:#}"));
    steps.iter().map(|s| s["step"].as_str().unwrap_or_else(|| panic!("{s}")).to_owned()).collect()
}

fn killing_and_restarting_the_server_gives_one_incident(place: &Place) {
    let mut origin = Origin::start();
    let daemon = place.start();
    place.db.add("shop", &origin.url("/"), 100);
    wait_until("it passes", SOON, || origin.count("/") >= 3);
    daemon.wait_target("shop", "status", &json!("PASS"));
    origin.stop();
    let failing = daemon.wait_target("shop", "status", &json!("FAIL"));
    assert_eq!((&failing["reason"], &failing["previous_status"]), (&json!("connect_refused"), &json!("PASS")));
    let open = &failing["open_incident"];
    assert_eq!((&open["reason"], &open["ended_at"]), (&json!("connect_refused"), &json!(null)), "{failing:#}");
    wait_until("it fails on", SOON, || number(&daemon.target("shop"), "repeated_fails") >= 3);
    origin.restart();
    let passing = daemon.wait_target("shop", "status", &json!("PASS"));
    assert_eq!((&passing["open_incident"], &passing["incident_id"]), (&json!(null), &json!(null)));

    let incident = wait_for("its end is written", SOON, || {
        let all = daemon.get("/v1/incidents");
        assert_eq!(all.as_array().map(Vec::len), Some(1), "exactly one: {all:#}");
        Some(all[0].clone()).filter(|i| i["ended_by"] == json!("recovered"))
    });
    assert_eq!((&incident["id"], &incident["name"]), (&open["id"], &json!("shop")));
    assert!(number(&incident, "ended_at") > number(&incident, "started_at"), "{incident:#}");
    let detail = daemon.get(&format!("/v1/incidents/{}", incident["id"].as_str().unwrap()));
    let (first, good) = (steps(&detail["first_trace"]), steps(&detail["last_good_trace"]));
    assert_eq!(first.last().map(String::as_str), Some("failed"), "{first:?}");
    assert!(first.iter().any(|s| s.contains("connect")), "{first:?}");
    assert!(good.len() > first.len() && !good.contains(&"failed".to_owned()), "{good:?}");
    assert!(good.iter().any(|s| s == "first_byte"), "{good:?}");
    let written = place.db.sql("SELECT subject_kind, subject_id, reason, ended_by FROM incidents");
    assert_eq!(written, [["target", "1", "connect_refused", "recovered"]]);
    // Every result within it says so, none outside of it does.
    let inside = "SELECT COUNT(*) FROM results WHERE (verdict = 'FAIL') <> (incident_id IS NOT NULL)";
    assert_eq!(place.db.number(inside), 0);
}

fn thresholds_decide_what_opens_and_what_ends(place: &Place) {
    let origin = Origin::start();
    let script = [200, 503, 503, 200, 503, 503, 503, 200, 503, 200, 200, 200];
    origin.script("/", &script);
    let daemon = place.start();
    place.db.sql(&format!(
        "INSERT INTO targets (name, url, frequency_ms, fail_after, recover_after) VALUES ('a', '{}', 250, 3, 2)",
        origin.url("/")
    ));
    wait_until("the script is over", SOON, || origin.count("/") >= 14);
    let rows = wait_for("the results are written", SOON, || {
        let query = "SELECT verdict, CASE WHEN incident_id IS NULL THEN '-' ELSE 'open' END FROM results ORDER BY id";
        Some(place.db.sql(query)).filter(|rows| rows.len() >= script.len())
    });
    let seen: Vec<String> = rows.iter().take(script.len()).map(|r| r.join(" ")).collect();
    let (pass, fail) = ("PASS -", "FAIL -");
    let open = ["FAIL open", "PASS open", "FAIL open", "PASS open"];
    let wanted = [&[pass, fail, fail, pass, fail, fail], &open[..], &[pass, pass]].concat();
    assert_eq!(seen, wanted);
    let incidents = daemon.get("/v1/incidents");
    assert_eq!(incidents.as_array().map(Vec::len), Some(1), "{incidents:#}");
    assert_eq!(incidents[0]["ended_by"], json!("recovered"));
    assert_eq!(incidents[0]["reason"], json!("status"));
}

/// A failing target and its open incident's id.
fn failing(place: &Place, origin: &Origin) -> (super::harness::Daemon, String) {
    origin.answer("/", Answer::Status(500));
    let daemon = place.start();
    place.db.add("a", &origin.url("/"), 100);
    let target = daemon.wait_target("a", "status", &json!("FAIL"));
    wait_until("the incident is written", SOON, || place.db.number("SELECT COUNT(*) FROM incidents") == 1);
    (daemon, target["incident_id"].as_str().unwrap().to_owned())
}

fn wait_withdrawn(place: &Place, id: &str) {
    wait_until("it is withdrawn", SOON, || {
        place.db.sql("SELECT id, ended_by, ended_at IS NOT NULL FROM incidents") == [[id, "withdrawn", "1"]]
    });
}

fn a_disabled_target_withdraws_its_incident(place: &Place) {
    let origin = Origin::start();
    let (daemon, id) = failing(place, &origin);
    place.db.sql("UPDATE targets SET enabled = FALSE");
    wait_withdrawn(place, &id);
    let target = daemon.target("a");
    assert_eq!(target["incident_id"], json!(null), "{target:#}");
    wait_until("its status is written", SOON, || place.db.sql("SELECT incident_id FROM target_status") == [["NULL"]]);
    // When it is watched again and still fails, that is another incident.
    place.db.sql("UPDATE targets SET enabled = TRUE");
    wait_until("it fails anew", SOON, || {
        daemon.get("/v1/incidents?open=true").as_array().is_some_and(|a| a.len() == 1)
    });
    let open = daemon.get("/v1/incidents?open=true");
    assert_ne!(open[0]["id"], json!(id));
    assert_eq!(daemon.get("/v1/incidents").as_array().map(Vec::len), Some(2));
}

fn a_deleted_target_withdraws_its_incident(place: &Place) {
    let origin = Origin::start();
    let (daemon, id) = failing(place, &origin);
    place.db.sql("DELETE FROM targets");
    wait_withdrawn(place, &id);
    assert_eq!(daemon.request("GET", "/v1/targets/a", None).status, 404);
}

fn the_name_of_a_target_that_is_gone_stands_with_its_incident(place: &Place) {
    let origin = Origin::start();
    let (daemon, id) = failing(place, &origin);
    place.db.sql("DELETE FROM targets");
    wait_withdrawn(place, &id);
    wait_until("it is gone", SOON, || daemon.get("/v1/targets") == json!([]));
    assert_eq!(place.db.sql("SELECT subject_name, tenantid FROM incidents"), [["a", "0"]]);
    let list = daemon.get("/v1/incidents");
    assert_eq!((&list[0]["name"], &list[0]["tenantid"]), (&json!("a"), &json!("0")), "{list:#}");
    assert_eq!(daemon.get(&format!("/v1/incidents/{id}"))["name"], json!("a"));
}

fn many_withdrawals_are_written_behind_the_results_before_them(place: &Place) {
    let origin = Origin::start();
    origin.answer("/", Answer::Status(500));
    let mut daemon = place.start();
    let rows: Vec<String> = (0..30).map(|i| format!("('t{i}', '{}', 100)", origin.url("/"))).collect();
    place.db.sql(&format!("INSERT INTO targets (name, url, frequency_ms) VALUES {}", rows.join(",")));
    let open = "SELECT COUNT(*) FROM incidents WHERE ended_at IS NULL";
    wait_until("all have failed", SOON, || place.db.number(open) == 30);
    place.db.sql("UPDATE targets SET enabled = FALSE");
    wait_until("all are withdrawn", SOON, || place.db.number(open) == 0);
    daemon.terminate();
    assert_eq!(place.db.number("SELECT COUNT(*) FROM incidents WHERE ended_by = 'withdrawn'"), 30);
    // The last result of a target waits for company for some milliseconds, in which it must not be overtaken.
    assert_eq!(place.db.number("SELECT COUNT(*) FROM target_status WHERE incident_id IS NOT NULL"), 0);
}

fn an_open_incident_survives_a_crash(place: &Place) {
    let origin = Origin::start();
    let (mut daemon, id) = failing(place, &origin);
    daemon.kill();
    let daemon = place.start();
    let target = daemon.target("a");
    assert_eq!((&target["status"], &target["incident_id"]), (&json!("FAIL"), &json!(id)), "{target:#}");
    let asked = origin.count("/");
    wait_until("it fails on", SOON, || origin.count("/") >= asked + 3);
    assert_eq!(daemon.target("a")["incident_id"], json!(id));
    origin.answer("/", Answer::Status(200));
    daemon.wait_target("a", "status", &json!("PASS"));
    wait_until("it has ended", SOON, || {
        place.db.sql("SELECT id, ended_by FROM incidents") == [[id.as_str(), "recovered"]]
    });
}

#[test]
fn local_resources_when_descriptors_run_out_and_never_the_targets_failure() {
    let origin = Origin::start();
    origin.answer("/hold", Answer::Hold);
    let place = Place::new();
    let mut setup = place.setup().extra("[log]\nresults = \"none\"\n");
    setup.wrapper = vec!["prlimit".into(), "--nofile=64:64".into()];
    let daemon = setup.start();
    let row = |name: String, path: &str, ms: u32| format!("('{name}', '{}', {ms}, {ms})", origin.url(path));
    let holders = (0..70).map(|i| row(format!("holder{i}"), "/hold", 30_000));
    let others = (0..10).map(|i| row(format!("other{i}"), "/other", 200));
    let rows: Vec<String> = holders.chain(others).collect();
    place.db.sql(&format!("INSERT INTO targets (name, url, frequency_ms, timeout_ms) VALUES {}", rows.join(",")));
    let unknown = "SELECT COUNT(*) FROM target_status JOIN targets ON id = target_id \
                   WHERE name LIKE 'other%' AND status = 'UNKNOWN' AND reason = 'local_resources' AND unknown_count >= 3";
    wait_until("all others are UNKNOWN", SOON, || place.db.number(unknown) == 10);
    // Whoever looks what is wrong is answered all the same.
    for _ in 0..10 {
        let mut ctl = Command::new(env!("CARGO_BIN_EXE_skypunchctl"));
        let output = ctl.arg("--socket").arg(&daemon.socket).arg("status").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("| Unknown "));
    }
    let wrong =
        "SELECT COUNT(*) FROM results WHERE verdict = 'FAIL' OR (reason = 'local_resources') <> (verdict = 'UNKNOWN')";
    assert_eq!(place.db.number(wrong), 0);
    assert_eq!(place.db.number("SELECT SUM(fail_count) FROM target_status"), 0);
    origin.release();
    let well = "SELECT COUNT(*) FROM target_status JOIN targets ON id = target_id \
                WHERE name LIKE 'other%' AND status = 'PASS' AND pass_count > 0 AND fail_count = 0";
    wait_until("all others pass", SOON, || place.db.number(well) == 10);
    let theirs = "SELECT COUNT(*) FROM incidents JOIN targets t ON t.id = subject_id WHERE name LIKE 'other%'";
    assert_eq!(place.db.number(theirs), 0);
    assert_eq!(daemon.log_lines(&["panicked"]), Vec::<String>::new());
}
