//! The scenarios: what is run, what is measured.

use std::collections::HashMap;
use std::process::Command;
use std::time::Duration;

use skypunch::clock::Clock;
use skypunch::model::schedule::Schedule;
use skypunch::model::target::TargetId;
use skypunch::model::time::Mono;

use crate::daemon::{Daemon, Place};
use crate::database::Late;
use crate::floor::Floor;
use crate::origin::Origin;
use crate::receiver::Receiver;
use crate::report::{Report, quantile};
use crate::window::{SETTLE, WRITTEN_AFTER, Window, lateness_at};
use crate::{Options, Outcome};
use crate::{connections, mail, openstack, persist, process, scale, stopped, storm, timer};

/// A scenario: its name on the command line, what it is, and how it runs.
pub type Scenario = (&'static str, &'static str, fn(&Options) -> Outcome<Report>);

/// Those that run where nobody says which: each has a goal.
pub const STANDARD: [&str; 11] =
    ["10k", "1k", "keepalive", "https", "hang", "stopped", "idle", "persist", "core", "million", "change"];

/// All of them, in the order of the table.
pub const ALL: [Scenario; 19] = [
    ("10k", "10,000 targets @ 1 s", |o| {
        let goal = if o.mysql.is_some() { "at most 1.4" } else { "at most 1.35" };
        rate(o, "10,000 targets @ 1 s", 10_000, goal)
    }),
    ("1k", "1,000 targets @ 1 s", |o| rate(o, "1,000 targets @ 1 s", 1_000, "at most 1.8")),
    ("keepalive", "10,000 targets @ 1 s over kept connections", connections::keep_alive),
    ("https", "1,000 targets @ 1 s by HTTPS, a full handshake each", connections::https),
    ("hang", "10,000 targets @ 1 s, one in ten hangs until its timeout", hang),
    ("stopped", "10,000 targets @ 1 s, one in ten hangs, and the database takes nothing for a window", stopped::run),
    ("idle", "100,000 idle targets", idle),
    ("start", "start: 10,000 targets @ 10 s probed once", start),
    ("ctl", "skypunchctl targets with 10,000 targets", list),
    ("lateness", "reported lateness against the origin's clock, 2,000 targets @ 1 s", lateness),
    ("storm", "10,000 targets @ 1 s fail within one second; one notifier is dead, one lives", storm::run),
    ("mail", "mails a second: over one pool of sessions, and through the daemon", mail::run),
    ("persist", "the writer alone: batches of results and statuses of 10,000 targets", persist::run),
    ("openstack", "1,000 targets @ 1 s with the token of one credential, beside as many without", openstack::shared),
    ("core", "12,000 targets @ 1 s, the daemon on one processor", scale::one_core),
    ("minute", "100,000 targets @ 60 s", scale::minute),
    ("million", "1,000,000 targets @ 600 s", scale::million),
    ("change", "10,000 rows changed by one SQL statement, beside 10,000 targets @ 1 s", scale::change),
    ("own", "1,000 targets with a credential of their own each", openstack::own),
];

/// CPU per probe of the floor in one window, in microseconds.
pub fn floor(options: &Options, origin: &mut Origin, targets: usize, frequency: Duration) -> Outcome<f64> {
    let floor = Floor::start(origin.port(), targets, frequency, options.nice)?;
    floor_of(options, origin, floor)
}

/// The same of a floor that was just started.
pub fn floor_of(options: &Options, origin: &mut Origin, mut floor: Floor) -> Outcome<f64> {
    std::thread::sleep(SETTLE);
    let (cpu, before) = (process::cpu_us(floor.pid())?, origin.counts()?);
    std::thread::sleep(options.window());
    let (cpu, after) = (process::cpu_us(floor.pid())? - cpu, origin.counts()?);
    let (started, failed) = floor.counts()?;
    if failed * 1000 > started {
        return Err(format!("{failed} of the floor's {started} probes failed").into());
    }
    Ok(cpu as f64 / (after.0 - before.0) as f64)
}

pub fn split_by_thread(report: &mut Report, window: &Window, probes: u64) {
    for (n, (name, us)) in window.threads.iter().enumerate() {
        let each = us / probes as f64;
        if each >= 0.05 {
            report.add(format!("  thread {n} {name}"), each, "us/probe", "");
        }
    }
}

