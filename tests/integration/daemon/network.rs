//! The network of this machine goes away: each test runs in network namespaces of its own, so that what it takes away is
//! nobody else's. Needs root, and says so.
//!
//! ```text
//!  this test --unshare -n--> the same test once more, inside: loopback alone, up and down as it likes
//!                              '-- daemon (for a default route: in a namespace behind a veth pair)
//! ```

use std::io::copy;
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::process::Command;

use super::harness::{Daemon, Place, SOON, Setup, wait_until};
use super::itself::{TARGETS, Told, assert_targets_untouched, load, setup, wait_trouble, wait_well};
use super::origin::Origin;
use crate::misbehaving::{Says, name_server_on};

const INSIDE: &str = "SKYPUNCH_TEST_INSIDE";

/// Runs the test of that name in a network namespace of its own.
fn inside(name: &str, body: impl FnOnce()) {
    assert!(rustix::process::geteuid().is_root(), "this test takes its network away: run it as root");
    if std::env::var_os(INSIDE).is_some() {
        run("ip", &["link", "set", "lo", "up"]);
        return body();
    }
    let this = std::env::current_exe().unwrap();
    let mut again = Command::new("unshare");
    again.arg("--net").arg(this).args([&format!("daemon::network::{name}"), "--exact", "--nocapture"]);
    let output = again.env(INSIDE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "{said}");
}

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn without_loopback_targets_are_unknown_and_the_monitor_has_one_incident() {
    inside("without_loopback_targets_are_unknown_and_the_monitor_has_one_incident", || {
        let place = Place::new();
        let origin = Origin::start();
        let mut daemon = setup(&place).start();
        let told = Told::of(&place, &daemon);
        load(&place, &origin.url("/"));
        wait_until("there is load", SOON, || origin.total() >= 200);
        run("ip", &["link", "set", "lo", "down"]);
        let trouble = wait_trouble(&daemon, "local_network");
        assert!(trouble["why"].as_str().unwrap().contains("probes of the last"), "{trouble:#}");
        run("ip", &["link", "set", "lo", "up"]);
        wait_well(&daemon);
        told.assert_once(&daemon, "local_network");
        daemon.terminate();
        assert_targets_untouched(&place);
    });
}

#[test]
fn a_dead_resolver_is_the_monitors_trouble_and_no_targets() {
    inside("a_dead_resolver_is_the_monitors_trouble_and_no_targets", || {
        let place = Place::new();
        let origin = Origin::start();
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let alive = || name_server_on(&address, Says::Addresses(vec!["127.0.0.1".parse().unwrap()], 0));
        let resolver = alive();
        let probe = format!("[probe]\narbiters = 1\nname_servers = [\"{address}\"]\n");
        let mut daemon = setup(&place).extra(&probe).start();
        let told = Told::of(&place, &daemon);
        // Each has a name of its own: what is said of one name alone may be that name's fault.
        let port = origin.url("").rsplit(':').next().unwrap().to_owned();
        let rows: Vec<String> =
            (0..TARGETS).map(|i| format!("('t{i}', 'http://t{i}.service.test:{port}/', 1000, 1000)")).collect();
        place.db.sql(&format!("INSERT INTO targets (name, url, frequency_ms, timeout_ms) VALUES {}", rows.join(",")));
        wait_until("there is load", SOON, || origin.total() >= 60);
        drop(resolver);
        let free = || wait_until("nobody listens there", SOON, || UdpSocket::bind(&address).is_ok());
        free();
        let silent = name_server_on(&address, Says::Silence);
        wait_trouble(&daemon, "local_network");
        drop(silent);
        free();
        let _resolver = alive();
        wait_well(&daemon);
        told.assert_once(&daemon, "local_network");
        daemon.terminate();
        assert_targets_untouched(&place);
    });
}

/// Hands connections from all addresses here on to a port of loopback.
fn reachable(port: u16) -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let at = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
            for (mut from, mut to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)] {
                // Whoever goes away ends it.
                std::thread::spawn(move || drop((copy(&mut from, &mut to), to.shutdown(Shutdown::Write))));
            }
        }
    });
    at
}

/// In the namespace of the daemon.
fn there(daemon: &Daemon, args: &[&str]) {
    let pid = daemon.pid().to_string();
    run("nsenter", &[&["-t", &pid, "-n"], args].concat());
}

#[test]
fn without_a_default_route_it_is_told_over_what_is_left() {
    inside("without_a_default_route_it_is_told_over_what_is_left", || {
        let place = Place::new();
        let origin = Origin::start();
        // In a namespace behind a gateway: the origin beyond it, the notifiers' receivers at it.
        let mut setup: Setup = setup(&place);
        setup.wrapper = vec!["unshare".into(), "--net".into()];
        let mut daemon = setup.start();
        run(
            "ip",
            &["link", "add", "here", "type", "veth", "peer", "name", "there", "netns", &daemon.pid().to_string()],
        );
        run("ip", &["addr", "add", "198.51.100.1/24", "dev", "here"]);
        run("ip", &["link", "set", "here", "up"]);
        run("ip", &["addr", "add", "203.0.113.5/32", "dev", "lo"]);
        there(&daemon, &["ip", "addr", "add", "198.51.100.2/24", "dev", "there"]);
        there(&daemon, &["ip", "link", "set", "there", "up"]);
        let default = ["ip", "route", "add", "default", "via", "198.51.100.1"];
        there(&daemon, &default);
        let told = Told::of(&place, &daemon);
        for name in ["pages", "itself"] {
            let address = place.db.sql(&format!("SELECT address FROM notifiers WHERE name = '{name}'"))[0][0].clone();
            let port = address.trim_start_matches("http://127.0.0.1:").split('/').next().unwrap().parse().unwrap();
            let at = reachable(port);
            place.db.sql(&format!("UPDATE notifiers SET address = 'http://198.51.100.1:{at}/' WHERE name = '{name}'"));
        }
        let port = origin.url("").rsplit(':').next().unwrap().parse().unwrap();
        load(&place, &format!("http://203.0.113.5:{}/", reachable(port)));
        wait_until("there is load", SOON, || origin.total() >= 200);
        there(&daemon, &["ip", "route", "del", "default"]);
        wait_trouble(&daemon, "local_network");
        wait_until("it is told at once", SOON, || told.heard() == 1);
        there(&daemon, &default);
        wait_well(&daemon);
        told.assert_once(&daemon, "local_network");
        daemon.terminate();
        assert_targets_untouched(&place);
    });
}
