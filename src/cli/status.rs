//! `status`: how the daemon is.

use std::time::Duration;

use super::exit::{CliError, Exit};
use super::facts::Facts;
use super::output::{Out, Style, Tint};
use super::tables::yes_no;
use crate::control::api::{DatabaseState, LastReload, Status};
use crate::control::client::Client;
use crate::model::time::UtcMs;

/// More invalid rows or failing credentials than this are counted, not listed.
const LISTED: usize = 20;

pub(super) async fn run(client: &Client, out: &mut Out) -> Result<Exit, CliError> {
    let status = client.status().await?;
    out.show(&status, text)?;
    Ok(if status.healthy { Exit::Done } else { Exit::Failed })
}

fn text(s: &Status, style: &Style) -> String {
    let mut facts = Facts::default();
    let bad = |about: &str| if s.unhealthy.iter().any(|c| c.about == about) { Tint::Bad } else { Tint::None };
    facts.add("Version", s.version.as_str());
    facts.add("Pid", s.pid.to_string());
    facts.add_tinted("State", s.state.as_str(), bad("state"));
    facts.add_tinted("Healthy", yes_no(s.healthy), if s.healthy { Tint::Good } else { Tint::Bad });
    for complaint in &s.unhealthy {
        facts.add_tinted("Unhealthy", format!("{}: {}", label(&complaint.about), complaint.why), Tint::Bad);
    }
    facts.add("Started", started(s.started_at, s.uptime_s, style));
    facts.add("Settings", s.settings_file.as_deref().unwrap_or("-"));
    if let Some(reload) = &s.last_reload {
        last_reload(&mut facts, reload, style);
    }
    targets(&mut facts, s);
    let monitor = s.trouble.as_ref().map_or_else(
        || "ok".into(),
        |t| format!("{} since {}, incident {}", t.reason, style.time(Some(t.since)), t.incident_id),
    );
    facts.add_tinted("Monitor", monitor, bad("trouble"));
    let p = &s.probes;
    facts.add("Probes Started", format!("{}, {:.1} a second", p.started, p.per_second));
    let threads = if p.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", p.threads) };
    facts.add("Probes In Flight", format!("{} on {threads}, at most {} young on each", p.in_flight, p.young_limit));
    facts.add_tinted("Probes Missed", format!("{}, {} lately", p.missed, p.missed_lately), bad("probes.missed"));
    let late = &p.lateness_us;
    let late = format!("p50 {}, p99 {}, max {}", ms(late.p50), ms(late.p99), ms(late.max));
    facts.add_tinted("Lateness", late, bad("probes.lateness_us"));
    let w = &s.persistence;
    facts.add("Results Written", w.written.to_string());
    facts.add_tinted("Results Queued", format!("{} of {}", w.queued, w.queue_size), bad("persistence.queued"));
    let spool = format!(
        "{} in {} batches, {} of {}",
        w.spooled_results,
        w.spooled_batches,
        size(w.spooled_bytes),
        size(w.spool_max_bytes)
    );
    facts.add_tinted("Results Spooled", spool, bad("persistence.spooled_bytes"));
    facts.add("Results Thinned", w.thinned.to_string());
    facts.add_tinted("state.db", size(w.state_db_bytes), bad("state_db"));
    let took = w.last_write_ms.map_or_else(|| "-".into(), |n| format!("{}, took {n} ms", style.time(w.last_write_at)));
    facts.add("Last Write", took);
    told(&mut facts, s, style);
    database(&mut facts, s, style);
    facts.add("Memory", size(s.memory_bytes));
    let open = s.descriptors.map_or_else(|| "-".into(), |d| format!("{} of {} open", d.open, d.limit));
    facts.add_tinted("File Descriptors", open, bad("descriptors"));
    facts.add("Log Lines Dropped", s.log_dropped.to_string());
    facts.render(style)
}

fn last_reload(facts: &mut Facts<'_>, reload: &LastReload, style: &Style) {
    let at = style.time(Some(reload.at));
    match &reload.error {
        Some(error) => facts.add_tinted("Last Reload", format!("{at}, refused: {error}"), Tint::Bad),
        None if reload.needs_restart.is_empty() => facts.add("Last Reload", at),
        None => {
            let waiting = format!("{at}, in force after a restart: {}", reload.needs_restart.join(", "));
            facts.add_tinted("Last Reload", waiting, Tint::Unclear);
        }
    }
}

/// The line that shows what a complaint is about.
fn label(about: &str) -> &str {
    match about {
        "state" => "State",
        "trouble" => "Monitor",
        "probes.lateness_us" => "Lateness",
        "probes.missed" => "Probes Missed",
        "database" => "Database State",
        "definitions" => "Definitions Error",
        "state_db" => "state.db",
        "persistence.queued" => "Results Queued",
        "persistence.spooled_bytes" => "Results Spooled",
        "descriptors" => "File Descriptors",
        "notifications" => "Notifier Backlog",
        other => other,
    }
}

