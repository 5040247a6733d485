//! Every secret of a full configuration is a canary: a text that stands nowhere else. Everything fails, every server gives
//! back what it was sent, and then everything that the daemon has shown or written is searched, in each encoding.
//!
//! What a panic shows is not here: no server can make one. `app::panics` holds that its words stay hidden in the log, and
//! `actors::internal_when_a_probe_panics_…` that none of them becomes part of a result.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::api;
use super::canary_outputs::{TargetsFiles, Watch, look_at_the_log};
use super::canary_search::{BASIC, CANARIES, DATABASE, Leaks, found};
use super::canary_world::{World, setup};
use super::database::{Database, Kind};
use super::harness::{Daemon, Place, SOON, Setup, wait_until};
use super::routes;

on_both!(no_canary_appears_where_it_does_not_belong);

/// Every route, for everything that has a name.
fn look_at_the_api(leaks: &mut Leaks, daemon: &Daemon, world: &World) {
    let incidents = daemon.get("/v1/incidents?limit=1000");
    let incidents: Vec<String> =
        incidents.as_array().unwrap().iter().map(|i| i["id"].as_str().unwrap().to_owned()).collect();
    for route in routes::all() {
        let changes = matches!(route.method.as_str(), "PATCH" | "DELETE")
            || matches!(route.path.as_str(), "/v1/stop")
            || route.path.ends_with("able");
        if route.path == "/v1/backup" || changes {
            continue; // a backup is looked at by itself, and what changes something answers as the route that reads it
        }
        if route.path == "/v1/watch" {
            let lines: Vec<Value> = daemon.lines("GET", "/v1/watch").take(30).collect();
            leaks.look("GET /v1/watch", json!(lines).to_string());
            continue;
        }
        let of = |kind: &str| route.path.starts_with(&format!("/v1/{kind}/{{"));
        let names = world.names.iter().filter(|(kind, _)| of(kind)).map(|(_, name)| (*name).to_owned());
        let mut all: Vec<String> = if of("incidents") { incidents.clone() } else { names.collect() };
        if of("notifier-types") {
            all = vec!["webhook".into(), "smtp".into()];
        }
        let paths: Vec<String> = if route.path.contains('{') {
            all.iter().map(|n| route.with(n)).collect()
        } else {
            vec![route.path.clone()]
        };
        assert!(!paths.is_empty(), "nothing for {route:?}");
        for path in paths {
            let body = (route.method != "GET").then(|| bad_body(&route.path));
            let answer = api::request(&daemon.socket, &route.method, &path, body.as_deref()).unwrap();
            leaks.look(&format!("{} {path}", route.method), &answer.body);
        }
    }
}

/// Wrong, with secrets in each place; what is wrong is told, the secret is not.
fn bad_body(path: &str) -> Vec<u8> {
    let secret = CANARIES[BASIC];
    let target = json!({"name": "n", "url": format!("http://ann:{secret}@h/"), "authn": "BASIC", "frequency": "x",
        "authn_parms": format!("pasword={secret}"), "headers": [format!("X-Api-Key {secret}"), format!("Cookie: {secret}\u{1}")]});
    let notifier = json!({"name": "n", "type": "WEBHOOK", "address": format!("htp://h/{secret}"), "params": format!("sekret={secret}")});
    let credential = json!({"name": "n", "params": format!("password={secret},pasword={secret}")});
    let body = match path {
        "/v1/notifiers" => notifier,
        "/v1/credentials" => credential,
        "/v1/apply" => json!({"targets": [target], "notifiers": [notifier], "credentials": [credential]}),
        _ => target,
    };
    body.to_string().into_bytes()
}

fn look_at_tcp(leaks: &mut Leaks, setup: &Setup) {
    let listen = setup.extra.split("listen = \"").nth(1).unwrap().split('"').next().unwrap();
    for path in ["/metrics", "/healthz"] {
        let answer = crate::keystone::http::send("GET", &format!("http://{listen}{path}"), &[], None);
        assert_eq!(answer.status, 200);
        leaks.look(&format!("http.listen {path}"), answer.body);
    }
}

