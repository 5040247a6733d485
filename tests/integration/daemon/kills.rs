//! `kill -9` at random moments under load: what is lost is no older than the documented flush interval, nothing is there
//! twice, no transition is lost that was durable, and who is told of what in the end is complete.
//!
//! ```text
//!  rounds: start --> load, some targets flip --> kill -9 --> books balance; start --> what was spooled is written
//!          a request that the origin had answered at T is a row, for every T up to kill - (flush interval + writing)
//! ```
//!
//! `SKYPUNCH_TEST_KILLS=100` is the number of rounds on each database, `SKYPUNCH_TEST_SEED=N` repeats the dice.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use serde_json::{Value, json};
use skypunch::clock::Clock;

use super::database::Database;
use super::harness::{Daemon, Place, SOON, number, wait_until};
use super::ledger;
use super::origin::{Answer, Origin};
use super::telling::{Receiver, add, in_force};
use super::telling_crash::Dice;

on_both!(kill_9_at_random_moments_loses_no_more_than_the_flush_interval);

/// On each database, unless somebody says otherwise.
const KILLS: u64 = 50;
const TARGETS: usize = 100;
const FLIPPING: usize = 8;
/// What is promised: a result waits for 150 ms at most (the default of `persistence.flush_interval`) and is then written.
const FLUSH: Duration = Duration::from_millis(250);
/// How much longer writing may take in a debug build on a busy machine: the batch before it, its own transaction, the disk.
const WRITING: Duration = Duration::from_millis(750);

fn ms(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap()
}

fn path(i: usize) -> String {
    format!("/{i}")
}

/// Rows and requests are matched from so many milliseconds before on.
const BEFORE: i64 = 1_000;

/// When each request of a daemon came that is no row, in milliseconds since 1970. `asked` are all requests, in order, by their
/// paths; `rows` the URLs and start times of all rows.
fn without_row(asked: &[(String, i64)], rows: &[Vec<String>], from: i64, killed: i64) -> Vec<i64> {
    let mut started: HashMap<&str, BTreeSet<i64>> = HashMap::new();
    for row in rows {
        let path = &row[0][row[0].rfind('/').unwrap()..];
        started.entry(path).or_default().insert(row[1].parse().unwrap());
    }
    let is_lost = |(path, at): &&(String, i64)| {
        // Its own row is the first one that began before it came and belongs to no request before it.
        let began = started.get_mut(path.as_str()).filter(|starts| starts.first().is_some_and(|first| first <= at));
        began.and_then(BTreeSet::pop_first).is_none()
    };
    let lost = asked.iter().filter(|(_, at)| (from - BEFORE..=killed).contains(at)).filter(is_lost);
    lost.map(|(_, at)| *at).filter(|at| *at >= from).collect()
}

/// Ids of incidents of targets, and whether they have ended.
fn incidents(db: &Database) -> BTreeMap<String, bool> {
    let rows = db.sql("SELECT id, ended_at IS NOT NULL FROM incidents");
    rows.into_iter().map(|r| (r[0].clone(), r[1] == "1")).collect()
}

fn flipped_are_seen(daemon: &Daemon, failing: &BTreeSet<usize>) -> bool {
    let shown = daemon.get("/v1/targets");
    shown.as_array().unwrap().iter().all(|t| {
        let name = t["name"].as_str().unwrap().trim_start_matches('t').parse::<usize>().unwrap();
        t["status"] == json!(if failing.contains(&name) { "FAIL" } else { "PASS" })
    })
}

fn prepare(place: &Place, origin: &Origin, receiver: &Receiver) {
    let mut daemon = place.setup().extra(SETTINGS).start();
    add(place, "ops", receiver.port, &[]);
    in_force(&daemon, 1);
    let rows: Vec<String> = (0..TARGETS).map(|i| format!("('t{i}', '{}', 250)", origin.url(&path(i)))).collect();
    place.db.sql(&format!("INSERT INTO targets (name, url, frequency_ms) VALUES {}", rows.join(",")));
    wait_until("all pass", SOON, || flipped_are_seen(&daemon, &BTreeSet::new()));
    daemon.terminate();
}

/// The flush interval is the default: the harness has a shorter one.
const SETTINGS: &str = "[notify]\nflap_changes = 0\n[persistence]\nflush_interval = \"150ms\"\n";

