//! Bounds of skypunch's own that are reached: what is left out goes by the documented rule and is counted, failures stay,
//! nothing else is disturbed, and who looks is told of it once, with the limit, its value and its key.
//!
//! ```text
//!  main database locked                    --> spool of state.db full (state.max_size): the oldest passes go
//!  main database and state.db locked       --> queue in memory full (persistence.queue_size): the newest passes go
//!  more due times than turns               --> line of probes (probe.young_limit): due times are missed
//!  more messages than a notifier is to get --> they wait (rate_per_minute)
//!  a log that nobody reads                 --> lines are lost
//!  memory                                  --> the process ends, as by kill -9
//! ```

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::database::Database;
use super::harness::{Daemon, Place, SOON, number, wait_for, wait_until};
use super::itself::{Told, assert_targets_untouched, wait_trouble};
use super::ledger;
use super::origin::{Answer, Origin};
use super::telling::{Receiver, add, in_force, notifier};
use crate::misbehaving as peer;

on_both!(
    a_full_spool_leaves_out_the_oldest_passes_and_no_failure,
    a_full_queue_leaves_out_the_newest_passes_and_no_failure,
    more_messages_than_a_notifier_is_to_get_wait_and_none_is_lost,
    memory_that_runs_out_ends_it_as_a_kill_does,
);

const PASSING: i64 = 100;
const FAILING: i64 = 5;
/// Three times as many as there are turns.
const CROWD: i64 = 160;

/// Ten probes a second each.
fn load(place: &Place, origin: &Origin) {
    origin.answer("/bad", Answer::Status(500));
    let row = |name: &str, i: i64, path: &str| format!("('{name}{i}', '{}', 100)", origin.url(path));
    let good = (0..PASSING).map(|i| row("good", i, "/good"));
    let rows: Vec<String> = good.chain((0..FAILING).map(|i| row("bad", i, "/bad"))).collect();
    place.db.sql(&format!("INSERT INTO targets (name, url, frequency_ms) VALUES {}", rows.join(",")));
}

fn kept(daemon: &Daemon, field: &str) -> i64 {
    number(&daemon.status()["persistence"], field)
}

/// What it says of itself about this.
fn complaint(status: &Value, about: &str) -> String {
    let all = status["unhealthy"].as_array().unwrap();
    let found = all.iter().find(|c| c["about"] == json!(about)).unwrap_or_else(|| panic!("{about}: {status:#}"));
    found["why"].as_str().unwrap().to_owned()
}

/// Each failure has its row, what is left out is booked, and so is everybody who asked, but for those under way.
fn assert_booked(place: &Place, origin: &Origin, left_out: i64) {
    let lost = place.db.sql(
        "SELECT target_id, fail_count FROM target_status s
         WHERE fail_count <> (SELECT COUNT(*) FROM results r WHERE r.target_id = s.target_id AND verdict = 'FAIL')",
    );
    assert!(lost.is_empty(), "target, failures whose rows are left out: {lost:?}");
    let booked = place.db.number("SELECT SUM(thinned_count) FROM target_status");
    assert!(booked >= left_out, "{booked} of {left_out}");
    let asked = i64::try_from(origin.total()).unwrap();
    let rows = place.db.number("SELECT COUNT(*) FROM results");
    assert!(asked - rows - booked <= PASSING + FAILING, "{asked} asked, {rows} rows, {booked} left out");
}

fn a_full_spool_leaves_out_the_oldest_passes_and_no_failure(place: &Place) {
    let origin = Origin::start();
    // The smallest there may be.
    let mut setup = place.setup().extra("[shutdown]\ngrace = \"20s\"\n");
    setup.environment = vec![("SKYPUNCH__STATE__MAX_SIZE".into(), "1MiB".into())];
    let mut daemon = setup.start();
    load(place, &origin);
    wait_until("results are written", SOON, || kept(&daemon, "written") >= 200);
    let lock = place.db.lock();
    wait_until("the spool is full", SOON * 4, || kept(&daemon, "thinned") > 0);
    let seen = kept(&daemon, "thinned");
    wait_until("and more is left out", SOON, || kept(&daemon, "thinned") >= seen + 500);
    daemon.wait_one_line(&["the spool in state.db is full", "the oldest first", "state.max_size: 1048576"]);
    let status = daemon.status();
    let why = complaint(&status, "persistence.spooled_bytes");
    assert!(why.contains("of 1048576 bytes (state.max_size)"), "{why}");
    assert!(number(&status["persistence"], "spooled_bytes") <= 1 << 20, "{status:#}");
    // Nothing more is to be written than what waits.
    drop(lock);
    place.db.sql("UPDATE targets SET enabled = FALSE");
    wait_until("what is left is written", SOON * 2, || kept(&daemon, "spooled_batches") == 0);
    let live = daemon.get("/v1/targets");
    daemon.terminate();
    ledger::assert_consistent(&place.db);
    ledger::assert_not_behind(&place.db, &live);
    assert_booked(place, &origin, seen + 500);
}

