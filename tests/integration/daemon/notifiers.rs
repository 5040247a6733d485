//! Notifiers as definitions: over the socket, in a plain SQL client, in files, with the command-line tool.

use std::process::Command;

use serde_json::{Value, json};

use super::harness::{Daemon, Place, SOON, file, number, wait_until};

on_both!(
    notifiers_are_added_edited_and_removed,
    what_is_typed_is_in_force_and_what_is_wrong_is_told,
    files_hold_notifiers_too,
    the_last_known_notifiers_go_on_without_the_database,
    the_tool_shows_and_changes_them,
    bad_notifiers_are_told_what_to_write,
    an_incident_says_what_was_told_of_it,
);

const URL: &str = "https://hooks.example/services/T0/hunter2";

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|n| n["name"].as_str().unwrap()).collect()
}

fn problems(daemon: &Daemon, reference: &str) -> Vec<String> {
    let told = daemon.get(&format!("/v1/notifiers/{reference}"))["problems"].clone();
    told.as_array().unwrap().iter().map(|p| p["field"].as_str().unwrap().to_owned()).collect()
}

fn notifiers_are_added_edited_and_removed(place: &Place) {
    let daemon = place.start();
    let body = json!({"name": "chat", "tenantid": "acme", "type": "WEBHOOK", "address": URL, "params": "token=hunter2",
        "group_wait": "1s", "events": ["fail", "recovery"]});
    let added = daemon.request("POST", "/v1/notifiers", Some(&body));
    assert_eq!(added.status, 201, "{}", String::from_utf8_lossy(&added.body));
    let added = added.json();
    let id = number(&added, "id");
    assert_eq!((&added["address"], &added["params"]), (&json!("https://hooks.example/***"), &json!("***")));
    assert_eq!((&added["group_wait_ms"], &added["events"]), (&json!(1000), &json!(["fail", "recovery"])));
    assert_eq!(
        (&added["pass_count"], &added["last_sent_at"], &added["problems"]),
        (&json!(0), &Value::Null, &json!([]))
    );
    let row = || place.db.sql("SELECT name, address, params, enabled, group_wait_ms FROM notifiers");
    assert_eq!(row(), [["chat", URL, "token=hunter2", "1", "1000"]]);
    for reference in [id.to_string(), "chat".into(), "acme%2Fchat".into(), "name:chat".into()] {
        assert_eq!(number(&daemon.get(&format!("/v1/notifiers/{reference}")), "id"), id, "{reference}");
    }
    for (filter, hits) in [("", 1), ("?tenant=acme&enabled=true", 1), ("?tenant=0", 0), ("?enabled=false", 0)] {
        let list = daemon.get(&format!("/v1/notifiers{filter}"));
        assert_eq!(list.as_array().map(Vec::len), Some(hits), "{filter}");
        assert!(!list.to_string().contains("hunter2"), "{list}");
    }
    // What is shown can be sent back: secrets stay.
    let shown = json!({"address": added["address"], "params": "***", "remind": "1h"});
    let edited = daemon.ask("PATCH", "/v1/notifiers/chat", Some(&shown));
    assert_eq!(edited["remind_ms"], json!(3_600_000));
    assert_eq!(row()[0][1..3], [URL, "token=hunter2"]);
    assert_eq!(daemon.ask("POST", "/v1/notifiers/chat/disable", None)["enabled"], json!(false));
    assert_eq!(row()[0][3], "0");
    assert_eq!(daemon.ask("POST", "/v1/notifiers/chat/enable", None)["enabled"], json!(true));
    let removed = daemon.ask("DELETE", "/v1/notifiers/chat", None);
    assert_eq!(removed, json!({"id": id, "tenantid": "acme", "name": "chat"}));
    assert_eq!((place.db.number("SELECT COUNT(*) FROM notifiers"), daemon.get("/v1/notifiers")), (0, json!([])));
    let again = daemon.request("POST", "/v1/notifiers", Some(&body)).json();
    assert!(number(&again, "id") > id, "ids are never given again: {again:#}");
    for (change, times) in [("add", 2), ("edit", 1), ("disable", 1), ("enable", 1), ("remove", 1)] {
        let words = ["control socket", &format!("change: {change}"), "notifier: "];
        wait_until(&format!("{times} lines of {change}"), SOON, || daemon.log_lines(&words).len() == times);
    }
    assert!(!daemon.log().contains("hunter2"));
}

