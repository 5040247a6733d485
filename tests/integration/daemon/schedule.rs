//! Due times follow from id and frequency alone; nothing that happens moves them, and no target delays another.

use std::time::Duration;

use serde_json::{Value, json};
use skypunch::model::schedule::{GRID, slot};
use skypunch::model::target::TargetId;

use super::harness::{Place, SOON, number, wait_until};
use super::origin::{Answer, Origin};

/// Whether a wall-clock time is a due time of that target: slot + k × frequency, down to the grid.
fn is_due_time(id: i64, frequency: Duration, at_ms: i64) -> bool {
    let us = |d: Duration| i64::try_from(d.as_micros()).unwrap();
    let slot = us(slot(TargetId(id), frequency));
    // Some due time before rounding lies within the grid step that begins here.
    at_ms % (us(GRID) / 1000) == 0 && (slot - at_ms * 1000).rem_euclid(us(frequency)) < us(GRID)
}

/// The rows of a target, the oldest first, without the extra probe of a new target.
fn scheduled(rows: &Value) -> Vec<Value> {
    let mut rows = rows.as_array().unwrap().clone();
    rows.reverse();
    rows.remove(0);
    rows
}

#[test]
fn due_times_lie_on_the_targets_own_slots_and_do_not_drift() {
    let origin = Origin::start();
    let place = Place::new();
    let frequencies = [100, 130, 250, 777];
    let mut daemon = place.start();
    for ms in frequencies {
        place.db.add(&format!("t{ms}"), &origin.url(&format!("/{ms}")), ms);
    }
    let history =
        |daemon: &super::harness::Daemon, ms: u32| daemon.get(&format!("/v1/targets/t{ms}/history?limit=10000"));
    wait_until("some seconds have passed", SOON, || origin.count("/777") >= 5);
    // A restart keeps the slots.
    daemon.terminate();
    let daemon = place.start();
    wait_until("some more have passed", SOON, || origin.count("/777") >= 8);
    for ms in frequencies {
        let rows = scheduled(&history(&daemon, ms));
        let (id, frequency) = (number(&rows[0], "target_id"), Duration::from_millis(ms.into()));
        let due: Vec<i64> = rows.iter().map(|r| number(r, "due_at")).collect();
        let wrong: Vec<&i64> = due.iter().filter(|at| !is_due_time(id, frequency, **at)).collect();
        assert!(wrong.is_empty(), "{ms} ms, target {id}: {wrong:?} of {due:?}");
        assert!(due.windows(2).all(|w| w[0] < w[1]), "{ms} ms: in order, none twice: {due:?}");
        for row in &rows {
            // Started at due_at + lateness, both as the database keeps them (whole milliseconds).
            let late_us = number(row, "lateness_us");
            let apart = (number(row, "started_at") - number(row, "due_at")) * 1000 - late_us;
            assert!(late_us >= 0 && apart.abs() <= 2000, "{row:#}");
        }
    }
    // Another frequency, another slot; from the next due time on.
    place.db.sql("UPDATE targets SET frequency_ms = 200 WHERE name = 't250'");
    daemon.wait_target("t250", "frequency_ms", &json!(200));
    let reached = history(&daemon, 250)[0]["due_at"].as_i64().unwrap();
    let (id, frequency) = (number(&daemon.target("t250"), "id"), Duration::from_millis(200));
    let new = || {
        let rows = history(&daemon, 250);
        rows.as_array().unwrap().iter().map(|r| number(r, "due_at")).take_while(|at| *at > reached).collect::<Vec<_>>()
    };
    wait_until("it is probed in the new rhythm", SOON, || new().len() >= 6);
    let mut due = new();
    due.pop(); // the oldest may have begun before the change
    assert!(due.iter().all(|at| is_due_time(id, frequency, *at)), "{due:?}");
}

#[test]
fn targets_that_hang_delay_no_other_and_count_what_they_miss() {
    let origin = Origin::start();
    origin.answer("/hang", Answer::Hold);
    let place = Place::new();
    let daemon = place.start();
    let rows = |name: &str, path: &str, n: u32| {
        (0..n).map(|i| format!("('{name}{i}', '{}', 200, 200)", origin.url(path))).collect::<Vec<_>>().join(",")
    };
    place.db.sql(&format!(
        "INSERT INTO targets (name, url, frequency_ms, timeout_ms) VALUES {}, {}",
        rows("good", "/good", 18),
        rows("hang", "/hang", 12)
    ));
    wait_until("some seconds have passed", SOON, || origin.count("/good") >= 18 * 20);
    let frequency = Duration::from_millis(200);
    for name in (0..18).map(|i| format!("good{i}")).chain((0..12).map(|i| format!("hang{i}"))) {
        let target = daemon.target(&name);
        let history = daemon.get(&format!("/v1/targets/{name}/history?limit=10000"));
        let rows = scheduled(&history);
        let due: Vec<i64> = rows.iter().map(|r| number(r, "due_at")).collect();
        let (first, last) = (due[0], due[due.len() - 1]);
        assert!(due.iter().all(|at| is_due_time(number(&target, "id"), frequency, *at)), "{name}: {due:?}");
        let passed = (last - first + 100) / 200 + 1;
        let (kept, missed) = (i64::try_from(due.len()).unwrap(), number(&target, "missed_count"));
        if name.starts_with("good") {
            assert_eq!(target["status"], json!("PASS"), "{target:#}");
            // On an idle machine none is missed; what a busy one misses is counted.
            assert!((kept + missed - passed).abs() <= 1, "{name}: {kept} + {missed} of {passed}");
            assert!(kept * 10 >= passed * 9, "{name}: {kept} of {passed}");
        } else {
            assert_eq!((&target["status"], &target["reason"]), (&json!("FAIL"), &json!("timeout_first_byte")));
            // Missed ones that the next result will carry, and the extra first probe, may be in between.
            assert!((kept + missed - passed).abs() <= 2, "{name}: {kept} + {missed} of {passed}");
        }
    }
    let status = daemon.status();
    assert_eq!(status["targets"]["pass"], json!(18), "{status:#}");
}
