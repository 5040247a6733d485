//! What `skypunchctl backup` saves, `skypunch restore` brings back: on the same kind of database and on the other one.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use super::database::Kind;
use super::harness::{Daemon, Place, SOON, Setup, file, number, wait_until};
use super::ledger;
use super::origin::{Answer, Origin};
use super::telling::{self, Receiver};

on_both!(
    everything_comes_back_and_goes_on,
    a_backup_of_one_database_is_restored_into_the_other,
    with_results_they_come_back_too,
    what_is_there_is_replaced_only_by_force,
    a_running_daemon_is_not_restored_into,
    a_restore_that_fails_on_the_way_leaves_an_empty_database_empty,
    wrong_backups_are_told_apart_and_change_nothing,
);

/// `skypunchctl backup FILE …`.
fn backup(daemon: &Daemon, args: &[&str]) -> Output {
    let mut ctl = Command::new(env!("CARGO_BIN_EXE_skypunchctl"));
    ctl.env_clear().env("TZ", "UTC").arg("--socket").arg(&daemon.socket).arg("backup").args(args);
    ctl.stdin(Stdio::null()).output().unwrap()
}

fn saved(daemon: &Daemon, place: &Place, name: &str, args: &[&str]) -> String {
    let path = place.path(name).display().to_string();
    let output = backup(daemon, &[&[path.as_str()], args].concat());
    assert!(output.status.success(), "{output:?}");
    path
}