fn a_full_queue_leaves_out_the_newest_passes_and_no_failure(place: &Place) {
    let (origin, receiver) = (Origin::start(), Receiver::start());
    let mut setup = place.setup().extra("[shutdown]\ngrace = \"20s\"\n");
    setup.environment = vec![("SKYPUNCH__PERSISTENCE__QUEUE_SIZE".into(), "1000".into())];
    let mut daemon = setup.start();
    add(place, "ops", receiver.port, &[]);
    in_force(&daemon, 1);
    load(place, &origin);
    // Its deadline is long: nothing but the origin's answer makes it fail.
    place.db.add("flips", &origin.url("/flips"), 1_000);
    daemon.wait_target("flips", "status", &json!("PASS"));
    wait_until("results are written, and who fails is told", SOON, || {
        kept(&daemon, "written") >= 200 && receiver.items() >= usize::try_from(FAILING).unwrap()
    });
    let told = || -> Vec<Value> {
        receiver.got().iter().flat_map(|g| g.body["message"]["items"].as_array().unwrap().clone()).collect()
    };
    let told_of_it = || told().iter().any(|i| i["target"]["name"] == json!("flips"));
    // Nothing is taken by either; what is seen now is nowhere but in memory.
    let locks = [place.db.lock(), Database::Sqlite(setup.state.join("state.db")).lock()];
    wait_until("the queue is full", SOON * 4, || kept(&daemon, "thinned") > 0);
    origin.answer("/flips", Answer::Status(503));
    daemon.wait_target("flips", "status", &json!("FAIL"));
    let (seen, asked) = (kept(&daemon, "thinned"), origin.total());
    wait_until("and more is left out", SOON, || kept(&daemon, "thinned") >= seen + 2_000);
    assert!(origin.total() >= asked + 2_000, "it probes on");
    daemon.wait_one_line(&["the queue of results is full", "their counts are kept", "persistence.queue_size: 1000"]);
    wait_until("it says that state.db takes nothing", SOON * 2, || {
        daemon.status()["persistence"]["state_db_error"].is_string()
    });
    let status = daemon.status();
    let why = complaint(&status, "persistence.queued");
    assert!(why.contains("of 1000 results (persistence.queue_size)"), "{why}");
    assert!(complaint(&status, "state_db").contains("state.db"), "{status:#}");
    // Beyond the bound nothing but failures.
    let failures: i64 = daemon.get("/v1/targets").as_array().unwrap().iter().map(|t| number(t, "fail_count")).sum();
    // What came since the last flush counts too, with or without a row.
    let queued = number(&status["persistence"], "queued");
    assert!(queued <= 1_000 + failures + 500, "{queued}, {failures} failures, {status:#}");
    assert!(!told_of_it(), "nobody is told of what no disk knows");
    drop(locks);
    wait_until("who had to be told is told", SOON * 2, told_of_it);
    place.db.sql("UPDATE targets SET enabled = FALSE");
    wait_until("what is left is written", SOON * 2, || {
        let status = daemon.status();
        let persistence = &status["persistence"];
        number(persistence, "queued") == 0 && number(persistence, "spooled_batches") == 0
    });
    assert!(daemon.log_lines(&["the spool in state.db is full"]).is_empty(), "{}", daemon.log());
    let live = daemon.get("/v1/targets");
    daemon.terminate();
    ledger::assert_consistent(&place.db);
    ledger::assert_not_behind(&place.db, &live);
    assert_booked(place, &origin, seen + 2_000);
    let mut each: Vec<String> = told().iter().map(|i| format!("{} {}", i["incident_id"], i["event"])).collect();
    let all = each.len();
    each.sort();
    each.dedup();
    assert_eq!(each.len(), all, "each once: {each:?}");
}

