//! Credentials as definitions: over the socket, in a plain SQL client, in files, with the command-line tool.

use std::process::Command;

use serde_json::{Value, json};

use super::harness::{Daemon, Place, SOON, file, number, wait_until};

on_both!(
    credentials_are_added_edited_and_removed,
    one_that_targets_use_is_not_removed_unasked,
    what_is_typed_of_a_credential_is_in_force_and_what_is_wrong_is_told,
    files_hold_credentials_too,
    the_last_known_credentials_go_on_without_the_database,
    the_tool_shows_and_changes_credentials,
    bad_credentials_are_told_what_to_write,
);

const PARAMS: &str = "auth_url=http://127.0.0.1:9/v3,username=probe,user_domain_name=Default,password=hunter2";

/// Nobody listens there.
const URL: &str = "http://127.0.0.1:9/";

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|n| n["name"].as_str().unwrap()).collect()
}

fn problems(daemon: &Daemon, reference: &str) -> Vec<String> {
    let told = daemon.get(&format!("/v1/credentials/{reference}"))["problems"].clone();
    told.as_array().unwrap().iter().map(|p| p["field"].as_str().unwrap().to_owned()).collect()
}

fn add(daemon: &Daemon, name: &str) -> Value {
    let added =
        daemon.request("POST", "/v1/credentials", Some(&json!({"name": name, "type": "OPENSTACK", "params": PARAMS})));
    assert_eq!(added.status, 201, "{}", String::from_utf8_lossy(&added.body));
    added.json()
}

/// Adds a target that names a credential; what is told of it.
fn add_user(daemon: &Daemon, name: &str, credential: &str) -> Value {
    let keys = json!({"name": name, "url": "openstack://image/public", "credential": credential, "enabled": false});
    let added = daemon.request("POST", "/v1/targets", Some(&keys));
    assert_eq!(added.status, 201, "{}", String::from_utf8_lossy(&added.body));
    added.json()
}

fn credentials_are_added_edited_and_removed(place: &Place) {
    let daemon = place.start();
    let body = json!({"name": "mycloud", "tenantid": "acme", "params": {"auth_url": "http://127.0.0.1:9/v3",
        "user_id": "u", "password": "hunter2", "interface": ["internal", "public"]}});
    let added = daemon.request("POST", "/v1/credentials", Some(&body));
    assert_eq!(added.status, 201, "{}", String::from_utf8_lossy(&added.body));
    let added = added.json();
    let id = number(&added, "id");
    assert_eq!(
        (&added["type"], &added["params"], &added["enabled"]),
        (&json!("OPENSTACK"), &json!("***"), &json!(true))
    );
    assert_eq!((&added["users"], &added["state"], &added["expires_at"]), (&json!([]), &json!("NEW"), &Value::Null));
    let written = || place.db.sql("SELECT name, tenantid, type, enabled FROM credentials");
    assert_eq!(written(), [["mycloud", "acme", "OPENSTACK", "1"]]);
    let params = || place.db.sql("SELECT params FROM credentials").concat().concat();
    assert!(
        params().contains("password=hunter2") && params().contains("interface=\"internal,public\""),
        "{}",
        params()
    );
    for reference in [id.to_string(), "mycloud".into(), "acme%2Fmycloud".into(), "name:mycloud".into()] {
        assert_eq!(number(&daemon.get(&format!("/v1/credentials/{reference}")), "id"), id, "{reference}");
    }
    for (filter, hits) in [("", 1), ("?tenant=acme&enabled=true", 1), ("?tenant=0", 0), ("?enabled=false", 0)] {
        let list = daemon.get(&format!("/v1/credentials{filter}"));
        assert_eq!(list.as_array().map(Vec::len), Some(hits), "{filter}");
        assert!(!list.to_string().contains("hunter2"), "{list}");
    }
    // What is shown can be sent back: secrets stay.
    let before = params();
    daemon.ask("PATCH", "/v1/credentials/mycloud", Some(&json!({"params": "***", "name": "ourcloud"})));
    assert_eq!((params(), written()[0][0].as_str()), (before, "ourcloud"));
    assert_eq!(daemon.ask("POST", "/v1/credentials/ourcloud/disable", None)["enabled"], json!(false));
    assert_eq!(written()[0][3], "0");
    assert_eq!(daemon.ask("POST", "/v1/credentials/ourcloud/enable", None)["enabled"], json!(true));
    let removed = daemon.ask("DELETE", "/v1/credentials/ourcloud", None);
    assert_eq!(removed, json!({"id": id, "tenantid": "acme", "name": "ourcloud"}));
    assert_eq!((place.db.number("SELECT COUNT(*) FROM credentials"), daemon.get("/v1/credentials")), (0, json!([])));
    let again = daemon.request("POST", "/v1/credentials", Some(&body)).json();
    assert!(number(&again, "id") > id, "ids are never given again: {again:#}");
    for (change, times) in [("add", 2), ("edit", 1), ("disable", 1), ("enable", 1), ("remove", 1)] {
        let words = ["control socket", &format!("change: {change}"), "credential: "];
        wait_until(&format!("{times} lines of {change}"), SOON, || daemon.log_lines(&words).len() == times);
    }
    assert!(!daemon.log().contains("hunter2"));
}