fn what_is_typed_is_in_force_and_what_is_wrong_is_told(place: &Place) {
    let mut daemon = place.start();
    let list = |daemon: &Daemon| daemon.get("/v1/notifiers");
    place.db.sql("INSERT INTO notifiers (name, type, address, params) VALUES ('a', 'SMTP', 'a@example.com', 'server=127.0.0.1:25,user=u,password=hunter2')");
    place.db.sql("INSERT INTO notifiers (name, type, address, params) VALUES ('b', 'SMTP', 'b@example.com', 'server=127.0.0.1:25')");
    wait_until("both are known", SOON, || names(&list(&daemon)) == ["a", "b"]);
    place.db.sql("UPDATE notifiers SET address = 'c@example.com' WHERE name = 'b'");
    wait_until("the edit is in force", SOON, || list(&daemon)[1]["address"] == json!("c@example.com"));
    place.db.sql("UPDATE notifiers SET rate_per_minute = 0, events = 'fial', params = 'hunter2' WHERE name = 'a'");
    wait_until("it is marked", SOON, || list(&daemon)[0]["invalid"] == json!(true));
    assert_eq!(list(&daemon)[1]["invalid"], json!(false));
    assert_eq!(problems(&daemon, "a"), ["params", "events", "rate_per_minute"]);
    assert_eq!(daemon.status()["notifications"]["invalid"], json!(1));
    assert_eq!(daemon.ask("POST", "/v1/reload", None)["invalid"], json!(1));
    daemon.wait_one_line(&["notifier's row is wrong", "did you mean fail"]);
    assert!(!daemon.log().contains("hunter2"), "{}", daemon.log());
    // Over a restart it stays wrong, and right again when it is mended.
    daemon.terminate();
    let daemon = place.start();
    assert_eq!(problems(&daemon, "a").len(), 3);
    place.db.sql(
        "UPDATE notifiers SET rate_per_minute = 5, events = NULL, params = 'server=127.0.0.1:25' WHERE name = 'a'",
    );
    wait_until("it is mended", SOON, || list(&daemon)[0]["invalid"] == json!(false));
    place.db.sql("DELETE FROM notifiers WHERE name = 'b'");
    wait_until("it is gone", SOON, || names(&list(&daemon)) == ["a"]);
}

fn files_hold_notifiers_too(place: &Place) {
    let target = "[[target]]\nname = 't'\nurl = 'http://127.0.0.1:9/'\nparent = 'core'\n";
    let text = format!("{target}[[notifier]]\nname = 'chat'\ntype = 'WEBHOOK'\naddress = '{URL}'\nretry_for = '2h'\n");
    let path = file(place, "targets.toml", text);
    let setup = place.setup().arguments(&["--targets", &path]);
    let daemon = setup.start();
    assert_eq!(daemon.target("t")["parent"], json!("core"));
    assert_eq!(daemon.get("/v1/notifiers/chat")["retry_for_ms"], json!(7_200_000));

    // An export reads back, though its secrets are left out.
    let exported = daemon.get("/v1/export");
    assert!(!exported.to_string().contains("hunter2"), "{exported}");
    let back = json!({"targets": exported["targets"], "notifiers": exported["notifiers"], "prune": true});
    let back = daemon.ask("POST", "/v1/apply", Some(&back));
    let actions = |report: &Value| -> Vec<String> {
        let change = |c: &Value| format!("{} {}", c["action"].as_str().unwrap(), c["kind"].as_str().unwrap());
        report["changes"].as_array().unwrap().iter().map(change).collect()
    };
    assert_eq!(actions(&back), ["unchanged target", "unchanged notifier"], "{back:#}");

    let request = |plan: bool, prune: bool| {
        json!({"plan": plan, "prune": prune, "notifiers": [
            {"name": "talk", "renamed_from": "chat", "type": "WEBHOOK", "retry_for": "3h"},
            {"name": "mail", "type": "SMTP", "address": "a@example.com", "params": "server=127.0.0.1:25"},
        ]})
    };
    let planned = daemon.ask("POST", "/v1/apply", Some(&request(true, false)));
    assert_eq!(actions(&planned), ["rename notifier", "insert notifier"], "{planned:#}");
    assert_eq!(names(&daemon.get("/v1/notifiers")), ["chat"], "a plan changes nothing");
    let applied = daemon.ask("POST", "/v1/apply", Some(&request(false, true)));
    assert!(applied["changes"][1]["id"].is_i64(), "{applied:#}");
    assert_eq!(names(&daemon.get("/v1/notifiers")), ["talk", "mail"]);
    assert_eq!(names(&daemon.get("/v1/targets")), ["t"], "a request that lists no target deletes none");
    assert_eq!(
        place.db.sql("SELECT address FROM notifiers WHERE name = 'talk'").concat(),
        [URL],
        "an absent secret stays"
    );
    let only = json!({"prune": true, "notifiers": [{"name": "mail", "type": "SMTP", "address": "a@example.com", "params": "server=127.0.0.1:25"}]});
    assert_eq!(actions(&daemon.ask("POST", "/v1/apply", Some(&only))), ["unchanged notifier", "delete notifier"]);
    // All or nothing, over both.
    let wrong = json!({"targets": [{"name": "new", "url": "http://h/"}], "notifiers": [{"name": "n", "type": "SMTP"}]});
    let problem = daemon.request("POST", "/v1/apply", Some(&wrong)).problem(422);
    assert_eq!(problem["problems"][0]["field"], json!("notifier[1] (n).address"), "{problem:#}");
    assert_eq!(names(&daemon.get("/v1/targets")), ["t"]);
}

