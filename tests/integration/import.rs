//! `skypunchctl import`: fixtures in the formats of other monitors, and what is made of them.
//!
//! `SKYPUNCH_WRITE_GOLDEN=1 tests/run import::` writes `tests/import/golden` anew; look at what changed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import")
}

/// Runs `skypunchctl import` in the folder of fixtures; no daemon runs anywhere near.
fn import(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skypunchctl"));
    command.env_clear().env("HOME", "/nonexistent").current_dir(folder());
    command.arg("import").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The targets file is the golden one, and `skypunch check` and the daemon's `apply` take it.
fn is_golden(name: &str, made: &Output) {
    assert_eq!((made.status.code(), text(&made.stderr)), (Some(0), String::new()));
    let (made, file) = (text(&made.stdout), folder().join("golden").join(format!("{name}.toml")));
    if std::env::var_os("SKYPUNCH_WRITE_GOLDEN").is_some() {
        std::fs::write(&file, &made).unwrap();
    }
    assert_eq!(made, std::fs::read_to_string(&file).unwrap(), "{name}");
    let place = crate::daemon::harness::Place::new();
    let targets = crate::daemon::harness::file(&place, "targets.toml", &made);
    let setup = place.setup();
    drop(setup.command()); // writes its settings
    let mut command = Command::new(env!("CARGO_BIN_EXE_skypunch"));
    command
        .env_clear()
        .env("HOME", place.path(""))
        .args(["check", "--targets", &targets, "--config"])
        .arg(&setup.config);
    let checked = command.output().unwrap();
    assert!(checked.status.success(), "{name}: {}", text(&checked.stderr));
    let daemon = place.start();
    let ctl = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skypunchctl"));
        command.arg("--socket").arg(&daemon.socket).args(arguments).output().unwrap()
    };
    let planned = ctl(&["apply", &targets, "--plan"]);
    assert!(planned.status.success(), "{name}: {}", text(&planned.stderr));
    let expected = made.lines().filter(|l| l.starts_with("[[")).count();
    assert!(text(&planned.stdout).contains(&format!("{expected} to insert")), "{name}: {}", text(&planned.stdout));
}

#[test]
fn gatus() {
    is_golden("gatus", &import(&["--from", "gatus", "gatus.yaml"]));
}

#[test]
fn uptime_kuma_backup() {
    is_golden("kuma-backup", &import(&["--from", "uptime-kuma", "kuma-backup.json"]));
}

#[test]
fn blackbox() {
    is_golden("blackbox", &import(&["--from", "blackbox", "--modules", "blackbox.yml", "prometheus.yml"]));
}

#[test]
fn prometheus_file_sd() {
    let files = ["targets/web.json", "targets/more.yml"];
    is_golden("file-sd", &import(&["--from", "prometheus-file-sd", files[0], files[1]]));
    let with = ["--from", "prometheus-file-sd", "--modules", "blackbox.yml", "--module", "http_2xx"];
    is_golden("file-sd-modules", &import(&[with.as_slice(), &files].concat()));
}