fn targets(facts: &mut Facts<'_>, s: &Status) {
    let t = &s.targets;
    facts.add("Targets", format!("{}, {} enabled", t.total, t.enabled));
    facts.add("New", t.new.to_string());
    facts.add("Pass", t.pass.to_string());
    facts.add_tinted("Fail", t.fail.to_string(), if t.fail > 0 { Tint::Bad } else { Tint::None });
    facts.add_tinted("Unknown", t.unknown.to_string(), if t.unknown > 0 { Tint::Unclear } else { Tint::None });
}

/// Who is to be told of what, and who we are at identity services.
fn told<'a>(facts: &mut Facts<'a>, s: &'a Status, style: &Style) {
    let n = &s.notifications;
    facts.add("Notifications", format!("{} owed, {} being sent", n.owed, n.sending));
    for b in n.backlog.iter().take(LISTED) {
        let sent = b.last_sent_at.map_or_else(|| "never".into(), |at| style.time(Some(at)));
        let failed = b.error.as_ref().map_or(String::new(), |e| format!("; the last try failed: {e}"));
        let line = format!("{}: {} owed, {} being sent, last taken {sent}{failed}", b.name, b.owed, b.sending);
        facts.add_tinted("Notifier Backlog", line, if b.error.is_some() { Tint::Bad } else { Tint::None });
    }
    if n.invalid > 0 {
        facts.add_tinted("Invalid Notifiers", format!("{} (which: skypunchctl notifiers)", n.invalid), Tint::Bad);
    }
    let c = &s.credentials;
    let fail = if c.failing.is_empty() { String::new() } else { format!(", {} fail", c.failing.len()) };
    let failing = if c.failing.is_empty() { Tint::None } else { Tint::Bad };
    facts.add_tinted("Credentials", format!("{}, {} valid{fail}", c.total, c.valid), failing);
    for failing in c.failing.iter().take(LISTED) {
        facts.add_tinted("Credential Fails", format!("{}: {}", failing.name, failing.error), Tint::Bad);
    }
}

/// The main database and what was read from it.
fn database<'a>(facts: &mut Facts<'a>, s: &'a Status, style: &Style) {
    let d = &s.database;
    facts.add("Database", format!("{} {}", d.kind, d.url));
    let tint = if d.state == DatabaseState::Ok { Tint::Good } else { Tint::Bad };
    facts.add_tinted("Database State", format!("{} since {}", d.state.as_str(), style.time(Some(d.since))), tint);
    if let Some(error) = &d.error {
        facts.add_tinted("Database Error", error.as_str(), Tint::Bad);
    }
    let lag = d.lag_ms.map(|n| humantime::format_duration(Duration::from_millis(n)).to_string());
    facts.add("Database Lag", lag.unwrap_or_else(|| "-".into()));
    facts.add("Definitions Read", style.time(s.definitions.last_loaded_at));
    if let Some(error) = &s.definitions.last_error {
        facts.add_tinted("Definitions Error", error.as_str(), Tint::Bad);
    }
    facts.add("Invalid Rows", s.targets.invalid.to_string());
    for row in s.definitions.invalid.iter().take(LISTED) {
        let problems: Vec<String> = row.problems.iter().map(ToString::to_string).collect();
        facts.add_tinted("Invalid Row", format!("[{}] {}: {}", row.id, row.name, problems.join("; ")), Tint::Bad);
    }
}

fn started(at: UtcMs, uptime_s: u64, style: &Style) -> String {
    format!("{} ({} ago)", style.time(Some(at)), humantime::format_duration(Duration::from_secs(uptime_s)))
}

fn ms(us: u64) -> String {
    format!("{}.{:03} ms", us / 1000, us % 1000)
}

