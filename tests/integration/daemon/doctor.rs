//! `skypunchctl doctor`: with and without a daemon, on what is well and on what is broken. It changes nothing.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::database::{Database, Kind};
use super::harness::{Daemon, Place, SOON, Setup, free_port, number, wait_until};
use super::origin::Origin;
use super::smtp::MailServer;
use crate::misbehaving::{NameServer, Says, name_server};

on_both!(
    a_healthy_daemon_has_nothing_to_mend,
    without_a_daemon_it_looks_all_the_same_and_makes_nothing,
    a_newer_schema_and_a_foreign_database_are_named,
);

/// NXDOMAIN.
const NO_SUCH_NAME: u8 = 3;

/// What the tool found.
struct Found {
    code: Option<i32>,
    findings: Vec<Value>,
    text: String,
}

impl Found {
    /// What was found with that level by a check, one sentence a finding.
    fn of(&self, level: &str, check: &str) -> Vec<String> {
        let fits = |f: &&Value| f["level"] == level && f["check"] == check;
        self.findings.iter().filter(fits).map(|f| f["message"].as_str().unwrap().to_owned()).collect()
    }

    /// The mend of the one finding whose message holds these words.
    fn mend(&self, level: &str, words: &str) -> String {
        let fits = |f: &&Value| f["level"] == level && f["message"].as_str().unwrap().contains(words);
        let found: Vec<&Value> = self.findings.iter().filter(fits).collect();
        assert_eq!(found.len(), 1, "{level} {words}: {}", self.text);
        found[0]["mend"].as_str().unwrap().to_owned()
    }

    fn fails(&self) -> Vec<String> {
        let all = self.findings.iter().filter(|f| f["level"] == "FAIL");
        all.map(|f| f["message"].as_str().unwrap().to_owned()).collect()
    }
}

/// Looks with these settings; by root or whoever runs the tests.
fn look(setup: &Setup) -> Found {
    drop(setup.command()); // writes the settings
    look_at(&setup.config, &[])
}

fn look_at(config: &Path, more: &[&str]) -> Found {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skypunchctl"));
    command.arg("doctor").arg("--config").arg(config).args(["--output", "json"]).args(more);
    let output = command.env("TZ", "UTC").stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let report: Value = serde_json::from_str(&text)
        .unwrap_or_else(|e| panic!("{e}: {text} {}", String::from_utf8_lossy(&output.stderr)));
    let found = Found { code: output.status.code(), findings: report["findings"].as_array().unwrap().clone(), text };
    let any_fail = !found.fails().is_empty();
    assert_eq!(
        (report["healthy"] == json!(false), found.code),
        (any_fail, Some(i32::from(any_fail))),
        "{}",
        found.text
    );
    for f in &found.findings {
        assert_eq!(f["mend"].is_null(), f["level"] == "OK", "each trouble has its mend: {f:#}");
    }
    assert!(!found.text.contains("hunter2"), "{}", found.text);
    found
}

/// Settings with a name server of the test's own.
fn setup(place: &Place, dns: &NameServer) -> Setup {
    place.setup().extra(&format!("[probe]\narbiters = 1\nname_servers = [\"{}\"]\n", dns.address))
}

/// A mail notifier and a target.
fn fill(place: &Place, daemon: &Daemon, mail: &MailServer, origin: &Origin) {
    place.db.sql(&format!(
        "INSERT INTO notifiers (name, type, address, params) VALUES ('ops', 'SMTP', 'ops@example.com', '{}')",
        mail.params()
    ));
    place.db.add("good", &origin.url("/"), 1000);
    daemon.wait_target("good", "status", &json!("PASS"));
    wait_until("the notifier is known", SOON, || !daemon.get("/v1/notifiers").as_array().unwrap().is_empty());
}

/// Names, sizes and modes of all files below a folder.
fn files(dir: &Path) -> BTreeMap<String, (u64, u32)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let meta = entry.metadata().unwrap();
        if meta.is_dir() {
            found.extend(files(&entry.path()));
        }
        let size = if meta.is_dir() { 0 } else { meta.len() };
        found.insert(entry.path().display().to_string(), (size, meta.permissions().mode()));
    }
    found
}

