//! How the daemon is: put together from the board, for `/v1/status` and `/metrics`.

use std::path::Path;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

use super::Context;
use super::process::Process;
use crate::board::health::{self, ReloadHealth};
use crate::board::{Board, Counts};
use crate::control::api::{
    Database, DatabaseState, Definitions, Descriptors, InvalidRow, LastReload, Lateness, Notifications,
    NotifierBacklog, Persistence, Probes, RunState, Status, TargetCounts, Trouble,
};
use crate::model::health::{Vitals, complaints};
use crate::model::notifier::NotifierId;
use crate::model::time::UtcMs;

/// The tenant of whoever says none.
const DEFAULT_TENANT: &str = "0";

/// How the daemon is, now.
pub fn status_of(context: &Context) -> Status {
    let (board, about) = (&context.board, &context.about);
    let now = context.clock.now();
    let (targets, invalid) = targets(board);
    let (statistics, health) = (&board.statistics, &board.health);
    let late = statistics.lateness();
    let (started_lately, missed_lately) = board.metrics.lately(now);
    let (spooled_batches, spooled_results, spooled_bytes) = health.spool();
    let (error, since) = health.database.get();
    let definitions = health.definitions.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let last_write = health.last_write_us.load(Relaxed);
    let last_write_at = health.last_write_at.load(Relaxed);
    let process = Process::look();
    let mut status = Status {
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        uptime_s: now.since(context.started).as_secs(),
        started_at: context.clock.utc(context.started),
        healthy: true,
        unhealthy: Vec::new(),
        state: context.run_state.get(),
        targets,
        trouble: trouble(board),
        probes: Probes {
            started: statistics.started.load(Relaxed),
            missed: statistics.missed.load(Relaxed),
            started_lately,
            missed_lately,
            in_flight: statistics.in_flight.load(Relaxed).max(0).unsigned_abs(),
            threads: about.threads as u64,
            young_limit: about.young_limit as u64,
            per_second: statistics.per_second(now),
            lateness_us: Lateness { p50: late.p50.into(), p99: late.p99.into(), max: late.max.into() },
        },
        persistence: Persistence {
            queued: health.queued.load(Relaxed) as u64,
            queue_size: about.queue_size as u64,
            written: health.written.load(Relaxed),
            spooled_batches,
            spooled_results,
            spooled_bytes,
            spool_max_bytes: about.spool_max_bytes,
            state_db_bytes: database_bytes(&about.state_db),
            state_db_error: health.state_db_error(),
            thinned: health.thinned.load(Relaxed),
            last_write_ms: (last_write > 0).then_some(last_write / 1000),
            last_write_at: (last_write_at > 0).then_some(UtcMs(last_write_at)),
        },
        notifications: Notifications {
            owed: health.owed.load(Relaxed) as u64,
            sending: health.sending.load(Relaxed) as u64,
            invalid: invalid_notifiers(board),
            backlog: backlog(board),
        },
        credentials: super::logins::counts(context),
        database: Database {
            kind: context.database.0.clone(),
            url: context.database.1.clone(),
            state: if error.is_none() { DatabaseState::Ok } else { DatabaseState::Away },
            error,
            since,
            lag_ms: health.lag_ms(context.clock.utc_now()),
        },
        definitions: Definitions {
            last_loaded_at: definitions.last_loaded_at,
            last_error: definitions.last_error,
            invalid,
        },
        last_reload: last_reload(board),
        settings_file: about.settings_file.as_ref().map(|p| p.display().to_string()),
        memory_bytes: process.resident_bytes,
        descriptors: process.descriptors.map(|(open, limit)| Descriptors { open, limit }),
        log_dropped: (context.log_dropped)(),
    };
    status.unhealthy = complaints(&vitals(&status));
    status.healthy = status.unhealthy.is_empty();
    status
}

