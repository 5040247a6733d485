//! What a target costs apart from its probe: due times, states, records, ticks of many actors.
//!
//! `cargo bench --bench schedule`; see benches/README.md. The ticks are of real target actors on a real arbiter, with
//! a prober that answers at once; their figure is CPU time of the arbiter's thread, not waiting.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on may panic")]

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use actix::prelude::*;
use criterion::{BenchmarkId, Criterion, SamplingMode, criterion_group, criterion_main};
use skypunch::actors::arbiter::{Local, Records};
use skypunch::actors::supervisor::{Apply, Changed, StopAll, Supervisor};
use skypunch::board::{Board, Entry};
use skypunch::clock::Clock;
use skypunch::config::LogResults;
use skypunch::logging::ResultLog;
use skypunch::model::account::{Circumstances, account};
use skypunch::model::definition::Definition;
use skypunch::model::ids::IdGenerator;
use skypunch::model::outcome::{Outcome, Probe};
use skypunch::model::pacer::Pacer;
use skypunch::model::record::{Batch, Recorded};
use skypunch::model::schedule::Schedule;
use skypunch::model::state::{Policy, TargetState, step};
use skypunch::model::subject::SubjectId;
use skypunch::model::target::{Target, TargetId};
use skypunch::model::time::{Mono, UtcMs};
use skypunch::model::trace::{Event, Trace};
use skypunch::probe::{Prober, Script, ScriptedProber};
use skypunch::store::{ConnectOptions, DatabaseUrl, Store};

/// The daemon's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SECOND: Duration = Duration::from_secs(1);

fn target(id: i64, frequency: Duration) -> Target {
    let definition = Definition {
        id,
        name: format!("bench target {id}"),
        url: format!("http://127.0.0.1:8080/t/{id}"),
        frequency_ms: i64::try_from(frequency.as_millis()).unwrap(),
        ..Definition::default()
    };
    definition.validate().unwrap()
}

/// The trace of a plain PASS.
fn trace() -> Trace {
    let address = "127.0.0.1:8080".parse().unwrap();
    let mut trace = Trace { steps: Vec::with_capacity(9) };
    trace.push(0, Event::Request { method: "GET".into(), url: "http://127.0.0.1:8080/t/1".into() });
    trace.push(1, Event::Connecting { address });
    trace.push(60, Event::Connected { address, local: Some(address) });
    trace.push(70, Event::Sent { bytes: 120 });
    trace.push(160, Event::FirstByte);
    trace.push(161, Event::Head { version: "HTTP/1.1".into(), status: 200 });
    trace.push(162, Event::Body { bytes: 2, framing: "length".into(), capped: false });
    trace.push(163, Event::Check { expected: "200".into(), status: 200, ok: true });
    trace
}

fn probe() -> Probe {
    let (due, started) = (Mono(1_000_000), Mono(1_000_700));
    Probe { due, started, started_at: UtcMs(1_795_363_200_000), outcome: Outcome::pass(200, "OK"), trace: trace() }
}

fn circumstances(id: i64) -> Circumstances<'static> {
    let at = UtcMs(1_795_363_200_001);
    Circumstances { due_at: at, ended_at: at, missed: 0, result_id: id, incident_id: id + 1, last_good: None }
}

fn rules(c: &mut Criterion) {
    let schedule = Schedule::new(TargetId(7), SECOND, 1_795_363_200_123_456);
    c.bench_function("next_due", |b| {
        let mut last = schedule.first_after(Mono(0));
        b.iter(|| {
            last = schedule.next_due(black_box(last), Mono(last.0 + 300)).at;
            last
        });
    });
    c.bench_function("pacer: wake and finished", |b| {
        let mut pacer = Pacer::new(schedule, Mono(0));
        b.iter(|| {
            let now = Mono(pacer.next().0 + 300);
            let due = pacer.wake(now);
            pacer.finished(now, now);
            due
        });
    });
    c.bench_function("step", |b| {
        let outcome = Outcome::pass(200, "OK");
        let mut state = TargetState::default();
        b.iter(|| {
            let (next, transition) =
                step(std::mem::take(&mut state), black_box(&outcome), UtcMs(5), Policy::default(), 9);
            state = next;
            transition
        });
    });
    c.bench_function("account", |b| {
        let (target, probe) = (target(1, SECOND), probe());
        let mut state = TargetState::default();
        b.iter(|| {
            let (next, recorded) = account(std::mem::take(&mut state), &target, black_box(&probe), circumstances(1));
            state = next;
            recorded
        });
    });
    c.bench_function("trace of a plain PASS", |b| b.iter(|| black_box(trace())));
}

fn records(n: i64) -> Vec<Recorded> {
    let probe = probe();
    let each = |id| account(TargetState::default(), &target(id, SECOND), &probe, circumstances(id)).1;
    (1..=n).map(each).collect()
}

fn rows(c: &mut Criterion) {
    let thousand = records(1000);
    c.bench_function("batch of 1,000 records", |b| {
        b.iter_batched(|| thousand.clone(), |r| Batch::collect(1, 1, r), criterion::BatchSize::LargeInput);
    });
    // Rows are built and written in one: what a row costs shows here, what the file system does in the load bench.
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("skypunch.db").display());
    let mut store = Store::connect(&DatabaseUrl::parse(&url).unwrap(), &ConnectOptions::default()).unwrap();
    store.migrate().unwrap();
    let (mut number, mut ids) = (0, IdGenerator::new(1));
    c.bench_function("rows of a batch of 1,000 into SQLite", |b| {
        let next = || {
            number += 1;
            let mut batch = Batch::collect(1, number, thousand.clone());
            for result in &mut batch.results {
                result.due_at.0 += 1000 * number;
                result.id = ids.next(result.due_at.0);
            }
            batch
        };
        b.iter_batched(next, |batch| store.write_batch(&batch).unwrap(), criterion::BatchSize::PerIteration);
    });
    let board = Board::default();
    for id in 1..=10_000 {
        let entry = Entry::new(Some(Arc::new(target(id, SECOND))), TargetState::default());
        board.insert(TargetId(id), entry);
    }
    c.bench_function("board: listing of 10,000", |b| {
        b.iter(|| {
            let all = board.all();
            all.iter().map(|(id, entry)| (*id, entry.lock().state.status())).collect::<Vec<_>>()
        });
    });
}