fn look_at_the_tool(leaks: &mut Leaks, daemon: &Daemon, setup: &Setup, world: &World, files: &TargetsFiles) {
    let export = Command::new(env!("CARGO_BIN_EXE_skypunchctl"))
        .args(["--socket", setup.socket.to_str().unwrap(), "export", &files.exported])
        .output()
        .unwrap();
    assert!(export.status.success(), "{export:?}");
    leaks.look("the exported file", std::fs::read(&files.exported).unwrap());
    let config = setup.config.to_str().unwrap();
    let mut commands: Vec<Vec<&str>> = vec![
        vec!["status"],
        vec!["targets"],
        vec!["notifiers"],
        vec!["credentials"],
        vec!["incidents"],
        vec!["export"],
        vec!["apply", &files.changed, "--plan"],
        vec!["apply", &files.wrong, "--plan"],
        vec!["apply", &files.torn, "--plan"],
        vec!["apply", &files.changed],
        vec!["apply", &files.exported],
        vec!["reload"],
        vec!["doctor", "--config", config],
    ];
    for (kind, name) in &world.names {
        commands.push(vec![kind, name]);
        if matches!(*name, "basic-reason" | "token-reason" | "mail-refused" | "hook-refused" | "refused" | "granted") {
            commands.push(vec![kind, name, "test"]);
        }
    }
    commands.push(vec!["history", "basic-reason"]);
    let incidents = daemon.get("/v1/incidents?limit=1000");
    let ids: Vec<String> = incidents.as_array().unwrap().iter().map(|i| i["id"].as_str().unwrap().to_owned()).collect();
    commands.extend(ids.iter().map(|id| vec!["incidents", id.as_str()]));
    for command in commands {
        for output in ["table", "json"] {
            let mut tool = Command::new(env!("CARGO_BIN_EXE_skypunchctl"));
            tool.args(["--socket", setup.socket.to_str().unwrap(), "--output", output]).args(&command);
            let said = tool.env_clear().envs(setup.environment.iter().cloned()).output().unwrap();
            let ended = said.status.code();
            leaks.look(&format!("skypunchctl {command:?} {output}"), [said.stdout, said.stderr].concat());
            // What is exported holds the rows that are wrong as they are: `apply` says so of some.
            if command[0] == "apply" && command[1] != files.exported {
                let is_wrong = command[1] != files.changed;
                assert_eq!(ended, Some(if is_wrong { 2 } else { 0 }), "{command:?}: {}", leaks.0.join("\n"));
            }
        }
    }
    let mut check = Command::new(env!("CARGO_BIN_EXE_skypunch"));
    check.args(["check", "--config", config]).env_clear().envs(setup.environment.iter().cloned());
    let said = check.output().unwrap();
    leaks.look("skypunch check", [said.stdout, said.stderr].concat());
}

/// Definitions are in these columns, with their secrets; whoever may read them may.
const OF_THE_DATABASE: [(&str, &[&str]); 4] = [
    ("targets", &["url", "headers", "authn_parms"]),
    ("notifiers", &["address", "params"]),
    ("credentials", &["params"]),
    // A view; of a row whose URL is wrong it shows what somebody wrote.
    ("targets_overview", &["url"]),
];
/// The last known definitions.
const OF_STATE_DB: [&str; 3] = ["definitions", "notifiers", "credentials"];

fn look_at_the_databases(leaks: &mut Leaks, place: &Place, setup: &Setup) {
    let tables = match &place.db {
        Database::Sqlite(_) => place.db.sql("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"),
        Database::Mariadb(_, name) => {
            place.db.sql(&format!("SELECT table_name FROM information_schema.tables WHERE table_schema = '{name}'"))
        }
    };
    assert!(tables.len() > 10, "{tables:?}");
    for table in tables.concat() {
        let columns = match &place.db {
            Database::Sqlite(_) => place.db.sql(&format!("SELECT name FROM pragma_table_info('{table}')")),
            Database::Mariadb(_, name) => place.db.sql(&format!(
                "SELECT column_name FROM information_schema.columns WHERE table_schema = '{name}' AND table_name = '{table}'"
            )),
        };
        let columns = columns.concat();
        let all: Vec<String> = columns.iter().map(|c| format!("HEX(`{c}`)")).collect();
        let rows = place.db.sql(&format!("SELECT {} FROM {table}", all.join(", ")));
        for (i, column) in columns.iter().enumerate() {
            let whole: Vec<&str> = rows.iter().filter_map(|row| row.get(i)).map(String::as_str).collect();
            let whole = unhex(&whole.join("00"));
            if OF_THE_DATABASE.iter().any(|(t, columns)| *t == table && columns.contains(&column.as_str())) {
                assert!(!found(&whole).is_empty(), "{table}.{column}: the search finds what is there");
            } else {
                leaks.look(&format!("{table}.{column}"), whole);
            }
        }
    }
    let state = Database::Sqlite(setup.state.join("state.db"));
    for table in state.sql("SELECT name FROM sqlite_master WHERE type = 'table'").concat() {
        if OF_STATE_DB.contains(&table.as_str()) {
            continue;
        }
        for column in state.sql(&format!("SELECT name FROM pragma_table_info('{table}')")).concat() {
            let rows = state.sql(&format!("SELECT HEX(\"{column}\") FROM \"{table}\""));
            leaks.look(&format!("state.db {table}.{column}"), unhex(&rows.concat().join("00")));
        }
    }
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks_exact(2).map(|c| u8::from_str_radix(&String::from_utf8_lossy(c), 16).unwrap_or(0)).collect()
}

