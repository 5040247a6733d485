//! A row typed into a plain SQL client is all that it takes; edits are in force at once and disturb nothing else.

use std::time::Duration;

use serde_json::json;
use skypunch::clock::Clock;

use super::harness::{Place, SOON, number, wait_for, wait_until};
use super::origin::{Answer, Origin};

on_both!(
    a_row_with_name_and_url_is_probed_at_once,
    edits_keep_counters_and_the_open_incident,
    disabled_and_deleted_rows_are_probed_no_more,
    a_wrong_row_is_reported_and_disturbs_nothing,
    a_new_wrong_row_stays_new,
    each_wrong_column_is_named,
);

/// What a change in the table may take until it is in force.
const IN_FORCE: Duration = Duration::from_millis(1500);

fn a_row_with_name_and_url_is_probed_at_once(place: &Place) {
    let origin = Origin::start();
    let daemon = place.start();
    place.db.sql(&format!("INSERT INTO targets (name, url) VALUES ('shop', '{}')", origin.url("/shop")));
    wait_until("the origin is asked", IN_FORCE, || origin.count("/shop") > 0);
    let target = daemon.wait_target("shop", "status", &json!("PASS"));
    assert_eq!((number(&target, "id"), number(&target, "pass_count")), (1, 1));
    assert_eq!((&target["frequency_ms"], &target["timeout_ms"]), (&json!(60_000), &json!(null)), "{target:#}");
    wait_until("the overview shows it", SOON, || {
        place.db.sql("SELECT name, status, pass_count, count200 FROM targets_overview") == [["shop", "PASS", "1", "1"]]
    });
    assert_eq!(place.db.sql("SELECT target_id, verdict, status_code FROM results"), [["1", "PASS", "200"]]);
    assert!(origin.head("/shop").starts_with("GET /shop HTTP/1.1\r\n"), "{}", origin.head("/shop"));
}

fn edits_keep_counters_and_the_open_incident(place: &Place) {
    let origin = Origin::start();
    for path in ["/one", "/two"] {
        origin.answer(path, Answer::Status(503));
    }
    let daemon = place.start();
    place.db.add("a", &origin.url("/one"), 200);
    wait_until("it fails", SOON, || origin.count("/one") >= 3);
    let before = daemon.wait_target(1, "status", &json!("FAIL"));
    assert!(before["incident_id"].is_string(), "{before:#}");

    place.db.sql(&format!("UPDATE targets SET url = '{}' WHERE id = 1", origin.url("/two")));
    wait_until("the new URL is asked", IN_FORCE, || origin.count("/two") >= 1);
    let asked = origin.count("/one");
    place.db.sql("UPDATE targets SET name = 'b', frequency_ms = 300 WHERE id = 1");
    wait_until("the new name is known", IN_FORCE, || daemon.target(1)["name"] == json!("b"));
    let reached = origin.count("/two");
    wait_until("probing goes on", SOON, || origin.count("/two") >= reached + 2);
    assert_eq!(origin.count("/one"), asked, "the old URL is asked no more");

    // A request is counted when it comes, its failure a moment later.
    let failures = i64::try_from(asked + reached).unwrap() + 2;
    wait_until("every failure is counted", SOON, || number(&daemon.target("b"), "fail_count") >= failures);
    let after = daemon.target("b");
    assert_eq!(after["incident_id"], before["incident_id"]);
    assert_eq!(after["frequency_ms"], json!(300));
    assert_eq!(after["repeated_fails"], after["fail_count"], "no failure was forgotten");
    wait_until("the database has it so", SOON, || {
        place.db.sql("SELECT COUNT(*) FROM incidents WHERE ended_at IS NULL") == [["1"]]
            && place.db.number("SELECT fail_count FROM target_status") >= number(&after, "fail_count")
    });
}

