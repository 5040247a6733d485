//! What skypunch promises, and the tests that would fail if it were broken; the table stands in `tests/README.md`.

use std::path::{Path, PathBuf};

/// The promises in short, and the tests that hold them.
const PROMISES: [(&str, &[&str]); 9] = [
    (
        "A probe never waits for us",
        &[
            "slow_by_a_second_a_statement",
            "frozen",
            "a_thousand_callers_that_stall_hold_up_nobody",
            "a_dead_notifier_delays_no_other_and_is_told_when_it_is_back",
        ],
    ),
    (
        "Every target keeps its own time",
        &[
            "a_target_that_hangs_delays_no_other_and_loses_no_due_time",
            "targets_that_hang_delay_no_other_and_count_what_they_miss",
            "hanging_targets_do_not_keep_others_out",
        ],
    ),
    (
        "State changes in one place",
        &["incidents_alternate_and_counters_add_up", "unknown_neither_adds_to_nor_resets_a_streak"],
    ),
    (
        "Fail and recovery are told exactly once each",
        &[
            "a_failure_and_its_end_are_told_once_each",
            "kill_9_at_random_moments_loses_no_more_than_the_flush_interval",
            "what_is_owed_survives_a_kill",
        ],
    ),
    (
        "Nothing that was due is silently missed",
        &[
            "a_process_that_was_stopped_counts_what_it_missed_and_says_so_once",
            "a_storm_is_few_messages_that_hold_all_and_no_due_time_is_missed",
        ],
    ),
    (
        "Our own trouble is not the target's",
        &[
            "descriptors_that_run_out_are_told_of_once_and_no_target_is",
            "a_dead_resolver_is_the_monitors_trouble_and_no_targets",
            "without_loopback_targets_are_unknown_and_the_monitor_has_one_incident",
            "internal_when_every_probe_panics_ever_more_rarely_and_no_other_is_touched",
        ],
    ),
    (
        "The database may be away",
        &[
            "stopped",
            "restarted_one_migration_ahead",
            "a_link_that_is_cut_between_commit_and_its_answer_writes_nothing_twice",
        ],
    ),
    (
        "Secrets stay secret",
        &["no_canary_appears_where_it_does_not_belong", "no_route_opens_a_file_that_its_caller_names"],
    ),
    (
        "Bad input gets one clear sentence",
        &[
            "a_wrong_row_is_reported_and_disturbs_nothing",
            "wrong_settings_are_refused_by_name",
            "bad_requests_are_told_what_to_write",
            "each_limit_is_told_with_its_name_its_value_and_its_key",
        ],
    ),
];

fn sources() -> String {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    for part in ["tests/integration", "src/model"] {
        walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(part), &mut found);
    }
    let me = |file: &&PathBuf| !file.ends_with("promises.rs");
    found.iter().filter(me).map(|file| std::fs::read_to_string(file).unwrap()).collect()
}

#[test]
fn every_promise_has_tests_and_the_table_names_them() {
    let sources = sources();
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/README.md")).unwrap();
    for (promise, tests) in PROMISES {
        let row = readme.lines().find(|line| line.contains(&format!("| {promise} |")));
        let row = row.unwrap_or_else(|| panic!("tests/README.md has no row for {promise:?}"));
        for test in tests {
            let there = [format!("fn {test}("), format!("    {test}: State {{")];
            assert!(there.iter().any(|form| sources.contains(form)), "{promise:?}: there is no test {test}");
            assert!(row.contains(&format!("`{test}`")), "{promise:?}: the table does not name {test}");
        }
    }
}