fn kill_9_at_random_moments_loses_no_more_than_the_flush_interval(place: &Place) {
    let kills = std::env::var("SKYPUNCH_TEST_KILLS").ok().and_then(|s| s.parse().ok()).unwrap_or(KILLS);
    let mut dice = Dice::seeded();
    let (origin, receiver) = (Origin::start(), Receiver::start());
    prepare(place, &origin, &receiver);
    let setup = place.setup().extra(SETTINGS);
    let state = Database::Sqlite(setup.state.join("state.db"));
    let (clock, mut failing, mut ages) = (Clock::system(), BTreeSet::new(), Vec::new());
    let mut daemon = setup.start();
    let mut from = clock.utc_now().0;
    for round in 0..kills {
        for _ in 0..2 {
            for i in (0..FLIPPING).filter(|_| dice.below(3) == 0).collect::<Vec<_>>() {
                let fails = failing.insert(i) || !failing.remove(&i);
                origin.answer(&path(i), Answer::Status(if fails { 500 } else { 200 }));
            }
            std::thread::sleep(dice.ms_below(400));
        }
        let killed = clock.utc_now().0;
        daemon.kill();
        let asked = origin.arrivals();
        ledger::assert_consistent(&place.db);
        let durable = incidents(&state);
        daemon = setup.launch();
        if dice.below(5) == 0 {
            // Once more while it is starting.
            std::thread::sleep(dice.ms_below(150));
            daemon.kill();
            daemon = setup.launch();
        }
        daemon.wait_running();
        let running = clock.utc_now().0;
        wait_until("what was spooled is written", SOON, || {
            let kept = &daemon.status()["persistence"];
            number(kept, "spooled_batches") == 0
        });
        wait_until("the next probe finds what is so", SOON, || flipped_are_seen(&daemon, &failing));
        let behind = || {
            let written = incidents(&place.db);
            let late = |(id, ended): &(&String, &bool)| written.get(*id).is_none_or(|e| !*e && **ended);
            durable.iter().filter(late).map(|(id, ended)| (id.clone(), *ended)).collect::<Vec<_>>()
        };
        let begun = clock.now();
        wait_until("what was durable is written", SOON, || {
            let behind = behind();
            assert!(behind.is_empty() || clock.now().since(begun) < SOON * 2 / 3, "round {round}: {behind:?}");
            behind.is_empty()
        });
        let rows = place.db.sql(&format!(
            "SELECT t.url, r.started_at FROM results r JOIN targets t ON t.id = r.target_id \
            WHERE r.started_at BETWEEN {from} - {BEFORE} AND {killed}"
        ));
        let age = without_row(&asked, &rows, from, killed).first().map_or(0, |at| killed - at);
        ages.push(age);
        assert!(age <= ms(FLUSH + WRITING), "round {round}: lost {age} ms");
        from = running;
    }
    (0..FLIPPING).for_each(|i| origin.answer(&path(i), Answer::Status(200)));
    wait_until("all pass", SOON, || flipped_are_seen(&daemon, &BTreeSet::new()));
    // A message that several kills have met waits longer each time before it is tried again.
    let begun = clock.now();
    wait_until("all that is owed was told", SOON * 12, || {
        let owed = daemon.status()["notifications"].clone();
        assert!(clock.now().since(begun) < SOON * 11, "it is still owed: {owed:#}");
        // The last transitions are owed a moment after they are seen.
        number(&owed, "owed") == 0 && number(&owed, "sending") == 0 && untold(place, &receiver).is_empty()
    });
    let live = daemon.get("/v1/targets");
    daemon.terminate();
    ledger::assert_consistent(&place.db);
    ledger::assert_not_behind(&place.db, &live);
    assert_told(place, &receiver);
    ages.sort_unstable();
    let (median, most) = (ages[ages.len() / 2], ages[ages.len() - 1]);
    assert!(kills < 10 || median <= ms(FLUSH), "half of the kills lost {median} ms and more");
    println!("{kills} kills: oldest lost result, p50 {median} ms, max {most} ms");
}

/// Incidents that have not ended, or were not told from their beginning to their end, and what was told of them.
fn untold(place: &Place, receiver: &Receiver) -> Vec<String> {
    let told = told(receiver);
    let whole =
        |heard: &BTreeSet<String>| heard.contains("both") || heard.contains("fail") && heard.contains("recovery");
    let all = incidents(&place.db);
    let short = all.iter().filter(|(id, ended)| !**ended || !told.get(*id).is_some_and(whole));
    short.map(|(id, ended)| format!("incident {id}, ended {ended}: {:?}", told.get(id))).collect()
}

fn told(receiver: &Receiver) -> BTreeMap<String, BTreeSet<String>> {
    let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for got in receiver.got() {
        for item in got.body["message"]["items"].as_array().unwrap() {
            let word = |key: &str| item[key].as_str().unwrap().to_owned();
            let event = if item["recovered_unseen"] == Value::Bool(true) { "both".into() } else { word("event") };
            told.entry(word("incident_id")).or_default().insert(event);
        }
    }
    told
}

/// Each incident was told from its beginning to its end, whatever was told twice over a crash.
fn assert_told(place: &Place, receiver: &Receiver) {
    let (all, told) = (incidents(&place.db), told(receiver));
    assert!(!all.is_empty());
    assert_eq!(untold(place, receiver), Vec::<String>::new());
    let strange: Vec<&String> = told.keys().filter(|id| !all.contains_key(*id)).collect();
    assert!(strange.is_empty(), "told, and in no database: {strange:?}");
}