#[test]
fn more_due_times_than_turns_are_missed_and_told_as_the_monitors_own_trouble() {
    let place = &Place::new();
    // Each of its probes takes as long as three turns.
    let slow = peer::serve(|mut caller| {
        caller.read_request();
        std::thread::sleep(Duration::from_millis(60));
        // A caller that goes away is its own affair.
        let _gone = std::io::Write::write_all(&mut caller.tcp, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    // One turn each 20 ms: 50 probes a second.
    let settings = "[probe]\narbiters = 1\nyoung_limit = 1\n[monitor]\nwindow = \"1s\"\n[notify]\nhost = \"watcher\"\n";
    let mut daemon = place.setup().extra(settings).start();
    let told = Told::of(place, &daemon);
    let rows: Vec<String> = (0..CROWD).map(|i| format!("('t{i}', '{}', 1000)", slow.url())).collect();
    place.db.sql(&format!("INSERT INTO targets (name, url, frequency_ms) VALUES {}", rows.join(",")));
    let trouble = wait_trouble(&daemon, "local_resources");
    let why = trouble["why"].as_str().unwrap();
    let words = ["were missed", "at most 1 of each thread", "probe.young_limit", "monitor.share = 20 of 100"];
    assert!(words.iter().all(|w| why.contains(w)), "{why}");
    daemon.wait_one_line(&["the monitor itself is in trouble", "at most 1 of each thread", "probe.young_limit"]);
    wait_until("it is told", SOON, || told.heard() == 1);
    let probes = wait_for("more are missed than served", SOON, || {
        let probes = daemon.status()["probes"].clone();
        (number(&probes, "missed") > number(&probes, "started")).then_some(probes)
    });
    // As much as it can do.
    place.db.sql("UPDATE targets SET frequency_ms = 10000");
    wait_until("it is well again by itself", SOON * 2, || {
        let status = daemon.status();
        status["trouble"].is_null() && number(&status["targets"], "pass") == CROWD
    });
    told.assert_once(&daemon, "local_resources");
    daemon.terminate();
    ledger::assert_consistent(&place.db);
    assert_targets_untouched(place);
    assert!(
        place.db.number("SELECT SUM(missed_count) FROM target_status") >= number(&probes, "missed"),
        "each is counted"
    );
}

fn more_messages_than_a_notifier_is_to_get_wait_and_none_is_lost(place: &Place) {
    let (origin, few, many) = (Origin::start(), Receiver::start(), Receiver::start());
    let mut daemon = place.start();
    add(place, "few", few.port, &[]);
    add(place, "many", many.port, &[]);
    place.db.sql("UPDATE notifiers SET rate_per_minute = 2 WHERE name = 'few'");
    in_force(&daemon, 2);
    wait_until("its bound is in force", SOON, || notifier(&daemon, "few")["rate_per_minute"] == json!(2));
    origin.answer("/", Answer::Status(500));
    for i in 1..=6 {
        place.db.add(&format!("t{i}"), &origin.url("/"), 500);
        wait_until("the other one is told at once", SOON, || many.items() == i && few.items() >= i.min(2));
    }
    let owed = || {
        let backlog = daemon.status()["notifications"]["backlog"].clone();
        let row = backlog.as_array().unwrap().iter().find(|n| n["name"] == json!("few")).cloned();
        row.map_or(0, |r| number(&r, "owed"))
    };
    // A minute for two messages; the others wait for the next one, and the status counts them.
    wait_until("the others are owed", SOON, || owed() == 4);
    assert_eq!((few.got().len(), few.items()), (2, 2), "{:#}", daemon.status()["notifications"]);
    let said = daemon.log_lines(&["raise its rate_per_minute", "wait: ", "rate_per_minute: 2", "notifier: "]);
    assert_eq!(said.len(), 1, "once: {said:?} in {}", daemon.log());
    let unhealthy = daemon.status()["unhealthy"].clone();
    let about = |c: &Value| c["about"] == json!("notifications");
    assert!(!unhealthy.as_array().unwrap().iter().any(about), "that is as it should be: {unhealthy:#}");
    // What was told is noted; else it would be told once more after the kill.
    wait_until("nothing is being sent", SOON, || number(&daemon.status()["notifications"], "sending") == 0);
    // They outlive a kill, and go out as one message.
    daemon.kill();
    let daemon = place.start();
    place.db.sql("UPDATE notifiers SET rate_per_minute = 1000 WHERE name = 'few'");
    wait_until("all are told", SOON, || few.items() == 6);
    assert_eq!((few.got().len(), many.items()), (3, 6));
    assert_eq!(few.got()[2].names(), ["t3", "t4", "t5", "t6"]);
    drop(daemon);
}

#[test]
fn a_log_that_nobody_reads_holds_up_nobody_and_tells_what_it_lost() {
    let (place, origin) = (&Place::new(), Origin::start());
    let pipe = place.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Held open, so that a writer finds a reader; read when it is time.
    let mut reader = std::fs::File::options().read(true).write(true).open(&pipe).unwrap();
    let mut setup = place.setup().extra("[log]\nlevel = \"debug\"\nresults = \"all\"\n");
    let exec = format!("exec \"$@\" 2>'{}'", pipe.display());
    setup.wrapper = ["sh", "-c", exec.as_str(), "sh"].map(str::to_owned).to_vec();
    let daemon = setup.start();
    load(place, &origin);
    let lost = || number(&daemon.status(), "log_dropped");
    wait_until("lines are lost", SOON * 4, || lost() > 0);
    let (seen, asked) = (lost(), origin.total());
    wait_until("more are lost, and it probes on", SOON, || lost() >= seen + 500 && origin.total() >= asked + 500);
    wait_until("all are probed", SOON, || number(&daemon.status()["targets"], "pass") == PASSING);
    // Somebody reads again.
    let (heard, hears) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let mut piece = [0; 65_536];
        while let Ok(n @ 1..) = std::io::Read::read(&mut reader, &mut piece) {
            text.push_str(&String::from_utf8_lossy(&piece[..n]));
            let line = text.lines().find(|l| l.contains("log lines were lost")).map(str::to_owned);
            if line.is_some_and(|l| heard.send(l).is_err()) {
                return;
            }
        }
    });
    let line = hears.recv_timeout(SOON * 2).unwrap();
    let dropped = line.split("dropped: ").nth(1).and_then(|rest| rest.split(',').next()?.trim().parse::<i64>().ok());
    assert!(dropped.is_some_and(|n| n >= seen), "{line}: {seen} at least");
}

fn memory_that_runs_out_ends_it_as_a_kill_does(place: &Place) {
    let origin = Origin::start();
    let mut setup = place.setup();
    // The allocator keeps less address space in hand than the gigabyte that it likes, so that a limit is soon reached.
    setup.environment = vec![("MIMALLOC_ARENA_RESERVE".into(), "16384".into())];
    let mut daemon = setup.start();
    load(place, &origin);
    wait_until("results are written", SOON, || kept(&daemon, "written") >= 500);
    // From now on it gets no more than it has.
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let has = status.lines().find_map(|l| l.strip_prefix("VmSize:")).unwrap().trim().trim_end_matches(" kB");
    let bytes = has.parse::<u64>().unwrap() * 1024;
    let done = Command::new("prlimit").args(["--pid", &daemon.pid().to_string(), &format!("--as={bytes}:")]).status();
    assert!(done.unwrap().success());
    let large = json!({"name": "x".repeat(48 << 20)});
    let ended = wait_for("an allocation fails", SOON * 2, || {
        // Who asks for what there is no memory for may be cut off.
        let _cut = daemon.try_request("POST", "/v1/targets", Some(&large));
        (!daemon.is_alive()).then(|| daemon.wait(SOON))
    });
    assert_eq!(ended.signal(), Some(6), "{ended}: {}", daemon.log());
    ledger::assert_consistent(&place.db);
    let mut daemon = place.start();
    let before = kept(&daemon, "written");
    wait_until("it goes on", SOON, || kept(&daemon, "written") >= before + 200);
    let live = daemon.get("/v1/targets");
    daemon.terminate();
    ledger::assert_consistent(&place.db);
    ledger::assert_not_behind(&place.db, &live);
}
