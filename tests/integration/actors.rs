//! Supervisor and target actors, with the scripted prober: what no real server can be made to do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::prelude::*;
use skypunch::actors::arbiter::{Local, Records};
use skypunch::actors::supervisor::{Apply, StopAll, Supervisor};
use skypunch::actors::watcher::validated;
use skypunch::board::Board;
use skypunch::clock::Clock;
use skypunch::config::LogResults;
use skypunch::logging::ResultLog;
use skypunch::model::definition::Definition;
use skypunch::model::outcome::Outcome;
use skypunch::model::reason::{Reason, Verdict};
use skypunch::model::record::{IncidentChange, Recorded};
use skypunch::model::schedule::slot;
use skypunch::model::state::Status;
use skypunch::model::target::TargetId;
use skypunch::probe::{Prober, Script, ScriptedProber};
use slog::{Discard, Logger, o};

type Scripts = Arc<Mutex<HashMap<i64, Script>>>;

/// Keeps every record.
#[derive(Default, Clone)]
struct Sink(Arc<Mutex<Vec<Recorded>>>);

impl Actor for Sink {
    type Context = Context<Self>;
}

impl Handler<Records> for Sink {
    type Result = ();
    fn handle(&mut self, Records(records): Records, _: &mut Self::Context) {
        self.0.lock().unwrap().extend(records);
    }
}

/// Supervisor and one arbiter with a scripted prober.
struct World {
    supervisor: Addr<Supervisor>,
    board: Arc<Board>,
    seen: Sink,
    scripts: Scripts,
    arbiter: Arbiter,
}

fn pass() -> Script {
    Script::Answer { after: Duration::ZERO, outcome: Outcome::pass(200, "OK") }
}

fn fail() -> Script {
    Script::Answer { after: Duration::ZERO, outcome: Outcome::not_passed(Reason::Reset, "cut") }
}

fn definition(id: i64, frequency_ms: i64) -> Definition {
    Definition { id, name: format!("t{id}"), url: "http://h/".into(), frequency_ms, ..Definition::default() }
}

impl World {
    async fn new() -> World {
        let (board, seen, scripts) = (Arc::new(Board::default()), Sink::default(), Scripts::default());
        let clock = Clock::system();
        let log = Logger::root(Discard, o!());
        let sink = seen.clone().start().recipient::<Records>();
        let arbiter = Arbiter::new();
        let supervisor =
            Supervisor::new(board.clone(), clock.clone(), log.clone(), vec![arbiter.handle()], sink.clone(), 1).start();
        let (died, told, scripted) = (supervisor.clone().recipient(), board.clone(), scripts.clone());
        let (done, installed) = tokio::sync::oneshot::channel();
        arbiter.spawn_fn(move || {
            let prober =
                ScriptedProber::new(move |t| scripted.lock().unwrap().get(&t.id.0).cloned().unwrap_or_else(pass));
            let results = ResultLog::new(log, LogResults::None);
            Local::new(Prober::Scripted(prober), clock, told, sink, results, died, 2).install();
            done.send(()).unwrap();
        });
        installed.await.unwrap();
        World { supervisor, board, seen, scripts, arbiter }
    }

    fn script(&self, id: i64, script: Script) {
        self.scripts.lock().unwrap().insert(id, script);
    }

    async fn apply(&self, definitions: &[Definition], removed: &[i64]) {
        let removed = removed.iter().copied().map(TargetId).collect();
        let states = HashMap::new();
        self.supervisor.send(Apply { changed: validated(definitions), removed, states }).await.unwrap();
    }

    fn records(&self, id: i64) -> Vec<Recorded> {
        self.seen.0.lock().unwrap().iter().filter(|r| r.subject == TargetId(id).into()).cloned().collect()
    }

    fn verdicts(&self, id: i64) -> Vec<Verdict> {
        self.records(id).iter().filter_map(|r| r.result.as_ref().map(|x| x.verdict)).collect()
    }