/// Takes the records and forgets them.
struct Sink(Arc<AtomicU64>);

impl Actor for Sink {
    type Context = Context<Self>;
}

impl Handler<Records> for Sink {
    type Result = ();

    fn handle(&mut self, Records(records): Records, _: &mut Self::Context) {
        self.0.fetch_add(records.len() as u64, Relaxed);
    }
}

/// An arbiter with everything that target actors need.
struct Stage {
    arbiter: Arbiter,
    supervisor: Addr<Supervisor>,
    board: Arc<Board>,
    /// The thread of the arbiter, as /proc names it.
    thread: String,
}

impl Stage {
    async fn new() -> Stage {
        let (board, clock, log) =
            (Arc::new(Board::default()), Clock::system(), slog::Logger::root(slog::Discard, slog::o!()));
        let arbiter = Arbiter::new();
        let sink = Sink(Arc::default()).start().recipient();
        let supervisor =
            Supervisor::new(Arc::clone(&board), clock.clone(), log.clone(), vec![arbiter.handle()], sink.clone(), 1)
                .start();
        let (done, thread) = tokio::sync::oneshot::channel();
        let (shared, died) = (Arc::clone(&board), supervisor.clone().recipient());
        arbiter.spawn_fn(move || {
            let answer = |_: &Target| Script::Answer { after: Duration::ZERO, outcome: Outcome::pass(200, "OK") };
            let prober = Prober::Scripted(ScriptedProber::new(answer));
            Local::new(prober, clock, shared, sink, ResultLog::new(log, LogResults::None), died, 1).install();
            let me = std::fs::read_link("/proc/thread-self").unwrap();
            done.send(format!("/proc/{}/schedstat", me.display())).unwrap();
        });
        let thread = thread.await.unwrap();
        Stage { arbiter, supervisor, board, thread }
    }

    /// Starts actors of targets that are not NEW; done when all are at work.
    async fn start(&self, targets: Vec<Arc<Target>>) {
        let known = TargetState { last_updated: Some(UtcMs(1)), ..TargetState::default() };
        let states: HashMap<SubjectId, _> = targets.iter().map(|t| (t.id.into(), known.clone())).collect();
        let changed: Vec<Changed> = targets.into_iter().map(Ok).collect();
        Apply { changed, removed: Vec::new(), states }.by(&self.supervisor).await.unwrap();
        let (done, at_work) = tokio::sync::oneshot::channel();
        self.arbiter.spawn_fn(move || drop(actix_rt::spawn(async move { done.send(()).unwrap() })));
        at_work.await.unwrap();
    }

    async fn stop(self) {
        self.supervisor.send(StopAll).await.unwrap();
        self.arbiter.stop();
    }

    fn ran(&self) -> Duration {
        let stat = std::fs::read_to_string(&self.thread).unwrap();
        Duration::from_nanos(stat.split_whitespace().next().unwrap().parse().unwrap())
    }
}

fn targets(n: i64, frequency: Duration) -> Vec<Arc<Target>> {
    (1..=n).map(|id| Arc::new(target(id, frequency))).collect()
}

/// 10,000 ticks a second each time, of more and more actors.
fn ticks(c: &mut Criterion) {
    let system = System::new();
    let mut group = c.benchmark_group("tick to record, CPU of the arbiter");
    // One iteration is one tick; the time that passes is much longer than the CPU time that is measured.
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.warm_up_time(Duration::from_millis(50)).measurement_time(Duration::from_millis(300));
    for (n, frequency) in [(1_000, SECOND / 10), (10_000, SECOND), (100_000, 10 * SECOND)] {
        let stage = system.block_on(Stage::new());
        system.block_on(stage.start(targets(n, frequency)));
        group.bench_function(BenchmarkId::from_parameter(n), |b| {
            b.iter_custom(|ticks| {
                system.block_on(async {
                    let started = || stage.board.statistics.started.load(Relaxed);
                    let (before, ran) = (started(), stage.ran());
                    while started() - before < ticks {
                        actix_rt::time::sleep(Duration::from_millis(20)).await;
                    }
                    let each = (stage.ran() - ran).as_secs_f64() / (started() - before) as f64;
                    Duration::from_secs_f64(each * ticks as f64)
                })
            });
        });
        system.block_on(stage.stop());
    }
    group.finish();
}

fn starts(c: &mut Criterion) {
    let system = System::new();
    let clock = Clock::system();
    let mut group = c.benchmark_group("start of actors, wall time for all");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.warm_up_time(Duration::from_millis(100)).measurement_time(SECOND);
    for n in [1_000, 10_000, 100_000] {
        let all = targets(n, Duration::from_secs(86_400));
        group.bench_function(BenchmarkId::from_parameter(n), |b| {
            b.iter_custom(|times| {
                let mut sum = Duration::ZERO;
                for _ in 0..times {
                    sum += system.block_on(async {
                        let stage = Stage::new().await;
                        let before = clock.now();
                        stage.start(all.clone()).await;
                        let took = clock.now().since(before);
                        stage.stop().await;
                        took
                    });
                }
                sum
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(SECOND);
    targets = rules, rows, ticks, starts
}
criterion_main!(benches);