/// What servers were sent: each may have its own secrets, none those of others.
fn look_at_what_was_sent(leaks: &mut Leaks, world: &World) {
    let c = |i: usize| CANARIES[i];
    let sent = world.sent.lock().unwrap().clone();
    for (who, head, body) in sent {
        let in_head: Vec<&str> = match who.as_str() {
            "mail-taken" | "mail-refused" if head == "DATA" => vec![],
            "mail-refused" => vec![c(16)],
            "hook-taken" | "hook-refused" => vec![c(17), c(18), c(20)],
            "slack-refused" => vec![c(21)],
            "telegram-refused" => vec![c(22)],
            "gotify-refused" => vec![c(23)],
            "matrix-refused" => vec![c(24)],
            "keystone" | "pagerduty-refused" => vec![],
            "origin" => continue, // gets what it is to get
            other => panic!("{other}"),
        };
        let in_body: &[&str] = match who.as_str() {
            "pagerduty-refused" => &[c(25)],
            "keystone" => &[c(10), c(11), c(12)],
            "mail-refused" if head == "AUTH" => &[c(16)],
            _ => &[],
        };
        leaks.look_but(&format!("{who} was sent"), head, &in_head);
        leaks.look_but(&format!("{who} was sent, body"), body, in_body);
    }
}

/// A backup holds everything by intent; its file is for its owner, and secrets are among definitions only.
fn look_at_the_backup(leaks: &mut Leaks, daemon: &Daemon) {
    let backup = api::request(&daemon.socket, "GET", "/v1/backup?results=true", None).unwrap();
    assert_eq!(backup.status, 200);
    let text = String::from_utf8_lossy(&backup.body).into_owned();
    assert!(!found(text.as_bytes()).is_empty(), "the search works on it");
    // A row stands below the line that names its table.
    let mut table = String::new();
    for line in text.lines() {
        if let Some(name) = serde_json::from_str::<Value>(line).unwrap()["table"].as_str() {
            table = name.to_owned();
        }
        if !DEFINITIONS.contains(&table.as_str()) {
            leaks.look(&format!("the backup, {table}"), line);
        }
    }
}

/// Tables of a backup that hold definitions.
const DEFINITIONS: [&str; 6] =
    ["main.targets", "main.notifiers", "main.credentials", "state.definitions", "state.notifiers", "state.credentials"];