    async fn until(&self, what: &str, mut condition: impl FnMut(&World) -> bool) {
        let waiting = async {
            while !condition(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(20), waiting).await.is_ok(), "waited in vain: {what}");
    }

    async fn end(self) {
        self.supervisor.send(StopAll).await.unwrap();
        self.arbiter.stop();
    }
}

fn run(test: impl Future<Output = ()>) {
    System::new().block_on(test);
}

#[test]
fn internal_when_a_probe_panics_and_a_restart_that_touches_no_other() {
    run(async {
        let world = World::new().await;
        world.script(1, Script::Panic);
        world.apply(&[definition(1, 200), definition(2, 200)], &[]).await;
        world.until("the panic of the first probe", |w| !w.verdicts(1).is_empty()).await;
        assert_eq!(world.verdicts(1)[0], Verdict::Unknown);
        let first = world.records(1)[0].result.clone().unwrap();
        assert_eq!(first.reason, Some(Reason::Internal));
        // The words of a panic may hold anything, a secret too: none of them goes on.
        let told = format!("{:?} {first:?}", world.board.get(TargetId(1)).unwrap().lock().state);
        assert!(told.contains("the probe panicked") && !told.contains("says so"), "{told}");
        assert!(world.records(1).iter().all(|r| r.incident.is_none()), "our own trouble opens no incident");
        world.script(1, pass());
        world.until("the restart", |w| w.verdicts(1).contains(&Verdict::Pass)).await;
        // What was due while it was down is counted, not forgotten.
        assert!(world.records(1).iter().map(|r| r.delta.missed_count).sum::<i64>() >= 3);
        let status = world.board.get(TargetId(1)).unwrap().lock().state.status();
        assert_eq!(status, Status::Pass);
        // The other one has kept its rhythm throughout: no due time missing between its first and last.
        let due: Vec<i64> = world.records(2).iter().skip(1).map(|r| r.result.as_ref().unwrap().due_at.0).collect();
        assert!(due.len() >= 4 && due.windows(2).all(|w| (w[1] - w[0] - 200).abs() <= 10), "{due:?}");
        assert_eq!(world.board.statistics.restarts.load(std::sync::atomic::Ordering::Relaxed), 1);
        world.end().await;
    });
}

#[test]
fn internal_when_every_probe_panics_ever_more_rarely_and_no_other_is_touched() {
    run(async {
        let world = World::new().await;
        world.script(1, Script::Panic);
        world.apply(&[definition(1, 200), definition(2, 200)], &[]).await;
        // Pauses of 1 s and 2 s between the three; one that panics counts from its due time.
        world.until("the third panic", |w| w.verdicts(1).len() >= 3).await;
        let records = world.records(1);
        for record in &records {
            let result = record.result.as_ref().unwrap();
            assert_eq!((result.verdict, result.reason), (Verdict::Unknown, Some(Reason::Internal)));
            assert!(record.incident.is_none(), "our own trouble opens no incident");
        }
        let at: Vec<i64> = records.iter().map(|r| r.result.as_ref().unwrap().started_at.0).collect();
        assert!(at[1] - at[0] >= 700 && at[2] - at[1] >= 1700, "{at:?}");
        // Whatever was due between the second and the third is missed.
        let due_at = |i: usize| records[i].result.as_ref().unwrap().due_at.0;
        let (missed, due) = (records[2].delta.missed_count, (due_at(2) - due_at(1) + 100) / 200);
        assert_eq!(missed, due - 1, "{at:?}");
        let due: Vec<i64> = world.records(2).iter().skip(1).map(|r| r.result.as_ref().unwrap().due_at.0).collect();
        assert!(due.len() >= 10 && due.windows(2).all(|w| (w[1] - w[0] - 200).abs() <= 10), "{due:?}");
        world.end().await;
    });
}

