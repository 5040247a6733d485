//! What a probe costs by the kind of its connection: kept, and with TLS.

use std::path::Path;
use std::time::Duration;

use skypunch::model::definition::Definition;

use crate::daemon::Place;
use crate::floor::Floor;
use crate::origin::Origin;
use crate::report::Report;
use crate::scenarios::{agree, floor, floor_of, measured, split_by_thread};
use crate::{Options, Outcome, process, tls};

const FREQUENCY: Duration = Duration::from_secs(1);

/// A hundred probes over each connection, against the floor of fresh connections.
pub fn keep_alive(options: &Options) -> Outcome<Report> {
    const TARGETS: usize = 10_000;
    let mut report = Report::new("10,000 targets @ 1 s, keep_alive = 100, against the floor of fresh connections");
    let mut floor_origin = Origin::start(options.nice)?;
    let before = floor(options, &mut floor_origin, TARGETS, FREQUENCY)?;
    let origin = Origin::start(options.nice)?;
    let url = format!("http://127.0.0.1:{}/k/", origin.port());
    let each = measure(options, &mut report, origin, TARGETS, |id| Definition {
        url: format!("{url}{id}"),
        frequency_ms: 1000,
        keep_alive: 100,
        ..Definition::default()
    })?;
    let after = floor(options, &mut floor_origin, TARGETS, FREQUENCY)?;
    compare(&mut report, each, [before, after], "at most 0.6");
    Ok(report)
}

/// A full handshake for each probe, against bare rustls sockets that shake hands in the same way.
pub fn https(options: &Options) -> Outcome<Report> {
    const TARGETS: usize = 1_000;
    let mut report = Report::new("1,000 targets @ 1 s by HTTPS, against the floor of bare rustls sockets");
    let folder = tempfile::Builder::new().prefix("skypunch-bench-tls-").tempdir()?;
    tls::make(folder.path())?;
    let floor = |origin: &mut Origin, folder: &Path| {
        let floor = Floor::start_tls(origin.port(), TARGETS, FREQUENCY, folder, options.nice)?;
        floor_of(options, origin, floor)
    };
    let mut floor_origin = Origin::start_tls(folder.path(), options.nice)?;
    let before = floor(&mut floor_origin, folder.path())?;
    let origin = Origin::start_tls(folder.path(), options.nice)?;
    let url = format!("https://localhost:{}/t/", origin.port());
    let ca = folder.path().join("ca.pem").display().to_string();
    let each = measure(options, &mut report, origin, TARGETS, |id| Definition {
        url: format!("{url}{id}"),
        frequency_ms: 1000,
        tls_ca: Some(ca.clone()),
        ..Definition::default()
    })?;
    let after = floor(&mut floor_origin, folder.path())?;
    compare(&mut report, each, [before, after], "at most 1.3");
    Ok(report)
}

/// CPU per probe of a daemon with such targets, in microseconds.
fn measure(
    options: &Options,
    report: &mut Report,
    mut origin: Origin,
    targets: usize,
    definition: impl Fn(i64) -> Definition,
) -> Outcome<f64> {
    let mut place = Place::new(options)?;
    place.database.insert_each(targets, definition)?;
    let (daemon, window, _) = measured(options, report, place, &mut origin, targets, FREQUENCY)?;
    let status = daemon.status()?.targets;
    report.add("targets that do not pass", (status.enabled - status.pass) as f64, "", "0");
    let each = window.cpu_us / window.answered as f64;
    agree(report, &mut origin, daemon)?;
    report.add("daemon: CPU of all threads", each, "us/probe", "");
    split_by_thread(report, &window, window.answered);
    Ok(each)
}

fn compare(report: &mut Report, each: f64, floors: [f64; 2], goal: &'static str) {
    for (floor, when) in floors.iter().zip(["before", "after"]) {
        report.add(format!("floor, {when}"), *floor, "us/probe", "");
    }
    report.add("daemon / floor", each / (floors.iter().sum::<f64>() / 2.0), "", goal);
    report.note(process::load());
}