fn one_that_targets_use_is_not_removed_unasked(place: &Place) {
    let daemon = place.start();
    add(&daemon, "mycloud");
    for name in ["a", "b"] {
        assert_eq!(add_user(&daemon, name, "mycloud").get("warnings"), None);
    }
    let lost = add_user(&daemon, "c", "mycluod");
    assert!(lost["warnings"][0].as_str().unwrap().contains("did you mean `mycloud`?"), "{lost:#}");
    assert_eq!((&lost["authn"], &lost["credential"]), (&json!("OPENSTACK"), &json!("mycluod")));
    assert_eq!(daemon.get("/v1/credentials")[0]["users"], json!(2));
    assert_eq!(daemon.get("/v1/credentials/mycloud")["users"], json!(["a", "b"]));
    let refused = daemon.request("DELETE", "/v1/credentials/mycloud", None).problem(409);
    let detail = refused["detail"].as_str().unwrap();
    assert!(
        detail.contains("2 targets use the credential `mycloud` (`a`, `b`)") && detail.contains("--force"),
        "{detail}"
    );
    let renamed = daemon.request("PATCH", "/v1/credentials/mycloud", Some(&json!({"name": "other"}))).problem(409);
    assert!(renamed["detail"].as_str().unwrap().contains("renamed_from"), "{renamed:#}");
    daemon.ask("PATCH", "/v1/credentials/mycloud", Some(&json!({"name": "mycloud", "type": "openstack"})));
    assert_eq!(daemon.request("DELETE", "/v1/credentials/mycloud?forec=true", None).status, 400);
    // A disabled one is known, and told of.
    daemon.ask("POST", "/v1/credentials/mycloud/disable", None);
    assert!(daemon.target("a")["warnings"][0].as_str().unwrap().contains("is disabled"));
    daemon.ask("DELETE", "/v1/credentials/mycloud?force=true", None);
    assert_eq!(daemon.get("/v1/credentials"), json!([]));
    assert!(daemon.target("a")["warnings"][0].as_str().unwrap().contains("there is no credential `mycloud`"));
}

