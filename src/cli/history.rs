//! `history REF`: a target's latest results.

use super::args::HistoryArgs;
use super::exit::{CliError, Exit};
use super::output::{Out, Style};
use super::tables::{Cell, Table, millis};
use crate::clock::Clock;
use crate::control::api::{HistoryQuery, HistoryRow};
use crate::control::client::Client;

pub(super) async fn run(client: &Client, args: HistoryArgs, out: &mut Out) -> Result<Exit, CliError> {
    let since_ms = args.since.map(|d| {
        let back = i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
        Clock::system().utc_now().0.saturating_sub(back).max(0)
    });
    let query = HistoryQuery { since_ms, limit: Some(args.limit) };
    out.show(&client.history(&args.target, &query).await?, |rows, style| text(rows, style))?;
    Ok(Exit::Done)
}

fn text(rows: &[HistoryRow], style: &Style) -> String {
    let header = ["Started", "Status", "Code", "Latency", "Lateness", "Reason", "Description"];
    let mut table = Table::new(&header).flexible(6);
    for row in rows {
        table.row(vec![
            Cell::new(style.time_ms(row.started_at)),
            Cell::tinted(row.verdict.as_str(), row.verdict),
            Cell::new(row.status_code.map_or_else(|| "-".into(), |c| c.to_string())),
            Cell::new(millis(row.latency_us)),
            Cell::new(millis(row.lateness_us)),
            Cell::new(row.reason.map_or("-", |r| r.as_str())),
            Cell::new(row.description.as_deref().unwrap_or("-")),
        ]);
    }
    table.render(style)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::outcome::Phases;
    use crate::model::reason::{Reason, Verdict};
    use crate::model::target::TargetId;
    use crate::model::time::UtcMs;

    #[test]
    fn a_row_a_result() {
        let row = HistoryRow {
            id: 1,
            target_id: TargetId(3),
            due_at: UtcMs(1_373_523_057_050),
            started_at: UtcMs(1_373_523_057_053),
            lateness_us: 3_001,
            verdict: Verdict::Fail,
            reason: Some(Reason::Status),
            description: Some("503 is not in 200".into()),
            status_code: Some(503),
            latency_us: 12_345,
            phases: Phases::default(),
            body_bytes: 0,
            incident_id: None,
        };
        let passed = HistoryRow { verdict: Verdict::Pass, reason: None, description: None, ..row.clone() };
        assert_eq!(
            text(&[row, passed], &Style::plain()),
            "\
+-------------------------+--------+------+-----------+----------+--------+-------------------+
| Started                 | Status | Code | Latency   | Lateness | Reason | Description       |
+-------------------------+--------+------+-----------+----------+--------+-------------------+
| 2013-07-11 06:10:57,053 | FAIL   | 503  | 12.345 ms | 3.001 ms | status | 503 is not in 200 |
| 2013-07-11 06:10:57,053 | PASS   | 503  | 12.345 ms | 3.001 ms | -      | -                 |
+-------------------------+--------+------+-----------+----------+--------+-------------------+
"
        );
    }
}