/// `17 B`, `4.2 MB`.
#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn size(bytes: u64) -> String {
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::{
        Complaint, CredentialCounts, Database, Definitions, Descriptors, FailingCredential, InvalidRow, Lateness,
        Notifications, NotifierBacklog, Persistence, Probes, RunState, TargetCounts, Trouble,
    };
    use crate::model::definition::Problem;
    use crate::model::notifier::NotifierId;
    use crate::model::reason::Reason;
    use crate::model::target::TargetId;

    fn status() -> Status {
        Status {
            version: "1.0.0".into(),
            pid: 8100,
            uptime_s: 3723,
            started_at: UtcMs(1_373_523_474_000),
            healthy: false,
            unhealthy: vec![Complaint { about: "database".into(), why: "connection refused".into() }],
            state: RunState::Running,
            trouble: Some(Trouble {
                incident_id: 77,
                since: UtcMs(1_373_523_474_000),
                reason: Reason::LocalNetwork,
                why: "no network".into(),
            }),
            targets: TargetCounts { total: 5, enabled: 4, new: 1, pass: 2, fail: 1, unknown: 0, invalid: 1 },
            probes: Probes {
                started: 100,
                missed: 2,
                started_lately: 40,
                missed_lately: 1,
                in_flight: 1,
                threads: 1,
                young_limit: 256,
                per_second: 3.25,
                lateness_us: Lateness { p50: 90, p99: 1200, max: 34_567 },
            },
            persistence: Persistence {
                written: 99,
                queued: 1,
                queue_size: 1000,
                spool_max_bytes: 134_217_728,
                state_db_bytes: 45_056,
                last_write_ms: Some(4),
                last_write_at: Some(UtcMs(1_373_523_474_000)),
                ..Persistence::default()
            },
            credentials: CredentialCounts {
                total: 3,
                valid: 1,
                failing: vec![FailingCredential { name: "cloud:prod".into(), error: "refused".into() }],
            },
            notifications: Notifications {
                owed: 3,
                sending: 1,
                invalid: 2,
                backlog: vec![NotifierBacklog {
                    id: NotifierId(1),
                    name: "ops".into(),
                    owed: 3,
                    sending: 1,
                    last_sent_at: None,
                    error: Some("greeting: 421".into()),
                }],
            },
            database: Database {
                kind: "mysql".into(),
                url: "mysql://skypunch@db/skypunch".into(),
                state: DatabaseState::Away,
                error: Some("connection refused".into()),
                since: UtcMs(1_373_523_474_000),
                lag_ms: Some(61_500),
            },
            definitions: Definitions {
                last_loaded_at: Some(UtcMs(1_373_523_474_000)),
                last_error: None,
                invalid: vec![InvalidRow {
                    id: TargetId(9),
                    name: "x".into(),
                    problems: vec![Problem { field: "url".into(), message: "is empty".into() }],
                }],
            },
            last_reload: Some(LastReload {
                at: UtcMs(1_373_523_474_000),
                error: None,
                needs_restart: vec!["database.url".into(), "probe.arbiters".into()],
            }),
            settings_file: Some("/etc/skypunch/skypunch.toml".into()),
            memory_bytes: 12_345_678,
            descriptors: Some(Descriptors { open: 40, limit: 1024 }),
            log_dropped: 0,
        }
    }

    #[test]
    fn everything_is_told_within_80_columns() {
        assert_eq!(
            text(&status(), &Style { width: Some(80), ..Style::plain() }),
            "\
+-------------------+----------------------------------------------------------+
| Field             | Value                                                    |
+-------------------+----------------------------------------------------------+
| Version           | 1.0.0                                                    |
| Pid               | 8100                                                     |
| State             | running                                                  |
| Healthy           | No                                                       |
| Unhealthy         | Database State: connection refused                       |
| Started           | 2013-07-11 06:17:54 (1h 2m 3s ago)                       |
| Settings          | /etc/skypunch/skypunch.toml                              |
| Last Reload       | 2013-07-11 06:17:54, in force after a restart:           |
|                   | database.url, probe.arbiters                             |
| Targets           | 5, 4 enabled                                             |
| New               | 1                                                        |
| Pass              | 2                                                        |
| Fail              | 1                                                        |
| Unknown           | 0                                                        |
| Monitor           | local_network since 2013-07-11 06:17:54, incident 77     |
| Probes Started    | 100, 3.2 a second                                        |
| Probes In Flight  | 1 on 1 thread, at most 256 young on each                 |
| Probes Missed     | 2, 1 lately                                              |
| Lateness          | p50 0.090 ms, p99 1.200 ms, max 34.567 ms                |
| Results Written   | 99                                                       |
| Results Queued    | 1 of 1000                                                |
| Results Spooled   | 0 in 0 batches, 0 B of 134.2 MB                          |
| Results Thinned   | 0                                                        |
| state.db          | 45.1 kB                                                  |
| Last Write        | 2013-07-11 06:17:54, took 4 ms                           |
| Notifications     | 3 owed, 1 being sent                                     |
| Notifier Backlog  | ops: 3 owed, 1 being sent, last taken never; the last    |
|                   | try failed: greeting: 421                                |
| Invalid Notifiers | 2 (which: skypunchctl notifiers)                         |
| Credentials       | 3, 1 valid, 1 fail                                       |
| Credential Fails  | cloud:prod: refused                                      |
| Database          | mysql mysql://skypunch@db/skypunch                       |
| Database State    | away since 2013-07-11 06:17:54                           |
| Database Error    | connection refused                                       |
| Database Lag      | 1m 1s 500ms                                              |
| Definitions Read  | 2013-07-11 06:17:54                                      |
| Invalid Rows      | 1                                                        |
| Invalid Row       | [9] x: url: is empty                                     |
| Memory            | 12.3 MB                                                  |
| File Descriptors  | 40 of 1024 open                                          |
| Log Lines Dropped | 0                                                        |
+-------------------+----------------------------------------------------------+
"
        );
    }
}
