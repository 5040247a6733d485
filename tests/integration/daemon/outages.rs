//! Every way in which a MariaDB server may be away or ill, at the start, under load and at the stop of the daemon: one body
//! for all, driven by a table.
//!
//! ```text
//!  load:  daemon, load --break--> probing goes on, results are spooled --mend--> all is written, once
//!  stop:  daemon, load --break--> SIGTERM: ends within its grace, everything is in state.db
//!  start: --break--> daemon starts from what was last known (or is refused: a newer schema), probes --mend--> all is written
//!
//!  daemon --Tap (may wait before it hands on)--> server
//! ```

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use skypunch::clock::Clock;

use super::database::{Database, mariadb};
use super::harness::{Daemon, Place, SOON, Setup, free_port, number, wait_for, wait_until};
use super::ledger::{self, assert_rows};
use super::mariadb::PrivateServer;
use super::origin::Origin;
use super::refused::assert_refused;
use super::refused_disk::fill;

const TARGETS: i64 = 80;
/// Of a stop; a daemon that cannot reach its database must not need it.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// Between the daemon and its server; each packet to the server waits.
struct Tap {
    port: u16,
    wait_ms: Arc<AtomicU64>,
}

impl Tap {
    /// Its threads end with the connections they carry.
    fn to(port: u16) -> Tap {
        let tap = Tap { port: free_port(), wait_ms: Arc::default() };
        let listener = TcpListener::bind(("127.0.0.1", tap.port)).unwrap();
        let wait_ms = Arc::clone(&tap.wait_ms);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let wait_ms = Arc::clone(&wait_ms);
                std::thread::spawn(move || carry(back.0, back.1, &AtomicU64::new(0)));
                std::thread::spawn(move || carry(client, server, &wait_ms));
            }
        });
        tap
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, wait_ms: &AtomicU64) {
    let mut buffer = [0; 16384];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        std::thread::sleep(Duration::from_millis(wait_ms.load(Ordering::SeqCst)));
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    // Closed already, most likely.
    let _closed = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// All that a state may be made of.
struct World {
    server: PrivateServer,
    tap: Tap,
    place: Place,
    /// Clients that hold what they have taken.
    held: Vec<Child>,
    /// The daemon runs, and writes results.
    loaded: bool,
}

impl World {
    fn root(&self, sql: &str) {
        self.place.db.sql(sql);
    }

    /// The same where the server may have no connection left at this moment, even for root.
    fn patient(&self, sql: &str) -> Vec<Vec<String>> {
        wait_for(sql, SOON, || self.place.db.try_sql(sql).ok())
    }

    /// A client of an ordinary user that stays.
    fn hold_connection(&mut self) {
        let mut command = mariadb(self.server.server);
        command.args(["--user=hog", "-e", "SELECT SLEEP(600)"]);
        self.held.push(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    }

    fn release(&mut self) {
        for mut client in self.held.drain(..) {
            client.kill().unwrap();
            client.wait().unwrap();
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.release();
    }
}

/// One way to be ill.
struct State {
    breaks: fn(&mut World),
    mends: fn(&mut World),
    /// What a start says to it, where it is no outage.
    refused: Option<&'static [&'static str]>,
    /// Whether results get through, slowly.
    takes: bool,
    disk: Option<&'static str>,
}

const AWAY: State = State { breaks: |_| {}, mends: |_| {}, refused: None, takes: false, disk: None };

macro_rules! states {
    ($($name:ident: $state:expr;)+) => { $( #[test] fn $name() { survives(&$state); } )+ };
}

states! {
    stopped: State { breaks: |w| w.server.kill(), mends: |w| w.server.restart(), ..AWAY };
    frozen: State { breaks: |w| w.server.freeze(), mends: |w| w.server.thaw(), ..AWAY };
    slow_by_a_second_a_statement: State {
        breaks: |w| w.tap.wait_ms.store(1000, Ordering::SeqCst),
        mends: |w| w.tap.wait_ms.store(0, Ordering::SeqCst),
        takes: true,
        ..AWAY
    };
    read_only: State {
        breaks: |w| w.root("SET GLOBAL read_only = 1"),
        mends: |w| w.root("SET GLOBAL read_only = 0"),
        ..AWAY
    };
    out_of_connections: State {
        breaks: |w| {
            w.patient("SET GLOBAL max_connections = 10");
            // Whatever is free is taken, before the daemon comes again.
            for _ in 0..3 {
                kill_connections(w);
                (0..10).for_each(|_| w.hold_connection());
            }
        },
        mends: |w| { w.release(); w.patient("SET GLOBAL max_connections = 300"); },
        ..AWAY
    };
    killed_in_mid_transaction: State {
        // Each packet is held for so long that it is met in the middle.
        breaks: |w| {
            if w.loaded {
                w.tap.wait_ms.store(300, Ordering::SeqCst);
                wait_until("it is in a transaction", SOON, || {
                    // The server looks anew only for who has not asked for a tenth of a second.
                    let sql = "SELECT COALESCE(SUM(trx_rows_modified), 0), SLEEP(0.15) FROM information_schema.innodb_trx";
                    w.place.db.number(sql) > 0
                });
            }
            w.server.kill();
            w.tap.wait_ms.store(0, Ordering::SeqCst);
        },
        mends: |w| w.server.restart(),
        ..AWAY
    };
    restarted_one_migration_ahead: State {
        breaks: |w| {
            w.server.kill();
            w.server.restart();
            w.root("INSERT INTO __diesel_schema_migrations (version) VALUES ('0999')");
        },
        mends: |w| w.root("DELETE FROM __diesel_schema_migrations WHERE version = '0999'"),
        refused: Some(&["changed by a newer skypunch", "0999"]),
        ..AWAY
    };
    on_a_full_disk: State {
        breaks: |w| drop(fill(w.server.folder(), 0)),
        mends: |w| std::fs::remove_file(w.server.folder().join("ballast")).unwrap(),
        disk: Some("260m"),
        ..AWAY
    };
}

/// Ends the daemon's connections, so that it has to connect anew.
fn kill_connections(w: &World) {
    for row in w.patient("SELECT id FROM information_schema.processlist WHERE user = 'sky'") {
        // It may have gone by itself.
        let _gone = w.place.db.try_sql(&format!("KILL {}", row[0]));
    }
}

fn setup(w: &World) -> Setup {
    let url = w.place.db.url();
    let there = format!("root@127.0.0.1:{}/", w.server.server.port);
    assert!(url.contains(&there), "{url}");
    let database = url.replace(&there, &format!("sky:right@127.0.0.1:{}/", w.tap.port));
    let grace = format!("[shutdown]\ngrace = \"{}s\"\n", GRACE.as_secs());
    Setup { database, ..w.place.setup() }.extra(&grace)
}

pub(super) fn kept(daemon: &Daemon) -> serde_json::Value {
    daemon.status()["persistence"].clone()
}

pub(super) fn wait_drained(daemon: &Daemon) {
    let clock = Clock::system();
    let begun = clock.now();
    wait_until("what was spooled is written", SOON * 4, || {
        let status = daemon.status();
        assert!(clock.now().since(begun) < SOON * 3, "what was spooled is not written: {status:#}");
        // On a busy machine each write may take longer than the flush interval: then something always waits, but not for long.
        let lag = status["database"]["lag_ms"].as_i64();
        status["database"]["state"] == json!("ok") && lag.is_some_and(|ms| ms < 2000)
    });
}

/// Stops it, which takes no longer than its grace.
pub(super) fn stop_in_time(daemon: &mut Daemon) -> ExitStatus {
    let clock = Clock::system();
    let stopping = clock.now();
    daemon.signal(Signal::TERM);
    let ended = daemon.wait(GRACE + SOON);
    assert!(clock.now().since(stopping) < GRACE + Duration::from_secs(3), "{:?}", clock.now().since(stopping));
    ended
}

/// It starts, and runs although its database is not fit.
pub(super) fn start_without_database(setup: &Setup) -> Daemon {
    let mut daemon = setup.launch();
    wait_until("it runs without its database", SOON * 2, || {
        assert!(daemon.is_alive(), "it has ended");
        daemon.try_request("GET", "/v1/status", None).is_ok_and(|a| a.json()["state"] == json!("running"))
    });
    daemon
}

/// Probing goes on while it is broken, and no target looks down. `takes`: results get through, slowly.
pub(super) fn assert_probes_on(daemon: &Daemon, origin: &Origin, takes: bool) {
    let probes = || {
        let probes = daemon.status()["probes"].clone();
        (number(&probes, "started"), number(&probes, "missed"))
    };
    let (before, earlier) = (origin.total(), probes());
    if takes {
        wait_until("results wait", SOON, || number(&kept(daemon), "spooled_results") > 0);
    } else {
        // A full disk has room for a while.
        wait_until("the status says away", SOON * 3, || daemon.status()["database"]["state"] == json!("away"));
        let error = daemon.status()["database"]["error"].as_str().unwrap_or_default().to_owned();
        assert!(!error.is_empty() && !error.contains("right"), "{error}");
    }
    wait_until("it probes on", SOON, || origin.total() >= before + 300);
    // What a busy machine misses is little; a probe that waited for the database would miss most.
    let lately = probes();
    let (started, missed) = (lately.0 - earlier.0, lately.1 - earlier.1);
    assert!(missed * 10 <= started, "{missed} missed, {started} started");
    let shown = daemon.get("/v1/targets");
    assert!(shown.as_array().unwrap().iter().all(|t| t["status"] == json!("PASS")), "{shown:#}");
    assert!(daemon.status()["trouble"].is_null());
}

fn survives(state: &State) {
    let server = PrivateServer::start_on(state.disk);
    let (tap, place) = (Tap::to(server.server.port), Place::with(Database::on_server(server.server)));
    let mut w = World { server, tap, place, held: Vec::new(), loaded: false };
    let name = w.place.db.url().rsplit('/').next().unwrap().to_owned();
    w.root(&format!(
        "CREATE USER sky@'%' IDENTIFIED BY 'right'; GRANT ALL ON {name}.* TO sky@'%'; CREATE USER hog@'%'"
    ));
    w.root("DELETE FROM mysql.global_priv WHERE User = ''; FLUSH PRIVILEGES");
    let (origin, setup) = (Origin::start(), setup(&w));
    // Under load.
    let mut daemon = setup.start();
    let rows: Vec<String> = (0..TARGETS).map(|i| format!("('t{i}', '{}', 500)", origin.url("/"))).collect();
    w.root(&format!("INSERT INTO targets (name, url, frequency_ms) VALUES {}", rows.join(",")));
    wait_until("results are written", SOON, || number(&kept(&daemon), "written") >= 200);
    w.loaded = true;
    (state.breaks)(&mut w);
    assert_probes_on(&daemon, &origin, state.takes);
    (state.mends)(&mut w);
    wait_drained(&daemon);
    // At the stop.
    (state.breaks)(&mut w);
    let ended = stop_in_time(&mut daemon);
    assert!(ended.success(), "{ended}: {}", daemon.log());
    w.loaded = false;
    // At the start.
    let mut daemon = match state.refused {
        Some(words) => {
            assert_refused(&setup, words);
            (state.mends)(&mut w);
            setup.start()
        }
        None => {
            let daemon = start_without_database(&setup);
            assert_probes_on(&daemon, &origin, state.takes);
            (state.mends)(&mut w);
            daemon
        }
    };
    wait_drained(&daemon);
    let live = daemon.get("/v1/targets");
    daemon.terminate();
    ledger::assert_consistent(&w.place.db);
    ledger::assert_not_behind(&w.place.db, &live);
    // The probes that were under way at two stops.
    assert_rows(&w.place.db, &origin, 2 * TARGETS);
    assert_eq!(w.place.db.number("SELECT COUNT(*) FROM results WHERE verdict <> 'PASS'"), 0);
    assert_eq!(w.place.db.number("SELECT SUM(thinned_count) FROM target_status"), 0);
    assert!(daemon.log_lines(&["panicked"]).is_empty(), "{}", daemon.log());
}