fn what_is_typed_of_a_credential_is_in_force_and_what_is_wrong_is_told(place: &Place) {
    let mut daemon = place.start();
    let list = |daemon: &Daemon| daemon.get("/v1/credentials");
    place.db.sql(&format!("INSERT INTO credentials (name, type, params) VALUES ('a', 'OPENSTACK', '{PARAMS}')"));
    place.db.sql("INSERT INTO credentials (name, type, params) VALUES ('b', 'OPENSTACK', 'auth_url=http://k/v3,user_id=u,password=p')");
    wait_until("both are known", SOON, || names(&list(&daemon)) == ["a", "b"]);
    place.db.sql("UPDATE credentials SET enabled = 0 WHERE name = 'b'");
    wait_until("the edit is in force", SOON, || list(&daemon)[1]["enabled"] == json!(false));
    place.db.sql("UPDATE credentials SET params = 'auth_url=http://k,usernme=hunter2' WHERE name = 'a'");
    wait_until("it is marked", SOON, || list(&daemon)[0]["invalid"] == json!(true));
    assert_eq!(list(&daemon)[1]["invalid"], json!(false));
    assert_eq!(problems(&daemon, "a"), ["params"]);
    daemon.wait_one_line(&["credential's row is wrong", "did you mean `username`?"]);
    // Its last good form goes on, over a restart too.
    assert_eq!(add_user(&daemon, "t", "a").get("warnings"), None);
    daemon.terminate();
    let daemon = place.start();
    assert_eq!(problems(&daemon, "a"), ["params"]);
    assert_eq!(daemon.target("t").get("warnings"), None);
    assert!(!daemon.log().contains("hunter2"), "{}", daemon.log());
    place.db.sql(&format!("UPDATE credentials SET params = '{PARAMS}' WHERE name = 'a'"));
    wait_until("it is mended", SOON, || list(&daemon)[0]["invalid"] == json!(false));
    place.db.sql("DELETE FROM credentials WHERE name = 'b'");
    wait_until("it is gone", SOON, || names(&list(&daemon)) == ["a"]);
    // One that never was fit is told of to whoever names it.
    place.db.sql("INSERT INTO credentials (name, type) VALUES ('v', 'VAULT')");
    wait_until("it is known", SOON, || names(&list(&daemon)) == ["a", "v"]);
    let target = add_user(&daemon, "u", "v");
    assert!(target["warnings"][0].as_str().unwrap().contains("skypunchctl credentials 3"), "{target:#}");
}

fn files_hold_credentials_too(place: &Place) {
    let target = |name: &str, credential: &str| {
        format!("[[target]]\nname = '{name}'\nurl = '{URL}'\ncredential = '{credential}'\nenabled = false\n")
    };
    let credential = format!("[[credential]]\nname = 'mycloud'\nparams = '{PARAMS}'\n");
    let text = target("t", "mycloud") + &target("u", "nowhere") + &credential;
    let path = file(place, "targets.toml", text);
    let daemon = place.setup().arguments(&["--targets", &path]).start();
    daemon.wait_one_line(&["a credential is missing", "`nowhere`", "`u`"]);
    assert_eq!(daemon.get("/v1/credentials/mycloud")["users"], json!(["t"]));

    // An export reads back, though its secrets are left out.
    let exported = daemon.get("/v1/export");
    assert!(!exported.to_string().contains("hunter2"), "{exported}");
    let back = json!({"targets": exported["targets"], "credentials": exported["credentials"], "prune": true});
    let back = daemon.ask("POST", "/v1/apply", Some(&back));
    let actions = |report: &Value| -> Vec<String> {
        let change = |c: &Value| format!("{} {}", c["action"].as_str().unwrap(), c["kind"].as_str().unwrap());
        report["changes"].as_array().unwrap().iter().map(change).collect()
    };
    assert_eq!(actions(&back), ["unchanged target", "unchanged target", "unchanged credential"], "{back:#}");
    let warned = |report: &Value| report["warnings"].as_array().map_or(0, Vec::len);
    assert_eq!(warned(&back), 1, "{back:#}");

    // A rename with its targets, in one step.
    let request = |plan: bool| {
        json!({"plan": plan,
            "targets": [{"name": "t", "url": URL, "credential": "ours"}, {"name": "u", "url": URL, "credential": "cloud:lab"}],
            "credentials": [{"name": "ours", "renamed_from": "mycloud"}, {"name": "new", "params": PARAMS}]})
    };
    let planned = daemon.ask("POST", "/v1/apply", Some(&request(true)));
    let expected = ["update target", "update target", "rename credential", "insert credential"];
    assert_eq!((actions(&planned), warned(&planned)), (expected.map(str::to_owned).to_vec(), 1), "{planned:#}");
    assert!(planned["warnings"][0].as_str().unwrap().contains("there is no clouds.yaml"), "{planned:#}");
    assert_eq!(names(&daemon.get("/v1/credentials")), ["mycloud"], "a plan changes nothing");
    let applied = daemon.ask("POST", "/v1/apply", Some(&request(false)));
    assert!(applied["changes"][3]["id"].is_i64(), "{applied:#}");
    assert_eq!(names(&daemon.get("/v1/credentials")), ["ours", "new", "cloud:lab"]);
    let params = place.db.sql("SELECT params FROM credentials WHERE name = 'ours'").concat();
    assert_eq!(params, [PARAMS], "an absent secret stays");
    // What is pruned although a target names it is told.
    let only = json!({"prune": true, "credentials": [{"name": "new"}]});
    let pruned = daemon.ask("POST", "/v1/apply", Some(&only));
    assert_eq!(
        (actions(&pruned), warned(&pruned)),
        (["unchanged credential", "delete credential"].map(str::to_owned).to_vec(), 2),
        "the target that named it, and the one that names a cloud: {pruned:#}"
    );
    assert_eq!(names(&daemon.get("/v1/targets")), ["t", "u"], "a request that lists no target deletes none");
    // All or nothing, over all tables.
    let wrong =
        json!({"targets": [{"name": "x", "url": "http://h/"}], "credentials": [{"name": "n", "type": "VAULT"}]});
    let problem = daemon.request("POST", "/v1/apply", Some(&wrong)).problem(422);
    assert_eq!(problem["problems"][0]["field"], json!("credential[1] (n).type"), "{problem:#}");
    assert_eq!(names(&daemon.get("/v1/targets")), ["t", "u"]);
}

