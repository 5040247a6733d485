use super::fixture::{NOW, TestDb, batch, definition, recorded, result};
use skypunch::model::reason::Verdict;
use skypunch::model::record::Batch;
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

pub fn statuses_of_targets_that_are_gone_go_with_their_last_result(db: &TestDb) {
    let mut store = db.store();
    let stays = store.insert_definition(&definition("x"), NOW).unwrap();
    let gone: Vec<i64> = ["a", "b", "c"].map(|n| store.insert_definition(&definition(n), NOW).unwrap()).into();
    for (number, id) in (1..).zip(gone.iter().chain([&stays])) {
        store.write_batch(&batch(1, number, *id, number * 10, 1, 0)).unwrap();
    }
    for id in &gone {
        store.delete_definition(*id).unwrap();
    }
    // The last result of a target may be on its way while it is deleted: counters go on where they were.
    store.write_batch(&batch(1, 9, gone[0], 100, 1, 0)).unwrap();
    equation_holds(db);
    assert_eq!(store.prune_statuses(later(1000), 10).unwrap(), 0, "they count results that are still there");
    store.prune_results(later(50), 10).unwrap();
    equation_holds(db);
    assert_eq!(store.prune_statuses(later(21), 10).unwrap(), 1, "the others were heard of later");
    assert_eq!(store.prune_statuses(later(1000), 10).unwrap(), 1, "one has a result");
    store.prune_results(later(1000), 10).unwrap();
    assert_eq!(store.prune_statuses(later(1000), 10).unwrap(), 1);
    let left: Vec<i64> = store.load_statuses().unwrap().iter().map(|s| s.subject.0).collect();
    assert_eq!(left, [stays]);
    // Few at a time.
    store
        .write_batch(&Batch::collect(1, 20, (900..905).map(|t| recorded(result(t, 0, Verdict::Pass))).collect()))
        .unwrap();
    store.prune_results(later(1000), 10).unwrap();
    assert_eq!([2, 2, 2].map(|n| store.prune_statuses(later(1000), n).unwrap()), [2, 2, 1]);
}