fn look_at_the_process(leaks: &mut Leaks, daemon: &Daemon) {
    let read = |name: &str| std::fs::read(format!("/proc/{}/{name}", daemon.pid())).unwrap();
    for name in ["cmdline", "comm", "status"] {
        leaks.look(&format!("/proc/PID/{name}"), read(name));
    }
    // What the operator put there.
    leaks.look_but("/proc/PID/environ", read("environ"), &[CANARIES[6]]);
    let limits = String::from_utf8(read("limits")).unwrap();
    let core = limits.lines().find(|l| l.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
}

fn no_canary_appears_where_it_does_not_belong(place: &Place) {
    let mut world = World::start();
    let setup = setup(place);
    let mut daemon = setup.start();
    world.define(place);
    let known = |daemon: &Daemon, name: &str| {
        let target = daemon.request("GET", &format!("/v1/targets/{name}"), None);
        target.status == 200 && matches!(target.json()["status"].as_str(), Some("FAIL" | "UNKNOWN"))
    };
    for (kind, name) in world.names.clone() {
        if kind == "targets" && !matches!(name, "userinfo" | "wrong-row") {
            wait_until(&format!("{name} has failed"), SOON * 6, || known(&daemon, name));
        }
    }
    wait_until("everybody was told, or refused", SOON * 10, || {
        let sent = world.sent.lock().unwrap();
        let is_there = |who: &str| sent.iter().any(|(w, ..)| w == who);
        [
            "mail-taken",
            "mail-refused",
            "hook-taken",
            "hook-refused",
            "slack-refused",
            "telegram-refused",
            "gotify-refused",
            "matrix-refused",
            "pagerduty-refused",
        ]
        .iter()
        .all(|who| is_there(who))
    });
    let mut leaks = Leaks::default();
    let watches = ["table", "json"].map(|output| Watch::begin(place, &setup, output));
    look_at_the_api(&mut leaks, &daemon, &world);
    look_at_the_tool(&mut leaks, &daemon, &setup, &world, &TargetsFiles::write(place, &world));
    watches.into_iter().for_each(|watch| watch.look(&mut leaks));
    look_at_tcp(&mut leaks, &setup);
    look_at_the_backup(&mut leaks, &daemon);
    look_at_the_process(&mut leaks, &daemon);
    // The database away: what cannot be written is kept elsewhere.
    let lock = place.db.lock();
    let changed = json!({"authn_parms": format!("user=ann,password={}", CANARIES[BASIC])});
    leaks.look("a change without the database", daemon.request("PATCH", "/v1/targets/basic-body", Some(&changed)).body);
    wait_until("results are spooled", SOON * 6, || {
        daemon.status()["persistence"]["spooled_results"].as_i64() > Some(0)
    });
    leaks.look("status without the database", daemon.status().to_string());
    look_at_the_databases_local(&mut leaks, &setup);
    drop(lock);
    look_at_the_databases(&mut leaks, place, &setup);
    look_at_what_was_sent(&mut leaks, &world);
    daemon.signal(Signal::ABORT);
    let status = daemon.wait(SOON);
    assert!(status.signal() == Some(6) && !status.core_dumped(), "{status}");
    // Again, from what it remembers, in each format of the log; then in order.
    let log = daemon.log();
    assert!(log.contains("basic-reason"), "{log}");
    leaks.look("the log", log);
    for format in ["compact", "json", "journald"] {
        look_at_the_log(&mut leaks, place, &setup, format);
    }
    look_at_the_databases(&mut leaks, place, &setup);
    refused_by_the_database(&mut leaks, place, &setup);
    // Whatever else lies in the state folder.
    for entry in std::fs::read_dir(&setup.state).unwrap().map(Result::unwrap) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.contains(".db") && entry.path().is_file() {
            leaks.look(&name, std::fs::read(entry.path()).unwrap());
        }
    }
    assert!(leaks.0.is_empty(), "{} leaks:\n{}", leaks.0.len(), leaks.0.join("\n"));
}

fn look_at_the_databases_local(leaks: &mut Leaks, setup: &Setup) {
    let state = Database::Sqlite(setup.state.join("state.db"));
    let spool = state.sql("SELECT HEX(body) FROM spool").concat().join("00");
    assert!(!spool.is_empty());
    leaks.look("state.db spool", unhex(&spool));
}

/// A password that the database refuses: the daemon says so, and ends.
fn refused_by_the_database(leaks: &mut Leaks, place: &Place, setup: &Setup) {
    if place.kind() == Kind::Sqlite {
        return;
    }
    let mut wrong = setup.clone();
    wrong.environment.retain(|(name, _)| name != "SKYPUNCH__DATABASE__PASSWORD");
    wrong.environment.push(("SKYPUNCH__DATABASE__PASSWORD".into(), format!("{}x", CANARIES[DATABASE])));
    let (code, said) = wrong.refused();
    assert!(code == Some(2) && said.contains("denied"), "{said}");
    leaks.look("a password that the database refuses", said);
    place.db.sql(&format!("DROP USER '{}'@'%'", setup.database.split(['/', '@']).nth(2).unwrap()));
}