fn the_last_known_credentials_go_on_without_the_database(place: &Place) {
    let mut daemon = place.start();
    add(&daemon, "mycloud");
    add_user(&daemon, "t", "mycloud");
    daemon.terminate();
    let mut setup = place.setup();
    setup.database = "mysql://root@127.0.0.1:9/nobody".into();
    let daemon = setup.start();
    assert_eq!(daemon.status()["database"]["state"], json!("away"));
    let list = daemon.get("/v1/credentials");
    assert_eq!((names(&list), &list[0]["users"], &list[0]["invalid"]), (vec!["mycloud"], &json!(1), &json!(false)));
}

fn the_tool_shows_and_changes_credentials(place: &Place) {
    let daemon = place.start();
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skypunchctl"));
        command.arg("--socket").arg(&daemon.socket).args(args).env("TZ", "UTC");
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let done = |text: &str| (Some(0), text.to_owned());
    let params = "auth_url=http://127.0.0.1:9/v3,user_id=u,password=${env:OS_PASSWORD},project_id=p";
    let target = ["add", "target", "--name", "api", "--url", "http://127.0.0.1:9/", "--credential", "mycloud"];
    let (code, text) = run(&target);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("\nWarning: there is no credential `mycloud` in tenant `0`"), "{text}");
    let add = ["add", "credential", "--name", "mycloud", "--params", params];
    assert_eq!(run(&add), done("Credential: mycloud has been added with ID 1\n"));
    assert_eq!(
        run(&["credentials"]),
        done(
            "\
+----+---------+-----------+---------+-------+---------+-------+------------+
| ID | Name    | Type      | Enabled | State | Expires | Users | Last Error |
+----+---------+-----------+---------+-------+---------+-------+------------+
| 1  | mycloud | OPENSTACK | Yes     | NEW   | -       | 1     | -          |
+----+---------+-----------+---------+-------+---------+-------+------------+
"
        )
    );
    assert_eq!(run(&["credentials", "mycloud", "disable"]), done("Credential: mycloud has been Disabled\n"));
    let (code, text) = run(&["credentials", "1"]);
    assert_eq!(code, Some(0), "{text}");
    for row in ["| Enabled          | No", "| Users            | 1: api", "| Parameters       | ***"] {
        assert!(text.contains(row), "{text}");
    }
    assert_eq!(run(&["credential", "mycloud", "enable"]), done("Credential: mycloud has been Enabled\n"));
    assert_eq!(
        run(&["edit", "credential", "mycloud", "--enabled", "false"]),
        done("Credential: mycloud has been changed\n")
    );
    let (code, text) = run(&["remove", "credential", "mycloud"]);
    assert!(code == Some(2) && text.contains("1 target uses the credential `mycloud` (`api`)"), "{code:?} {text}");
    assert_eq!(run(&["remove", "credential", "mycloud", "--force"]), done("Credential: mycloud has been removed\n"));
    let (code, text) = run(&["credentials", "mycloud"]);
    assert!(code == Some(4) && text.contains("there is no credential `mycloud`"), "{code:?} {text}");
    let (code, text) = run(&["credentials", "9"]);
    assert!(code == Some(4) && text.contains("name:123"), "{code:?} {text}");
}

