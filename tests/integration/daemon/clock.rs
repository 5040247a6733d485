//! The wall clock jumps by an hour, forth and back, for the daemon alone (libfaketime): no due time moves, nothing is told
//! twice or late, and what is shown goes by the new time.

use std::path::PathBuf;

use serde_json::json;
use skypunch::clock::Clock;

use super::harness::{Daemon, Place, SOON, file, number, wait_until};
use super::itself::{TARGETS, load};
use super::ledger;
use super::origin::{Answer, Origin};
use super::telling::{Receiver, add, in_force};

on_both!(a_clock_that_jumps_by_an_hour_moves_no_probe_and_no_message);

/// All targets.
const TOLD: usize = 40;
const HOUR: i64 = 3_600_000;

/// The library that is loaded into the daemon.
fn faketime() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().map(|e| e.unwrap().path().join("faketime/libfaketimeMT.so.1"));
    folders.into_iter().find(|p| p.exists()).expect("libfaketime is missing: apt-get install faketime")
}

/// How far the daemon's clock is from ours, by the newest result that it has shown, in hours.
fn hours_ahead(daemon: &Daemon) -> i64 {
    let shown = daemon.get("/v1/targets/t0/history?limit=1");
    let ahead = number(&shown[0], "started_at") - Clock::system().utc_now().0;
    (ahead + HOUR / 2).div_euclid(HOUR)
}

fn a_clock_that_jumps_by_an_hour_moves_no_probe_and_no_message(place: &Place) {
    let (origin, receiver) = (Origin::start(), Receiver::start());
    let mut setup = place.setup().extra("[notify]\nflap_changes = 0\n");
    let time = file(place, "time", "+0");
    setup.environment = [
        ("LD_PRELOAD", faketime().display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", time),
        // The other clocks are nobody's to set.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ("DONT_FAKE_MONOTONIC", "1".into()),
        ("FAKETIME_CACHE_DURATION", "1".into()),
        ("NO_FAKE_STAT", "1".into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec();
    let mut daemon = setup.start();
    add(place, "ops", receiver.port, &[]);
    in_force(&daemon, 1);
    load(place, &origin.url("/"));
    wait_until("there is load", SOON, || origin.total() >= 200);
    wait_until("it is shown", SOON, || hours_ahead(&daemon) == 0);
    let missed = || number(&daemon.status()["probes"], "missed");
    let missed_before = missed();
    let mut told = 0;
    for hours in [1, 0, -1, 0] {
        // Under its name when it is whole: the daemon may be reading it.
        let whole = file(place, "time.new", format!("{:+}s", hours * 3600));
        std::fs::rename(whole, place.path("time")).unwrap();
        wait_until("the new time is shown", SOON, || hours_ahead(&daemon) == hours);
        let before = origin.total();
        wait_until("it is probed on", SOON, || origin.total() >= before + 120);
        // Told once each, at once, by whatever clock.
        for (status, verdict) in [(500, "fail"), (200, "recovery")] {
            origin.answer("/", Answer::Status(status));
            wait_until("all are told of", SOON, || receiver.items() >= told + TOLD);
            told += TOLD;
            let last = receiver.got().pop().unwrap();
            let items = last.body["message"]["items"].as_array().unwrap().clone();
            assert!(items.iter().all(|i| i["event"] == json!(verdict)), "{items:#?}");
            assert_eq!(receiver.items(), told);
        }
        let status = daemon.status();
        assert_eq!(status["database"]["state"], json!("ok"), "{status:#}");
        assert!(status["trouble"].is_null(), "{status:#}");
    }
    // None was missed for the clock: what a busy machine misses is little.
    let asked = i64::try_from(origin.total()).unwrap();
    assert!((missed() - missed_before) * 50 <= asked, "{} missed of {asked}", missed() - missed_before);
    let live = daemon.get("/v1/targets");
    daemon.terminate();
    ledger::assert_consistent(&place.db);
    ledger::assert_not_behind(&place.db, &live);
    ledger::assert_rows(&place.db, &origin, TARGETS);
    assert_eq!(place.db.number("SELECT COUNT(*) FROM incidents"), 4 * TARGETS);
    assert_eq!(place.db.number("SELECT COUNT(*) FROM incidents WHERE ended_at IS NULL"), 0);
}
