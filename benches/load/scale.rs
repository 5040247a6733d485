//! At the limit: one core, a hundred thousand targets that are probed, a million, and ten thousand rows that change.

use std::time::Duration;

use skypunch::clock::Clock;

use crate::daemon::Place;
use crate::origin::Origin;
use crate::report::Report;
use crate::scenarios::{beyond, measured, memory_without_targets};
use crate::window::{SETTLE, WRITTEN_AFTER, Window, lateness_at};
use crate::{Options, Outcome, process, timer};

/// 12,000 probes a second by a daemon that has one processor; the origin has the others.
pub fn one_core(options: &Options) -> Outcome<Report> {
    const TARGETS: usize = 12_000;
    let frequency = Duration::from_secs(1);
    let mut report = Report::new("12,000 targets @ 1 s, the daemon on one processor");
    let mut origin = Origin::start(options.nice)?;
    process::pin(origin.pid(), 1)?;
    let port = origin.port();
    let mut place = Place::new(options)?;
    place.pin(0);
    place.database.insert(TARGETS, 1000, |id| format!("http://127.0.0.1:{port}/t/{id}"))?;
    let (daemon, window, _) = measured(options, &mut report, place, &mut origin, TARGETS, frequency)?;
    report.add("probes a second", window.answered as f64 / window.seconds, "", "12,000");
    report.add("of its processor", window.cpu_us / window.seconds / 1e4, "%", "");
    let (rows, counted) = daemon.stop()?;
    report.note(format!("after the stop: {rows} rows, {counted} outcomes counted"));
    report.note(process::load());
    Ok(report)
}

/// 100,000 targets once a minute each, for so long that all have been probed.
pub fn minute(options: &Options) -> Outcome<Report> {
    spread(options, options.idle_targets, Duration::from_secs(60), "under 3,072", "")
}

/// 1,000,000 targets every ten minutes.
pub fn million(options: &Options) -> Outcome<Report> {
    spread(options, 1_000_000, Duration::from_secs(600), "", "under 3,000")
}

fn spread(
    options: &Options,
    targets: usize,
    frequency: Duration,
    each: &'static str,
    all: &'static str,
) -> Outcome<Report> {
    let clock = Clock::system();
    let seconds = frequency.as_secs();
    let mut report = Report::new(format!("{targets} targets @ {seconds} s"));
    let timer = timer::measure(targets, frequency, options.window(), options.nice)?;
    let mut origin = Origin::start(options.nice)?;
    let port = origin.port();
    let empty = memory_without_targets(options, &clock)?;
    let mut place = Place::new(options)?;
    place
        .database
        .insert(targets, i64::try_from(frequency.as_millis())?, |id| format!("http://127.0.0.1:{port}/t/{id}"))?;
    place.database.preload_statuses()?;
    let mut daemon = place.start(options, &clock)?;
    let running = daemon.until_running(targets)?;
    let at_work = daemon.until_actors_run(1)?;
    let fresh = process::memory(daemon.pid, "VmRSS")?;
    // All have been probed at least once when they cost what they cost; a million are not waited for.
    std::thread::sleep(frequency.min(Duration::from_secs(65)));
    let window = Window::measure(options, &clock, &daemon, &mut origin)?;
    std::thread::sleep(WRITTEN_AFTER);
    let rows = daemon.database.due_between(window.from, window.to)?;
    window.report(&mut report, targets, frequency, &rows);
    beyond(&mut report, &rows, timer);
    report.add_time("from process start to `running` with all targets", running, "");
    report.add_time(
        "from process start to all actors at work",
        at_work,
        if all.is_empty() { "under 3,000" } else { "" },
    );
    report.add("resident memory when all were at work", fresh as f64 / 1e6, "MB", "");
    report.add("resident memory of a daemon without targets", empty as f64 / 1e6, "MB", "");
    let rss = window.rss.saturating_sub(empty) as f64;
    report.add("resident memory of all targets", rss / 1e6, "MB", all);
    report.add("resident memory per target", rss / targets as f64, "bytes", each);
    report.add("CPU", window.cpu_us / window.seconds / 1e4, "% of a core", "");
    let (rows, counted) = daemon.stop()?;
    report.note(format!("after the stop: {rows} rows, {} outcomes counted since the start", counted - targets as i64));
    report.note(process::load());
    Ok(report)
}

/// One SQL statement takes 10,000 of 20,000 targets out of service, another brings them back; the other 10,000 are probed
/// once a second all the while.
pub fn change(options: &Options) -> Outcome<Report> {
    const EACH: usize = 10_000;
    let clock = Clock::system();
    let mut report = Report::new("10,000 rows changed by one SQL statement, beside 10,000 targets @ 1 s");
    let origin = Origin::start(options.nice)?;
    let port = origin.port();
    let mut place = Place::new(options)?;
    // Those that change are hardly probed: what is measured is the change.
    place.database.insert_each(2 * EACH, |id| skypunch::model::definition::Definition {
        url: format!("http://127.0.0.1:{port}/t/{id}"),
        frequency_ms: if id <= EACH as i64 { 1000 } else { 3_600_000 },
        ..Default::default()
    })?;
    place.database.preload_statuses()?;
    let mut daemon = place.start(options, &clock)?;
    daemon.until_running(2 * EACH)?;
    std::thread::sleep(SETTLE);
    let window = |from: i64, to: i64| format!("{from} AND due_at < {to} AND target_id <= {EACH}");
    let calm = clock.utc_now().0;
    std::thread::sleep(options.window());
    let begun = clock.utc_now().0;
    let changes: [(&'static str, &str, usize); 3] = [
        ("taken out of service", "enabled = 0", EACH),
        ("brought back", "enabled = 1", 2 * EACH),
        ("given a parent that changes nothing else", "parent = 'none', enabled = 0", EACH),
    ];
    for (what, set, enabled) in changes {
        daemon.database.execute(&format!("UPDATE targets SET {set} WHERE id > {EACH}"))?;
        let before = clock.now();
        daemon.until("the change", Duration::from_secs(3600), |s| s.targets.enabled == enabled as u64)?;
        report.add_time(format!("10,000 {what}"), clock.now().since(before), "under 2,000");
        std::thread::sleep(Duration::from_secs(1));
    }
    let ended = clock.utc_now().0;
    let missed = daemon.status()?.probes.missed;
    std::thread::sleep(WRITTEN_AFTER);
    for (name, from, to) in [("before", calm, begun), ("while they change", begun, ended)] {
        let rows = daemon.database.pairs(&format!(
            "SELECT target_id AS a, lateness_us AS b FROM results WHERE due_at >= {}",
            window(from, to)
        ))?;
        let due = crate::window::due_times(EACH, Duration::from_secs(1), from, to);
        report.add(format!("{name}: due times of the others"), due as f64, "", "");
        report.add(format!("{name}: results of them"), rows.len() as f64, "", "all");
        lateness_at(&mut report, name, &rows, &[("p50", 0.5), ("p99", 0.99)]);
    }
    report.add("missed (as the daemon says)", missed as f64, "", "0");
    daemon.stop()?;
    report.note(process::load());
    Ok(report)
}