fn the_last_known_notifiers_go_on_without_the_database(place: &Place) {
    let mut daemon = place.start();
    let body = json!({"name": "chat", "type": "WEBHOOK", "address": URL});
    daemon.request("POST", "/v1/notifiers", Some(&body));
    place.db.sql("INSERT INTO notifiers (name, type, address, params) VALUES ('mail', 'SMTP', 'a@example.com', 'server=127.0.0.1:25')");
    wait_until("both are known", SOON, || names(&daemon.get("/v1/notifiers")) == ["chat", "mail"]);
    // Wrong when it is loaded at start: its last good form was kept.
    place.db.sql("UPDATE notifiers SET events = 'nothing' WHERE name = 'mail'");
    wait_until("it is told", SOON, || problems(&daemon, "mail") == ["events"]);
    daemon.terminate();
    let mut setup = place.setup();
    setup.database = "mysql://root@127.0.0.1:9/nobody".into();
    let daemon = setup.start();
    assert_eq!(daemon.status()["database"]["state"], json!("away"));
    let list = daemon.get("/v1/notifiers");
    assert_eq!(names(&list), ["chat", "mail"]);
    assert_eq!((&list[0]["address"], &list[1]["invalid"]), (&json!("https://hooks.example/***"), &json!(false)));
}

fn the_tool_shows_and_changes_them(place: &Place) {
    let daemon = place.start();
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skypunchctl"));
        command.arg("--socket").arg(&daemon.socket).args(args).env("TZ", "UTC");
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let done = |text: &str| (Some(0), text.to_owned());
    let add = [
        "add",
        "notifier",
        "--name",
        "ops",
        "--type",
        "SMTP",
        "--address",
        "ops@example.com",
        "--params",
        "server=127.0.0.1:25,user=u,password=${env:MAIL}",
    ];
    assert_eq!(run(&add), done("Notifier: ops has been added with ID 1\n"));
    assert_eq!(run(&["notifiers", "ops", "disable"]), done("Notifier: ops has been Disabled\n"));
    assert_eq!(
        run(&["notifiers"]),
        done(
            "\
+----+------+---------+------+-----------------+------------+------------+-----------+
| ID | Name | Enabled | Type | Address         | Pass Count | Fail Count | Last Sent |
+----+------+---------+------+-----------------+------------+------------+-----------+
| 1  | ops  | No      | SMTP | ops@example.com | 0          | 0          | -         |
+----+------+---------+------+-----------------+------------+------------+-----------+
"
        )
    );
    assert_eq!(run(&["notifiers", "1", "enable"]), done("Notifier: ops has been Enabled\n"));
    assert_eq!(
        run(&["edit", "notifier", "1", "--name", "mail", "--remind", "1h"]),
        done("Notifier: mail has been changed\n")
    );
    let (code, text) = run(&["notifiers", "mail"]);
    assert!(code == Some(0) && text.contains("| Remind (sec)       | 3600 ") && !text.contains("MAIL"), "{text}");
    let (code, text) = run(&["--output", "json", "notifiers", "mail"]);
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &json["type"], &json["params"]), (Some(0), &json!("SMTP"), &json!("***")));
    let (code, text) = run(&["export"]);
    assert!(code == Some(0) && text.contains("[[notifier]]\nname = \"mail\"\n"), "{text}");
    let path = file(place, "exported.toml", text);
    assert_eq!(run(&["apply", &path, "--prune"]), done("1 unchanged\n"));
    let parent = run(&["add", "target", "--name", "t", "--url", "http://127.0.0.1:9/", "--parent", "0/core"]);
    assert_eq!(parent, done("Target: t has been added with ID 1\n"));
    assert!(
        run(&["targets", "t"]).1.contains("| Parent                      | 0/core")
            || run(&["targets", "t"]).1.contains("0/core")
    );
    let (code, text) = run(&["notifiers", "mial"]);
    assert_eq!((code, text.as_str()), (Some(4), "skypunchctl: there is no notifier `mial` (did you mean `mail`?)\n"));
    assert_eq!(run(&["remove", "notifier", "mail"]), done("Notifier: mail has been removed\n"));
}