fn a_healthy_daemon_has_nothing_to_mend(place: &Place) {
    let (mail, origin, dns) = (MailServer::start(), Origin::start(), name_server(Says::Code(NO_SUCH_NAME)));
    let setup = setup(place, &dns);
    let daemon = setup.start();
    fill(place, &daemon, &mail, &origin);
    let found = look_at(&setup.config, &[]);
    assert_eq!((found.code, found.fails()), (Some(0), vec![]), "{}", found.text);
    for check in
        ["settings", "socket", "daemon", "state folder", "socket folder", "descriptors", "disk", "dns", "certificates"]
    {
        assert!(!found.of("OK", check).is_empty(), "{check}: {}", found.text);
    }
    let database = found.of("OK", "database");
    assert!(database[0].ends_with(": 1 enabled targets"), "{database:?}");
    assert_eq!(found.of("OK", "notifiers"), [format!("`ops`: the mail server 127.0.0.1:{} greets", mail.port)]);
    assert!(mail.mails().is_empty(), "nothing is sent");
    if place.kind() == Kind::Mariadb {
        assert!(database.iter().any(|f| f.ends_with("has all rights that are needed")), "{database:?}");
        assert!(found.of("OK", "clock").iter().any(|f| f.starts_with("the database's clock")), "{}", found.text);
    }

    // For people; the daemon says itself where its settings are.
    let mut command = Command::new(env!("CARGO_BIN_EXE_skypunchctl"));
    let output = command.arg("--socket").arg(&daemon.socket).arg("doctor").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.starts_with(&format!("OK       settings       {} is fit\n", setup.config.display())), "{text}");
    assert!(text.contains("OK       notifiers      `ops`: the mail server") && text.ends_with(", 0 FAIL\n"), "{text}");
}

fn without_a_daemon_it_looks_all_the_same_and_makes_nothing(place: &Place) {
    let (mail, origin, dns) = (MailServer::start(), Origin::start(), name_server(Says::Code(NO_SUCH_NAME)));
    let setup = setup(place, &dns);
    // Before the first start.
    let found = look(&setup);
    assert_eq!(found.code, Some(0), "{}", found.text);
    found.mend("WARNING", "no daemon runs");
    assert_eq!(found.of("WARNING", "state folder").len(), 1, "{}", found.text);
    assert!(!setup.state.exists() && !setup.socket.exists(), "nothing is made");

    let mut daemon = setup.start();
    fill(place, &daemon, &mail, &origin);
    daemon.terminate();
    let before = files(place.dir.path());
    let found = look(&setup);
    assert_eq!((found.code, found.fails()), (Some(0), vec![]), "{}", found.text);
    assert_eq!(found.mend("WARNING", "no daemon runs"), "skypunchctl start");
    assert!(found.of("OK", "database")[0].ends_with(": 1 enabled targets"), "{}", found.text);
    assert_eq!(found.of("OK", "notifiers").len(), 1, "{}", found.text);
    assert_eq!(files(place.dir.path()), before, "no file is made, none is touched");

    // Killed: its socket and its log files are left.
    let mut daemon = setup.start();
    daemon.kill();
    let before = files(place.dir.path());
    let found = look(&setup);
    assert_eq!((found.code, found.fails()), (Some(0), vec![]), "{}", found.text);
    assert!(found.mend("WARNING", " is stale: nobody listens there").starts_with("skypunchctl start"));
    assert_eq!(files(place.dir.path()), before);
}