/// `skypunch restore FILE …` with these settings: the code, what it said, what it complained of.
fn restore(setup: &Setup, args: &[&str]) -> (Option<i32>, String, String) {
    let program = setup.command().get_program().to_owned(); // writes the settings
    let mut command = Command::new(program);
    command.env_clear().env("HOME", setup.state.parent().unwrap()).arg("restore").arg("--config").arg(&setup.config);
    let output = command.args(args).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn restored(setup: &Setup, args: &[&str]) -> String {
    let (code, said, wrong) = restore(setup, args);
    assert_eq!(code, Some(0), "{said}{wrong}");
    said
}

/// Refused with exit code 2 and one line that holds these words.
fn refused(setup: &Setup, args: &[&str], words: &[&str]) {
    let (code, said, wrong) = restore(setup, args);
    assert_eq!((code, said.as_str()), (Some(2), ""), "{wrong}");
    assert!(words.iter().all(|w| wrong.contains(w)) && wrong.lines().count() == 1, "{words:?}: {wrong}");
}

fn another(kind: Kind) -> Kind {
    if kind == Kind::Sqlite { Kind::Mariadb } else { Kind::Sqlite }
}

/// A place with targets that pass and fail, a notifier and a credential, and what it is told.
struct Scene {
    origin: Origin,
    receiver: Receiver,
}

fn scene(place: &Place, daemon: &Daemon) -> Scene {
    let scene = Scene { origin: Origin::start(), receiver: Receiver::start() };
    scene.origin.answer("/bad", Answer::Status(503));
    telling::add(place, "ops", scene.receiver.port, &[]);
    place.db.sql(
        "INSERT INTO credentials (name, type, params) VALUES ('cloud', 'OPENSTACK', \
         'auth_url=http://127.0.0.1:1,user_id=u,password=hunter2,project_id=p')",
    );
    place.db.add("gone", &scene.origin.url("/gone"), 60_000);
    place.db.add("good", &scene.origin.url("/good"), 100);
    place.db.sql(&format!(
        "INSERT INTO targets (name, url, frequency_ms, authn, authn_parms, body, egress_allow, keep_alive) \
         VALUES ('bad', '{}', 100, 'BEARER', 'token=hunter2', 'ünï \u{1F600} \"q\"', 'loopback', 7)",
        scene.origin.url("/bad")
    ));
    place.db.add("last", &scene.origin.url("/gone"), 60_000);
    telling::in_force(daemon, 1);
    daemon.wait_target("bad", "status", &json!("FAIL"));
    daemon.wait_target("good", "status", &json!("PASS"));
    // Their ids are never given again: not by the restored database either.
    place.db.sql("DELETE FROM targets WHERE name IN ('gone', 'last')");
    wait_until("they are gone", SOON, || daemon.get("/v1/targets").as_array().unwrap().len() == 2);
    assert_eq!(scene.receiver.wait(1)[0].names(), ["bad"]);
    scene
}

fn definitions(place: &Place) -> Vec<Vec<String>> {
    let targets = place.db.sql(
        "SELECT id, name, tenantid, url, method, headers, body, authn, authn_parms, frequency_ms, fail_after, enabled, \
         egress_allow, keep_alive, created_at, updated_at FROM targets ORDER BY id",
    );
    let others = place.db.sql("SELECT id, name, type, params, enabled, created_at FROM credentials ORDER BY id");
    let told =
        place.db.sql("SELECT id, name, type, address, params, group_wait_ms, created_at FROM notifiers ORDER BY id");
    [targets, others, told].concat()
}

/// Restores into `to`, starts a daemon there and looks whether all goes on as it was.
fn goes_on(from: &Place, to: &Place, scene: &Scene, backup: &str, bad: &Value) {
    let said = restored(&to.setup(), &[backup]);
    assert!(
        said.contains("restored 2 targets, 1 notifiers, 1 credentials, 1 incidents") && said.contains("start skypunch"),
        "{said}"
    );
    assert_eq!(definitions(from), definitions(to));
    ledger::assert_consistent(&to.db);
    assert_eq!(to.db.number("SELECT COUNT(*) FROM results"), 0);
    let (told, asked) = (scene.receiver.got().len(), scene.origin.count("/bad"));
    let mut daemon = to.start();
    let again = daemon.target("bad");
    for field in ["id", "incident_id", "status", "authn"] {
        assert_eq!(again[field], bad[field], "{field}");
    }
    // What was on its way to the database at that moment is not in the backup.
    assert!(number(&again, "fail_count") + 3 >= number(bad, "fail_count"), "{again:#}\n{bad:#}");
    wait_until("it is probed on", SOON, || scene.origin.count("/bad") >= asked + 5);
    assert_eq!(scene.receiver.got().len(), told, "who was told is not told again");
    scene.origin.answer("/bad", Answer::Status(200));
    daemon.wait_target("bad", "status", &json!("PASS"));
    let got = scene.receiver.wait(told + 1);
    assert_eq!((got[told].event(), got[told].names()), ("recovery", vec!["bad".to_owned()]));
    assert_eq!(to.db.add("new", &scene.origin.url("/new"), 60_000), 5, "an id is never given twice");
    let incident = daemon.get(&format!("/v1/incidents/{}", bad["incident_id"].as_str().unwrap()));
    let notices = incident["notifications"].as_array().unwrap();
    assert_eq!(notices.len(), 2, "{incident:#}");
    assert!(incident["first_trace"].as_array().is_some_and(|s| s.len() > 3), "{incident:#}");
    let live = daemon.get("/v1/targets");
    daemon.terminate();
    ledger::assert_consistent(&to.db);
    ledger::assert_not_behind(&to.db, &live);
    assert_eq!(to.db.sql("SELECT ended_by FROM incidents"), [["recovered"]], "the same incident has ended");
}

fn everything_comes_back_and_goes_on(place: &Place) {
    let mut daemon = place.start();
    let scene = scene(place, &daemon);
    let bad = daemon.target("bad");
    let path = saved(&daemon, place, "all.backup", &[]);
    let meta = std::fs::metadata(&path).unwrap();
    assert_eq!(meta.permissions().mode() & 0o777, 0o600, "it holds secrets");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("{\"skypunch_backup\":1,") && text.contains("hunter2"));
    daemon.wait_one_line(&["a backup was asked for", "uid"]);
    daemon.wait_one_line(&["the backup is done"]);
    daemon.terminate();
    let to = Place::on(place.kind());
    goes_on(place, &to, &scene, &path, &bad);
}

fn a_backup_of_one_database_is_restored_into_the_other(place: &Place) {
    let mut daemon = place.start();
    let scene = scene(place, &daemon);
    let bad = daemon.target("bad");
    let path = saved(&daemon, place, "all.backup", &[]);
    daemon.terminate();
    let to = Place::on(another(place.kind()));
    goes_on(place, &to, &scene, &path, &bad);
}

