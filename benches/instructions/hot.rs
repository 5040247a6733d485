//! The hottest paths, held against the counts that are committed in `baseline.txt`.
//!
//! ```text
//!  probe     connect, request, answer, verdict, trace          (plain of the other table)
//!  account   due time, step, record, packed trace, batch       what an actor does around a probe
//!  write     a batch of 1,000 results into SQLite              what the writer does for it
//! ```
//!
//! A regression of more than a tenth fails. What is meant to cost more, or costs less, is committed with
//! `cargo bench --profile count --bench instructions -- --write`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use skypunch::model::account::{Circumstances, account};
use skypunch::model::definition::Definition;
use skypunch::model::outcome::{Outcome, Probe};
use skypunch::model::pacer::Pacer;
use skypunch::model::record::{Batch, Recorded};
use skypunch::model::schedule::Schedule;
use skypunch::model::state::TargetState;
use skypunch::model::target::{Target, TargetId};
use skypunch::model::time::{Mono, UtcMs};
use skypunch::model::trace::packed::Packed;
use skypunch::model::trace::{Event, Trace};
use skypunch::store::{ConnectOptions, DatabaseUrl, Store};

/// Per cent that a path may cost more than its baseline.
const TOLERANCE: u64 = 10;

/// Results in a batch.
const BATCH: usize = 1_000;
/// Targets that the results belong to.
const TARGETS: usize = 1_000;

/// The paths of this file: name, and the few and the many times that are counted.
pub const PATHS: [(&str, u64, u64); 2] = [("account", 2_000, 22_000), ("write", 10_000, 30_000)];

/// Goes one path so often.
pub fn run(name: &str, times: usize) {
    let mut source = Source::new();
    match name {
        "account" => {
            let mut records = Vec::with_capacity(BATCH);
            for _ in 0..times {
                records.push(source.next());
                if records.len() == BATCH {
                    std::hint::black_box(Batch::collect(1, 1, std::mem::take(&mut records)));
                }
            }
        }
        "write" => {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("sqlite://{}", folder.path().join("skypunch.db").display());
            let url = DatabaseUrl::parse(&url).unwrap();
            let mut store = Store::connect(&url, &ConnectOptions::default()).unwrap();
            store.migrate().unwrap();
            for number in 1..=times / BATCH {
                let records = (0..BATCH).map(|_| source.next()).collect();
                store.write_batch(&Batch::collect(1, i64::try_from(number).unwrap(), records)).unwrap();
            }
        }
        other => panic!("no path {other}"),
    }
}

struct Life {
    target: Target,
    pacer: Pacer,
    state: TargetState,
    last_good: Option<Packed>,
}

/// Targets @ 1 s in turn, all of which pass.
struct Source {
    lives: Vec<Life>,
    at: usize,
}

impl Source {
    fn new() -> Source {
        let life = |n| {
            let id = i64::try_from(n).unwrap() + 1;
            let written = Definition {
                id,
                name: format!("t{id}"),
                url: format!("http://127.0.0.1/{id}"),
                ..Definition::default()
            };
            let schedule = Schedule::new(TargetId(id), Duration::from_secs(1), 0);
            Life {
                target: written.validate().unwrap(),
                pacer: Pacer::new(schedule, Mono(0)),
                state: TargetState::default(),
                last_good: None,
            }
        };
        Source { lives: (0..TARGETS).map(life).collect(), at: 0 }
    }

    fn next(&mut self) -> Recorded {
        let (turn, place) = (self.at / TARGETS, self.at % TARGETS);
        self.at += 1;
        let life = &mut self.lives[place];
        let now = life.pacer.next();
        let due = life.pacer.wake(now).unwrap();
        let mut outcome = Outcome::pass(200, "OK");
        outcome.latency_us = 700;
        let started_at = UtcMs(1_790_000_000_000 + i64::try_from(turn * 1000 + place).unwrap());
        let probe = Probe { due, started: now, started_at, outcome, trace: trace(life.target.id) };
        let id = i64::try_from(self.at).unwrap();
        let with = Circumstances {
            due_at: started_at,
            ended_at: started_at,
            missed: life.pacer.take_missed(),
            result_id: id,
            incident_id: -id,
            last_good: life.last_good.as_ref(),
        };
        let (state, recorded) = account(std::mem::take(&mut life.state), &life.target, &probe, with);
        life.state = state;
        life.last_good = Some(Packed::new(&probe.trace));
        assert_eq!(life.pacer.finished(now, now), None);
        recorded
    }
}

/// The trace of a plain PASS.
fn trace(id: TargetId) -> Trace {
    let address = "127.0.0.1:80".parse().unwrap();
    let mut trace = Trace { steps: Vec::with_capacity(9) };
    trace.push(0, Event::Request { method: "GET".into(), url: format!("http://127.0.0.1/{}", id.0) });
    trace.push(1, Event::Connecting { address });
    trace.push(60, Event::Connected { address, local: Some(address) });
    trace.push(70, Event::Sent { bytes: 120 });
    trace.push(160, Event::FirstByte);
    trace.push(161, Event::Head { version: "HTTP/1.1".into(), status: 200 });
    trace.push(162, Event::Body { bytes: 2, framing: "length".into(), capped: false });
    trace.push(163, Event::Check { expected: "200".into(), status: 200, ok: true });
    trace
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions/baseline.txt")
}

/// Writes what was counted as what holds from now on.
pub fn write(counted: &[(&str, u64)]) {
    let mut text = String::from(
        "# Instructions each, user mode; written by `cargo bench --profile count --bench instructions -- --write`.\n",
    );
    for (name, each) in counted {
        writeln!(text, "{name} {each}").unwrap();
    }
    std::fs::write(file(), text).unwrap();
}

/// Holds what was counted against the baseline; false when a path has become dearer than it may.
pub fn check(counted: &[(&str, u64)]) -> bool {
    let text = std::fs::read_to_string(file()).unwrap();
    let baseline: Vec<(&str, u64)> = text
        .lines()
        .filter(|l| !l.starts_with('#'))
        .map(|l| l.split_once(' ').map(|(name, each)| (name, each.parse().unwrap())).unwrap())
        .collect();
    let mut good = true;
    for (name, each) in counted {
        let base = baseline.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("{name} has no baseline")).1;
        let percent = (i128::from(*each) - i128::from(base)) * 100 / i128::from(base);
        let dearer = *each > base + base * TOLERANCE / 100;
        let said = match (dearer, percent <= -i128::from(TOLERANCE)) {
            (true, _) => "  TOO DEAR: find out why, or commit a new baseline (--write) with the reason",
            (_, true) => "  cheaper: commit a new baseline (--write), so that it stays so",
            _ => "",
        };
        println!("{name:<8} {each:>8}  baseline {base:>8}  {percent:+} %{said}");
        good &= !dearer;
    }
    good
}