pub fn agree(report: &mut Report, origin: &mut Origin, daemon: Daemon) -> Outcome<()> {
    let (rows, counted) = daemon.stop()?;
    let (answered, held) = origin.counts()?;
    report.note(format!(
        "after the stop: {rows} rows, {counted} outcomes counted, {} requests at the origin{}",
        answered + held,
        if rows == counted { "" } else { " -- ROWS AND COUNTERS DIFFER" }
    ));
    Ok(())
}

/// Starts the daemon with what is in its database, waits until all have been probed, and reports one window: the daemon, the
/// window, and the rows of the results that were due in it.
pub fn measured(
    options: &Options,
    report: &mut Report,
    place: Place,
    origin: &mut Origin,
    targets: usize,
    frequency: Duration,
) -> Outcome<(Daemon, Window, Vec<Late>)> {
    let clock = Clock::system();
    let mut daemon = place.start(options, &clock)?;
    daemon.until_running(targets)?;
    daemon.until_probed()?;
    std::thread::sleep(SETTLE);
    let window = Window::measure(options, &clock, &daemon, origin)?;
    std::thread::sleep(WRITTEN_AFTER);
    let rows = daemon.database.due_between(window.from, window.to)?;
    window.report(report, targets, frequency, &rows);
    Ok((daemon, window, rows))
}

/// What a daemon takes that has nothing to do.
pub fn memory_without_targets(options: &Options, clock: &Clock) -> Outcome<u64> {
    let daemon = Place::new(options)?.start(options, clock)?;
    daemon.until_running(0)?;
    std::thread::sleep(SETTLE);
    let memory = process::memory(daemon.pid, "VmRSS")?;
    daemon.stop()?;
    Ok(memory)
}

fn rate(options: &Options, title: &str, targets: usize, goal: &'static str) -> Outcome<Report> {
    let frequency = Duration::from_secs(1);
    let mut report = Report::new(title);
    let mut floors = Vec::new();
    let mut floor_origin = Origin::start(options.nice)?;
    if !options.no_floor {
        floors.push(floor(options, &mut floor_origin, targets, frequency)?);
    }
    let timer = timer::measure(targets, frequency, options.window(), options.nice)?;
    let mut origin = Origin::start(options.nice)?;
    // Whom to tell is there, as in real life; what telling costs is in `storm`.
    let receiver = Receiver::start(options.nice)?;
    let port = origin.port();
    let mut place = Place::new(options)?;
    place.database.insert(targets, 1000, |id| format!("http://127.0.0.1:{port}/t/{id}"))?;
    place.database.execute(&receiver.notifiers())?;
    let (daemon, window, rows) = measured(options, &mut report, place, &mut origin, targets, frequency)?;
    beyond(&mut report, &rows, timer);
    let each = window.cpu_us / window.answered as f64;
    agree(&mut report, &mut origin, daemon)?;
    if !options.no_floor {
        floors.push(floor(options, &mut floor_origin, targets, frequency)?);
    }
    report.add("daemon: CPU of all threads", each, "us/probe", "");
    split_by_thread(&mut report, &window, window.answered);
    for (f, when) in floors.iter().zip(["before", "after"]) {
        report.add(format!("floor, {when}"), *f, "us/probe", "");
    }
    if !floors.is_empty() {
        let mean = floors.iter().sum::<f64>() / floors.len() as f64;
        report.add("daemon / floor", each / mean, "", goal);
    }
    report.note(process::load());
    Ok(report)
}

/// Lateness without that of a bare timer, as p50 and p99 in milliseconds.
pub fn beyond(report: &mut Report, rows: &[Late], timer: (f64, f64)) {
    let mut late: Vec<i64> = rows.iter().map(|r| r.1).collect();
    late.sort_unstable();
    for (word, share, bare, goal) in [("p50", 0.5, timer.0, "under 1"), ("p99", 0.99, timer.1, "under 2")] {
        report.add(format!("lateness {word} of a bare timer"), bare, "ms", "");
        report.add(format!("lateness {word} beyond it"), quantile(&late, share) as f64 / 1000.0 - bare, "ms", goal);
    }
}