/// A database of Uptime Kuma in a folder of its own, as SQLite's own shell makes it.
fn kuma_db(dir: &Path) -> PathBuf {
    let file = dir.join("kuma.db");
    let sql = std::fs::read_to_string(folder().join("kuma.sql")).unwrap();
    let made = Command::new("sqlite3")
        .arg("-bail")
        .arg(&file)
        .arg(format!("PRAGMA journal_mode = WAL; {sql}"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
    file
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn uptime_kuma_database_is_only_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = kuma_db(dir.path());
    let before = (std::fs::read(&file).unwrap(), names(dir.path()));
    let made = import(&["--from", "uptime-kuma", &file.display().to_string()]);
    assert_eq!((std::fs::read(&file).unwrap(), names(dir.path())), before, "the database is as it was");
    let shown = text(&made.stdout).replace(&file.display().to_string(), "kuma.db");
    is_golden("kuma-db", &Output { stdout: shown.into_bytes(), ..made.clone() });
    // The export of the table alone says the same of the monitors.
    let rows =
        Command::new("sqlite3").args(["-json", "-readonly"]).arg(&file).arg("SELECT * FROM monitor").output().unwrap();
    let export = dir.path().join("monitor.json");
    std::fs::write(&export, &rows.stdout).unwrap();
    let exported = text(&import(&["--from", "uptime-kuma", &export.display().to_string()]).stdout);
    for line in ["name = \"front page\"", "fail_after = 3", "url = \"http://shop.example/über?a=1\"", "redirects = 10"]
    {
        assert!(exported.contains(line), "{line}: {exported}");
    }
}

#[test]
fn a_database_that_uptime_kuma_is_writing_is_read_with_what_is_in_its_log() {
    use std::io::Write;
    let dir = tempfile::tempdir().unwrap();
    let file = kuma_db(dir.path());
    let mut shell = Command::new("sqlite3").arg(&file).stdin(std::process::Stdio::piped()).spawn().unwrap();
    let input = shell.stdin.as_mut().unwrap();
    writeln!(input, "UPDATE monitor SET name = 'renamed' WHERE id = 2;").unwrap();
    input.flush().unwrap();
    crate::daemon::harness::wait_until("the log holds it", crate::daemon::harness::SOON, || {
        let made = import(&["--from", "uptime-kuma", &file.display().to_string()]);
        made.status.success() && text(&made.stdout).contains("name = \"renamed\"")
    });
    drop(shell.stdin.take());
    assert!(shell.wait().unwrap().success());
}

#[test]
fn wrong_input_names_the_file_and_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| {
        std::fs::write(dir.path().join(name), content).unwrap();
        dir.path().join(name).display().to_string()
    };
    let (tab, latin) = (write("tab.yml", b"endpoints:\n\t- name: hunter2\n"), write("latin.yml", b"a: 1\nb: \xe9\n"));
    let (other, empty) = (write("other.yml", b"services_of_mine: []\n"), write("empty.yml", b""));
    let database = write("other.db", b"");
    assert!(Command::new("sqlite3").args([&database, "CREATE TABLE x (a)"]).status().unwrap().success());
    let damaged = write("damaged.db", b"SQLite format 3\0 and nothing of it");
    for (arguments, part) in [
        (vec!["--from", "gatus", &tab], "tab.yml, line 2, column "),
        (vec!["--from", "gatus", &latin], "latin.yml: line 2 is not UTF-8"),
        (vec!["--from", "gatus", &other], "other.yml holds no `endpoints:`"),
        (vec!["--from", "gatus", &empty], "empty.yml holds no `endpoints:`"),
        (vec!["--from", "gatus", "/no/such"], "/no/such cannot be read"),
        (vec!["--from", "gatus", "."], "is a directory"),
        (vec!["--from", "gatus", "/dev/zero"], "not a regular file"),
        (vec!["--from", "uptime-kuma", &other], "no backup of Uptime Kuma"),
        (vec!["--from", "uptime-kuma", &database], "has no table monitor"),
        (vec!["--from", "uptime-kuma", &damaged], "cannot be read"),
        (vec!["--from", "blackbox", "prometheus.yml"], "--modules blackbox.yml prometheus.yml"),
        (vec!["--from", "blackbox", "--modules", "prometheus.yml", "prometheus.yml"], "holds no `modules:`"),
        (vec!["--from", "blackbox", "--modules", "blackbox.yml", "blackbox.yml"], "holds no `scrape_configs:`"),
        (vec!["--from", "prometheus-file-sd", "prometheus.yml"], "is no list of groups"),
        (
            vec!["--from", "prometheus-file-sd", "--modules", "blackbox.yml", "--module", "x", "targets/more.yml"],
            "there is no module x",
        ),
        (vec!["--from", "gatus", "--modules", "blackbox.yml", "gatus.yaml"], "--modules is for"),
        (vec!["--from", "gattus", "gatus.yaml"], "'gatus'"),
        (vec!["--from", "gatus"], "FILE"),
    ] {
        let refused = import(&arguments);
        let told = text(&refused.stderr);
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(2), 0), "{arguments:?}: {told}");
        assert!(told.contains(part) && !told.contains("hunter2"), "{arguments:?}: {told}");
    }
}

#[test]
fn a_big_configuration_is_no_trouble() {
    let dir = tempfile::tempdir().unwrap();
    let mut yaml = "d: &d {interval: 30s, conditions: [\"[STATUS] == 200\"]}\nendpoints:\n".to_owned();
    for i in 0..20_000 {
        yaml.push_str(&format!("  - <<: *d\n    name: n{i}\n    url: https://h{i}.example/\n"));
    }
    let file = dir.path().join("big.yml");
    std::fs::write(&file, yaml).unwrap();
    let made = import(&["--from", "gatus", &file.display().to_string()]);
    assert!(text(&made.stdout).starts_with("# 20000 targets and 0 notifiers"), "{}", text(&made.stderr));
}
