//! `skypunch import-legacy`: the database of skypunch 0.3.0 in a real MariaDB, brought into either database.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use super::database::{Database, Kind};
use super::harness::{Place, SOON, Setup, file, number, wait_until};
use super::origin::{Answer, Origin};

/// A database as 0.3.0 left it.
fn old(origin: &str) -> Database {
    let db = empty();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/legacy");
    db.sql(&std::fs::read_to_string(folder.join("schema.sql")).unwrap());
    db.sql(&std::fs::read_to_string(folder.join("rows.sql")).unwrap().replace("ORIGIN", origin));
    db
}

fn empty() -> Database {
    Place::on(Kind::Mariadb).db
}

/// `skypunch import-legacy` with the settings of a place.
fn command(setup: &Setup, arguments: &[&str]) -> Command {
    drop(setup.command()); // writes its settings
    let mut command = Command::new(env!("CARGO_BIN_EXE_skypunch"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", "/nonexistent");
    command.arg("import-legacy").args(arguments).arg("--config").arg(&setup.config);
    command.stdin(Stdio::null());
    command
}

/// Exit code, standard output, standard error.
fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn import(place: &Place, old: &Database, more: &[&str]) -> (Option<i32>, String, String) {
    let url = old.url();
    told(&command(&place.setup(), &[&["--from", &url], more].concat()).output().unwrap())
}

/// All that an import may write, as text.
fn dump(db: &Database) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for table in ["targets", "target_status", "incidents", "notifiers", "notifier_status", "imports"] {
        all.extend(db.sql(&format!("SELECT * FROM {table} ORDER BY 1, 2, 3")));
    }
    all
}

fn comes_over_whole_and_once(place: &Place) {
    let origin = Origin::start();
    origin.answer("/down", Answer::Status(503));
    let old = old(&origin.url(""));
    let as_it_was = old.sql("SELECT * FROM targets");

    let (code, plan, errors) = import(place, &old, &["--plan"]);
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{plan}");
    assert!(plan.contains("targets    9 would be brought over, 1 left out\n"), "{plan}");
    assert!(plan.contains("notifiers  1 would be brought over, 1 left out\n"), "{plan}");
    assert!(plan.ends_with("\nnothing was changed\n"), "{plan}");
    match place.kind() {
        Kind::Sqlite => assert!(!place.path("main.db").exists(), "a plan makes no file"),
        Kind::Mariadb => assert_eq!(place.db.sql("SHOW TABLES"), [[""; 0]; 0], "a plan makes no table"),
    }
    assert!(!place.path("state").exists());

    let (code, done, errors) = import(place, &old, &[]);
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{done}");
    for part in [
        "targets    9 brought over, 1 left out\n",
        "1 of the targets fail: each has an open incident",
        "targets 4 (`cloud`), authn_parms (not shown): brought over: the endpoint ends in /v2.0/tokens",
        "targets 5 (`shop`), name `shop`: brought over: stands twice",
        "targets 6 (`große Überwachung €`), url",
        "targets 7 (`Openstack Service`), previous_status ``",
        "targets 7 (`Openstack Service`), last_updated `0000-00-00 00:00:00`",
        "targets 7 (`Openstack Service`), authn_parms (not shown): brought over, not enabled:",
        "targets 8 (`never`), frequency `0`: brought over: means at each turn",
        "targets 9 (`no scheme`), url `www.example.com`: left out:",
        "targets 10 (`bell\\u{7}bell`), name `bell\\u{7}bell`: brought over:",
        "notifiers 2 (`boss`), params (not shown): left out: lack server",
    ] {
        assert!(done.contains(part), "{part}\n{done}");
    }
    assert!(!done.contains("hunter2") && !done.contains("forall"), "{done}");
    let rows = |list: &[Vec<String>]| list.iter().map(|r| r.join("|")).collect::<Vec<_>>();
    let wanted = [
        "shop|0|GET|NONE|200|1000|1000|1|PASS|PASS|1399377600000|1000|7|1000|0|3|1|3|0|1007|OK",
        "down|0|GET|NONE|200|1000|1000|1|FAIL|FAIL|1399377600000|50|20|50|0|0|20|0|11|70|target status:503 != 200",
        "private|7|HEAD|BASIC|200|60000|10000|1|PASS|FAIL|1399377601000|5|1|5|1|0|0|0|0|6|OK",
        "cloud|0|GET|OPENSTACK|200|300000|10000|0|NEW|FAIL|1399377600000|0|9|0|0|0|0|9|0|9|Openstack keystone auth failure 401 Unauthorized",
        "shop (id 5)|0|GET|NONE|200|60000|10000|1|PASS|PASS|1399377600000|1|0|1|0|0|0|0|0|1|OK",
        "große Überwachung €|0|GET|NONE|200|60000|10000|1|PASS|PASS|1399377600000|1|0|1|0|0|0|0|0|1|OK",
        "Openstack Service|0|GET|NONE|200|10000|10000|0|NEW|NEW|NULL|0|0|0|0|0|0|0|0|0|",
        "never|0|GET|NONE|200|60000|45000|1|NEW|NEW|NULL|0|0|0|0|0|0|0|0|0|",
        "bell bell|0|GET|NONE|200|60000|10000|1|PASS|PASS|1399377600000|1|0|1|0|0|0|0|0|1|OK",
    ];
    let there = place.db.sql(
        "SELECT t.name, t.tenantid, method, authn, pass_result, frequency_ms, timeout_ms, enabled, status, previous_status, last_updated, \
         pass_count, fail_count, count200, count300, count400, count500, network_fails, repeated_fails, imported_count, \
         status_description FROM targets t JOIN target_status s ON s.target_id = t.id ORDER BY t.id",
    );
    assert_eq!(rows(&there), wanted);
    super::ledger::assert_consistent(&place.db);
    let private = place.db.sql("SELECT authn_parms, url FROM targets WHERE name = 'private'");
    assert_eq!(private[0][0], "user=freebeer,password=forall");
    // It fails since its first of eleven fails, ten seconds before the last.
    let incident = place.db.sql("SELECT subject_name, reason, started_at, ended_at FROM incidents");
    assert_eq!(rows(&incident), ["down|status|1399377590000|NULL"]);
    let notifier = place.db.sql(
        "SELECT name, type, address, params, enabled, pass_count, fail_count FROM notifiers n JOIN notifier_status s ON s.notifier_id = n.id",
    );
    assert_eq!(
        rows(&notifier),
        ["ops|SMTP|ops@example.com|user=u@example.com,password=hunter2,server=mail.invalid|1|41|2"]
    );

    let before = dump(&place.db);
    let (code, again, _) = import(place, &old, &[]);
    assert_eq!((code, dump(&place.db)), (Some(0), before));
    assert!(again.contains("targets    0 brought over, 9 were brought over before, 1 left out\n"), "{again}");
    assert!(again.ends_with("\nthere was nothing to be done\n"), "{again}");
    assert!(!again.contains("frequency"), "what was told once is not told again: {again}");
    assert_eq!(old.sql("SELECT * FROM targets"), as_it_was, "the old database is as it was");
}

fn the_daemon_goes_on_from_there(place: &Place) {
    let origin = Origin::start();
    origin.answer("/down", Answer::Status(503));
    let old = old(&origin.url(""));
    assert_eq!(import(place, &old, &[]).0, Some(0));
    let incident = place.db.sql("SELECT id FROM incidents")[0][0].clone();
    let mut daemon = place.start();
    wait_until("what failed is probed", SOON, || origin.count("/down") >= 3);
    let down = daemon.target("down");
    assert_eq!((&down["status"], &down["incident_id"]), (&json!("FAIL"), &json!(incident)));
    assert!(number(&down, "repeated_fails") >= 13 && number(&down, "fail_count") >= 22, "{down:#}");
    wait_until("what passes is counted on", SOON, || number(&daemon.target("name:shop"), "pass_count") > 1001);
    assert_eq!(place.db.number("SELECT COUNT(*) FROM notifications"), 0, "nobody is told again");

    // Beside the daemon nothing is brought in; a plan may be made.
    let (code, out, refused) = import(place, &old, &[]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(refused.contains("stop it for the import (skypunchctl stop)"), "{refused}");
    assert_eq!(import(place, &old, &["--plan"]).0, Some(0));
    // Nor beside one elsewhere that has another state folder.
    let elsewhere = Setup { state: place.path("elsewhere"), config: place.path("elsewhere.toml"), ..place.setup() };
    let (code, _, refused) = told(&command(&elsewhere, &["--from", &old.url()]).output().unwrap());
    assert_eq!(code, Some(2), "{refused}");
    assert!(refused.contains(&format!("a daemon works on it (pid {}", daemon.pid())), "{refused}");

    origin.answer("/down", Answer::Status(200));
    daemon.wait_target("down", "status", &json!("PASS"));
    wait_until("its incident ends", SOON, || {
        place.db.number("SELECT COUNT(*) FROM incidents WHERE ended_by = 'recovered'") == 1
    });
    assert_eq!(place.db.number("SELECT COUNT(*) FROM notifications"), 0);

    // The notifier's counters go on from where they were, although nobody is there to take a message.
    origin.answer("/down", Answer::Status(503));
    wait_until("a message is tried", SOON, || {
        let counted = place.db.sql("SELECT pass_count, fail_count FROM notifier_status");
        counted[0][0] == "41" && counted[0][1].parse::<i64>().unwrap() > 2
    });
    origin.answer("/down", Answer::Status(200));
    daemon.wait_target("down", "status", &json!("PASS"));

    // What people do meanwhile stays as it is.
    place.db.sql("UPDATE targets SET name = 'store', frequency_ms = 2000 WHERE name = 'shop'");
    place.db.sql("DELETE FROM targets WHERE name = 'never'");
    place.db.sql("UPDATE notifiers SET enabled = 0 WHERE name = 'ops'");
    daemon.wait_target("store", "frequency_ms", &json!(2000));
    daemon.terminate();
    let before = dump(&place.db);
    let (code, again, _) = import(place, &old, &[]);
    assert_eq!((code, dump(&place.db)), (Some(0), before));
    assert!(again.contains("targets    0 brought over, 9 were brought over before, 1 left out\n"), "{again}");
    super::ledger::assert_consistent(&place.db);

    // A row that is mended, and a new one, come over later.
    old.sql("UPDATE targets SET url = 'http://www.example.com/', enabled = 0 WHERE name = 'no scheme'");
    let (_, later, _) = import(place, &old, &[]);
    assert!(later.contains("targets    1 brought over, 9 were brought over before\n"), "{later}");
    let mut daemon = place.start();
    assert_eq!(number(&daemon.target("name:no%20scheme"), "fail_count"), 5);
    daemon.terminate();
    super::ledger::assert_consistent(&place.db);
}

fn a_taken_name_is_told_and_left_alone(place: &Place) {
    let old = old("http://127.0.0.1:9");
    place.start().terminate();
    place.db.sql("INSERT INTO targets (name, url) VALUES ('shop', 'http://mine/')");
    let (code, done, _) = import(place, &old, &[]);
    assert_eq!(code, Some(0));
    assert!(
        done.contains("targets 1 (`shop`), name `shop`: left out: there is a target `shop` here that was not imported"),
        "{done}"
    );
    assert_eq!(place.db.sql("SELECT url FROM targets WHERE name = 'shop'"), [["http://mine/"]]);
    // Another old database with the same names does not touch what the first one brought.
    let other = old_with_other_ids();
    let before = dump(&place.db);
    let (_, told, _) = import(place, &other, &[]);
    assert!(told.contains("one of this name was brought over before (id 2 of mysql://root@127.0.0.1:"), "{told}");
    assert_eq!(dump(&place.db), before);
}

/// A second old database, whose rows have other ids.
fn old_with_other_ids() -> Database {
    let other = old("http://127.0.0.1:9");
    other.sql("UPDATE targets SET id = id + 1000, last_updated = last_updated; DELETE FROM targets WHERE id NOT IN (1001, 1002)");
    other.sql("DELETE FROM notifiers");
    other
}

on_both!(comes_over_whole_and_once, the_daemon_goes_on_from_there, a_taken_name_is_told_and_left_alone);

/// A user of the server who may only read one database; goes with its owner.
struct Reader<'a> {
    db: &'a Database,
    name: String,
}

impl<'r> Reader<'r> {
    fn of(db: &'r Database, password: &str) -> Reader<'r> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("reader_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        db.sql(&format!("CREATE USER {name} IDENTIFIED BY '{password}'"));
        Reader { db, name }
    }

    fn granted(self, what: &str) -> Self {
        let database = self.db.url().rsplit('/').next().unwrap().to_owned();
        self.db.sql(&format!("GRANT SELECT ON {database}.{what} TO {}", self.name));
        self
    }

    fn url(&self, password: &str) -> String {
        self.db.url().replace("root@", &format!("{}{password}@", self.name))
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.db.sql(&format!("DROP USER {}", self.name));
    }
}

#[test]
fn select_is_enough_and_the_password_comes_by_every_way_but_the_command_line() {
    let place = Place::new();
    let old = old("http://127.0.0.1:9");
    let reader = Reader::of(&old, "hunter2").granted("*");
    let run = |setup: &Setup, arguments: &[&str], input: &str| {
        let mut command = command(setup, arguments);
        command.env("OLD_PASSWORD", "hunter2").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Who does not ask for it does not read it.
        let _unread = child.stdin.take().unwrap().write_all(input.as_bytes());
        told(&child.wait_with_output().unwrap())
    };
    let setup = place.setup();
    let secret = file(&place, "password", "hunter2\n");
    let (by_env, by_file) = (reader.url(":${env:OLD_PASSWORD}"), reader.url(&format!(":${{file:{secret}}}")));
    let (host, database) = (reader.url(""), reader.url("").rsplit('/').next().unwrap().to_owned());
    let port = host.rsplit(':').next().unwrap().split('/').next().unwrap();
    let old_config = file(
        &place,
        "skypunch.config",
        format!(
            "[settings]\nMainLoopTov: 1\n[database]\nLocation: 127.0.0.1\nport: {port}\nUser: {}\nPassword: hunter2\nDBName: {database}\n",
            reader.name
        ),
    );
    for (arguments, input) in [
        (vec!["--from", &by_env], ""),
        (vec!["--from", &by_file], ""),
        (vec!["--from", &host, "--password-stdin"], "hunter2\nrest"),
        (vec!["--from-config", &old_config], ""),
        (vec!["--from", &host, "--from-config", &old_config], ""),
    ] {
        let (code, out, errors) = run(&setup, &[arguments.as_slice(), &["--plan"]].concat(), input);
        assert_eq!((code, errors.as_str()), (Some(0), ""), "{arguments:?}: {out}");
        assert!(out.contains("9 would be brought over") && !out.contains("hunter2"), "{out}");
    }
    let (code, out, errors) = run(&setup, &["--from", &reader.url(":hunter2")], "");
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(errors.contains("--from holds a password") && !errors.contains("hunter2"), "{errors}");
    let (code, _, errors) = run(&setup, &["--from", &host], "");
    assert_eq!(code, Some(2));
    assert!(errors.contains("denies access"), "{errors}");
    // For real, too: nothing but SELECT is needed.
    let (code, out, errors) = run(&setup, &["--from", &by_env], "");
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{out}");
    assert_eq!(place.db.number("SELECT COUNT(*) FROM targets"), 9);
}

#[test]
fn the_password_is_asked_for_on_a_terminal_and_not_shown() {
    let place = Place::new();
    let old = old("http://127.0.0.1:9");
    let reader = Reader::of(&old, "hunter2").granted("*");
    let plain = command(&place.setup(), &["--from", &reader.url(""), "--plan"]);
    let words: Vec<String> = std::iter::once(plain.get_program())
        .chain(plain.get_args())
        .map(|w| format!("'{}'", w.to_str().unwrap()))
        .collect();
    // `script` gives it a terminal of its own, on which we type.
    let mut command = Command::new("script");
    command.args(["-qec", &words.join(" "), "/dev/null"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let (mut typed, mut shown) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut seen = Vec::new();
    let mut byte = [0u8; 1];
    while !String::from_utf8_lossy(&seen).contains("Password of the old database") {
        assert_eq!(std::io::Read::read(&mut shown, &mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&seen));
        seen.push(byte[0]);
    }
    // The prompt comes a moment before the echo goes.
    wait_until("what is typed is not echoed", SOON, || {
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        let reader = std::fs::read_to_string(children).unwrap();
        let Ok(terminal) = std::fs::read_link(format!("/proc/{}/fd/0", reader.trim())) else { return false };
        let settings = Command::new("stty").arg("-F").arg(terminal).arg("-a").output().unwrap();
        String::from_utf8_lossy(&settings.stdout).split_whitespace().any(|word| word == "-echo")
    });
    typed.write_all(b"hunter2\n").unwrap();
    std::io::Read::read_to_end(&mut shown, &mut seen).unwrap();
    let text = String::from_utf8_lossy(&seen);
    assert!(child.wait().unwrap().success(), "{text}");
    assert!(text.contains("9 would be brought over") && !text.contains("hunter2"), "{text}");
}

#[test]
fn what_is_no_database_of_0_3_0_is_told_by_what_it_holds() {
    let place = Place::new();
    let setup = place.setup();
    let refuse = |url: &str, part: &str| {
        let (code, out, errors) = told(&command(&setup, &["--from", url]).output().unwrap());
        assert_eq!((code, out.as_str()), (Some(2), ""), "{errors}");
        assert!(errors.contains(part) && errors.lines().count() == 1, "{part}: {errors}");
    };
    let nothing = empty();
    refuse(&nothing.url(), "it has no table that this user may see, and not versions, targets, notifiers");
    nothing.sql("CREATE TABLE customers (id INT); CREATE TABLE orders (id INT)");
    refuse(&nothing.url(), "it has the tables customers, orders, and not versions, targets, notifiers");
    let newer = old("http://127.0.0.1:9");
    newer.sql("INSERT INTO versions VALUES (2, 0)");
    refuse(&newer.url(), "its table versions says 1.0 and 2.0, and 0.3.0 wrote 1.0");
    newer.sql("DELETE FROM versions");
    refuse(&newer.url(), "its table versions says nothing");
    newer.sql("ALTER TABLE targets DROP COLUMN count300, DROP COLUMN url");
    refuse(&newer.url(), "its table targets has no column url, count300");
    let present = Place::on(Kind::Mariadb);
    present.start().terminate();
    refuse(&present.db.url(), "is a database of this version of skypunch");
    refuse("sqlite:///x.db", "names no user");
    refuse("mysql://root@127.0.0.1:1/none/such", "names no database");
    refuse(&newer.url().replace("daemon_", "no_such_"), "Unknown database");
    let blind = Reader::of(&newer, "");
    refuse(&blind.url(""), "denies access");
    let half = Reader::of(&newer, "").granted("versions");
    refuse(&half.url(""), "GRANT SELECT on versions, targets and notifiers");
    // Into itself.
    let itself = Setup { database: newer.url(), ..place.setup() };
    let (code, _, errors) = told(&command(&itself, &["--from", &newer.url()]).output().unwrap());
    assert_eq!(code, Some(2));
    assert!(errors.contains("names the database that [database] url names too"), "{errors}");
    // Nobody answers: not wrong, but failed.
    let (code, _, errors) = told(&command(&setup, &["--from", "mysql://u@127.0.0.1:1/d"]).output().unwrap());
    assert_eq!(code, Some(1));
    assert!(errors.contains("the old database mysql://u@127.0.0.1:1/d: the database cannot be reached"), "{errors}");
    assert!(!place.path("main.db").exists(), "nothing was changed");
}

#[test]
fn columns_that_people_added_and_odd_bytes_are_no_trouble() {
    let place = Place::new();
    let old = old("http://127.0.0.1:9");
    // MySQL copies the table, and no zero date into it unless it is told to.
    let alter = "ALTER TABLE targets ADD COLUMN owner VARCHAR(20), MODIFY name VARCHAR(128) CHARACTER SET latin1";
    old.sql(&format!("SET SESSION sql_mode = ''; {alter}"));
    let (code, out, errors) = import(&place, &old, &[]);
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("columns that 0.3.0 did not have were not looked at: targets.owner\n"), "{out}");
    let name = place.db.sql("SELECT name FROM targets WHERE name LIKE 'gro%'");
    assert_eq!(name, [["große Überwachung €"]]);
}

#[test]
fn thousands_of_rows_come_over_at_once() {
    let place = Place::new();
    let old = old("http://127.0.0.1:9");
    let row = |seq| {
        format!(
            "(0, 'n{seq}', '0', 'PASS', 'OK', 'PASS', '2014-05-06 12:00:00', 'http://h/', 'GET', 'NONE', '', 200, 60, 10, {seq}, 1, \
            {seq}, 0, 1, 0, 0, 0, 1)"
        )
    };
    old.sql(&format!("INSERT INTO targets VALUES {}", (1..=2500).map(row).collect::<Vec<_>>().join(",")));
    let (code, out, errors) = import(&place, &old, &[]);
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{out}");
    assert_eq!(
        place.db.number("SELECT SUM(imported_count) FROM target_status WHERE target_id > 9"),
        2500 * 2501 / 2 + 2500
    );
}
