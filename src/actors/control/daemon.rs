//! `/v1/status`, `/v1/stop`, `/healthz`.

use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

use actix_web::{HttpRequest, HttpResponse, web};
use slog::info;

use super::{Context, peer};
use crate::board::Board;
use crate::control::api::{
    Database, DatabaseState, Definitions, InvalidRow, Lateness, Notifications, Persistence, Probes, RunState, Status,
    Stopping, TargetCounts,
};
use crate::model::state::Status as TargetStatus;

/// A probe later than this (p99) means that the machine is overloaded.
const LATE_US: u32 = 1_000_000;

pub async fn healthz(context: web::Data<Context>) -> HttpResponse {
    super::healthz(web::Data::new(context.run_state.clone())).await
}

pub async fn status(context: web::Data<Context>) -> web::Json<Status> {
    web::Json(status_of(&context))
}

fn status_of(context: &Context) -> Status {
    let board = &context.board;
    let now = context.clock.now();
    let (mut counts, mut invalid) = (TargetCounts::default(), Vec::new());
    for (id, entry) in board.all() {
        let data = entry.lock();
        counts.total += 1;
        if let Some(row) = &data.invalid {
            counts.invalid += 1;
            invalid.push(InvalidRow { id, name: row.0.name.clone(), problems: row.1.clone() });
        }
        if data.target.as_ref().is_some_and(|t| t.enabled) {
            counts.enabled += 1;
            match data.state.status() {
                TargetStatus::New => counts.new += 1,
                TargetStatus::Pass => counts.pass += 1,
                TargetStatus::Fail => counts.fail += 1,
                TargetStatus::Unknown => counts.unknown += 1,
            }
        }
    }
    let statistics = &board.statistics;
    let health = &board.health;
    let late = statistics.lateness();
    let (spooled_batches, spooled_results, spooled_bytes) = health.spool();
    let (error, since) = health.database.get();
    let definitions = health.definitions.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let state = context.run_state.get();
    let last_write = health.last_write_us.load(Relaxed);
    Status {
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        uptime_s: now.since(context.started).as_secs(),
        started_at: context.clock.utc(context.started),
        healthy: state == RunState::Running
            && error.is_none()
            && definitions.last_error.is_none()
            && late.p99 < LATE_US,
        state,
        targets: counts,
        probes: Probes {
            started: statistics.started.load(Relaxed),
            missed: statistics.missed.load(Relaxed),
            in_flight: statistics.in_flight.load(Relaxed).max(0).unsigned_abs(),
            per_second: statistics.per_second(now),
            lateness_us: Lateness { p50: late.p50.into(), p99: late.p99.into(), max: late.max.into() },
        },
        persistence: Persistence {
            queued: health.queued.load(Relaxed) as u64,
            written: health.written.load(Relaxed),
            spooled_batches,
            spooled_results,
            spooled_bytes,
            thinned: health.thinned.load(Relaxed),
            last_write_ms: (last_write > 0).then_some(last_write / 1000),
        },
        notifications: Notifications {
            owed: health.owed.load(Relaxed) as u64,
            sending: health.sending.load(Relaxed) as u64,
            invalid: invalid_notifiers(board),
        },
        credentials: super::logins::counts(context),
        database: Database {
            kind: context.database.0.clone(),
            url: context.database.1.clone(),
            state: if error.is_none() { DatabaseState::Ok } else { DatabaseState::Away },
            error,
            since,
        },
        definitions: Definitions {
            last_loaded_at: definitions.last_loaded_at,
            last_error: definitions.last_error,
            invalid,
        },
        memory_bytes: resident_bytes(),
        log_dropped: (context.log_dropped)(),
    }
}

pub fn invalid_notifiers(board: &Board) -> u64 {
    board.notifiers.all().values().filter(|entry| !entry.problems.is_empty()).count() as u64
}

/// Resident memory as the kernel counts it; 0 where it does not say.
fn resident_bytes() -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|s| {
            let line = s.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        })
        .map_or(0, |kib| kib * 1024)
}

pub async fn stop(context: web::Data<Context>, request: HttpRequest) -> web::Json<Stopping> {
    let (uid, pid) = peer::of(&request);
    info!(context.log, "stop asked for through the control socket"; "uid" => uid, "pid" => pid);
    context.stop.notify_one();
    web::Json(Stopping { pid: std::process::id() })
}