fn with_results_they_come_back_too(place: &Place) {
    let mut daemon = place.start();
    let scene = scene(place, &daemon);
    wait_until("there are results", SOON, || place.db.number("SELECT COUNT(*) FROM results") >= 20);
    // Owed and not told: nobody answers.
    scene.receiver.answer(503);
    scene.origin.answer("/good", Answer::Status(500));
    daemon.wait_target("good", "status", &json!("FAIL"));
    wait_until("it is tried", SOON, || scene.receiver.got().len() >= 2);
    let path = saved(&daemon, place, "all.backup", &["--results"]);
    daemon.kill();
    let to = Place::on(another(place.kind()));
    let said = restored(&to.setup(), &[&path]);
    assert!(said.contains(" results") && said.contains(" notices"), "{said}");
    let results = "SELECT id, target_id, due_at, lateness_us, verdict, reason, description, status_code, incident_id \
        FROM results ORDER BY id LIMIT 20";
    assert_eq!(to.db.sql(results), place.db.sql(results));
    ledger::assert_consistent(&to.db);
    assert_eq!(to.db.number("SELECT SUM(imported_count) FROM target_status"), 0);
    // What was owed goes out.
    let tried = scene.receiver.got().len();
    scene.receiver.answer(200);
    let mut daemon = to.start();
    wait_until("what was owed is told", SOON * 2, || {
        scene.receiver.got()[tried..].iter().any(|g| g.names().contains(&"good".to_owned()))
    });
    daemon.terminate();
    ledger::assert_consistent(&to.db);
}