fn a_newer_schema_and_a_foreign_database_are_named(place: &Place) {
    let dns = name_server(Says::Code(NO_SUCH_NAME));
    let setup = setup(place, &dns);
    setup.start().terminate();
    place.db.sql("INSERT INTO __diesel_schema_migrations (version) VALUES ('99991231000000')");
    let found = look(&setup);
    let mend = found.mend("FAIL", "a newer skypunch has changed the tables (migration 99991231000000 is not known");
    assert!(mend.starts_with("install that version"), "{mend}");
    place.db.sql("DELETE FROM __diesel_schema_migrations");
    place.db.sql("INSERT INTO __diesel_schema_migrations (version) VALUES ('1')");
    let found = look(&setup);
    assert!(found.mend("FAIL", "it belongs to another program").contains("a database of its own"), "{}", found.text);
    place.db.sql("DELETE FROM __diesel_schema_migrations");
    place.db.sql("DROP TABLE __diesel_schema_migrations");
    let found = look(&setup);
    found.mend("FAIL", "it holds tables that are not skypunch's");
}

#[test]
fn wrong_modes_a_silent_name_server_and_a_dead_mail_server_are_failures_with_their_mend() {
    let place = Place::new();
    let (mail, origin, dns) = (MailServer::start(), Origin::start(), name_server(Says::Silence));
    let secrets = place.path("secrets");
    std::fs::create_dir(&secrets).unwrap();
    std::fs::write(secrets.join("key"), "hunter2").unwrap();
    let setup = setup(&place, &dns).extra(&format!("[secrets]\nfolders = [{:?}]\n", secrets.display().to_string()));
    let daemon = setup.start();
    fill(&place, &daemon, &mail, &origin);
    place.db.sql(&format!(
        "INSERT INTO notifiers (name, type, address, params) VALUES \
         ('dead', 'SMTP', 'a@example.com', 'server=127.0.0.1:{0},security=none,password=hunter2,user=u'), \
         ('hook', 'WEBHOOK', 'http://127.0.0.1:{0}/hunter2', NULL)",
        free_port()
    ));
    let chmod = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    chmod(&setup.state, 0o777);
    chmod(&setup.state.join("state.db"), 0o644);
    chmod(&setup.socket, 0o666);
    chmod(&secrets.join("key"), 0o604);
    let found = look_at(&setup.config, &[]);
    let state = setup.state.display();
    assert_eq!(found.mend("FAIL", "anybody on this machine may write in"), format!("chmod o-w {state}"));
    assert_eq!(found.mend("FAIL", "state.db (owner"), format!("chmod o= {state}/state.db"));
    assert_eq!(
        found.mend("WARNING", "anybody on this machine may use"),
        format!("chmod 660 {}", setup.socket.display())
    );
    assert_eq!(found.mend("FAIL", "secrets/key (owner"), format!("chmod o= {}/key", secrets.display()));
    assert!(
        found.mend("FAIL", &format!("the name server {} does not answer", dns.address)).contains("probe.name_servers")
    );
    assert!(
        found.mend("FAIL", "`dead`: connecting to 127.0.0.1:").contains("skypunchctl notifiers 2 test"),
        "{}",
        found.text
    );
    assert!(
        found.mend("FAIL", "`hook`: connecting to 127.0.0.1:").contains("skypunchctl notifiers 3 test"),
        "{}",
        found.text
    );
    assert_eq!(found.of("OK", "notifiers").len(), 1, "`ops` is well: {}", found.text);
    assert_eq!(found.code, Some(1));
}

#[test]
fn few_descriptors_for_many_targets_are_a_failure() {
    let (place, origin, dns) = (Place::new(), Origin::start(), name_server(Says::Code(NO_SUCH_NAME)));
    let mut setup = setup(&place, &dns);
    setup.wrapper = vec!["prlimit".into(), "--nofile=200:200".into()];
    let daemon = setup.start();
    let rows: Vec<String> = (0..100).map(|i| format!("('t{i}', '{}')", origin.url("/"))).collect();
    place.db.sql(&format!("INSERT INTO targets (name, url) VALUES {}", rows.join(", ")));
    wait_until("they are known", SOON, || number(&daemon.status()["targets"], "enabled") == 100);
    let found = look_at(&setup.config, &[]);
    let mend = found.mend("FAIL", "at most 200 may be open, and 100 targets may each hold one");
    assert!(mend.contains("LimitNOFILE=1024"), "{mend}");
}

