//! The bound of state.db is reached while the main database is away: the oldest passes are left out and counted, failures
//! never, and a line says so with the limit, its value and its key.

use serde_json::json;

use super::harness::{Place, SOON, number, wait_until};
use super::ledger;
use super::origin::{Answer, Origin};

on_both!(a_full_spool_leaves_out_the_oldest_passes_and_no_failure);

const PASSING: i64 = 100;
const FAILING: i64 = 5;

fn a_full_spool_leaves_out_the_oldest_passes_and_no_failure(place: &Place) {
    let origin = Origin::start();
    origin.answer("/bad", Answer::Status(500));
    // The smallest there may be.
    let mut setup = place.setup().extra("[shutdown]\ngrace = \"20s\"\n");
    setup.environment = vec![("SKYPUNCH__STATE__MAX_SIZE".into(), "1MiB".into())];
    let mut daemon = setup.start();
    let row = |name: &str, i: i64, path: &str| format!("('{name}{i}', '{}', 100)", origin.url(path));
    let good = (0..PASSING).map(|i| row("good", i, "/good"));
    let rows: Vec<String> = good.chain((0..FAILING).map(|i| row("bad", i, "/bad"))).collect();
    place.db.sql(&format!("INSERT INTO targets (name, url, frequency_ms) VALUES {}", rows.join(",")));
    wait_until("results are written", SOON, || number(&daemon.status()["persistence"], "written") >= 200);
    let lock = place.db.lock();
    let thinned = || number(&daemon.status()["persistence"], "thinned");
    wait_until("the spool is full", SOON * 4, || thinned() > 0);
    let seen = thinned();
    wait_until("and more is left out", SOON, || thinned() >= seen + 500);
    daemon.wait_one_line(&["the spool in state.db is full", "the oldest first", "state.max_size: 1048576"]);
    let status = daemon.status();
    let complaint =
        status["unhealthy"].as_array().unwrap().iter().find(|c| c["about"] == json!("persistence.spooled_bytes"));
    let why = complaint.expect("it says that it is nearly full")["why"].as_str().unwrap();
    assert!(why.contains("of 1048576 bytes (state.max_size)"), "{why}");
    assert!(number(&status["persistence"], "spooled_bytes") <= 1 << 20, "{status:#}");
    // Nothing more is to be written than what waits.
    drop(lock);
    place.db.sql("UPDATE targets SET enabled = FALSE");
    wait_until("what is left is written", SOON * 2, || number(&daemon.status()["persistence"], "spooled_batches") == 0);
    let live = daemon.get("/v1/targets");
    daemon.terminate();
    ledger::assert_consistent(&place.db);
    ledger::assert_not_behind(&place.db, &live);
    let lost = place.db.sql(
        "SELECT target_id, fail_count FROM target_status s
         WHERE fail_count <> (SELECT COUNT(*) FROM results r WHERE r.target_id = s.target_id AND verdict = 'FAIL')",
    );
    assert!(lost.is_empty(), "target, failures whose rows are left out: {lost:?}");
    let booked = place.db.number("SELECT SUM(thinned_count) FROM target_status");
    assert!(booked >= seen + 500, "{booked} of {seen}");
    // Everybody who asked is booked as a row or as left out, but for those under way.
    let asked = i64::try_from(origin.total()).unwrap();
    let rows = place.db.number("SELECT COUNT(*) FROM results");
    assert!(asked - rows - booked <= PASSING + FAILING, "{asked} asked, {rows} rows, {booked} left out");
}
