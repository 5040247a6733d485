//! The schedule while much is wrong: one target in ten hangs until its timeout, and the database takes nothing.
//!
//! ```text
//!  |--- window: database well ---|--- window: another connection holds it ---| ... until all rows are there
//! ```

use std::time::Duration;

use skypunch::clock::Clock;

use crate::daemon::Place;
use crate::origin::Origin;
use crate::report::Report;
use crate::window::{SETTLE, WRITTEN_AFTER, due_times_of, lateness_at};
use crate::{Options, Outcome, process};

const TARGETS: usize = 10_000;
const FREQUENCY: Duration = Duration::from_secs(1);
/// How long what was kept meanwhile may take to come into the database.
const CAUGHT_UP: Duration = Duration::from_secs(120);

/// One in ten hangs.
const HEALTHY: &str = "target_id % 10 <> 0";

/// The scenario.
pub fn run(options: &Options) -> Outcome<Report> {
    let clock = Clock::system();
    let mut report = Report::new("10,000 targets @ 1 s, one in ten hangs, and the database takes nothing for a window");
    let origin = Origin::start(options.nice)?;
    let port = origin.port();
    let mut place = Place::new(options)?;
    place.database.insert(TARGETS, 1000, |id| {
        format!("http://127.0.0.1:{port}/{}/{id}", if id % 10 == 0 { "hang" } else { "t" })
    })?;
    let mut daemon = place.start(options, &clock)?;
    daemon.until_running(TARGETS)?;
    daemon.until_probed()?;
    std::thread::sleep(SETTLE);
    let now = || clock.utc_now().0;
    let missed = daemon.status()?.probes.missed;
    let well = now();
    std::thread::sleep(options.window());
    let cpu = process::cpu_us(daemon.pid)?;
    let stopped = now();
    daemon.database.hold()?;
    std::thread::sleep(options.window());
    let ended = now();
    let cpu = process::cpu_us(daemon.pid)? - cpu;
    let (status, rss) = (daemon.status()?, process::memory(daemon.pid, "VmRSS")?);
    daemon.database.release()?;

    let due = |from, to| due_times_of((1..=TARGETS as i64).filter(|id| id % 10 != 0), FREQUENCY, from, to);
    let healthy = due(stopped, ended);
    let count = format!(
        "SELECT COUNT(*) AS a, 0 AS b FROM results WHERE due_at >= {stopped} AND due_at < {ended} AND {HEALTHY}"
    );
    let deadline = clock.now() + CAUGHT_UP;
    while daemon.database.pairs(&count)?[0].0 < i64::try_from(healthy)? && clock.now() < deadline {
        std::thread::sleep(WRITTEN_AFTER);
    }
    for (name, from, to) in [("database well", well, stopped), ("database stopped", stopped, ended)] {
        let rows = daemon.database.pairs(&format!(
            "SELECT target_id AS a, lateness_us AS b FROM results WHERE due_at >= {from} AND due_at < {to} AND {HEALTHY}"
        ))?;
        report.add(format!("{name}: due times of healthy targets"), due(from, to) as f64, "", "");
        report.add(format!("{name}: results of them"), rows.len() as f64, "", "all");
        lateness_at(&mut report, name, &rows, &[("p50", 0.5), ("p99", 0.99), ("max", 1.0)]);
    }
    report.add("missed in both, of those that hang", (status.probes.missed - missed) as f64, "", "");
    report.add("database stopped: CPU of all threads", cpu as f64 / (ended - stopped) as f64 / 10.0, "% of a core", "");
    report.add("database stopped: resident memory at the end", rss as f64 / 1e6, "MB", "bounded");
    let (rows, counted) = daemon.stop()?;
    report.note(format!("after the stop: {rows} rows, {counted} outcomes counted"));
    report.note(process::load());
    Ok(report)
}
