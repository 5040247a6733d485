//! Skypunch itself: queues, spool, databases, telling people, credentials, the process.

use std::sync::atomic::Ordering::Relaxed;

use super::super::process::Process;
use super::super::{Context, logins};
use crate::control::api::{CredentialSource, CredentialState, CredentialSummary, DatabaseState, RunState, Status};
use crate::model::exposition::{
    Exposition,
    Kind::{Counter, Gauge},
    Value,
};

/// Every state of a credential.
const STATES: [CredentialState; 6] = [
    CredentialState::New,
    CredentialState::LoggingIn,
    CredentialState::Valid,
    CredentialState::Expired,
    CredentialState::Fail,
    CredentialState::Disabled,
];

pub fn families(page: &mut Exposition, context: &Context, status: &Status) {
    page.family("skypunch_build_info", Gauge, "Always 1; the version is in the label.");
    page.sample(&[("version", &status.version)], 1_u8);
    page.single("skypunch_healthy", Gauge, "1: skypunch itself is well, as skypunchctl status says.", status.healthy);
    page.single("skypunch_running", Gauge, "1: it probes; 0: it starts or stops.", status.state == RunState::Running);
    page.single("skypunch_arbiters", Gauge, "Threads that probe.", status.probes.threads);
    persistence(page, context, status);
    databases(page, status);
    notifiers(page, context);
    credentials(page, context);
    page.single(
        "skypunch_log_lines_dropped_total",
        Counter,
        "Log lines that were lost: the log could not keep up, or could not be written.",
        status.log_dropped,
    );
    process(page, context);
}

fn persistence(page: &mut Exposition, context: &Context, status: &Status) {
    let p = &status.persistence;
    page.single("skypunch_results_queued", Gauge, "Results in memory, not yet written.", p.queued);
    page.single("skypunch_results_queue_limit", Gauge, "So many results may be in memory.", p.queue_size);
    page.single("skypunch_results_written_total", Counter, "Results written to the main database.", p.written);
    page.single(
        "skypunch_results_thinned_total",
        Counter,
        "Rows of passing results that were left out to save space; they are counted in the status of their targets.",
        p.thinned,
    );
    page.single("skypunch_spool_batches", Gauge, "Batches of results that wait in state.db.", p.spooled_batches);
    page.single("skypunch_spool_results", Gauge, "Results that wait in state.db.", p.spooled_results);
    page.single("skypunch_spool_bytes", Gauge, "Bytes of the results that wait in state.db.", p.spooled_bytes);
    page.single("skypunch_spool_limit_bytes", Gauge, "So many bytes of results may wait there.", p.spool_max_bytes);
    page.single("skypunch_state_db_bytes", Gauge, "Size of state.db with its log.", p.state_db_bytes);
    page.single("skypunch_state_db_up", Gauge, "1: state.db can be written.", p.state_db_error.is_none());
    if let Some(at) = p.last_write_at {
        page.single(
            "skypunch_database_last_write_timestamp_seconds",
            Gauge,
            "When the last write to the main database ended, in seconds since 1970.",
            Value::unix(at),
        );
        let us = context.board.health.last_write_us.load(Relaxed);
        let help = "How long the last write to the main database took.";
        page.single("skypunch_database_last_write_duration_seconds", Gauge, help, Value::seconds(us));
    }
}

fn databases(page: &mut Exposition, status: &Status) {
    let up = status.database.state == DatabaseState::Ok;
    page.single(
        "skypunch_database_up",
        Gauge,
        "1: the main database takes what is written and gives what is read.",
        up,
    );
    if let Some(lag) = status.database.lag_ms {
        page.single(
            "skypunch_database_lag_seconds",
            Gauge,
            "Age of the oldest result that the main database lacks.",
            Value::seconds(lag.saturating_mul(1000)),
        );
    }
    let d = &status.definitions;
    page.single(
        "skypunch_definitions_up",
        Gauge,
        "1: the last look at the tables of definitions succeeded.",
        d.last_error.is_none(),
    );
    if let Some(at) = d.last_loaded_at {
        let help = "When the definitions were last read completely, in seconds since 1970.";
        page.single("skypunch_definitions_last_load_timestamp_seconds", Gauge, help, Value::unix(at));
    }
}