fn an_incident_says_what_was_told_of_it(place: &Place) {
    let daemon = place.start();
    // More than a JavaScript number holds.
    let (incident, notice) = ("9007199254740993", "9007199254740995");
    place.db.sql(&format!(
        "INSERT INTO incidents (id, subject_kind, subject_id, reason, description, started_at, first_trace) \
         VALUES ({incident}, 'target', 1, 'status', 'it was down', 5, '{{\"steps\": []}}')"
    ));
    place.db.sql(&format!(
        "INSERT INTO notifications (id, notifier_id, notifier_name, incident_id, target_id, target_name, event, number, \
         state, attempts, created_at, sent_at, answer, version) \
         VALUES ({notice}, 3, 'ops', {incident}, 1, 'shop', 'fail', 0, 'sent', 2, 5, 7, '250 Ok', 1)"
    ));
    let told = daemon.get(&format!("/v1/incidents/{incident}"))["notifications"].clone();
    let one = &told[0];
    assert_eq!((told.as_array().map(Vec::len), &one["id"]), (Some(1), &json!(notice)), "{told:#}");
    assert_eq!((&one["state"], &one["sent_at"], &one["answer"]), (&json!("sent"), &json!(7), &json!("250 Ok")));
}

fn bad_notifiers_are_told_what_to_write(place: &Place) {
    let daemon = place.start();
    let good = json!({"name": "good", "type": "SMTP", "address": "a@example.com", "params": "server=127.0.0.1:25"});
    assert_eq!(daemon.request("POST", "/v1/notifiers", Some(&good)).status, 201);
    let with = |key: &str, value: Value| {
        let mut keys =
            json!({"name": "n", "type": "SMTP", "address": "a@example.com", "params": "server=127.0.0.1:25"});
        keys[key] = value;
        keys
    };
    let wrong: &[(Value, &str, &str)] = &[
        (with("name", json!("")), "name", "1 to 128"),
        (with("name", json!("a\u{1b}[31m")), "name", "control character"),
        (with("type", json!("")), "type", "write SMTP"),
        (with("type", json!(5)), "type", "text"),
        (with("address", json!("")), "address", "write where"),
        (with("address", json!("***")), "address", "there is none of"),
        (with("address", json!(["hunter2"])), "address", "text"),
        (with("params", json!("hunter2")), "params", "name=value"),
        (with("params", json!("***")), "params", "there is none of"),
        (with("events", json!(["fial"])), "events", "did you mean fail"),
        (with("group_wait", json!("1 parsec")), "group_wait", "not a duration"),
        (with("group_wait", json!("11m")), "group_wait_ms", "write 0 to 600000"),
        (with("group_window", json!("2h")), "group_window_ms", "3600000"),
        (with("rate_per_minute", json!(1001)), "rate_per_minute", "write 1 to 1000"),
        (with("rate_per_minute", json!("20")), "rate_per_minute", "whole number"),
        (with("retry_for_ms", json!(-1)), "retry_for_ms", "write 60000"),
        (with("remind", json!("31days")), "remind_ms", "30days"),
        (with("templates", json!("not toml")), "templates", "TOML"),
        (with("enabled", json!(1)), "enabled", "true or false"),
        (with("adress", json!("x")), "adress", "did you mean `address`"),
    ];
    for (body, field, mend) in wrong {
        let problem = daemon.request("POST", "/v1/notifiers", Some(body)).problem(422);
        let told = &problem["problems"][0];
        assert_eq!(told["field"], json!(field), "{problem:#}");
        assert!(told["message"].as_str().unwrap().contains(mend), "{field}: {problem:#}");
        assert!(!problem.to_string().contains("hunter2"), "{problem}");
        let mut keys = body.clone();
        keys["name"] = json!("good");
        if *field != "name" {
            let list = json!({"notifiers": [good, keys]});
            assert!(daemon.request("POST", "/v1/apply", Some(&list)).status == 422, "{field}");
        }
    }
    assert!(
        daemon.request("POST", "/v1/notifiers", Some(&good)).problem(409)["detail"]
            .to_string()
            .contains("notifier `good`")
    );
    for (method, path, status) in [
        ("GET", "/v1/notifiers/goood", 404),
        ("GET", "/v1/notifiers/99", 404),
        ("GET", "/v1/notifiers/99999999999999999999", 400),
        ("GET", "/v1/notifiers?colour=red", 400),
        ("DELETE", "/v1/notifiers/99", 404),
        ("POST", "/v1/notifiers/99/enable", 404),
        ("PUT", "/v1/notifiers/good", 405),
        ("PATCH", "/v1/notifiers/good", 400),
    ] {
        daemon.request(method, path, None).problem(status);
    }
    assert_eq!(names(&daemon.get("/v1/notifiers")), ["good"], "nothing is disturbed");
}
