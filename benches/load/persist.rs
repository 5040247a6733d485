//! The writer alone: `Store::write_batch` with batches as the persistence actor makes them, nothing else running.
//!
//! ```text
//!  fill (until the index by target is as in real life) -> blocks of results: made first, then written and measured
//! ```

use std::collections::HashMap;
use std::time::Duration;

use skypunch::clock::Clock;
use skypunch::model::ids::{IdGenerator, splitmix64};
use skypunch::model::outcome::{Outcome as Probed, Phases};
use skypunch::model::record::{Batch, Recorded, ResultRecord};
use skypunch::model::state::{Counters, Policy, TargetState, step};
use skypunch::model::subject::SubjectId;
use skypunch::model::target::TargetId;
use skypunch::model::time::UtcMs;
use skypunch::store::{ConnectOptions, DatabaseUrl, Store, Written};

use crate::database::Database;
use crate::process;
use crate::report::Report;
use crate::{Options, Outcome};

const TARGETS: i64 = 10_000;
/// Results in one measured block: long beside the kernel's tick, in which it books CPU to threads.
const BLOCK: usize = 50_000;
/// Blocks for each size of batch.
const BLOCKS: usize = 4;

/// Targets in the order of their slots, one second after the other.
struct Source {
    order: Vec<i64>,
    states: HashMap<i64, TargetState>,
    ids: IdGenerator,
    writer: i64,
    number: i64,
    at: usize,
    begin: i64,
}

impl Source {
    fn new(now: UtcMs) -> Source {
        let mut order: Vec<i64> = (1..=TARGETS).collect();
        order.sort_by_key(|id| splitmix64(id.unsigned_abs()));
        let states = order.iter().map(|id| (*id, TargetState::default())).collect();
        let mut ids = IdGenerator::new(1);
        let writer = ids.next(now.0);
        Source { order, states, ids, writer, number: 0, at: 0, begin: now.0 }
    }

    /// Each target is due once a second; all pass, with times that differ.
    fn record(&mut self) -> Recorded {
        let id = self.order[self.at % self.order.len()];
        let due = UtcMs(self.begin + (self.at / 10) as i64);
        self.at += 1;
        let noise = (splitmix64(self.at as u64) % 4096) as u32;
        let mut outcome = Probed::pass(200, "OK");
        outcome.latency_us = 300 + noise;
        let state = self.states.remove(&id).unwrap_or_default();
        let (state, _) = step(state, &outcome, UtcMs(due.0 + 3), Policy::default(), 0);
        self.states.insert(id, state.clone());
        let result = ResultRecord {
            id: self.ids.next(due.0 + 1),
            target_id: TargetId(id),
            due_at: due,
            started_at: UtcMs(due.0 + 1),
            lateness_us: 1000 + noise / 4,
            verdict: outcome.verdict,
            reason: None,
            description: None,
            status_code: outcome.status_code,
            latency_us: outcome.latency_us,
            phases: Phases {
                connect_us: Some(60 + noise / 16),
                first_byte_us: Some(200 + noise / 2),
                body_us: Some(5 + noise % 8),
                ..Phases::default()
            },
            body_bytes: 2,
            incident_id: None,
        };
        let delta = Counters::of(outcome.verdict, outcome.status_code);
        Recorded { subject: SubjectId(id), result: Some(result), state, delta, incident: None }
    }

    fn batches(&mut self, results: usize, size: usize) -> Vec<Batch> {
        (0..results.div_ceil(size))
            .map(|_| {
                self.number += 1;
                let records = (0..size).map(|_| self.record()).collect();
                Batch::collect(self.writer, self.number, records)
            })
            .collect()
    }
}

/// Writes them; results, and what this thread and the clock took.
fn write(store: &mut Store, batches: &[Batch], clock: &Clock) -> Outcome<(f64, f64, Duration)> {
    let (cpu, began) = (process::own_thread_us()?, clock.now());
    for batch in batches {
        if store.write_batch(batch)? != Written::Now {
            return Err("a batch was there before it was written".into());
        }
    }
    let (cpu, took) = (process::own_thread_us()? - cpu, clock.now().since(began));
    Ok((batches.iter().map(|b| b.results.len()).sum::<usize>() as f64, cpu, took))
}

/// The scenario.
pub fn run(options: &Options) -> Outcome<Report> {
    let clock = Clock::system();
    let folder = tempfile::Builder::new().prefix("skypunch-bench-").tempdir()?;
    let mut database = Database::create(folder.path(), options.mysql.as_deref())?;
    let mut store = Store::connect(&DatabaseUrl::parse(&database.url)?, &ConnectOptions::default())?;
    let mut report = Report::new(format!("the writer alone: 10,000 targets @ 1 s into {}", store.server_version()));
    let mut source = Source::new(clock.utc_now());
    while source.at < options.rows {
        let batches = source.batches(BLOCK, 2_000);
        write(&mut store, &batches, &clock)?;
    }
    report.add("rows before", source.at as f64, "", "");
    for size in [1_000, 2_000, 2_500] {
        let (mut results, mut cpu, mut took) = (0.0, 0.0, Duration::ZERO);
        let mut each = Vec::new();
        for _ in 0..BLOCKS {
            let batches = source.batches(BLOCK, size);
            let block = write(&mut store, &batches, &clock)?;
            each.push(block.1 / block.0);
            (results, cpu, took) = (results + block.0, cpu + block.1, took + block.2);
        }
        let name = |what: &str| format!("{size} results a batch: {what}");
        let goal = if options.mysql.is_some() { "at least 20,000" } else { "at least 40,000" };
        report.add(name("CPU"), cpu / results, "us/result", "about 5");
        each.sort_by(f64::total_cmp);
        report.add(name("CPU, the cheapest block"), each[0], "us/result", "");
        report.add(name("rate"), results / took.as_secs_f64(), "results/s", goal);
    }
    let (rows, counted) = database.totals()?;
    if rows != counted || rows != source.at as i64 {
        return Err(format!("{} results were written, {rows} rows are there, {counted} are counted", source.at).into());
    }
    report.add("rows after, each once and counted", rows as f64, "", "");
    if options.mysql.is_none() {
        let bytes = std::fs::metadata(folder.path().join("skypunch.db"))?.len();
        report.add("file, a row", bytes as f64 / rows as f64, "bytes", "");
    }
    report.note(process::load());
    Ok(report)
}
