//! What a person can get wrong before the daemon runs: exit code 2 and a sentence with the place and the mend.

use std::os::unix::net::UnixListener;
use std::process::Stdio;

use serde_json::json;

use super::harness::{Place, SOON, Setup, file, free_port, number, wait_until};
use super::origin::Origin;

on_both!(
    a_second_daemon_on_the_same_database_is_refused,
    a_targets_file_is_applied_at_start_and_when_it_has_changed,
    a_database_of_another_program_is_refused,
);

/// Refused with exit code 2 and one message that holds these words.
fn assert_refused(setup: &Setup, words: &[&str]) {
    let (code, said) = setup.refused();
    assert_eq!(code, Some(2), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
    assert!(!said.contains("panicked") && !said.contains("RUST_BACKTRACE"), "{said}");
    assert!(said.len() < 1000, "{said}");
}

fn a_second_daemon_on_the_same_database_is_refused(place: &Place) {
    let origin = Origin::start();
    let mut first = place.start();
    place.db.add("a", &origin.url("/"), 100);
    wait_until("it probes", SOON, || origin.count("/") >= 2);
    let elsewhere = tempfile::tempdir().unwrap();
    let path = |name: &str| elsewhere.path().join(name);
    let second = Setup { state: path("state"), socket: path("control.sock"), config: path("toml"), ..place.setup() };
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_refused(&second, &[&format!("{}", first.pid()), host.trim()]);
    assert!(!second.socket.exists(), "what it has made is removed");
    assert!(first.is_alive());
    let asked = origin.count("/");
    wait_until("the first one goes on", SOON, || origin.count("/") >= asked + 2);
    // When the first one dies, nothing is waited for.
    first.kill();
    let third = Setup { log: path("log"), ..second }.start();
    assert_eq!(number(&third.target("a"), "id"), 1);
}

fn a_targets_file_is_applied_at_start_and_when_it_has_changed(place: &Place) {
    let origin = Origin::start();
    let text =
        |name: &str| format!("[[target]]\nname = {name:?}\nurl = {:?}\nfrequency = \"100ms\"\n", origin.url("/"));
    let path = file(place, "targets.toml", text("a"));
    let setup = place.setup().arguments(&["--targets", &path]);
    let mut daemon = setup.start();
    daemon.wait_target("a", "status", &json!("PASS"));
    place.db.sql("UPDATE targets SET frequency_ms = 150 WHERE name = 'a'");
    daemon.wait_target("a", "frequency_ms", &json!(150));
    daemon.terminate();
    let mut daemon = setup.start();
    assert_eq!(daemon.target("a")["frequency_ms"], json!(150), "an unchanged file does not undo what was typed since");
    daemon.terminate();
    file(place, "targets.toml", text("a") + &text("b"));
    let mut daemon = setup.start();
    assert_eq!(daemon.target("a")["frequency_ms"], json!(100));
    daemon.wait_target("b", "status", &json!("PASS"));
    daemon.terminate();
    // Without prune nothing is deleted; a wrong file changes nothing at all.
    file(place, "targets.toml", text("b") + "[[target]]\nname = \"c\"\nurl = \"http://h/\"\nfrequncy = \"1s\"\n");
    assert_refused(&setup, &["targets.toml", "frequncy", "did you mean `frequency`"]);
    assert_eq!(place.db.sql("SELECT name FROM targets ORDER BY name").concat(), ["a", "b"]);
}

fn a_database_of_another_program_is_refused(place: &Place) {
    place.db.sql("CREATE TABLE targets (id INTEGER, colour VARCHAR(10)); INSERT INTO targets VALUES (1, 'red')");
    assert_refused(&place.setup(), &["targets"]);
    assert_eq!(place.db.sql("SELECT id, colour FROM targets"), [["1", "red"]]);
}

#[test]
fn a_second_daemon_on_the_same_state_folder_is_refused_with_the_firsts_pid() {
    let place = Place::new();
    let mut first = place.start();
    assert_refused(
        &place.setup(),
        &["already running", &format!("pid {}", first.pid()), &place.path("state").display().to_string()],
    );
    assert!(first.is_alive() && first.status()["state"] == json!("running"), "the first one is not disturbed");
}

#[test]
fn a_stale_socket_is_replaced_and_a_live_one_never() {
    let place = Place::new();
    let mut daemon = place.start();
    daemon.kill();
    assert!(daemon.socket.exists(), "kill -9 leaves the socket behind");
    let mut daemon = place.start();
    daemon.terminate();
    // Somebody else's, alive.
    let listener = UnixListener::bind(&daemon.socket).unwrap();
    assert_refused(&place.setup(), &["listens on", "control.sock", "control.socket"]);
    assert!(std::os::unix::net::UnixStream::connect(&daemon.socket).is_ok(), "it is still there");
    drop(listener);
    drop(place.start());
    // No socket at all.
    std::fs::remove_file(&daemon.socket).unwrap();
    std::fs::write(&daemon.socket, "precious").unwrap();
    assert_refused(&place.setup(), &["no socket", "control.sock"]);
    assert_eq!(std::fs::read_to_string(&daemon.socket).unwrap(), "precious");
}

#[test]
fn wrong_settings_are_refused_by_name() {
    let place = Place::new();
    for (extra, words) in [
        ("[probe]\narbitters = 1\n", &["probe.arbitters", "arbiters"][..]),
        ("[probe]\narbiters = \"many\"\n", &["probe.arbiters", "many"]),
        ("[shutdown]\ngrace = \"soon\"\n", &["shutdown.grace", "soon"]),
        ("[http]\nlisten = \"here\"\n", &["http.listen", "here"]),
        ("[persistence]\nflush_interval = \"1h\"\n", &["persistence.flush_interval", "250ms"]),
        ("[colour]\nred = 1\n", &["colour"]),
        ("this is no TOML", &["skypunch.toml"]),
    ] {
        assert_refused(&place.setup().extra(extra), words);
    }
    let gone = Setup { environment: vec![("SKYPUNCH__PROBE__ARBITERS".into(), "-1".into())], ..place.setup() };
    assert_refused(&gone, &["SKYPUNCH__PROBE__ARBITERS", "-1"]);
    let mut command = place.setup().command();
    std::fs::remove_file(place.path("skypunch.toml")).unwrap();
    let output = command.stdout(Stdio::null()).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("skypunch.toml"), "{output:?}");
}

