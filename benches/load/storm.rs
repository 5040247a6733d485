//! A storm: all targets fail within one second, one notifier is dead and one lives.
//! What telling people costs the schedule is in `pairs`, which goes before.
//!
//! ```text
//!  |--- window before ---|-- origin answers 500 --|--- window with the storm ---| ... until the live one has all
//! ```

use std::time::Duration;

use skypunch::clock::Clock;

use crate::daemon::Place;
use crate::origin::Origin;
use crate::pairs::{Pairs, late_p99};
use crate::process;
use crate::receiver::Receiver;
use crate::report::Report;
use crate::window::{SETTLE, WRITTEN_AFTER, due_times, lateness_at};
use crate::{Options, Outcome};

/// All of them fail.
pub const TARGETS: usize = 10_000;
const FREQUENCY: Duration = Duration::from_secs(1);
/// The default of `group_wait_ms`.
const GROUP_WAIT_MS: i64 = 5_000;
/// How long the live one may take to get all.
const PATIENCE: Duration = Duration::from_secs(120);
/// So long without a message, all that is to come has come: longer than the default of `group_window_ms`. A target that
/// changes too often is told as flapping, and the count that is waited for is not reached.
const QUIET: Duration = Duration::from_secs(40);
/// Between two looks at the memory.
const LOOK: Duration = Duration::from_millis(50);

