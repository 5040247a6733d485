//! A window of time in a daemon's life: what was due in it, what came of that, and what it cost.

use std::time::Duration;

use skypunch::clock::Clock;
use skypunch::model::schedule::Schedule;
use skypunch::model::target::TargetId;
use skypunch::model::time::Mono;

use crate::daemon::Daemon;
use crate::origin::Origin;
use crate::process;
use crate::report::{Report, quantile};
use crate::{Options, Outcome};

/// How long things are left alone before the window begins.
pub const SETTLE: Duration = Duration::from_secs(3);

/// Longer than the daemon takes from the end of a probe to its row.
pub const WRITTEN_AFTER: Duration = Duration::from_millis(2500);

/// Due times that lie in a window of wall-clock milliseconds, computed from ids and frequency alone.
pub fn due_times(targets: usize, frequency: Duration, from: i64, to: i64) -> u64 {
    due_times_of(1..=i64::try_from(targets).unwrap_or(0), frequency, from, to)
}

/// The same for some targets.
pub fn due_times_of(ids: impl Iterator<Item = i64>, frequency: Duration, from: i64, to: i64) -> u64 {
    let us = |ms: i64| Mono(u64::try_from(ms).unwrap_or(0) * 1000 - 1);
    ids.map(|id| {
        let schedule = Schedule::new(TargetId(id), frequency, 0);
        schedule.rungs(schedule.first_after(us(from)), schedule.first_after(us(to)))
    })
    .sum()
}

/// What one window of the daemon shows.
pub struct Window {
    pub from: i64,
    pub to: i64,
    pub cpu_us: f64,
    pub threads: Vec<(String, f64)>,
    pub answered: u64,
    pub held: u64,
    pub started: u64,
    pub missed: u64,
    pub written: u64,
    pub seconds: f64,
    pub rss: u64,
}

impl Window {
    pub fn measure(options: &Options, clock: &Clock, daemon: &Daemon, origin: &mut Origin) -> Outcome<Window> {
        let look = |origin: &mut Origin| {
            let status = daemon.status()?;
            let threads = process::threads(daemon.pid)?;
            Outcome::Ok((clock.now(), process::cpu_us(daemon.pid)?, origin.counts()?, status, threads))
        };
        let (began, cpu, (answered, held), status, threads) = look(origin)?;
        std::thread::sleep(options.window());
        let (ended, cpu_after, (answered_after, held_after), status_after, threads_after) = look(origin)?;
        Ok(Window {
            from: clock.utc(began).0,
            to: clock.utc(ended).0,
            cpu_us: (cpu_after - cpu) as f64,
            threads: process::ran_us(&threads, &threads_after),
            answered: answered_after - answered,
            held: held_after - held,
            started: status_after.probes.started - status.probes.started,
            missed: status_after.probes.missed - status.probes.missed,
            written: status_after.persistence.written - status.persistence.written,
            seconds: ended.since(began).as_secs_f64(),
            rss: process::memory(daemon.pid, "VmRSS")?,
        })
    }

    pub fn report(&self, report: &mut Report, targets: usize, frequency: Duration, rows: &[(i64, i64)]) {
        let due = due_times(targets, frequency, self.from, self.to);
        report.add("window", self.seconds, "s", "");
        report.add("due times in the window", due as f64, "", "");
        report.add("results of them in the database", rows.len() as f64, "", "all");
        report.add("due times missed (as the daemon says)", self.missed as f64, "", "0");
        report.add("probes started (as the daemon says)", self.started as f64, "", "");
        report.add("requests that the origin answered", self.answered as f64, "", "");
        if self.held > 0 {
            report.add("requests that the origin held", self.held as f64, "", "");
        }
        report.add("rows written (as the daemon says)", self.written as f64, "", "");
        lateness_of(report, rows);
        report.add("resident memory", self.rss as f64 / 1e6, "MB", "");
    }
}

pub fn lateness_of(report: &mut Report, rows: &[(i64, i64)]) {
    let mut late: Vec<i64> = rows.iter().map(|r| r.1).collect();
    late.sort_unstable();
    report.add("lateness p50", quantile(&late, 0.5) as f64 / 1000.0, "ms", "");
    report.add("lateness p99", quantile(&late, 0.99) as f64 / 1000.0, "ms", "under 5 on an idle machine");
    report.add("lateness max", late.last().copied().unwrap_or(0) as f64 / 1000.0, "ms", "");
}

/// Lateness of what a window is called, at such shares.
pub fn lateness_at(report: &mut Report, name: &str, rows: &[(i64, i64)], shares: &[(&str, f64)]) {
    let mut late: Vec<i64> = rows.iter().map(|r| r.1).collect();
    late.sort_unstable();
    for (word, share) in shares {
        report.add(format!("{name}: lateness {word}"), quantile(&late, *share) as f64 / 1000.0, "ms", "");
    }
}
