//! The control socket: every route, and what each does to the database and to what is probed.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::harness::{Place, SOON, number, wait_for, wait_until};
use super::origin::{Answer, Origin};

on_both!(
    targets_are_added_edited_and_removed,
    a_row_is_found_from_its_commit_on,
    a_list_of_targets_is_planned_applied_and_pruned,
    history_and_incidents_are_read,
    a_test_streams_its_steps_and_touches_no_counter,
);

/// A field of each element.
fn all<'a>(list: &'a Value, field: &str) -> Vec<&'a Value> {
    list.as_array().unwrap_or_else(|| panic!("no list: {list:#}")).iter().map(|v| &v[field]).collect()
}

fn targets_are_added_edited_and_removed(place: &Place) {
    let origin = Origin::start();
    let daemon = place.start();
    let body = json!({
        "name": "shop", "tenantid": "acme", "url": origin.url("/post"), "method": "POST", "frequency": "200ms",
        "headers": ["X-Probe: 1", "Accept: text/plain"], "body": "ping", "tags": ["web", "eu"],
    });
    let added = daemon.request("POST", "/v1/targets", Some(&body));
    assert_eq!(added.status, 201, "{}", String::from_utf8_lossy(&added.body));
    let added = added.json();
    assert_eq!((&added["name"], &added["frequency_ms"]), (&json!("shop"), &json!(200)), "{added:#}");
    let id = number(&added, "id");
    wait_until("it is probed", SOON, || origin.count("/post") >= 2);
    let head = origin.head("/post").to_lowercase();
    assert!(head.starts_with("post /post http/1.1\r\n"), "{head}");
    assert!(head.contains("x-probe: 1\r\n") && head.contains("content-length: 4\r\n"), "{head}");
    let row = place.db.sql("SELECT tenantid, name, method, frequency_ms, body, enabled FROM targets");
    assert_eq!(row, [["acme", "shop", "POST", "200", "ping", "1"]]);

    for reference in [id.to_string(), "shop".into(), "acme%2Fshop".into(), "name:shop".into()] {
        assert_eq!(number(&daemon.target(&reference), "id"), id, "{reference}");
    }
    daemon.wait_target("shop", "status", &json!("PASS"));
    for (filter, hits) in [
        ("", 1),
        ("?status=PASS&tenant=acme&tag=eu&enabled=true", 1),
        ("?status=FAIL", 0),
        ("?tenant=0", 0),
        ("?tag=us", 0),
        ("?enabled=false", 0),
    ] {
        let list = daemon.get(&format!("/v1/targets{filter}"));
        assert_eq!(list.as_array().map(Vec::len), Some(hits), "{filter}");
    }

    let edited = daemon.ask("PATCH", "/v1/targets/shop", Some(&json!({"url": origin.url("/new"), "method": "GET"})));
    assert_eq!((&edited["method"], &edited["body"], number(&edited, "id")), (&json!("GET"), &json!("ping"), id));
    assert!(number(&edited, "pass_count") >= 2, "{edited:#}");
    wait_until("the new URL is asked", SOON, || origin.count("/new") >= 1);

    let disabled = daemon.ask("POST", "/v1/targets/shop/disable", None);
    assert_eq!((&disabled["enabled"], place.db.number("SELECT enabled FROM targets")), (&json!(false), 0));
    let enabled = daemon.ask("POST", "/v1/targets/shop/enable", None);
    assert_eq!((&enabled["enabled"], place.db.number("SELECT enabled FROM targets")), (&json!(true), 1));

    place.db.sql("UPDATE targets SET name = 'store'");
    let reloaded = daemon.ask("POST", "/v1/reload", None);
    assert_eq!((&reloaded["targets"], &reloaded["invalid"]), (&json!(1), &json!(0)), "{reloaded}");
    assert_eq!(daemon.target(id)["name"], json!("store"), "in force when it is answered");

    let removed = daemon.ask("DELETE", "/v1/targets/store", None);
    assert_eq!(removed, json!({"id": id, "tenantid": "acme", "name": "store"}));
    assert_eq!((place.db.number("SELECT COUNT(*) FROM targets"), daemon.get("/v1/targets")), (0, json!([])));
    let again = daemon.request("POST", "/v1/targets", Some(&body)).json();
    assert!(number(&again, "id") > id, "ids are never given again: {again:#}");

    // Each change is in the log with who made it.
    let who = [format!("uid: {}", rustix::process::getuid().as_raw()), format!("pid: {}", std::process::id())];
    for (change, times) in [("add", 2), ("edit", 1), ("disable", 1), ("enable", 1), ("remove", 1)] {
        let words = ["control socket", &format!("change: {change}"), &who[0], &who[1]];
        wait_until(&format!("{times} lines of {change}"), SOON, || daemon.log_lines(&words).len() == times);
    }
    daemon.wait_one_line(&["reload", &who[0], &who[1]]);
}

