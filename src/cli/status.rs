//! `status`: how the daemon is.

use std::time::Duration;

use super::exit::{CliError, Exit};
use super::facts::Facts;
use super::output::{Out, Style, Tint};
use super::tables::yes_no;
use crate::control::api::{DatabaseState, Status};
use crate::control::client::Client;
use crate::model::time::UtcMs;

/// More invalid rows or failing credentials than this are counted, not listed.
const LISTED: usize = 20;

pub(super) async fn run(client: &Client, out: &mut Out) -> Result<Exit, CliError> {
    out.show(&client.status().await?, text)?;
    Ok(Exit::Done)
}

fn text(s: &Status, style: &Style) -> String {
    let mut facts = Facts::default();
    facts.add("Version", s.version.as_str());
    facts.add("Pid", s.pid.to_string());
    facts.add("State", s.state.as_str());
    facts.add_tinted("Healthy", yes_no(s.healthy), if s.healthy { Tint::Good } else { Tint::Bad });
    facts.add("Started", started(s.started_at, s.uptime_s, style));
    let t = &s.targets;
    facts.add("Targets", format!("{}, {} enabled", t.total, t.enabled));
    facts.add("New", t.new.to_string());
    facts.add("Pass", t.pass.to_string());
    facts.add_tinted("Fail", t.fail.to_string(), if t.fail > 0 { Tint::Bad } else { Tint::None });
    facts.add_tinted("Unknown", t.unknown.to_string(), if t.unknown > 0 { Tint::Unclear } else { Tint::None });
    let p = &s.probes;
    facts.add("Probes Started", format!("{}, {:.1} a second", p.started, p.per_second));
    facts.add("Probes In Flight", p.in_flight.to_string());
    facts.add("Probes Missed", p.missed.to_string());
    let late = &p.lateness_us;
    facts.add("Lateness", format!("p50 {}, p99 {}, max {}", ms(late.p50), ms(late.p99), ms(late.max)));
    let w = &s.persistence;
    facts.add("Results Written", format!("{}, {} queued", w.written, w.queued));
    facts.add(
        "Results Spooled",
        format!("{} in {} batches, {} bytes", w.spooled_results, w.spooled_batches, w.spooled_bytes),
    );
    facts.add("Results Thinned", w.thinned.to_string());
    facts.add("Last Write", w.last_write_ms.map_or_else(|| "-".into(), |n| format!("{n} ms")));
    let n = &s.notifications;
    facts.add("Notifications", format!("{} owed, {} being sent", n.owed, n.sending));
    let c = &s.credentials;
    let fail = if c.failing.is_empty() { String::new() } else { format!(", {} fail", c.failing.len()) };
    let failing = if c.failing.is_empty() { Tint::None } else { Tint::Bad };
    facts.add_tinted("Credentials", format!("{}, {} valid{fail}", c.total, c.valid), failing);
    for failing in c.failing.iter().take(LISTED) {
        facts.add_tinted("Credential Fails", format!("{}: {}", failing.name, failing.error), Tint::Bad);
    }
    let d = &s.database;
    facts.add("Database", format!("{} {}", d.kind, d.url));
    let tint = if d.state == DatabaseState::Ok { Tint::Good } else { Tint::Bad };
    facts.add_tinted("Database State", format!("{} since {}", d.state.as_str(), style.time(Some(d.since))), tint);
    if let Some(error) = &d.error {
        facts.add_tinted("Database Error", error.as_str(), Tint::Bad);
    }
    facts.add("Definitions Read", style.time(s.definitions.last_loaded_at));
    if let Some(error) = &s.definitions.last_error {
        facts.add_tinted("Definitions Error", error.as_str(), Tint::Bad);
    }
    facts.add("Invalid Rows", t.invalid.to_string());
    for row in s.definitions.invalid.iter().take(LISTED) {
        let problems: Vec<String> = row.problems.iter().map(ToString::to_string).collect();
        facts.add_tinted("Invalid Row", format!("[{}] {}: {}", row.id, row.name, problems.join("; ")), Tint::Bad);
    }
    if s.notifications.invalid > 0 {
        let which = format!("{} (which: skypunchctl notifiers)", s.notifications.invalid);
        facts.add_tinted("Invalid Notifiers", which, Tint::Bad);
    }
    facts.add("Memory", format!("{:.1} MB", s.memory_bytes as f64 / 1e6));
    facts.add("Log Lines Dropped", s.log_dropped.to_string());
    facts.render(style)
}