fn hang(options: &Options) -> Outcome<Report> {
    const TARGETS: usize = 10_000;
    let frequency = Duration::from_secs(1);
    let mut report = Report::new("10,000 targets @ 1 s, one in ten hangs until its timeout of 1 s");
    let timer = timer::measure(TARGETS, frequency, options.window(), options.nice)?;
    let mut origin = Origin::start(options.nice)?;
    let port = origin.port();
    let hangs = |id: i64| id % 10 == 0;
    let mut place = Place::new(options)?;
    place
        .database
        .insert(TARGETS, 1000, |id| format!("http://127.0.0.1:{port}/{}/{id}", if hangs(id) { "hang" } else { "t" }))?;
    let (daemon, window, rows) = measured(options, &mut report, place, &mut origin, TARGETS, frequency)?;
    let (hung, healthy): (Vec<_>, Vec<_>) = rows.iter().copied().partition(|r| hangs(r.0));
    let mut each: HashMap<i64, u64> = HashMap::new();
    for (id, _) in &healthy {
        *each.entry(*id).or_default() += 1;
    }
    let due: Vec<(i64, u64)> = (1..=i64::try_from(TARGETS)?)
        .filter(|id| !hangs(*id))
        .map(|id| {
            let us = |ms: i64| Mono(u64::try_from(ms).unwrap_or(0) * 1000 - 1);
            let schedule = Schedule::new(TargetId(id), frequency, 0);
            (id, schedule.rungs(schedule.first_after(us(window.from)), schedule.first_after(us(window.to))))
        })
        .collect();
    let all: u64 = due.iter().map(|d| d.1).sum();
    let short = due.iter().filter(|(id, n)| each.get(id).copied().unwrap_or(0) < *n).count();
    report.add("healthy: due times", all as f64, "", "");
    report.add("healthy: results", healthy.len() as f64, "", "all");
    report.add("healthy: share kept", healthy.len() as f64 / all as f64 * 100.0, "%", "100");
    report.add("healthy: targets that lost one", short as f64, "", "0");
    report.add("hanging: results", hung.len() as f64, "", "");
    lateness_at(&mut report, "healthy", &healthy, &[("p50", 0.5), ("p99", 0.99)]);
    beyond(&mut report, &healthy, timer);
    report.add("daemon: CPU of all threads", window.cpu_us / (window.answered + window.held) as f64, "us/probe", "");
    agree(&mut report, &mut origin, daemon)?;
    report.note(process::load());
    Ok(report)
}

fn idle(options: &Options) -> Outcome<Report> {
    let targets = options.idle_targets;
    let clock = Clock::system();
    let mut report = Report::new(format!("{targets} idle targets"));
    let origin = Origin::start(options.nice)?;
    let port = origin.port();
    let empty = memory_without_targets(options, &clock)?;
    let mut place = Place::new(options)?;
    place.database.insert(targets, 86_400_000, |id| format!("http://127.0.0.1:{port}/t/{id}"))?;
    place.database.preload_statuses()?;
    // A first start fills state.db, so that the measured one is a restart like any other.
    let daemon = place.start(options, &clock)?;
    let running = daemon.until_running(targets)?;
    let at_work = daemon.until_actors_run(1)?;
    std::thread::sleep(SETTLE);
    let rss = process::memory(daemon.pid, "VmRSS")?;
    let peak = process::memory(daemon.pid, "VmHWM")?;
    let cpu = process::cpu_us(daemon.pid)?;
    std::thread::sleep(options.window());
    let cpu = process::cpu_us(daemon.pid)? - cpu;
    report.add_time("from process start to `running` with all targets", running, "under 3,000");
    report.add_time("from process start to all actors at work", at_work, "under 3,000");
    report.add("resident memory of a daemon without targets", empty as f64 / 1e6, "MB", "");
    report.add("resident memory", rss as f64 / 1e6, "MB", "");
    report.add("resident memory, highest", peak as f64 / 1e6, "MB", "");
    report.add(
        "resident memory per target",
        (rss.saturating_sub(empty)) as f64 / targets as f64,
        "bytes",
        "under 3,072",
    );
    report.add("CPU while idle", cpu as f64 / options.window().as_micros() as f64 * 100.0, "% of a core", "under 1");
    daemon.stop()?;
    report.note(process::load());
    Ok(report)
}

fn start(options: &Options) -> Outcome<Report> {
    const TARGETS: usize = 10_000;
    let clock = Clock::system();
    let mut report = Report::new("start: 10,000 targets @ 10 s, all NEW, until each has been probed once");
    let mut origin = Origin::start(options.nice)?;
    let port = origin.port();
    let mut place = Place::new(options)?;
    place.database.insert(TARGETS, 10_000, |id| format!("http://127.0.0.1:{port}/t/{id}"))?;
    let daemon = place.start(options, &clock)?;
    let running = daemon.until_running(TARGETS)?;
    let probed = daemon.until_probed()?;
    report.add_time("from process start to `running`", running, "");
    report.add_time("from process start to all probed", probed, "under 10,000 (one interval)");
    report.add("requests that the origin answered", origin.counts()?.0 as f64, "", "");
    daemon.stop()?;
    report.note(process::load());
    Ok(report)
}