#[test]
fn a_wrong_database_is_refused_with_what_to_do() {
    let place = Place::new();
    for (url, words) in
        [("postgres://h/db", &["database.url", "mysql://"][..]), ("sqlite:///proc/nowhere/x.db", &["/proc/nowhere"])]
    {
        assert_refused(&Setup { database: url.into(), ..place.setup() }, words);
    }
    let text = file(
        &place,
        "text.db",
        "this is a letter to my aunt and no database at all, however long it gets\n".repeat(99),
    );
    assert_refused(&Setup { database: format!("sqlite://{text}"), ..place.setup() }, &["text.db"]);
    let mariadb = Place::on(super::database::Kind::Mariadb);
    let url = mariadb.db.url();
    assert_refused(
        &Setup { database: url.replace("root@", "nobody@"), ..place.setup() },
        &["nobody", "database.password"],
    );
    let (server, name) = url.rsplit_once('/').unwrap();
    assert_refused(&Setup { database: format!("{server}/no_{name}"), ..place.setup() }, &["CREATE DATABASE"]);
}

#[test]
fn a_log_file_that_is_a_pipe_is_refused_and_nothing_hangs() {
    let place = Place::new();
    let pipe = crate::probing::fifo(place.dir.path());
    let setup = place.setup().extra(&format!("[log]\nfile = {:?}\n", pipe.display().to_string()));
    assert_refused(&setup, &["log.file", "is no regular file", "write the path of a file"]);
}

#[test]
fn a_state_folder_that_cannot_be_used_is_refused() {
    let place = Place::new();
    let in_a_file = file(&place, "file", "");
    for state in [format!("{in_a_file}/state"), "/proc/skypunch".into(), in_a_file.clone()] {
        assert_refused(&Setup { state: state.clone().into(), ..plain(&place) }, &[&state, "state.dir"]);
    }
    // A damaged state.db is named, with what to do, and left as it is.
    let setup = place.setup();
    std::fs::create_dir(&setup.state).unwrap();
    std::fs::write(setup.state.join("state.db"), "no database".repeat(1000)).unwrap();
    assert_refused(&setup, &["state.db"]);
    assert!(std::fs::read(setup.state.join("state.db")).unwrap().starts_with(b"no database"));
}

