//! The books of the main database must balance whenever it is looked at.

use serde_json::Value;

use super::database::Database;
use super::harness::number;
use super::origin::Origin;

/// Counters agree with rows, no row is there twice, and each failing target has exactly one open incident.
///
/// # Panics
/// When they do not.
pub fn assert_consistent(db: &Database) {
    let counters = db.sql(
        "SELECT s.target_id, pass_count + fail_count + unknown_count, imported_count + pruned_count + thinned_count,
                (SELECT COUNT(*) FROM results r WHERE r.target_id = s.target_id)
         FROM target_status s
         WHERE pass_count + fail_count + unknown_count <> imported_count + pruned_count + thinned_count
               + (SELECT COUNT(*) FROM results r WHERE r.target_id = s.target_id)",
    );
    assert!(counters.is_empty(), "target, counted, booked, rows: {counters:?}");
    let verdicts = db.sql(
        "SELECT s.target_id FROM target_status s WHERE pruned_count + thinned_count + imported_count = 0 AND (
             pass_count <> (SELECT COUNT(*) FROM results r WHERE r.target_id = s.target_id AND verdict = 'PASS')
             OR fail_count <> (SELECT COUNT(*) FROM results r WHERE r.target_id = s.target_id AND verdict = 'FAIL'))",
    );
    assert!(verdicts.is_empty(), "passes or fails do not agree: {verdicts:?}");
    let orphans = "SELECT COUNT(*) FROM results WHERE target_id NOT IN (SELECT target_id FROM target_status)";
    assert_eq!(db.number(orphans), 0, "results without a status");
    // The extra first probe of a target that is new, or that a start without the database takes for new, is due when it
    // starts, to the microsecond, and that may be in the very millisecond of a due time.
    let twice = db.sql(
        "SELECT target_id, due_at, COUNT(*) FROM results WHERE lateness_us > 0
         GROUP BY target_id, due_at HAVING COUNT(*) > 1",
    );
    assert!(twice.is_empty(), "target, due, rows: {twice:?}");
    let open = db.sql(
        "SELECT s.target_id, status, s.incident_id, i.id FROM target_status s
         LEFT JOIN incidents i ON i.subject_kind = 'target' AND i.subject_id = s.target_id AND i.ended_at IS NULL
         WHERE s.target_id > 0 AND ((s.conclusive_status = 'FAIL') <> (i.id IS NOT NULL)
               OR COALESCE(s.incident_id, 0) <> COALESCE(i.id, 0))",
    );
    assert!(open.is_empty(), "target, status, its incident, the open incident: {open:?}");
    let many = db.sql(
        "SELECT subject_kind, subject_id, COUNT(*) FROM incidents WHERE ended_at IS NULL
         GROUP BY subject_kind, subject_id HAVING COUNT(*) > 1",
    );
    assert!(many.is_empty(), "targets with several open incidents: {many:?}");
}

/// What the daemon has shown is written: no counter is behind.
pub fn assert_not_behind(db: &Database, shown: &Value) {
    let written = db.sql("SELECT target_id, pass_count, fail_count FROM target_status");
    for target in shown.as_array().unwrap() {
        let id = number(target, "id").to_string();
        let row = written.iter().find(|r| r[0] == id).unwrap_or_else(|| panic!("target {id} has no status"));
        for (field, value) in [("pass_count", &row[1]), ("fail_count", &row[2])] {
            assert!(value.parse::<i64>().unwrap() >= number(target, field), "{field} of {id}: {value}, {target:#}");
        }
    }
}

/// Every request that the origin has counted is a row, but for so many; and no answer is a row that it has not given.
///
/// # Panics
/// When it is not so.
pub fn assert_rows(db: &Database, origin: &Origin, missing: i64) {
    let asked = i64::try_from(origin.total()).unwrap();
    let rows = db.number("SELECT COUNT(*) FROM results");
    let answered = db.number("SELECT COUNT(*) FROM results WHERE status_code IS NOT NULL");
    assert!(answered <= asked, "{answered} answers of {asked} requests");
    assert!(asked - rows <= missing, "{rows} rows of {asked} requests");
}