/// What the rule of health looks at.
fn vitals(s: &Status) -> Vitals {
    let failing = s.notifications.backlog.iter().filter(|n| n.sending > 0);
    Vitals {
        running: s.state == RunState::Running,
        state: s.state.as_str().to_owned(),
        late_p99_us: s.probes.lateness_us.p99,
        young_limit: s.probes.young_limit,
        lately: (s.probes.started_lately, s.probes.missed_lately),
        queue: (s.persistence.queued, s.persistence.queue_size),
        spool: (s.persistence.spooled_bytes, s.persistence.spool_max_bytes),
        trouble: s.trouble.as_ref().map(|t| t.why.clone()),
        database: s.database.error.clone(),
        definitions: s.definitions.last_error.clone(),
        state_db: s.persistence.state_db_error.clone(),
        descriptors: s.descriptors.map(|d| (d.open, d.limit)),
        notifiers: failing.filter_map(|n| Some((n.name.clone(), n.sending, n.error.clone()?))).collect(),
    }
}

/// Targets by status, and the rows that are wrong.
pub fn targets(board: &Board) -> (TargetCounts, Vec<InvalidRow>) {
    let Counts { total, enabled, new, pass, fail, unknown, invalid } = board.counts();
    let counts = TargetCounts { total, enabled, new, pass, fail, unknown, invalid };
    let wrong = board.all().into_iter().filter_map(|(id, entry)| {
        let data = entry.lock();
        let row = data.invalid.as_ref()?;
        Some(InvalidRow { id, name: row.0.name.clone(), problems: row.1.clone() })
    });
    (counts, wrong.collect())
}

/// The open incident of the monitor itself.
fn trouble(board: &Board) -> Option<Trouble> {
    let trouble = board.health.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
    let health::Trouble { incident_id, since, reason, why } = trouble;
    Some(Trouble { incident_id, since, reason, why })
}

/// What came of the last reload that somebody asked for.
fn last_reload(board: &Board) -> Option<LastReload> {
    let ReloadHealth { at, error, needs_restart } =
        board.health.reload.lock().unwrap_or_else(PoisonError::into_inner).clone();
    at.map(|at| LastReload { at, error, needs_restart })
}

/// Rows of notifiers that are wrong.
pub fn invalid_notifiers(board: &Board) -> u64 {
    board.notifiers.all().values().filter(|entry| !entry.problems.is_empty()).count() as u64
}

/// Notifiers that are owed something, or whose last try failed, in the order of their ids.
fn backlog(board: &Board) -> Vec<NotifierBacklog> {
    let all = board.notifiers.all();
    let rows = all.iter().filter(|(_, entry)| entry.row.enabled);
    rows.filter_map(|(id, entry)| {
        let (owed, sending) = board.notifiers.backlog(*id);
        let (last_sent_at, error) = last_try(board, *id);
        (owed + sending > 0 || error.is_some()).then(|| NotifierBacklog {
            id: *id,
            name: match entry.row.tenantid.as_str() {
                DEFAULT_TENANT => entry.row.name.clone(),
                tenant => format!("{tenant}/{}", entry.row.name),
            },
            owed: owed as u64,
            sending: sending as u64,
            last_sent_at,
            error,
        })
    })
    .collect()
}

/// When a notifier last took a message, and why the last try failed, if it did.
fn last_try(board: &Board, id: NotifierId) -> (Option<UtcMs>, Option<String>) {
    let status = board.notifiers.status(id);
    let failed = status.last_failed_at.is_some_and(|at| status.last_sent_at.is_none_or(|sent| sent < at));
    (status.last_sent_at, failed.then(|| status.last_answer.unwrap_or_default()))
}

/// Bytes of a SQLite file with its log; 0 where there is none.
pub fn database_bytes(path: &Path) -> u64 {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |m| m.len());
    let log = path.with_file_name(format!("{}-wal", path.file_name().unwrap_or_default().to_string_lossy()));
    size(path) + size(&log)
}