fn bad_credentials_are_told_what_to_write(place: &Place) {
    let daemon = place.start();
    for (keys, field, part) in [
        (json!({"params": PARAMS}), "name", "is empty"),
        (json!({"name": "c"}), "params", "is missing: write auth_url="),
        (json!({"name": "c", "type": "OPENSTAK", "params": PARAMS}), "type", "did you mean OPENSTACK?"),
        (json!({"name": "c", "parms": PARAMS}), "parms", "did you mean `params`?"),
        (json!({"name": "cloud:c", "params": PARAMS}), "name", "clouds.yaml"),
        (json!({"name": "c", "params": "***"}), "params", "write it"),
        (json!({"name": "c", "params": "hunter2"}), "params", "part 1 has no `=`"),
        (
            json!({"name": "c", "params": {"auth_url": "http://k", "username": "u", "password": "hunter2"}}),
            "params",
            "`user_domain_name` (or `user_domain_id`) is missing",
        ),
        (
            json!({"name": "c", "params": "user=u,password=hunter2,osauthendpoint=http://k/v2.0/tokens"}),
            "params",
            "`tenantid` is missing",
        ),
        (
            json!({"name": "c", "params": "auth_url=http://k,application_credential_id=i,application_credential_secret=hunter2,project_id=p"}),
            "params",
            "`project_id` must not be sent with an application credential",
        ),
        (json!({"name": "c", "params": format!("{PARAMS},projct_id=hunter2")}), "params", "did you mean `project_id`?"),
    ] {
        let problem = daemon.request("POST", "/v1/credentials", Some(&keys)).problem(422);
        let first = &problem["problems"][0];
        assert_eq!(first["field"], json!(field), "{problem:#}");
        assert!(first["message"].as_str().unwrap().contains(part), "{part}: {problem:#}");
        assert!(!problem.to_string().contains("hunter2"), "{problem:#}");
    }
    add(&daemon, "c");
    let taken = daemon.request("POST", "/v1/credentials", Some(&json!({"name": "c", "params": PARAMS}))).problem(409);
    assert!(taken["detail"].as_str().unwrap().contains("already a credential `c`"), "{taken:#}");
    assert_eq!(daemon.request("GET", "/v1/credentials/nobody", None).status, 404);
    assert_eq!(daemon.request("PUT", "/v1/credentials/c", None).status, 405);
    for (keys, field, part) in [
        (json!({"name": "t", "url": "http://k/", "authn": "OPENSTACK"}), "authn_parms", "credential = \"NAME\""),
        (json!({"name": "t", "url": "openstack://image/pubic", "credential": "c"}), "url", "did you mean public?"),
        (json!({"name": "t", "url": "openstack://image/public"}), "url", "looked up in the catalog"),
        (
            json!({"name": "t", "url": "http://k/", "credential": "c", "authn_parms": PARAMS}),
            "credential",
            "authn_parms too",
        ),
        (
            json!({"name": "t", "url": "http://k/", "credential": "c", "headers": ["X-Auth-Token: hunter2"]}),
            "headers",
            "X-Auth-Token is set here and by authn OPENSTACK",
        ),
    ] {
        let problem = daemon.request("POST", "/v1/targets", Some(&keys)).problem(422);
        let first = &problem["problems"][0];
        assert_eq!(first["field"], json!(field), "{problem:#}");
        assert!(first["message"].as_str().unwrap().contains(part), "{part}: {problem:#}");
        assert!(!problem.to_string().contains("hunter2"), "{problem:#}");
    }
}