fn disabled_and_deleted_rows_are_probed_no_more(place: &Place) {
    let origin = Origin::start();
    let daemon = place.start();
    for name in ["a", "b", "stays"] {
        place.db.add(name, &origin.url(&format!("/{name}")), 100);
    }
    wait_until("all are probed", SOON, || ["/a", "/b", "/stays"].iter().all(|p| origin.count(p) >= 3));
    place.db.sql("UPDATE targets SET enabled = FALSE WHERE name = 'a'; DELETE FROM targets WHERE name = 'b'");
    wait_until("both are in force", IN_FORCE, || {
        daemon.target("a")["enabled"] == json!(false) && daemon.request("GET", "/v1/targets/b", None).status == 404
    });
    let counted = || (origin.count("/a"), origin.count("/b"));
    // A request that was on its way when the target was stopped may still arrive.
    let gone = origin.count("/stays");
    wait_until("what was on its way has arrived", SOON, || origin.count("/stays") >= gone + 2);
    let (before, others) = (counted(), origin.count("/stays"));
    wait_until("the other one goes on", SOON, || origin.count("/stays") >= others + 5);
    assert_eq!(counted(), before);
    assert_eq!(daemon.get("/v1/targets").as_array().map(Vec::len), Some(2));
    place.db.sql("UPDATE targets SET enabled = TRUE WHERE name = 'a'");
    wait_until("it is probed again", IN_FORCE, || origin.count("/a") > before.0);
    let target = daemon.wait_target("a", "enabled", &json!(true));
    assert!(number(&target, "pass_count") >= 3, "its counters are kept: {target:#}");
}