fn list(options: &Options) -> Outcome<Report> {
    const TARGETS: usize = 10_000;
    let clock = Clock::system();
    let mut report = Report::new("skypunchctl targets with 10,000 targets");
    let origin = Origin::start(options.nice)?;
    let port = origin.port();
    let mut place = Place::new(options)?;
    place.database.insert(TARGETS, 86_400_000, |id| format!("http://127.0.0.1:{port}/t/{id}"))?;
    place.database.preload_statuses()?;
    let daemon = place.start(options, &clock)?;
    daemon.until_running(TARGETS)?;
    std::thread::sleep(SETTLE);
    let mut api: Vec<i64> = Vec::new();
    for _ in 0..11 {
        let (n, took) = daemon.list()?;
        if n != TARGETS {
            return Err(format!("the API lists {n} targets").into());
        }
        api.push(i64::try_from(took.as_micros())?);
    }
    api.sort_unstable();
    report.add("GET /v1/targets through the client, p50 of 11", quantile(&api, 0.5) as f64 / 1000.0, "ms", "");
    let mut walls: Vec<i64> = Vec::new();
    for _ in 0..11 {
        let before = clock.now();
        let output = Command::new(env!("CARGO_BIN_EXE_skypunchctl"))
            .arg("--socket")
            .arg(&daemon.socket)
            .arg("targets")
            .output()?;
        let took = clock.now().since(before);
        let lines = output.stdout.iter().filter(|b| **b == b'\n').count();
        if lines < TARGETS {
            report.note(format!("skypunchctl does not list the targets (yet): {lines} lines"));
            break;
        }
        walls.push(i64::try_from(took.as_micros())?);
    }
    walls.sort_unstable();
    if !walls.is_empty() {
        report.add(
            "skypunchctl targets, wall time, p50 of 11",
            quantile(&walls, 0.5) as f64 / 1000.0,
            "ms",
            "under 100",
        );
        report.add("skypunchctl targets, wall time, longest", quantile(&walls, 1.0) as f64 / 1000.0, "ms", "under 100");
    }
    daemon.stop()?;
    report.note(process::load());
    Ok(report)
}

fn lateness(options: &Options) -> Outcome<Report> {
    const TARGETS: usize = 2_000;
    let frequency = Duration::from_secs(1);
    let clock = Clock::system();
    let mut report = Report::new("reported lateness against the origin's accept times, 2,000 targets @ 1 s");
    let mut origin = Origin::start(options.nice)?;
    let port = origin.port();
    let mut place = Place::new(options)?;
    place.database.insert(TARGETS, 1000, |id| format!("http://127.0.0.1:{port}/t/{id}"))?;
    let mut daemon = place.start(options, &clock)?;
    daemon.until_running(TARGETS)?;
    daemon.until_probed()?;
    std::thread::sleep(SETTLE);
    origin.sample()?;
    let from = clock.utc_now().0;
    std::thread::sleep(options.window());
    let to = clock.utc_now().0;
    let samples = origin.samples()?;
    std::thread::sleep(WRITTEN_AFTER);
    let mut told: Vec<i64> = daemon.database.due_between(from, to)?.iter().map(|r| r.1).collect();
    told.sort_unstable();
    let mut seen: Vec<i64> = samples
        .iter()
        .map(|(id, at)| {
            let due = Schedule::new(TargetId(*id), frequency, 0).last_until(Mono(*at));
            i64::try_from(at - due.0).unwrap_or(i64::MAX)
        })
        .collect();
    seen.sort_unstable();
    let ms = |us: i64| us as f64 / 1000.0;
    report.add("requests matched to their due times", seen.len() as f64, "", "");
    for (name, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)] {
        report.add(format!("lateness {name} as reported"), ms(quantile(&told, share)), "ms", "");
        report.add(format!("lateness {name} as the origin saw it"), ms(quantile(&seen, share)), "ms", "");
    }
    let apart = quantile(&seen, 0.5) - quantile(&told, 0.5);
    report.add("p50 apart", ms(apart), "ms", "within 1");
    agree(&mut report, &mut origin, daemon)?;
    report.note(process::load());
    Ok(report)
}
