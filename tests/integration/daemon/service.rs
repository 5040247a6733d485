//! As a service: what systemd is told, what a reload changes and names, what logrotate asks for. A real systemd runs it
//! in `tests/systemd/run`; here its socket alone stands there, so that this holds on every machine.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use skypunch::clock::Clock;

use super::harness::{Daemon, Place, SOON, Setup, wait_until};
use super::origin::Origin;

/// systemd's side of `$NOTIFY_SOCKET`.
struct Manager(UnixDatagram);

impl Manager {
    /// Listens, and has the daemon told of it.
    fn of(setup: &mut Setup, dir: &Path) -> Manager {
        let path = dir.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        setup.environment.push(("NOTIFY_SOCKET".into(), path.display().to_string()));
        Manager(socket)
    }

    /// The next message that holds `word`, and what came before it.
    fn next(&self, word: &str) -> (String, Vec<String>) {
        let mut before = Vec::new();
        loop {
            let mut bytes = [0; 4096];
            let length = self.0.recv(&mut bytes).unwrap_or_else(|e| panic!("no {word}: {e}; there were {before:?}"));
            let message = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if message.contains(word) {
                return (message, before);
            }
            before.push(message);
        }
    }

    /// Forgets what has come so far.
    fn drain(&self) {
        self.0.set_nonblocking(true).unwrap();
        while self.0.recv(&mut [0; 4096]).is_ok() {}
        self.0.set_nonblocking(false).unwrap();
    }

    /// Whether a message with this word comes within `limit`.
    fn hears(&self, word: &str, limit: Duration) -> bool {
        let clock = Clock::system();
        let start = clock.now();
        self.0.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let mut bytes = [0; 4096];
        let mut heard = false;
        while !heard && clock.now().since(start) < limit {
            heard = self.0.recv(&mut bytes).is_ok_and(|n| String::from_utf8_lossy(&bytes[..n]).contains(word));
        }
        self.0.set_read_timeout(Some(SOON)).unwrap();
        heard
    }
}

/// `key=` of a message, as a number.
fn number_of(message: &str, key: &str) -> u64 {
    let line = message.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('='));
    line.unwrap_or_else(|| panic!("no {key} in {message}")).parse().unwrap()
}