#[test]
fn a_target_that_hangs_delays_no_other_and_loses_no_due_time() {
    run(async {
        let world = World::new().await;
        for id in 1..=20 {
            world.script(id, if id % 2 == 0 { Script::Hang } else { pass() });
        }
        let all: Vec<Definition> = (1..=20).map(|id| definition(id, 250)).collect();
        world.apply(&all, &[]).await;
        world.until("six results of a hanging target", |w| w.verdicts(2).len() >= 6).await;
        for id in (1..=19).step_by(2) {
            let due: Vec<i64> = world.records(id).iter().skip(1).map(|r| r.result.as_ref().unwrap().due_at.0).collect();
            assert!(due.len() >= 4 && due.windows(2).all(|w| (w[1] - w[0] - 250).abs() <= 10), "{id}: {due:?}");
        }
        // A probe that ends at its deadline, which is the next due time, starts the next one a moment late.
        let missed: i64 = world.records(2).iter().map(|r| r.delta.missed_count).sum();
        // Only the one that its first, extra probe holds up may be too late to be worth starting.
        assert!(missed <= 2, "{missed} due times missed");
        world.end().await;
    });
}

#[test]
fn an_edit_keeps_state_and_incident_and_a_disabled_target_withdraws() {
    run(async {
        let world = World::new().await;
        world.script(1, fail());
        world.apply(&[definition(1, 200)], &[]).await;
        world.until("the incident", |w| w.records(1).iter().any(|r| r.incident.is_some())).await;
        let opened = world.board.get(TargetId(1)).unwrap().lock().state.incident.unwrap();
        let edited = Definition { url: "http://other/".into(), frequency_ms: 100, ..definition(1, 200) };
        world.apply(std::slice::from_ref(&edited), &[]).await;
        let before = world.verdicts(1).len();
        world.until("probes after the edit", |w| w.verdicts(1).len() >= before + 3).await;
        {
            let entry = world.board.get(TargetId(1)).unwrap();
            let data = entry.lock();
            assert_eq!(data.state.incident, Some(opened), "the incident goes on");
            assert_eq!(data.state.counters.fail_count, i64::from(data.state.repeated_fails));
        }
        // Due times follow the new frequency from the id alone.
        let f = Duration::from_millis(100);
        let slot_ms = i64::try_from(slot(TargetId(1), f).as_millis()).unwrap();
        let last = world.records(1).last().unwrap().result.clone().unwrap().due_at.0;
        assert!((last - slot_ms).rem_euclid(100) <= 1 || (last - slot_ms).rem_euclid(100) >= 90, "{last} {slot_ms}");
        world.apply(&[Definition { enabled: false, ..edited }], &[]).await;
        let ended = world.records(1).iter().filter(|r| matches!(r.incident, Some(IncidentChange::Ended(_)))).count();
        world
            .until("the withdrawal", |w| {
                w.records(1).iter().any(|r| matches!(&r.incident, Some(IncidentChange::Ended(e)) if e.id == opened.id))
            })
            .await;
        assert!(ended <= 1);
        assert_eq!(world.board.get(TargetId(1)).unwrap().lock().state.status(), Status::New);
        world.apply(&[], &[1]).await;
        assert!(world.board.get(TargetId(1)).is_none());
        world.end().await;
    });
}

#[test]
fn a_wrong_row_leaves_the_last_good_definition_in_force() {
    run(async {
        let world = World::new().await;
        world.apply(&[definition(1, 100)], &[]).await;
        let wrong = Definition { url: "htp://x".into(), ..definition(1, 100) };
        world.apply(&[wrong, Definition { url: String::new(), ..definition(2, 100) }], &[]).await;
        let before = world.verdicts(1).len();
        world.until("probes after the wrong row", |w| w.verdicts(1).len() >= before + 3).await;
        let entry = world.board.get(TargetId(1)).unwrap();
        assert!(entry.lock().invalid.as_ref().unwrap().1[0].message.contains("scheme"));
        let new = world.board.get(TargetId(2)).unwrap();
        assert_eq!(new.lock().state.status(), Status::New);
        assert!(new.lock().state.status_description.contains("url"));
        assert!(world.records(2).is_empty());
        world.apply(&[definition(1, 100)], &[]).await;
        assert!(entry.lock().invalid.is_none());
        world.end().await;
    });
}