fn a_wrong_row_is_reported_and_disturbs_nothing(place: &Place) {
    let origin = Origin::start();
    let daemon = place.start();
    place.db.add("a", &origin.url("/a"), 200);
    place.db.add("other", &origin.url("/other"), 200);
    wait_until("both are probed", SOON, || origin.count("/a") >= 2 && origin.count("/other") >= 2);
    place.db.sql("UPDATE targets SET url = 'nonsense', frequency_ms = 0 WHERE name = 'a'");
    let target = wait_for("the problems are shown", IN_FORCE, || {
        Some(daemon.target("a")).filter(|t| t["problems"].as_array().is_some_and(|p| !p.is_empty()))
    });
    let problems = target["problems"].as_array().unwrap();
    let fields: Vec<_> = problems.iter().map(|p| p["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["url", "frequency_ms"], "{problems:?}");
    assert!(problems[0]["message"].as_str().unwrap().contains("write http://host/path"), "{problems:?}");
    assert!(problems[1]["message"].as_str().unwrap().contains("write 100"), "{problems:?}");
    daemon.wait_one_line(&["cannot be applied", "target: 1", "url", "nonsense", "write http", "frequency_ms"]);
    let status = daemon.status();
    assert_eq!(status["definitions"]["invalid"][0]["id"], json!(1), "{status:#}");

    let (a, other) = (origin.count("/a"), origin.count("/other"));
    wait_until("the last good form goes on", SOON, || {
        origin.count("/a") >= a + 3 && origin.count("/other") >= other + 3
    });
    assert_eq!(daemon.target("a")["status"], json!("PASS"));
    let test = daemon.lines("POST", "/v1/targets/a/test").last().unwrap();
    assert_eq!(test["outcome"]["verdict"], json!("PASS"), "what is in force is tested: {test:#}");
    let undisturbed = daemon.target("other");
    assert_eq!((&undisturbed["missed_count"], &undisturbed["fail_count"]), (&json!(0), &json!(0)), "{undisturbed:#}");

    place.db.sql(&format!("UPDATE targets SET url = '{}', frequency_ms = 100 WHERE name = 'a'", origin.url("/mended")));
    wait_until("the mended row is in force", IN_FORCE, || origin.count("/mended") > 0);
    let mended = daemon.target("a");
    assert_eq!(mended["problems"], json!([]));
    assert_eq!(daemon.status()["definitions"]["invalid"], json!([]));
    assert!(number(&mended, "pass_count") >= 5, "its counters are kept: {mended:#}");
}

fn a_new_wrong_row_stays_new(place: &Place) {
    let origin = Origin::start();
    let daemon = place.start();
    place.db.add("a", "gopher://127.0.0.1/", 100);
    let target = wait_for("it is known", IN_FORCE, || {
        Some(daemon.request("GET", "/v1/targets/a", None)).filter(|a| a.status == 200).map(|a| a.json())
    });
    assert_eq!((&target["status"], &target["fail_count"]), (&json!("NEW"), &json!(0)), "{target:#}");
    let description = target["status_description"].as_str().unwrap();
    assert!(description.contains("url") && description.contains("gopher"), "{description}");
    assert_eq!(place.db.number("SELECT COUNT(*) FROM results"), 0);
    place.db.sql(&format!("UPDATE targets SET url = '{}'", origin.url("/a")));
    daemon.wait_target("a", "status", &json!("PASS"));
    assert_eq!(daemon.get("/v1/incidents"), json!([]));
}

/// Everything that a person can type into a column, each wrong in its own way.
fn each_wrong_column_is_named(place: &Place) {
    let origin = Origin::start();
    let good = origin.url("/good");
    let rows: &[(&str, &str, &str)] = &[
        ("url", "''", "write http://host/path"),
        ("url", "'http://'", "write http://host/path"),
        ("url", "'http://user:hunter2@127.0.0.1/'", "authn BASIC"),
        ("url", "'http://127.0.0.1:99999/'", "write http://host/path"),
        ("method", "'FETCH'", "write one of"),
        ("headers", "'no colon here'", "write `Name: value`"),
        ("headers", "'Host: a'", "set by `host`"),
        ("authn", "'KERBEROS'", "BASIC"),
        ("pass_result", "'two hundred'", "200"),
        ("pass_result", "'299-200'", "299"),
        ("frequency_ms", "-5", "write 100"),
        ("frequency_ms", "0", "write 100"),
        ("frequency_ms", "9223372036854775807", "write 100"),
        ("timeout_ms", "0", "write 10"),
        ("timeout_ms", "70000", "longer than frequency_ms"),
        ("fail_after", "0", "write 1 to 1000"),
        ("recover_after", "-1", "write 1 to 1000"),
        ("redirects", "1000", "redirects"),
        ("tls_ca", "'relative.pem'", "absolute path"),
        ("host", "'a b'", "host name"),
        ("tls_server_name", "'a/b'", "host name"),
        ("keep_alive", "1001", "write 0 (a fresh connection for each probe) to 1000"),
        ("egress_allow", "'10.0.0.1/8'", "write 10.0.0.0/8"),
        ("egress_allow", "'metadata, lopback'", "did you mean loopback?"),
    ];
    let daemon = place.start();
    place.db.sql(&format!("INSERT INTO targets (name, url, frequency_ms) VALUES ('good', '{good}', 100)"));
    let inserts: String = rows
        .iter()
        .enumerate()
        .map(|(i, (column, value, _))| match *column {
            "url" => format!("INSERT INTO targets (name, url) VALUES ('wrong{i}', {value});\n"),
            _ => format!("INSERT INTO targets (name, url, {column}) VALUES ('wrong{i}', '{good}', {value});\n"),
        })
        .collect();
    place.db.sql(&inserts);
    let clock = Clock::system();
    let committed = clock.now();
    let status = wait_for("all are reported", SOON, || {
        Some(daemon.status()).filter(|s| s["targets"]["invalid"] == json!(rows.len()))
    });
    assert!(clock.now().since(committed) < SOON);
    for (i, (column, value, mend)) in rows.iter().enumerate() {
        let target = daemon.target(format!("wrong{i}"));
        let problems = target["problems"].as_array().unwrap();
        assert_eq!(problems.len(), 1, "{column} {value}: {problems:?}");
        assert_eq!(problems[0]["field"], json!(column), "{column} {value}: {problems:?}");
        let message = problems[0]["message"].as_str().unwrap();
        let whole = format!("{column} {message}");
        assert!(whole.contains(mend), "{column} {value}: {message}");
        assert_eq!(target["status"], json!("NEW"), "{column} {value}");
    }
    assert_eq!(status["targets"]["total"], json!(rows.len() + 1));
    let asked = origin.count("/good");
    wait_until("the good one goes on", SOON, || origin.count("/good") >= asked + 3);
    assert!(!daemon.log().contains("hunter2"), "a password is shown");
    assert_eq!(place.db.number("SELECT COUNT(*) FROM results WHERE verdict <> 'PASS'"), 0);
}
