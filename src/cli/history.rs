//! `history REF`: a target's latest results.

use super::args::HistoryArgs;
use super::exit::{CliError, Exit};
use super::output::{Out, Style};
use super::tables::{Cell, Narrow, Table, millis};
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

/// How the list fits a narrow terminal.
const NARROW: &[Narrow] =
    &[Narrow::Shrink(6, 40), Narrow::Short(&[(0, "Started")]), Narrow::Below(6), Narrow::Drop(4), Narrow::Drop(5)];

fn text(rows: &[HistoryRow], style: &Style) -> String {
    let header = ["Started", "Status", "Code", "Latency", "Lateness", "Reason", "Description"];
    let mut table = Table::new(&header).narrow(NARROW);
    for row in rows {
        table.row(vec![
            Cell::new(style.time_ms(row.started_at)).or_short(style, || style.time_ms_short(row.started_at)),
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

    #[test]
    fn at_80_columns_the_description_stands_below() {
        let row = HistoryRow {
            id: 1,
            target_id: TargetId(3),
            due_at: UtcMs(1_373_523_057_050),
            started_at: UtcMs(1_373_523_057_053),
            lateness_us: 3_001,
            verdict: Verdict::Fail,
            reason: Some(Reason::ConnectRefused),
            description: Some(
                "no connection to 127.0.0.1:8080: connection refused; the last of 4 addresses that were tried".into(),
            ),
            status_code: None,
            latency_us: 12_345,
            phases: Phases::default(),
            body_bytes: 0,
            incident_id: None,
        };
        let passed = HistoryRow {
            verdict: Verdict::Pass,
            reason: None,
            description: None,
            status_code: Some(200),
            ..row.clone()
        };
        let style = Style { width: Some(80), now: UtcMs(1_373_523_060_000), ..Style::plain() };
        assert_eq!(
            text(&[row, passed], &style),
            "\
+--------------+--------+------+-----------+----------+------------------------+
| Started      | Status | Code | Latency   | Lateness | Reason                 |
+--------------+--------+------+-----------+----------+------------------------+
| 06:10:57,053 | FAIL   | -    | 12.345 ms | 3.001 ms | connect_refused        |
|   no connection to 127.0.0.1:8080: connection refused; the last of 4         |
|   addresses that were tried                                                  |
| 06:10:57,053 | PASS   | 200  | 12.345 ms | 3.001 ms | -                      |
+--------------+--------+------+-----------+----------+------------------------+
"
        );
    }
}