/// Whoever writes a row with an SQL client asks about it at once, as scripts do.
fn a_row_is_found_from_its_commit_on(place: &Place) {
    let origin = Origin::start();
    let daemon = place.start();
    let found = |path: &str| {
        let answer = daemon.request("GET", path, None);
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        answer.json()
    };
    for n in 0..20 {
        place.db.add(&format!("row{n}"), &origin.url("/row"), 3_600_000);
        let target = found(&format!("/v1/targets/row{n}"));
        place.db.sql(&format!("UPDATE targets SET name = 'other{n}' WHERE name = 'row{n}'"));
        assert_eq!(found(&format!("/v1/targets/other{n}"))["id"], target["id"]);
        place.db.sql(&format!(
            "INSERT INTO notifiers (name, type, address) VALUES ('row{n}', 'SLACK', '{}')",
            origin.url("/n")
        ));
        found(&format!("/v1/notifiers/row{n}"));
        place.db.sql(&format!("INSERT INTO credentials (name, type) VALUES ('row{n}', 'OPENSTACK')"));
        found(&format!("/v1/credentials/row{n}"));
    }
    // What is changed is what has the name now.
    for (n, method, what) in [(5, "DELETE", ""), (7, "POST", "/disable"), (9, "PATCH", "")] {
        let id = number(&daemon.target(format!("other{}", n + 1)), "id");
        place.db.sql(&format!("UPDATE targets SET name = 'gone{n}' WHERE name = 'other{n}'"));
        place.db.sql(&format!("UPDATE targets SET name = 'other{n}' WHERE id = {id}"));
        let body = (method == "PATCH").then(|| json!({"frequency": "2h"}));
        let changed = daemon.ask(method, &format!("/v1/targets/other{n}{what}"), body.as_ref());
        assert_eq!(number(&changed, "id"), id, "{method}: {changed:#}");
    }
    let unknown = daemon.request("GET", "/v1/targets/othr3", None);
    let said = unknown.json()["detail"].clone();
    assert_eq!((unknown.status, said), (404, json!("there is no target `othr3` (did you mean `other3`?)")));
}

