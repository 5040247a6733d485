//! Kept connections in a running daemon: they belong to a target and to its definition.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use serde_json::json;

use super::harness::{Place, SOON, wait_until};
use crate::misbehaving::{Peer, serve};

on_both!(a_connection_serves_one_target_as_long_as_it_is_defined_as_it_was);

/// A server that keeps connections, and how many it had.
fn keeper() -> (Peer, Arc<AtomicU64>) {
    let connections = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&connections);
    let peer = serve(move |mut caller| {
        let mut new = true;
        while !caller.read_request().is_empty() {
            counted.fetch_add(u64::from(std::mem::take(&mut new)), SeqCst);
            if caller.tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
                return;
            }
        }
    });
    (peer, connections)
}

fn a_connection_serves_one_target_as_long_as_it_is_defined_as_it_was(place: &Place) {
    let (peer, connections) = keeper();
    let asked = || peer.requests().iter().filter(|r| !r.is_empty()).count();
    let daemon = place.start();
    place.db.sql(&format!(
        "INSERT INTO targets (name, url, frequency_ms, keep_alive) VALUES ('a', '{}', 100, 1000)",
        peer.url()
    ));
    wait_until("it is probed several times", SOON, || asked() >= 5);
    assert_eq!(connections.load(SeqCst), 1);
    wait_until("the results have no time of connecting but for the first", SOON, || {
        place.db.number("SELECT COUNT(*) FROM results WHERE connect_us IS NULL AND verdict = 'PASS'") >= 4
    });
    assert_eq!(place.db.number("SELECT COUNT(*) FROM results WHERE connect_us IS NOT NULL"), 1);
    assert_eq!(daemon.target("a")["keep_alive"], json!(1000));
    assert!(daemon.get("/v1/export")["targets"][0]["keep_alive"] == json!(1000));
    // A test has a connection of its own, and the target's goes on.
    let test = format!("{:?}", daemon.lines("POST", "/v1/targets/a/test").collect::<Vec<_>>());
    assert!(test.contains("\"connected\"") && !test.contains("\"reused\""), "{test}");
    let before = asked();
    wait_until("it goes on", SOON, || asked() >= before + 3);
    assert_eq!(connections.load(SeqCst), 2);
    // Another definition, even where nothing of the connection changes.
    place.db.sql("UPDATE targets SET pass_result = '200-299'");
    wait_until("it connects anew", SOON, || connections.load(SeqCst) == 3);
    // Disabled and enabled.
    for enabled in [0, 1] {
        place.db.sql(&format!("UPDATE targets SET enabled = {enabled}"));
        daemon.wait_target("a", "enabled", &json!(enabled == 1));
    }
    wait_until("it connects anew", SOON, || connections.load(SeqCst) == 4);
    place.db.sql("UPDATE targets SET keep_alive = 0");
    wait_until("each probe connects", SOON, || connections.load(SeqCst) >= 7);
    let target = daemon.target("a");
    assert_eq!(
        (&target["status"], &target["fail_count"], &target["unknown_count"]),
        (&json!("PASS"), &json!(0), &json!(0))
    );
}

#[test]
fn only_so_many_connections_are_kept_that_fresh_ones_find_descriptors() {
    let place = Place::new();
    let (peer, _) = keeper();
    let mut setup = place.setup();
    // A quarter of 256 is the reserve; half of what is left may be kept: 96.
    setup.wrapper = vec!["prlimit".into(), "--nofile=256:256".into()];
    let daemon = setup.start();
    let (url, all, limit) = (peer.url(), 120, 96);
    for n in 0..all {
        place.db.sql(&format!(
            "INSERT INTO targets (name, url, frequency_ms, keep_alive) VALUES ('t{n}', '{url}', 1000, 1000)"
        ));
    }
    let probed = "SELECT COUNT(*) FROM (SELECT target_id FROM results GROUP BY target_id HAVING COUNT(*) >= 4";
    wait_until("all are probed several times", SOON, || place.db.number(&format!("{probed}) t")) == all);
    let fresh_only = place.db.number(&format!("{probed} AND COUNT(connect_us) = COUNT(*)) t"));
    assert!(fresh_only > 0 && fresh_only <= all - limit, "{fresh_only} of {all} were never kept");
    assert_eq!(place.db.number("SELECT COUNT(*) FROM results WHERE verdict <> 'PASS'"), 0);
    let test = format!("{:?}", daemon.lines("POST", "/v1/targets/t0/test").collect::<Vec<_>>());
    assert!(test.contains("PASS"), "{test}");
}
