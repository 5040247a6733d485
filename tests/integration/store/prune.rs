use super::fixture::{NOW, TestDb, batch, definition};
use skypunch::model::reason::Verdict;
use skypunch::model::time::UtcMs;

fn later(ms: i64) -> UtcMs {
    UtcMs(NOW.0 + ms)
}

/// Both sides of DESIGN section 8.3, for every target.
fn equation_holds(db: &TestDb) {
    let wrong = db.client(
        "SELECT s.target_id FROM target_status s WHERE s.pass_count + s.fail_count + s.unknown_count <> \
         s.imported_count + s.pruned_count + s.thinned_count + (SELECT COUNT(*) FROM results r WHERE r.target_id = s.target_id)",
    );
    assert_eq!(wrong.as_deref(), Ok(""), "targets whose counters do not add up");
}

pub fn counters_equal_pruned_thinned_and_rows(db: &TestDb) {
    let mut store = db.store();
    for n in 1..=6 {
        let mut b = batch(1, n, n % 2 + 1, n * 1000, 7, 3);
        if n == 4 {
            b.results.retain(|r| r.verdict != Verdict::Pass);
        }
        store.write_batch(&b).unwrap();
        equation_holds(db);
    }
    let before = store.load_statuses().unwrap();
    while store.prune_results(later(5003), 4).unwrap() > 0 {
        equation_holds(db);
    }
    assert_eq!(db.number("SELECT COUNT(*) FROM results"), 17);
    assert_eq!(db.number("SELECT SUM(pruned_count) FROM target_status"), 36);
    assert_eq!(store.load_statuses().unwrap(), before, "what was counted stays counted");
}

pub fn the_oldest_go_first_and_few_at_a_time(db: &TestDb) {
    let mut store = db.store();
    store.write_batch(&batch(1, 1, 7, 0, 1200, 0)).unwrap();
    assert_eq!(store.prune_results(later(1100), 100).unwrap(), 100);
    let left = store.history(7, None, 10_000).unwrap();
    assert_eq!((left.len(), left.last().unwrap().started_at), (1100, later(100)));
    assert_eq!(store.prune_results(later(1100), 2000).unwrap(), 1000);
    assert_eq!(store.prune_results(later(1100), 2000).unwrap(), 0, "nothing older is left");
    assert_eq!(db.number("SELECT COUNT(*) FROM results"), 100);
}

pub fn statuses_of_targets_that_are_gone_go(db: &TestDb) {
    let mut store = db.store();
    let id = store.insert_definition(&definition("x"), NOW).unwrap();
    store.write_batch(&batch(1, 1, id, 0, 1, 0)).unwrap();
    store.write_batch(&batch(1, 2, 900, 10, 1, 0)).unwrap();
    assert_eq!(store.prune_statuses(NOW).unwrap(), 0, "not old enough");
    assert_eq!(store.prune_statuses(later(1000)).unwrap(), 1);
    assert_eq!(store.load_statuses().unwrap().iter().map(|s| s.target_id.0).collect::<Vec<_>>(), [id]);
}