fn a_list_of_targets_is_planned_applied_and_pruned(place: &Place) {
    let origin = Origin::start();
    let daemon = place.start();
    let kept = place.db.add("kept", &origin.url("/kept"), 200);
    place.db.add("other", &origin.url("/other"), 200);
    daemon.wait_target("kept", "status", &json!("PASS"));
    daemon.wait_target("other", "status", &json!("PASS"));
    let file = |plan: bool, prune: bool| {
        json!({"plan": plan, "prune": prune, "targets": [
            {"name": "renamed", "renamed_from": "kept", "url": origin.url("/kept"), "frequency": "300ms"},
            {"name": "new", "url": origin.url("/new")},
        ]})
    };
    let planned = daemon.ask("POST", "/v1/apply", Some(&file(true, true)));
    assert_eq!(all(&planned["changes"], "action"), ["rename", "insert", "delete"], "{planned:#}");
    assert_eq!(planned["applied"], json!(false));
    let names = || place.db.sql("SELECT name FROM targets ORDER BY id").concat();
    assert_eq!(names(), ["kept", "other"], "a plan changes nothing");

    let applied = daemon.ask("POST", "/v1/apply", Some(&file(false, false)));
    assert_eq!(all(&applied["changes"], "action"), ["rename", "insert"], "{applied:#}");
    assert_eq!(all(&applied["changes"][0]["fields"], "field"), ["name", "frequency_ms"], "{applied:#}");
    assert_eq!(names(), ["renamed", "other", "new"], "nothing is deleted without being asked");
    let renamed = daemon.target("renamed");
    assert_eq!((number(&renamed, "id"), number(&renamed, "frequency_ms")), (kept, 300));
    assert!(number(&renamed, "pass_count") >= 1, "history is kept: {renamed:#}");
    let again = daemon.ask("POST", "/v1/apply", Some(&file(false, false)));
    assert_eq!(all(&again["changes"], "action"), ["unchanged", "unchanged"], "{again:#}");

    daemon.ask("POST", "/v1/apply", Some(&file(false, true)));
    assert_eq!(names(), ["renamed", "new"]);
    assert_eq!(daemon.request("GET", "/v1/targets/other", None).status, 404);
    let exported = daemon.get("/v1/export");
    assert_eq!(all(&exported["targets"], "name"), ["new", "renamed"]);
    let back = daemon.ask("POST", "/v1/apply", Some(&json!({"targets": exported["targets"], "prune": true})));
    assert_eq!(all(&back["changes"], "action"), ["unchanged", "unchanged"], "an export reads back: {back:#}");
}

fn history_and_incidents_are_read(place: &Place) {
    let origin = Origin::start();
    origin.script("/", &[200, 200, 500, 500, 200]);
    let daemon = place.start();
    // So slow that none times out on a busy machine.
    place.db.add("a", &origin.url("/"), 300);
    place.db.add("b", &origin.url("/b"), 300);
    daemon.wait_target("b", "status", &json!("PASS"));
    let history = |query: &str| daemon.get(&format!("/v1/targets/a/history{query}"));
    wait_until("there is a history", SOON, || history("").as_array().is_some_and(|h| h.len() >= 7));
    let rows = history("?limit=1000");
    let list = rows.as_array().unwrap();
    let oldest: Vec<&Value> = list.iter().rev().take(5).map(|r| &r["verdict"]).collect();
    assert_eq!(oldest, ["PASS", "PASS", "FAIL", "FAIL", "PASS"], "the latest first");
    let failed = &list[list.len() - 3];
    assert_eq!((&failed["reason"], &failed["status_code"]), (&json!("status"), &json!(500)), "{failed:#}");
    assert!(failed["description"].as_str().is_some_and(|d| d.contains("500")), "{failed:#}");
    assert!(all(&rows, "target_id").iter().all(|id| **id == json!(1)));
    assert_eq!(history("?limit=2").as_array().map(Vec::len), Some(2));
    let since = number(&list[2], "started_at");
    let recent = history(&format!("?since_ms={since}&limit=1000"));
    assert!(all(&recent, "started_at").iter().all(|t| t.as_i64().unwrap() >= since), "{recent:#}");
    assert!(recent.as_array().is_some_and(|r| r.len() >= 3));

    let incidents = wait_for("the incident has ended", SOON, || {
        Some(daemon.get("/v1/incidents?open=false")).filter(|i| i.as_array().is_some_and(|a| !a.is_empty()))
    });
    assert_eq!((all(&incidents, "name"), all(&incidents, "ended_by")), (vec![&json!("a")], vec![&json!("recovered")]));
    let id = incidents[0]["id"].as_str().unwrap();
    assert_eq!(failed["incident_id"], json!(id));
    assert_eq!(daemon.get(&format!("/v1/incidents/{id}"))["id"], json!(id));
    for (query, hits) in [("?target=a", 1), ("?target=b", 0), ("?open=true", 0), ("?limit=1", 1)] {
        assert_eq!(daemon.get(&format!("/v1/incidents{query}")).as_array().map(Vec::len), Some(hits), "{query}");
    }
}