fn what_is_there_is_replaced_only_by_force(place: &Place) {
    let mut daemon = place.start();
    place.db.add("old", "http://127.0.0.1:1/", 60_000);
    daemon.wait_target("old", "status", &json!("FAIL"));
    let path = saved(&daemon, place, "all.backup", &[]);
    place.db.add("newer", "http://127.0.0.1:1/", 60_000);
    daemon.wait_target("newer", "status", &json!("FAIL"));
    let output = backup(&daemon, &[&path]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("all.backup exists") && said.contains("--force"), "{said}");
    daemon.terminate();
    let (before, setup) = (definitions(place), place.setup());
    refused(&setup, &[&path], &["holds 2 targets", "state.db", "--force"]);
    let planned = restored(&setup, &["--plan", &path]);
    assert!(planned.contains("would restore 1 targets") && planned.contains("holds 2 targets"), "{planned}");
    let planned = restored(&setup, &["--plan", "--force", &path]);
    assert!(planned.contains("nothing was changed"), "{planned}");
    assert_eq!(definitions(place), before);
    restored(&setup, &["--force", &path]);
    assert_eq!(place.db.sql("SELECT name FROM targets"), [["old"]]);
    // Once more, over a restored one, and over one that was cut off.
    restored(&setup, &["--force", &path]);
    place.db.sql("INSERT INTO __diesel_schema_migrations (version) VALUES ('0000restore')");
    let (code, said) = setup.refused();
    assert!(code == Some(2) && said.contains("was not finished") && said.contains("--force"), "{said}");
    refused(&setup, &[&path], &["holds a part of a backup", "--force"]);
    restored(&setup, &["--force", &path]);
    let daemon = place.start();
    assert_eq!(daemon.get("/v1/targets").as_array().unwrap().len(), 1);
    let left: Vec<String> = std::fs::read_dir(place.path("state"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|n| n.contains("restoring"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

fn a_running_daemon_is_not_restored_into(place: &Place) {
    let daemon = place.start();
    let path = saved(&daemon, place, "all.backup", &[]);
    let pid = format!("pid {}", daemon.pid());
    refused(&place.setup(), &["--force", &path], &["skypunch is running", &pid]);
    // With a state folder of its own it is the lease that tells.
    let elsewhere = tempfile::tempdir().unwrap();
    let setup = Setup { state: elsewhere.path().join("state"), ..place.setup() };
    refused(&setup, &["--force", &path], &["skypunch is running", &pid]);
    assert!(!setup.state.exists(), "what it has made is removed");
    refused(&setup, &["--plan", &path], &["skypunch is running", &pid]);
    assert_eq!(daemon.status()["state"], json!("running"));
}

/// A backup with more lines, and an end that is right.
fn with_lines(text: &str, more: &[&str]) -> String {
    let mut lines: Vec<String> = text.lines().map(|l| format!("{l}\n")).collect();
    lines.pop();
    lines.extend(more.iter().map(|l| format!("{l}\n")));
    let mut sums = skypunch::model::backup::Sums::default();
    lines.iter().for_each(|l| sums.add(l.as_bytes()));
    lines.concat() + &sums.end()
}

fn a_restore_that_fails_on_the_way_leaves_an_empty_database_empty(place: &Place) {
    let mut daemon = place.start();
    place.db.add("a", "http://127.0.0.1:1/", 60_000);
    daemon.wait_target("a", "status", &json!("FAIL"));
    let path = saved(&daemon, place, "all.backup", &[]);
    daemon.terminate();
    let text = std::fs::read_to_string(&path).unwrap();
    let twice =
        with_lines(&text, &[r#"{"table":"main.writers","columns":["writer","last_number"]}"#, "[1,1]", "[1,1]"]);
    let twice = file(place, "twice.backup", twice);
    let to = Place::on(place.kind());
    refused(&to.setup(), &[&twice], &["the rows 1 to 1 of writers", "nothing was changed"]);
    assert!(!to.path("state").exists(), "what it has made is removed");
    match to.kind() {
        Kind::Sqlite => assert!(!to.path("main.db").exists() && !to.path("main.db.restoring").exists()),
        Kind::Mariadb => assert_eq!(to.db.sql("SHOW TABLES"), Vec::<Vec<String>>::new()),
    }
    restored(&to.setup(), &[&path]);
    // One that is not empty: SQLite has lost nothing, MySQL says that it is to be done again.
    let before = definitions(&to);
    let (code, _, wrong) = restore(&to.setup(), &["--force", &twice]);
    if to.kind() == Kind::Sqlite {
        assert_eq!(code, Some(2), "{wrong}");
        assert_eq!(definitions(&to), before);
    } else {
        assert!(code == Some(1) && wrong.contains("restore again with --force"), "{wrong}");
        let (code, said) = to.setup().refused();
        assert!(code == Some(2) && said.contains("was not finished"), "{said}");
    }
    restored(&to.setup(), &["--force", &path]);
    assert_eq!(definitions(&to), before);
    drop(to.start());
}

fn wrong_backups_are_told_apart_and_change_nothing(place: &Place) {
    let mut daemon = place.start();
    place.db.add("a", "http://127.0.0.1:1/", 60_000);
    daemon.wait_target("a", "status", &json!("FAIL"));
    let path = saved(&daemon, place, "all.backup", &[]);
    daemon.terminate();
    let text = std::fs::read_to_string(&path).unwrap();
    let to = Place::on(place.kind());
    let cut = &text[..text.len() / 2];
    let newer = text.replacen("\"skypunch_backup\":1", "\"skypunch_backup\":7", 1);
    let later = text.replacen("\"main\":[", "\"main\":[\"0999\",", 1);
    let later = with_lines(&later, &[]);
    let table = with_lines(&text, &[r#"{"table":"main.users","columns":["id"]}"#, "[1]"]);
    for (name, content, words) in [
        ("empty", "", &["is no backup of skypunch"][..]),
        ("toml", "[[target]]\nname = \"a\"\n", &["is no backup of skypunch"]),
        ("sqlite", "SQLite format 3\0\n\0", &["is no backup of skypunch"]),
        ("cut", cut, &["is cut short", "take another backup"]),
        ("line", text.rsplit_once("{\"end\"").unwrap().0, &["is cut short"]),
        ("damaged", &text.replacen("127.0.0.1", "127.0.0.2", 1), &["is damaged", "checksum"]),
        ("newer", &newer, &["newer form", "7"]),
        ("later", &later, &["taken by a newer skypunch", env!("CARGO_PKG_VERSION")]),
        ("table", &table, &["users", "nothing was changed"]),
    ] {
        let wrong = file(place, name, content);
        refused(&to.setup(), &[&wrong], &[&[name], words].concat());
        let left = [to.path("state"), to.path("main.db")].into_iter().find(|p| p.exists());
        assert_eq!(left, None, "{name}: it has left something");
    }
    refused(&to.setup(), &["/nonexistent.backup"], &["/nonexistent.backup", "No such file"]);
    refused(&to.setup(), &["/dev/null"], &["/dev/null", "no regular file"]);
    let folder = place.dir.path().display().to_string();
    refused(&to.setup(), &[&folder], &["no regular file"]);
    let pipe = crate::probing::fifo(place.dir.path()).display().to_string();
    refused(&to.setup(), &[&pipe], &["no regular file"]);
}

#[test]
fn a_backup_that_cannot_be_written_says_where_and_leaves_nothing() {
    let place = Place::new();
    let daemon = place.start();
    let dir = tempfile::tempdir().unwrap();
    let said = |args: &[&str]| {
        let output = backup(&daemon, args);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let shown = dir.path().display().to_string();
    let (code, text) = said(&[&shown, "--force"]);
    assert!(code == Some(2) && text.contains("is a folder"), "{text}");
    let (code, text) = said(&[&format!("{shown}/none/x")]);
    assert!(code == Some(2) && text.contains("/none/x cannot be written"), "{text}");
    let (code, text) = said(&["/dev/null", "--force"]);
    assert!(code == Some(2) && text.contains("no regular file"), "{text}");
    let mut ctl = Command::new(env!("CARGO_BIN_EXE_skypunchctl"));
    let piped = ctl.env_clear().arg("--socket").arg(&daemon.socket).args(["backup", "-"]).output().unwrap();
    assert!(piped.status.success() && piped.stdout.starts_with(b"{\"skypunch_backup\":1"), "{piped:?}");
    assert!(piped.stdout.ends_with(b"}}\n"));
    let output = backup(&daemon, &[&format!("{shown}/good"), "--output", "json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["rows"]["main.targets"], json!(0), "{json:#}");
    // Without its database there is nothing to be had.
    let (main, aside) = (place.path("main.db"), place.path("aside.db"));
    std::fs::rename(&main, &aside).unwrap();
    let (code, text) = said(&[&format!("{shown}/none")]);
    assert!(code == Some(1) && text.contains("main.db is gone"), "{text}");
    std::fs::rename(&aside, &main).unwrap();
    let left = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, 1, "only the good one is there");
}

/// What runs as another user of this machine, who is in the socket's group.
fn as_nobody(program: &str, groups: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", &format!("--groups={groups}"), program]).env_clear();
    command
}

#[test]
fn what_root_restores_belongs_to_the_daemons_user() {
    assert!(rustix::process::geteuid().is_root(), "this test changes users: run it as root");
    let place = Place::new();
    let mut daemon = place.start();
    place.db.add("a", "http://127.0.0.1:1/", 60_000);
    daemon.wait_target("a", "status", &json!("FAIL"));
    let path = saved(&daemon, &place, "all.backup", &[]);
    daemon.terminate();
    let mut to = Place::new();
    to.db = super::database::Database::Sqlite(to.path("state/main.db"));
    std::fs::set_permissions(to.dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    for folder in ["state", "run"] {
        std::fs::create_dir(to.path(folder)).unwrap();
        std::os::unix::fs::chown(to.path(folder), Some(65534), Some(65534)).unwrap();
    }
    restored(&to.setup(), &[&path]);
    let user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"].map(str::to_owned).to_vec();
    let daemon = Setup { wrapper: user, ..to.setup() }.start();
    assert_eq!(daemon.target("a")["id"], json!(1));
}

#[test]
fn only_root_and_the_daemons_user_get_the_secrets() {
    assert!(rustix::process::geteuid().is_root(), "this test changes users: run it as root");
    let place = Place::new();
    let mut daemon = place.start();
    for path in [place.dir.path(), daemon.socket.parent().unwrap()] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let group = std::fs::metadata(&daemon.socket).unwrap().gid().to_string();
    let ctl = |args: &[&str]| {
        let mut command = as_nobody(env!("CARGO_BIN_EXE_skypunchctl"), &group);
        command.arg("--socket").arg(&daemon.socket).args(args).output().unwrap()
    };
    let may = ctl(&["targets"]);
    assert!(may.status.success(), "the group may use the socket: {may:?}");
    let output = ctl(&["backup", "-"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(output.stdout.is_empty() && said.contains("only root and the user with the id 0"), "{said}");
    daemon.wait_one_line(&["was refused", "GET `/v1/backup`", "uid: 65534"]);
    // The file is opened with the rights of who calls: root's folder is not written for somebody else.
    let closed = place.path("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
    let output = ctl(&["backup", &closed.join("x").display().to_string()]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(std::fs::read_dir(Path::new(&closed)).unwrap().count(), 0);
    daemon.terminate();
}