fn notifiers(page: &mut Exposition, context: &Context) {
    let (board, health) = (&context.board, &context.board.health);
    page.single("skypunch_notices_owed", Gauge, "Notices that are in no message yet.", health.owed.load(Relaxed));
    page.single("skypunch_messages_in_flight", Gauge, "Messages on their way.", health.sending.load(Relaxed));
    let rows = board.notifiers.all();
    let invalid = rows.values().filter(|e| !e.problems.is_empty()).count();
    page.single("skypunch_notifiers_invalid", Gauge, "Rows of notifiers that are wrong and not in force.", invalid);
    let enabled: Vec<_> = (rows.iter())
        .filter_map(|(id, e)| e.in_force.as_ref().filter(|n| n.enabled).map(|n| (*id, n)))
        .map(|(id, n)| (n, board.notifiers.status(id), board.notifiers.backlog(id)))
        .collect();
    if enabled.is_empty() {
        return;
    }
    let mut family = |name, kind, help, value: &dyn Fn(usize) -> Option<Value>| {
        page.family(name, kind, help);
        for (i, (notifier, ..)) in enabled.iter().enumerate() {
            if let Some(value) = value(i) {
                let labels = [("tenant", &*notifier.tenant), ("notifier", &*notifier.name), ("type", &*notifier.kind)];
                page.sample(&labels, value);
            }
        }
    };
    let sent = "Messages that the notifier accepted, over its whole life.";
    family("skypunch_notifier_sent_total", Counter, sent, &|i| Some(enabled[i].1.pass_count.into()));
    let failed = "Tries at which the notifier accepted nothing, over its whole life.";
    family("skypunch_notifier_failed_total", Counter, failed, &|i| Some(enabled[i].1.fail_count.into()));
    let backlog = "Notices and messages that the notifier is still to be told.";
    family("skypunch_notifier_backlog", Gauge, backlog, &|i| Some((enabled[i].2.0 + enabled[i].2.1).into()));
    let at = "When the notifier last accepted a message, in seconds since 1970.";
    family("skypunch_notifier_last_success_timestamp_seconds", Gauge, at, &|i| {
        enabled[i].1.last_sent_at.map(Value::unix)
    });
    let at = "When a try last failed, in seconds since 1970.";
    family("skypunch_notifier_last_failure_timestamp_seconds", Gauge, at, &|i| {
        enabled[i].1.last_failed_at.map(Value::unix)
    });
}

fn credentials(page: &mut Exposition, context: &Context) {
    let all = logins::summaries(context);
    page.family("skypunch_credentials", Gauge, "Credentials by state.");
    for state in STATES {
        let n = all.iter().filter(|c| c.status.state == state).count();
        page.sample(&[("state", state.as_str())], n);
    }
    // Those that are one target's alone may be as many as targets: they are counted only.
    let shared: Vec<&CredentialSummary> = all.iter().filter(|c| c.source != CredentialSource::Target).collect();
    if shared.is_empty() {
        return;
    }
    let tenant = |c: &CredentialSummary| c.tenantid.clone().unwrap_or_default();
    page.family("skypunch_credential_valid", Gauge, "1: there is a token.");
    for c in &shared {
        let valid = c.status.state == CredentialState::Valid;
        page.sample(&[("tenant", &tenant(c)), ("credential", &c.name)], valid);
    }
    page.family("skypunch_credential_failing", Gauge, "1: there is no token, since the last login failed.");
    for c in &shared {
        let failing = c.status.state == CredentialState::Fail;
        page.sample(&[("tenant", &tenant(c)), ("credential", &c.name)], failing);
    }
    page.family(
        "skypunch_credential_token_expiry_timestamp_seconds",
        Gauge,
        "When the token ends, in seconds since 1970; it is renewed before.",
    );
    for c in &shared {
        if let Some(at) = c.status.expires_at {
            page.sample(&[("tenant", &tenant(c)), ("credential", &c.name)], Value::unix(at));
        }
    }
}

/// The names that every exporter uses.
fn process(page: &mut Exposition, context: &Context) {
    let process = Process::look();
    let cpu = "Processor time of user and system, in seconds.";
    page.single("process_cpu_seconds_total", Counter, cpu, process.cpu_seconds);
    page.single("process_resident_memory_bytes", Gauge, "Resident memory in bytes.", process.resident_bytes);
    page.single("process_virtual_memory_bytes", Gauge, "Address space in bytes.", process.virtual_bytes);
    if let Some((open, limit)) = process.descriptors {
        page.single("process_open_fds", Gauge, "Open file descriptors.", open);
        page.single("process_max_fds", Gauge, "So many file descriptors may be open.", limit);
    }
    let start = Value::unix(context.clock.utc(context.started));
    page.single("process_start_time_seconds", Gauge, "When the process started, in seconds since 1970.", start);
}