fn ctl(daemon: &Daemon, arguments: &[&str]) -> (Option<i32>, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_skypunchctl"))
        .arg("--socket")
        .arg(&daemon.socket)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = [done.stdout, done.stderr].concat();
    (done.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn systemd_hears_when_it_runs_reloads_and_stops() {
    let place = Place::new();
    let origin = Origin::start();
    let mut first = place.start();
    for n in 0..3 {
        place.db.add(&format!("t{n}"), &origin.url("/"), 500);
    }
    wait_until("they are known", SOON, || first.status()["targets"]["total"] == json!(3));
    first.terminate();

    let mut setup = place.setup().extra("[shutdown]\ngrace = \"3s\"\n");
    let manager = Manager::of(&mut setup, place.dir.path());
    let mut daemon = setup.launch();
    let (ready, before) = manager.next("READY=1");
    assert!(!ready.contains("RELOADING") && before.iter().all(|m| !m.contains("RELOADING")), "{before:?}");
    let status = daemon.status();
    assert_eq!((&status["state"], &status["targets"]["total"]), (&json!("running"), &json!(3)), "ready is ready");
    let (line, _) = manager.next("STATUS=");
    assert!(line.starts_with("STATUS=3 targets: ") && line.contains("database ok"), "{line}");

    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let at = uptime.split('.').next().unwrap().parse::<u64>().unwrap() * 1_000_000;
    daemon.signal(Signal::HUP);
    let (reloading, _) = manager.next("RELOADING=1");
    let told = number_of(&reloading, "MONOTONIC_USEC");
    assert!((at..at + 60_000_000).contains(&told), "{told} should be soon after {at}");
    manager.next("READY=1");
    daemon.wait_one_line(&["the settings were read anew"]);

    daemon.signal(Signal::TERM);
    let (stopping, _) = manager.next("STOPPING=1");
    assert_eq!(number_of(&stopping, "EXTEND_TIMEOUT_USEC"), 13_000_000, "the grace and a little");
    assert!(daemon.wait(SOON).success());
}

#[test]
fn the_watchdog_is_fed_until_a_thread_that_probes_hangs() {
    let place = Place::new();
    let mut setup = place.setup();
    let manager = Manager::of(&mut setup, place.dir.path());
    // An interval that a busy test machine keeps; half of it is the longest pause that is no hanging.
    let interval = Duration::from_secs(8);
    setup.environment.push(("WATCHDOG_USEC".into(), interval.as_micros().to_string()));
    let daemon = setup.start();
    manager.next("WATCHDOG=1");
    manager.next("WATCHDOG=1");
    if !rustix::process::geteuid().is_root() {
        eprintln!("!!! NOT RUN: only root may hang a thread of another process");
        return;
    }
    let hang = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/systemd/hang.py");
    let pid = daemon.pid().to_string();
    let mut hanging =
        Command::new("python3").args([hang, &pid, &pid, "probing"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(hanging.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "hangs\n");
    wait_until("the log says it", SOON, || !daemon.log_lines(&["does not turn", "probing thread 1"]).is_empty());
    manager.drain();
    assert!(!manager.hears("WATCHDOG=1", interval / 2), "it is not fed");
    assert_eq!(daemon.status()["state"], json!("running"), "all others go on");
    hanging.kill().unwrap();
    hanging.wait().unwrap();
    wait_until("it turns again", SOON, || !daemon.log_lines(&["all threads turn again"]).is_empty());
    manager.next("WATCHDOG=1");
}

#[test]
fn a_reload_changes_what_can_change_names_what_cannot_and_refuses_what_is_wrong() {
    let place = Place::new();
    let origin = Origin::start();
    place.start().terminate();
    place.db.add("shop", &origin.url("/"), 100);
    let daemon = place.start();
    let text = std::fs::read_to_string(place.path("skypunch.toml")).unwrap();
    let log_file = place.path("skypunch.log");
    let write = |text: &str| std::fs::write(place.path("skypunch.toml"), text).unwrap();
    let (code, said) = ctl(&daemon, &["reload"]);
    assert_eq!((code, said.lines().count()), (Some(0), 1), "nothing differs: {said}");

    let log = format!("[log]\nresults = \"all\"\nfile = {:?}", log_file.display().to_string());
    let other = text.replace("[log]\nresults = \"changes\"", &log).replace("arbiters = 1", "arbiters = 2")
        + "[shutdown]\ngrace = \"7s\"\n[notify]\nflap_changes = 3\n";
    assert_ne!(text, other);
    write(&other);
    let (code, said) = ctl(&daemon, &["reload"]);
    assert_eq!(code, Some(0), "{said}");
    let keys = "settings changed: log.format, log.file, log.results, notify.flap_changes, shutdown.grace\n";
    assert!(said.contains(keys) && said.contains("settings that need a restart: probe.arbiters\n"), "{said}");
    let last = daemon.status()["last_reload"].clone();
    assert!(last["error"].is_null() && last["needs_restart"] == json!(["probe.arbiters"]), "{last}");
    let logged = || std::fs::read_to_string(&log_file).unwrap_or_default();
    wait_until("results are in the log file", SOON, || logged().contains("INFO [1] shop "));

    // A wrong file: refused in words; the definitions are read, and what was in force stays so.
    write(&other.replace("arbiters = 2", "arbiter = 2").replace("results = \"all\"", "results = \"al\""));
    place.db.add("late", &origin.url("/"), 100);
    let (code, said) = ctl(&daemon, &["reload"]);
    assert_eq!(code, Some(2), "{said}");
    for words in
        ["the definitions were read", "the old ones go on", "probe.arbiter: ", "log.results: `al` is not known"]
    {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
    let status = daemon.status();
    assert_eq!(status["targets"]["total"], json!(2));
    let refused = status["last_reload"]["error"].as_str().unwrap_or_default();
    assert!(refused.contains("probe.arbiter: "), "{status}");
    wait_until("the log goes on as before", SOON, || logged().contains(" late "));

    // logrotate: moved away, opened anew on SIGUSR1, with wrong settings too.
    std::fs::rename(&log_file, place.path("skypunch.log.1")).unwrap();
    daemon.signal(Signal::USR1);
    wait_until("a new file is written", SOON, || logged().contains(" shop "));
    // What needs a restart is named as long as it differs; a log file that cannot be opened changes nothing.
    write(&other.replace("skypunch.log", "none/skypunch.log"));
    let (code, said) = ctl(&daemon, &["reload"]);
    assert!(code == Some(2) && said.contains("none/skypunch.log cannot be opened"), "{said}");
    write(&other);
    let (code, said) = ctl(&daemon, &["reload"]);
    assert!(code == Some(0) && said.contains("need a restart: probe.arbiters") && !said.contains("changed:"), "{said}");
}
