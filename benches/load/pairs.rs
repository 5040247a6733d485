//! What telling people costs the schedule: the same storm in two daemons, one with nobody to tell and one with a dead and a
//! live notifier, in turn and as often as `--pairs` says.
//!
//! ```text
//!  pair 1: without, with    pair 2: with, without    pair 3: without, with ...
//!  each: start -> all probed -> settled -> origin answers 500 -> lateness of the due times of the next two seconds
//! ```
//! A storm fills two processors for a second, so single ones differ by ten times; the medians tell.

use std::time::Duration;

use skypunch::clock::Clock;

use crate::daemon::Place;
use crate::database::Database;
use crate::origin::Origin;
use crate::receiver::Receiver;
use crate::report::{Report, quantile};
use crate::storm::TARGETS;
use crate::window::{SETTLE, WRITTEN_AFTER};
use crate::{Options, Outcome};

/// What of a storm is compared: in it all is found, stored and taken by the notifier.
const FIRST: Duration = Duration::from_secs(2);

/// Lateness p99 of the storms, ms.
pub struct Pairs {
    without: Vec<f64>,
    with: Vec<f64>,
}

impl Pairs {
    /// Takes as many pairs of daemons as the options say through a storm.
    pub fn measure(options: &Options, clock: &Clock, origin: &mut Origin) -> Outcome<Pairs> {
        let mut pairs = Pairs { without: Vec::new(), with: Vec::new() };
        for n in 0..options.pairs {
            for told in [n % 2 == 1, n % 2 == 0] {
                let late = storm(options, clock, origin, told)?;
                eprintln!("  pair {}, {} notifiers: {late:.1} ms", n + 1, if told { "with" } else { "without" });
                if told { &mut pairs.with } else { &mut pairs.without }.push(late);
            }
        }
        Ok(pairs)
    }

    /// Adds the medians, and all of them as a note.
    pub fn show(&self, report: &mut Report) {
        for (word, late, goal) in [("without", &self.without, ""), ("with", &self.with, "as without")] {
            let name = format!("lateness p99 of two seconds, {word} notifiers, median of pairs");
            report.add(name, median(late), "ms", goal);
            let all: Vec<String> = late.iter().map(|l| format!("{l:.1}")).collect();
            report.note(format!("{word} notifiers, pair by pair, ms: {}", all.join(" ")));
        }
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.get(sorted.len().saturating_sub(1) / 2..=sorted.len() / 2).unwrap_or_default();
    middle.iter().sum::<f64>() / middle.len() as f64
}

/// One storm in a daemon of its own.
fn storm(options: &Options, clock: &Clock, origin: &mut Origin, told: bool) -> Outcome<f64> {
    origin.pass()?;
    let port = origin.port();
    let mut place = Place::new(options)?;
    place.database.insert(TARGETS, 1000, |id| format!("http://127.0.0.1:{port}/t/{id}"))?;
    // Started without notifiers too, so that the machine is the same.
    let receiver = Receiver::start(options.nice)?;
    if told {
        place.database.execute(&receiver.notifiers())?;
    }
    let mut daemon = place.start(options, clock)?;
    daemon.until_running(TARGETS)?;
    daemon.until_probed()?;
    std::thread::sleep(SETTLE);
    let begun = clock.utc_now().0;
    origin.fail()?;
    std::thread::sleep(FIRST + WRITTEN_AFTER);
    let late = late_p99(&mut daemon.database, begun, begun + i64::try_from(FIRST.as_millis())?)?;
    daemon.stop()?;
    Ok(late)
}

/// Of the due times in a window of wall-clock milliseconds; in ms.
pub fn late_p99(database: &mut Database, from: i64, to: i64) -> Outcome<f64> {
    let mut late: Vec<i64> = database.due_between(from, to)?.iter().map(|r| r.1).collect();
    late.sort_unstable();
    Ok(quantile(&late, 0.99) as f64 / 1000.0)
}