#[test]
fn a_database_that_is_away_fails_alone() {
    let dns = name_server(Says::Code(NO_SUCH_NAME));
    let place = Place::new();
    let mut setup = setup(&place, &dns);
    setup.database = format!("mysql://sky@127.0.0.1:{}/sky", free_port());
    let found = look(&setup);
    assert_eq!(found.fails().len(), 1, "{}", found.text);
    assert!(
        found.mend("FAIL", "the database cannot be reached").contains("results are kept in state.db"),
        "{}",
        found.text
    );
    found.mend("WARNING", "who is to be told stands in the database, which is empty or cannot be read");
    // One that takes connections and never says a word: bounded.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    setup.database = format!("mysql://sky@{}/sky", silent.local_addr().unwrap());
    let found = look(&setup);
    found.mend("FAIL", "did not answer within");
}

#[test]
fn wrong_settings_and_what_is_in_the_way_of_the_socket_are_told() {
    let (place, dns) = (Place::new(), name_server(Says::Code(NO_SUCH_NAME)));
    let setup = setup(&place, &dns);
    std::fs::create_dir_all(setup.socket.parent().unwrap()).unwrap();
    std::fs::write(&setup.socket, "x").unwrap();
    let found = look(&setup);
    assert!(found.mend("FAIL", "is no socket").contains("control.socket"), "{}", found.text);
    let wrong = place.path("wrong.toml");
    std::fs::write(&wrong, "[probe]\narbiters = -1\n[http]\nlsten = \"x\"\n").unwrap();
    let found = look_at(&wrong, &["--socket", "/nowhere/socket"]);
    let settings = found.of("FAIL", "settings");
    assert!(settings.iter().any(|f| f.contains("probe.arbiters")), "{settings:?}");
    assert!(settings.iter().any(|f| f.contains("did you mean `listen`?")), "{settings:?}");
    assert!(look_at(&place.path("none.toml"), &[]).of("FAIL", "settings")[0].contains("none.toml"));
    let (held, other) = (std::net::TcpListener::bind("127.0.0.1:0").unwrap(), place.path("held.toml"));
    std::fs::write(&other, format!("[http]\nlisten = \"{}\"\n", held.local_addr().unwrap())).unwrap();
    let found = look_at(&other, &["--socket", "/nowhere/socket"]);
    assert!(found.mend("FAIL", "cannot be listened on").contains("http.listen"), "{}", found.text);
}

#[test]
fn a_right_that_lacks_on_mariadb_is_named_as_the_grant_that_mends_it() {
    let (place, dns) = (Place::on(Kind::Mariadb), name_server(Says::Code(NO_SUCH_NAME)));
    let Database::Mariadb(server, name) = &place.db else { unreachable!() };
    let user = format!("u{}", std::process::id());
    let account = format!("'{user}'@'127.0.0.1'");
    place.db.sql(&format!("CREATE USER {account} IDENTIFIED BY 'hunter2'"));
    place.db.sql(&format!("GRANT SELECT, INSERT ON {name}.* TO {account}"));
    let mut setup = setup(&place, &dns);
    setup.database = format!("mysql://{user}:hunter2@127.0.0.1:{}/{name}", server.port);
    let found = look(&setup);
    let lacks =
        format!("{account} lacks UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES, CREATE VIEW, SHOW VIEW");
    let mend = found.mend("FAIL", &lacks);
    place.db.sql(&mend);
    let found = look(&setup);
    assert_eq!((found.code, found.fails()), (Some(0), vec![]), "{}", found.text);
    let mut daemon = setup.start();
    daemon.terminate();
    // What the next upgrade alone needs is no failure yet.
    place.db.sql(&format!("REVOKE ALTER ON {name}.* FROM {account}"));
    let found = look(&setup);
    assert_eq!(
        found.mend("WARNING", "lacks ALTER: the next upgrade needs it"),
        format!("GRANT ALTER ON `{name}`.* TO {account}")
    );
    place.db.sql(&format!("ALTER USER {account} IDENTIFIED BY 'other'"));
    let found = look(&setup);
    assert!(found.mend("FAIL", "Access denied for user").starts_with("mend user and password"), "{}", found.text);
    place.db.sql(&format!("DROP USER {account}"));
}