fn a_test_streams_its_steps_and_touches_no_counter(place: &Place) {
    let origin = Origin::start();
    let daemon = place.start();
    place.db.add("a", &origin.url("/a"), 3_600_000);
    let before = daemon.wait_target("a", "status", &json!("PASS"));
    wait_until("it is written", SOON, || place.db.number("SELECT COUNT(*) FROM results") == 1);
    for (status, verdict) in [(200, "PASS"), (503, "FAIL")] {
        origin.answer("/a", Answer::Status(status));
        let lines: Vec<Value> = daemon.lines("POST", "/v1/targets/a/test").collect();
        assert_eq!(lines[0]["started"]["name"], json!("a"), "{lines:#?}");
        let steps: Vec<&Value> = lines.iter().filter_map(|l| l.get("step")).collect();
        assert_eq!(lines.len(), steps.len() + 2, "{lines:#?}");
        assert!(steps.len() >= 4, "{lines:#?}");
        assert!(steps.windows(2).all(|w| number(w[0], "at_us") <= number(w[1], "at_us")), "{steps:#?}");
        let outcome = &lines[lines.len() - 1]["outcome"];
        assert_eq!((&outcome["verdict"], &outcome["status_code"]), (&json!(verdict), &json!(status)), "{outcome:#}");
    }
    assert_eq!(origin.count("/a"), 3);
    assert_eq!(daemon.target("a"), before);
    assert_eq!(place.db.number("SELECT COUNT(*) FROM results"), 1);
    // It comes step by step, not all at the end.
    origin.answer("/a", Answer::Hold);
    let mut lines = daemon.lines("POST", "/v1/targets/a/test");
    wait_until("the request was sent", SOON, || {
        lines.next().is_some_and(|l| l["step"]["step"].as_str().is_some_and(|s| s.contains("sen")))
    });
    assert_eq!(origin.count("/a"), 4);
    origin.release();
    let last = lines.last().unwrap();
    assert_eq!(last["outcome"]["reason"], json!("closed_early"), "{last:#}");
    assert_eq!(daemon.target("a"), before);
}

#[test]
fn watch_streams_results_as_they_come() {
    let origin = Origin::start();
    let place = Place::new();
    let daemon = place.start();
    place.db.add("a", &origin.url("/a"), 100);
    place.db.add("b", &origin.url("/b"), 100);
    daemon.wait_target("b", "status", &json!("PASS"));
    let mut names: Vec<Value> = daemon.lines("GET", "/v1/watch").take(10).map(|l| l["name"].clone()).collect();
    names.sort_by_key(Value::to_string);
    names.dedup();
    assert_eq!(names, ["a", "b"]);
    let mut only = daemon.lines("GET", "/v1/watch?target=a");
    for _ in 0..3 {
        let line = only.next().unwrap();
        assert_eq!((&line["name"], &line["verdict"]), (&json!("a"), &json!("PASS")), "{line:#}");
    }
    origin.answer("/a", Answer::Status(404));
    wait_until("the failure is seen", SOON, || only.next().is_some_and(|l| l["status_code"] == json!(404)));
}

#[test]
fn the_socket_is_for_its_group_and_goes_with_the_daemon() {
    let place = Place::new();
    let mut daemon = place.start();
    let mode = std::fs::metadata(&daemon.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let health = daemon.request("GET", "/healthz", None);
    assert_eq!(health.status, 200);
    let stopping = daemon.ask("POST", "/v1/stop", None);
    assert_eq!(stopping, json!({"pid": daemon.pid()}));
    assert!(daemon.wait(SOON).success());
    assert!(!daemon.socket.exists());
    let who = format!("pid: {}", std::process::id());
    assert_eq!(daemon.log_lines(&["stop asked for through the control socket", &who]).len(), 1, "{}", daemon.log());
}
