//! The stop under full load: 1,500 targets a second, the database well and frozen. It ends within its grace, and what was shown
//! is written; a second SIGTERM ends it at once.
//!
//! ```text
//!  1,500 targets @ 1 s --> SIGTERM                 --> ended within the grace, all that was shown is in the database
//!  the database frozen --> SIGTERM                 --> ended within the grace, all that was shown is in state.db
//!  the database frozen --> SIGTERM, grace of a minute: it waits --> SIGTERM --> ended at once, nothing lost
//! ```

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use skypunch::clock::Clock;

use super::database::{Database, Kind, Lock};
use super::harness::{Daemon, Place, SOON, Setup, number, wait_until};
use super::ledger;
use super::mariadb::PrivateServer;
use super::origin::Origin;

/// More than a debug build on a busy machine serves: what it cannot is missed, and counted.
const TARGETS: i64 = 1_500;
const GRACE: Duration = Duration::from_secs(8);
/// What a stop may take beside what it waits for: answering the callers of the socket, ending the threads.
const MORE: Duration = Duration::from_secs(3);

/// The database, and how it is frozen.
struct World {
    server: Option<PrivateServer>,
    place: Place,
}

impl World {
    fn on(kind: Kind) -> World {
        match kind {
            Kind::Sqlite => World { server: None, place: Place::new() },
            Kind::Mariadb => {
                let server = PrivateServer::start();
                let place = Place::with(Database::on_server(server.server));
                World { server: Some(server), place }
            }
        }
    }

    /// Nothing is answered any more: the server is stopped (SIGSTOP), or another process holds the file.
    fn freeze(&self) -> Option<Lock> {
        match &self.server {
            Some(server) => {
                server.freeze();
                None
            }
            None => Some(self.place.db.lock()),
        }
    }

    fn thaw(&self, lock: Option<Lock>) {
        drop(lock);
        self.server.iter().for_each(PrivateServer::thaw);
    }

    fn setup(&self, grace: Duration) -> Setup {
        self.place.setup().extra(&format!("[shutdown]\ngrace = \"{}s\"\n", grace.as_secs()))
    }
}

/// Stops it: how long that takes from the signal to the end, which must be with one of these exit codes.
fn stop(daemon: &mut Daemon, limit: Duration, codes: &[i32]) -> Duration {
    let clock = Clock::system();
    let begun = clock.now();
    daemon.signal(Signal::TERM);
    let mut seen = Vec::new();
    while daemon.is_alive() && clock.now().since(begun) < limit + SOON {
        if let Ok(answer) = daemon.try_request("GET", "/v1/status", None) {
            let status = answer.json();
            seen.push(format!("{:?}: {} {}", clock.now().since(begun), status["probes"], status["persistence"]));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    let ended = daemon.wait(SOON);
    let took = clock.now().since(begun);
    assert!(
        took < limit && ended.code().is_some_and(|c| codes.contains(&c)),
        "{ended} after {took:?}:\n{}",
        seen.join("\n")
    );
    took
}

fn wait_load(daemon: &Daemon, origin: &Origin) {
    let asked = origin.total();
    wait_until("there is load", SOON * 4, || {
        origin.total() >= asked + 2 * TARGETS.unsigned_abs() && number(&daemon.status()["probes"], "in_flight") > 0
    });
}

/// All that was shown is in the database.
fn assert_written(world: &World, shown: &Value) {
    ledger::assert_consistent(&world.place.db);
    ledger::assert_not_behind(&world.place.db, shown);
}

fn stops(kind: Kind) {
    let (world, origin) = (World::on(kind), Origin::start());
    let mut daemon = world.setup(GRACE).start();
    let rows: Vec<String> = (0..TARGETS).map(|i| format!("('t{i}', '{}', 1000)", origin.url("/"))).collect();
    world.place.db.sql(&format!("INSERT INTO targets (name, url, frequency_ms) VALUES {}", rows.join(",")));
    wait_until("all are probed", SOON * 4, || number(&daemon.status()["targets"], "pass") == TARGETS);
    // The database is well.
    wait_load(&daemon, &origin);
    let shown = daemon.get("/v1/targets");
    let well = stop(&mut daemon, GRACE + MORE, &[0]);
    ledger::assert_consistent(&world.place.db);
    if daemon.log_lines(&["kept in state.db"]).is_empty() {
        assert_written(&world, &shown);
    }
    // Frozen.
    let mut daemon = world.setup(GRACE).start();
    wait_load(&daemon, &origin);
    let lock = world.freeze();
    wait_load(&daemon, &origin);
    let shown = daemon.get("/v1/targets");
    let frozen = stop(&mut daemon, GRACE + MORE, &[0]);
    world.thaw(lock);
    // Frozen again, and nobody wants to wait for a grace of a minute.
    let mut daemon = world.setup(Duration::from_mins(1)).start();
    wait_load(&daemon, &origin);
    ledger::assert_consistent(&world.place.db);
    let lock = world.freeze();
    wait_load(&daemon, &origin);
    let again = daemon.get("/v1/targets");
    daemon.signal(Signal::TERM);
    // Nothing waits in memory, and nothing comes any more.
    let mut still = (Value::Null, 0);
    wait_until("all is safe", SOON * 2, || {
        let stopping = daemon.log_lines(&["stopping on SIGTERM"]).len() == 3;
        let Ok(answer) = daemon.try_request("GET", "/v1/status", None) else { return false };
        let now = answer.json()["persistence"].clone();
        let same = if stopping && now["queued"] == json!(0) && now == still.0 { still.1 + 1 } else { 0 };
        still = (now, same);
        same >= 20
    });
    assert!(daemon.is_alive(), "it waits for the database");
    // Results are safe; 1 says that something else was not yet, as due times that were missed at the stop itself.
    let second = stop(&mut daemon, MORE, &[0, 1]);
    world.thaw(lock);
    println!("{kind:?}: ended after {well:?}, frozen {frozen:?}, after the second signal {second:?}");
    // What was spooled three times over comes with the next start.
    world.place.db.sql("UPDATE targets SET enabled = FALSE");
    let mut daemon = world.setup(GRACE).start();
    wait_until("what was spooled is written", SOON * 4, || {
        number(&daemon.status()["persistence"], "spooled_results") == 0
    });
    daemon.terminate();
    assert_written(&world, &shown);
    assert_written(&world, &again);
    // Probes that were under way at a stop are given up: of each target one.
    ledger::assert_rows(&world.place.db, &origin, 3 * TARGETS);
    let missed = world.place.db.number("SELECT SUM(missed_count) FROM target_status");
    assert!(daemon.log_lines(&["panicked"]).is_empty(), "{}", daemon.log());
    println!("{kind:?}: {} requests, {missed} due times missed", origin.total());
}

mod sqlite {
    #[test]
    fn under_full_load_it_ends_in_time_with_everything_written() {
        super::stops(super::Kind::Sqlite);
    }
}

mod mariadb {
    #[test]
    fn under_full_load_it_ends_in_time_with_everything_written() {
        super::stops(super::Kind::Mariadb);
    }
}