/// The scenario.
pub fn run(options: &Options) -> Outcome<Report> {
    let clock = Clock::system();
    let mut report = Report::new("10,000 targets @ 1 s fail within one second; one notifier is dead, one lives");
    let mut origin = Origin::start(options.nice)?;
    let pairs = Pairs::measure(options, &clock, &mut origin)?;
    origin.pass()?;
    let mut receiver = Receiver::start(options.nice)?;
    let port = origin.port();
    let mut place = Place::new(options)?;
    place.database.insert(TARGETS, 1000, |id| format!("http://127.0.0.1:{port}/t/{id}"))?;
    place.database.execute(&receiver.notifiers())?;
    let mut daemon = place.start(options, &clock)?;
    daemon.until_running(TARGETS)?;
    daemon.until_probed()?;
    std::thread::sleep(SETTLE);

    let now = || clock.utc_now().0;
    let calm = now();
    let missed = daemon.status()?.probes.missed;
    let cpu = (process::cpu_us(daemon.pid)?, process::threads(daemon.pid)?);
    std::thread::sleep(options.window());
    let storm = now();
    let cpu_calm = (process::cpu_us(daemon.pid)?, process::threads(daemon.pid)?);
    let rss = process::memory(daemon.pid, "VmRSS")?;
    origin.fail()?;
    let (mut peak, begun) = (rss, clock.now());
    let look = |peak: &mut u64| {
        std::thread::sleep(LOOK);
        *peak = (*peak).max(process::memory(daemon.pid, "VmRSS")?);
        Outcome::Ok(())
    };
    while clock.now().since(begun) < options.window() {
        look(&mut peak)?;
    }
    let end = now();
    let missed_after = daemon.status()?.probes.missed;
    let cpu_storm = (process::cpu_us(daemon.pid)?, process::threads(daemon.pid)?);
    let until_told = |receiver: &mut Receiver, peak: &mut u64, things: u64| {
        let (begun, mut grown, mut messages) = (clock.now(), clock.now(), 0);
        loop {
            let got = receiver.got()?;
            let now = clock.now();
            if got.messages > messages {
                (grown, messages) = (now, got.messages);
            }
            if got.named + got.counted >= things || now.since(begun) > PATIENCE || now.since(grown) > QUIET {
                return Outcome::Ok(got);
            }
            look(peak)?;
        }
    };
    let got = until_told(&mut receiver, &mut peak, TARGETS as u64)?;
    std::thread::sleep(WRITTEN_AFTER);
    // On a busy machine a target may have failed before: that is not the storm's.
    let of_storm =
        format!("SELECT MIN(started_at) AS a, MAX(started_at) AS b FROM incidents WHERE started_at >= {storm}");
    let opened = daemon.database.pairs(&of_storm)?[0];
    // All recover, and fail again.
    let mut peaks = vec![peak];
    for round in 1..=2u64 {
        origin.pass()?;
        until_told(&mut receiver, &mut peak, 2 * round * TARGETS as u64)?;
        origin.fail()?;
        let mut peak = 0;
        until_told(&mut receiver, &mut peak, (2 * round + 1) * TARGETS as u64)?;
        peaks.push(peak);
    }
    std::thread::sleep(WRITTEN_AFTER);

    for (name, from, to) in [("before", calm, storm), ("with the storm", storm, end)] {
        let rows = daemon.database.due_between(from, to)?;
        let due = due_times(TARGETS, FREQUENCY, from, to);
        report.add(format!("{name}: due times"), due as f64, "", "");
        report.add(format!("{name}: results of them in the database"), rows.len() as f64, "", "all");
        lateness_at(&mut report, name, &rows, &[("p50", 0.5), ("p99", 0.99), ("max", 1.0)]);
    }
    pairs.show(&mut report);
    report.add("missed in both (as the daemon says)", (missed_after - missed) as f64, "", "0");
    report.add("CPU before", (cpu_calm.0 - cpu.0) as f64 / 1e6, "s", "");
    report.add("CPU with the storm", (cpu_storm.0 - cpu_calm.0) as f64 / 1e6, "s", "");
    let calm_threads = process::ran_us(&cpu.1, &cpu_calm.1);
    for (n, (name, us)) in process::ran_us(&cpu_calm.1, &cpu_storm.1).iter().enumerate() {
        let before = calm_threads.get(n).map_or(0.0, |t| t.1);
        if (us - before).abs() > 20_000.0 {
            report.add(format!("  thread {n} {name}, more than before"), (us - before) / 1e6, "s", "");
        }
    }
    report.add("resident memory before", rss as f64 / 1e6, "MB", "");
    for (n, peak) in peaks.iter().enumerate() {
        report.add(format!("resident memory, highest in storm {}", n + 1), *peak as f64 / 1e6, "MB", "bounded");
    }
    report.add("first to last failure", (opened.1 - opened.0) as f64, "ms", "about 1,000");
    let told = got.last_at as i64 - opened.0;
    report.add("live: first failure until all are told", told as f64, "ms", "");
    report.add("live: of that beyond the group wait", (told - GROUP_WAIT_MS) as f64, "ms", "storing, rendering");
    report.add("live: messages", got.messages as f64, "", "few");
    report.add("live: failures named one by one", got.named as f64, "", "");
    report.add("live: failures counted", got.counted as f64, "", "");
    report.add("live: all of them", (got.named + got.counted) as f64, "", "10,000");
    report.add("live: bytes of the longest message", got.longest as f64, "", "");
    report.add("dead: attempts", got.dead as f64, "", "");
    let sent = "SELECT COUNT(*) AS a, COUNT(DISTINCT incident_id) AS b FROM notifications \
        WHERE notifier_id = 2 AND state = 'sent' AND event = 'fail'";
    let (all, deadline) = (peaks.len() as i64 * TARGETS as i64, clock.now() + PATIENCE);
    while daemon.database.pairs(sent)?[0].1 < all && clock.now() < deadline {
        std::thread::sleep(LOOK);
    }
    let (rows, incidents) = daemon.database.pairs(sent)?[0];
    report.add("live: failures noted as sent, all storms", rows as f64, "", "30,000");
    report.add("live: incidents of them", incidents as f64, "", "30,000");
    let seconds: Vec<String> = (storm..end)
        .step_by(1000)
        .map(|second| Ok(format!("{:.1}", late_p99(&mut daemon.database, second, second + 1000)?)))
        .collect::<Outcome<_>>()?;
    report.note(format!("lateness p99 of each second from the flip on, ms: {}", seconds.join(" ")));
    let (rows, counted) = daemon.stop()?;
    report.note(format!("after the stop: {rows} rows, {counted} outcomes counted"));
    report.note(process::load());
    Ok(report)
}