fn started(at: UtcMs, uptime_s: u64, style: &Style) -> String {
    format!("{} ({} ago)", style.time(Some(at)), humantime::format_duration(Duration::from_secs(uptime_s)))
}

fn ms(us: u64) -> String {
    format!("{}.{:03} ms", us / 1000, us % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::{
        CredentialCounts, Database, Definitions, FailingCredential, InvalidRow, Lateness, Notifications, Persistence,
        Probes, RunState, TargetCounts,
    };
    use crate::model::definition::Problem;
    use crate::model::target::TargetId;

    fn status() -> Status {
        Status {
            version: "1.0.0".into(),
            pid: 8100,
            uptime_s: 3723,
            started_at: UtcMs(1_373_523_474_000),
            healthy: true,
            state: RunState::Running,
            targets: TargetCounts { total: 5, enabled: 4, new: 1, pass: 2, fail: 1, unknown: 0, invalid: 1 },
            probes: Probes {
                started: 100,
                missed: 2,
                in_flight: 1,
                per_second: 3.25,
                lateness_us: Lateness { p50: 90, p99: 1200, max: 34_567 },
            },
            persistence: Persistence { written: 99, queued: 1, last_write_ms: Some(4), ..Persistence::default() },
            credentials: CredentialCounts {
                total: 3,
                valid: 1,
                failing: vec![FailingCredential { name: "cloud:prod".into(), error: "refused".into() }],
            },
            notifications: Notifications { owed: 3, sending: 1, invalid: 2 },
            database: Database {
                kind: "mysql".into(),
                url: "mysql://skypunch@db/skypunch".into(),
                state: DatabaseState::Away,
                error: Some("connection refused".into()),
                since: UtcMs(1_373_523_474_000),
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
            memory_bytes: 12_345_678,
            log_dropped: 0,
        }
    }

    #[test]
    fn everything_is_told() {
        assert_eq!(
            text(&status(), &Style::plain()),
            "\
+-------------------+-------------------------------------------+
| Field             | Value                                     |
+-------------------+-------------------------------------------+
| Version           | 1.0.0                                     |
| Pid               | 8100                                      |
| State             | running                                   |
| Healthy           | Yes                                       |
| Started           | 2013-07-11 06:17:54 (1h 2m 3s ago)        |
| Targets           | 5, 4 enabled                              |
| New               | 1                                         |
| Pass              | 2                                         |
| Fail              | 1                                         |
| Unknown           | 0                                         |
| Probes Started    | 100, 3.2 a second                         |
| Probes In Flight  | 1                                         |
| Probes Missed     | 2                                         |
| Lateness          | p50 0.090 ms, p99 1.200 ms, max 34.567 ms |
| Results Written   | 99, 1 queued                              |
| Results Spooled   | 0 in 0 batches, 0 bytes                   |
| Results Thinned   | 0                                         |
| Last Write        | 4 ms                                      |
| Notifications     | 3 owed, 1 being sent                      |
| Credentials       | 3, 1 valid, 1 fail                        |
| Credential Fails  | cloud:prod: refused                       |
| Database          | mysql mysql://skypunch@db/skypunch        |
| Database State    | away since 2013-07-11 06:17:54            |
| Database Error    | connection refused                        |
| Definitions Read  | 2013-07-11 06:17:54                       |
| Invalid Rows      | 1                                         |
| Invalid Row       | [9] x: url: is empty                      |
| Invalid Notifiers | 2 (which: skypunchctl notifiers)          |
| Memory            | 12.3 MB                                   |
| Log Lines Dropped | 0                                         |
+-------------------+-------------------------------------------+
"
        );
    }
}