/// A setup whose state folder may be anywhere: nothing else depends on it.
fn plain(place: &Place) -> Setup {
    Setup { environment: vec![("HOME".into(), place.dir.path().display().to_string())], ..place.setup() }
}

#[test]
fn health_is_served_where_asked_and_a_taken_port_is_refused() {
    let place = Place::new();
    let port = free_port();
    let setup = place.setup().extra(&format!("[http]\nlisten = \"127.0.0.1:{port}\"\n"));
    let taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    assert_refused(&setup, &["http.listen", &port.to_string()]);
    assert!(!setup.socket.exists(), "what it has made is removed");
    drop(taken);
    let daemon = setup.start();
    let url = format!("http://127.0.0.1:{port}/healthz");
    place.db.add("itself", &url, 100);
    daemon.wait_target("itself", "status", &json!("PASS"));
    place.db.add("api", &format!("http://127.0.0.1:{port}/v1/status"), 100);
    let api = daemon.wait_target("api", "status", &json!("FAIL"));
    assert_eq!(api["count400"].as_i64().map(|n| n > 0), Some(true), "nothing but health is served there: {api:#}");
}

#[test]
fn wrong_targets_files_are_refused_and_nothing_of_them_is_applied() {
    let place = Place::new();
    for (content, words) in [
        (&b"[[target]]\nname = \"a\"\n"[..], &["url"][..]),
        (b"[[target]]\nname = \"a\"\nurl = \"http://h/\"\n[[target]]\nname = \"a\"\nurl = \"http://i/\"\n", &["a"]),
        (b"[[target]]\nname = \"a\"\nurl = \"http://h/\"\nfrequency = \"0s\"\n", &["frequency", "100"]),
        (b"[[targets]]\nname = \"a\"\n", &["targets"]),
        (b"\xff\xfe\x00", &["UTF-8"]),
        (b"[[target]\n", &["targets.toml"]),
    ] {
        let path = file(&place, "targets.toml", content);
        assert_refused(&place.setup().arguments(&["--targets", &path]), &[&["targets.toml"], words].concat());
    }
    let missing = place.path("missing.toml").display().to_string();
    assert_refused(&place.setup().arguments(&["--targets", &missing]), &["missing.toml"]);
    let folder = place.dir.path().display().to_string();
    assert_refused(&place.setup().arguments(&["--targets", &folder]), &["targets file"]);
    assert_eq!(place.db.number("SELECT COUNT(*) FROM targets"), 0);
}

#[test]
fn check_says_what_is_wrong_and_changes_nothing() {
    let place = Place::new();
    let check = |setup: &Setup, targets: Option<&str>| {
        let config = setup.config.display().to_string();
        let mut command = setup.command(); // writes the settings
        command = {
            let mut check = std::process::Command::new(command.get_program());
            check.args(["check", "--config", &config]).args(targets.map(|t| format!("--targets={t}")));
            check.env_clear().env("HOME", place.dir.path());
            check
        };
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let good = file(&place, "good.toml", "[[target]]\nname = \"a\"\nurl = \"http://h/\"\n");
    let (code, said, _) = check(&place.setup(), Some(&good));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("probe.arbiters = 1") && said.contains("1 targets, all fit"), "{said}");
    let bad = file(&place, "bad.toml", "[[target]]\nname = \"a\"\nurl = \"h\"\n");
    let (code, _, said) = check(&place.setup(), Some(&bad));
    assert!(code == Some(2) && said.contains("bad.toml") && said.contains("url"), "{said}");
    let (code, _, said) = check(&place.setup().extra("[probe]\narbitters = 1\n"), None);
    assert!(code == Some(2) && said.contains("arbitters"), "{said}");
    assert!(!place.path("state").exists() && !place.path("main.db").exists(), "nothing is made");
}
