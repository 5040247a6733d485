//! `incidents`: the list, or one with its traces.

use std::time::Duration;

use super::args::IncidentsArgs;
use super::exit::{CliError, Exit};
use super::facts::Facts;
use super::fold::hang;
use super::output::{Out, Style, Tint};
use super::tables::{Cell, Narrow, Table};
use crate::control::api::{IncidentDetail, IncidentQuery, IncidentSummary, Told};
use crate::control::client::Client;
use crate::model::subject::SubjectKind;
use crate::model::trace::Trace;

pub(super) async fn run(client: &Client, args: IncidentsArgs, out: &mut Out) -> Result<Exit, CliError> {
    match args.id {
        Some(id) => out.show(&client.incident(id).await?, detail)?,
        None => {
            let query = IncidentQuery {
                target: args.target.as_ref().map(ToString::to_string),
                open: args.open.then_some(true),
                limit: Some(args.limit),
            };
            out.show(&client.incidents(&query).await?, |incidents, style| list(incidents, style))?;
        }
    }
    Ok(Exit::Done)
}

/// How the list fits a narrow terminal.
const NARROW: &[Narrow] = &[
    Narrow::Shrink(2, 12),
    Narrow::Shrink(7, 40),
    Narrow::Short(&[(3, "Started"), (4, "Ended")]),
    Narrow::Short(&[(5, "Duration")]),
    Narrow::Below(7),
    Narrow::Drop(1),
    Narrow::Drop(4),
    Narrow::Shrink(2, 8),
    Narrow::Drop(6),
];

fn list(incidents: &[IncidentSummary], style: &Style) -> String {
    let header = ["ID", "Target", "Name", "Started", "Ended", "Duration", "Reason", "Description"];
    let mut table = Table::new(&header).narrow(NARROW);
    for i in incidents {
        table.row(vec![
            Cell::new(i.id.to_string()),
            Cell::new(i.target_id.map_or_else(|| "-".to_owned(), |id| id.to_string())),
            Cell::new(called(i)),
            Cell::new(style.time(Some(i.started_at))).or_short(style, || style.time_short(Some(i.started_at))),
            ended(i, style),
            Cell::new(duration(i)).or_short(style, || short_duration(i)),
            Cell::new(i.reason.as_str()),
            Cell::new(i.description.as_str()),
        ]);
    }
    table.render(style)
}

/// The name, with what it is where that is no target.
fn called(i: &IncidentSummary) -> String {
    match i.subject_kind {
        SubjectKind::Target => i.name.clone(),
        SubjectKind::Credential => format!("credential {}", i.name),
        SubjectKind::Monitor => format!("the monitor on {}", i.name),
    }
}

fn ended<'a>(i: &IncidentSummary, style: &Style) -> Cell<'a> {
    match i.ended_at {
        Some(_) => Cell::new(style.time(i.ended_at)).or_short(style, || style.time_short(i.ended_at)),
        None => Cell::tinted("open", Tint::Bad),
    }
}

fn duration(i: &IncidentSummary) -> String {
    lasted(i).map_or_else(|| "-".into(), |d| humantime::format_duration(d).to_string())
}

/// The two largest units; `open` where it has not ended, for there may be no room for that column.
fn short_duration(i: &IncidentSummary) -> String {
    lasted(i).map_or_else(
        || "open".into(),
        |d| humantime::format_duration(d).to_string().split(' ').take(2).collect::<Vec<_>>().join(" "),
    )
}

fn lasted(i: &IncidentSummary) -> Option<Duration> {
    let end = i.ended_at?;
    Some(Duration::from_millis(u64::try_from(end.0.saturating_sub(i.started_at.0)).unwrap_or(0)))
}

fn detail(d: &IncidentDetail, style: &Style) -> String {
    let i = &d.summary;
    let mut facts = Facts::default();
    facts.add("ID", i.id.to_string());
    match i.target_id {
        Some(id) => {
            facts.add("Target ID", id.to_string());
            facts.add("Target Name", i.name.as_str());
        }
        None if i.subject_kind == SubjectKind::Monitor => facts.add("Monitor", i.name.as_str()),
        None => facts.add("Credential", i.name.as_str()),
    }
    facts.add("Tenant", i.tenantid.as_str());
    facts.add("Started", style.time(Some(i.started_at)));
    match i.ended_at {
        Some(_) => facts.add("Ended", style.time(i.ended_at)),
        None => facts.add_tinted("Ended", "open", Tint::Bad),
    }
    facts.add("Ended By", i.ended_by.map_or("-", |e| e.as_str()));
    facts.add("Duration", duration(i));
    facts.add("Reason", i.reason.as_str());
    facts.add("Description", i.description.as_str());
    let mut text = facts.render(style);
    if !d.notifications.is_empty() {
        text.push_str("\nWhat was told:\n");
        text.push_str(&told(&d.notifications, style));
    }
    let (opened_by, good_before) = match i.subject_kind {
        SubjectKind::Target => ("\nThe probe that opened it:\n", "\nThe last probe that had passed:\n"),
        SubjectKind::Credential => ("\nThe login that failed:\n", "\nThe last login before it:\n"),
        // What its probes did is told in its sentence.
        SubjectKind::Monitor => return text,
    };
    text.push_str(opened_by);
    text.push_str(&trace(&d.first_trace, style));
    if let Some(good) = &d.last_good_trace {
        text.push_str(good_before);
        text.push_str(&trace(good, style));
    }
    text
}

/// How the table of what was told fits a narrow terminal.
const TOLD_NARROW: &[Narrow] =
    &[Narrow::Short(&[(3, "At")]), Narrow::Shrink(5, 20), Narrow::Shrink(0, 12), Narrow::Drop(4), Narrow::Shrink(5, 8)];

fn told(all: &[Told], style: &Style) -> String {
    let header = ["Notifier", "Event", "State", "At", "Attempts", "Answer"];
    let mut table = Table::new(&header).narrow(TOLD_NARROW);
    for t in all {
        let event = if t.number > 0 { format!("{} {}", t.event, t.number) } else { t.event.clone() };
        let tint = match t.state.as_str() {
            "sent" => Tint::Good,
            "failed" | "expired" => Tint::Bad,
            _ => Tint::None,
        };
        let at = t.sent_at.or(t.attempted_at).or(Some(t.created_at));
        table.row(vec![
            Cell::new(t.notifier_name.as_str()),
            Cell::new(event),
            Cell::tinted(t.state.as_str(), tint),
            Cell::new(style.time(at)).or_short(style, || style.time_short(at)),
            Cell::new(t.attempts.to_string()),
            Cell::new(answer(t, style)),
        ]);
    }
    table.render(style)
}

/// The server's words, and when it is asked again.
fn answer(t: &Told, style: &Style) -> String {
    let words = t.answer.as_deref().unwrap_or("-");
    match t.next_at {
        Some(at) => format!("{words}; next at {}", style.time(Some(at))),
        None => words.to_owned(),
    }
}

/// Columns of a step's offset: `     1.500 ms  `.
const OFFSET: usize = 15;

fn trace(trace: &Trace, style: &Style) -> String {
    trace.lines().iter().map(|line| hang(line, OFFSET, style.width) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::incident::End;
    use crate::model::notifier::NotifierId;
    use crate::model::reason::Reason;
    use crate::model::target::TargetId;
    use crate::model::time::UtcMs;
    use crate::model::trace::Event;

    fn incident() -> IncidentSummary {
        IncidentSummary {
            id: 911_911_911_911,
            subject_kind: SubjectKind::Target,
            target_id: Some(TargetId(3)),
            name: "shop".into(),
            tenantid: "0".into(),
            started_at: UtcMs(1_373_523_474_000),
            ended_at: None,
            ended_by: None,
            reason: Reason::ConnectRefused,
            description: "refused".into(),
        }
    }

    #[test]
    fn the_list_tells_open_from_ended() {
        let ended =
            IncidentSummary { ended_at: Some(UtcMs(1_373_523_539_500)), ended_by: Some(End::Recovered), ..incident() };
        assert_eq!(
            list(&[incident(), ended], &Style::plain()),
            "\
+--------------+--------+------+---------------------+---------------------+-------------+-----------------+-------------+
| ID           | Target | Name | Started             | Ended               | Duration    | Reason          | Description |
+--------------+--------+------+---------------------+---------------------+-------------+-----------------+-------------+
| 911911911911 | 3      | shop | 2013-07-11 06:17:54 | open                | -           | connect_refused | refused     |
| 911911911911 | 3      | shop | 2013-07-11 06:17:54 | 2013-07-11 06:18:59 | 1m 5s 500ms | connect_refused | refused     |
+--------------+--------+------+---------------------+---------------------+-------------+-----------------+-------------+
"
        );
    }

    #[test]
    fn one_incident_has_its_traces_below() {
        let mut first = Trace::default();
        first.push(1500, Event::Connecting { address: "127.0.0.1:80".parse().unwrap() });
        let mut d = IncidentDetail {
            summary: incident(),
            first_trace: first.clone(),
            last_good_trace: Some(first),
            notifications: Vec::new(),
        };
        let text = detail(&d, &Style::plain());
        assert!(text.contains("| Ended       | open                |\n"), "{text}");
        assert!(
            text.ends_with(
                "\nThe probe that opened it:\n     1.500 ms  Connecting to 127.0.0.1:80 ....\n\
                 \nThe last probe that had passed:\n     1.500 ms  Connecting to 127.0.0.1:80 ....\n"
            ),
            "{text}"
        );
        let told = |event: &str, number, state: &str, sent_at, answer: Option<&str>| Told {
            id: 5,
            notifier_id: NotifierId(1),
            notifier_name: "ops\u{1b}".into(),
            event: event.into(),
            number,
            state: state.into(),
            message_id: None,
            digest_id: None,
            attempts: 2,
            created_at: UtcMs(1_373_523_474_000),
            attempted_at: None,
            sent_at,
            answer: answer.map(str::to_owned),
            next_at: None,
        };
        d.notifications = vec![
            told("fail", 0, "sent", Some(UtcMs(1_373_523_479_000)), Some("250 2.0.0 Ok")),
            told("reminder", 1, "owed", None, None),
        ];
        let text = detail(&d, &Style::plain());
        assert!(
            text.contains(
                "
What was told:
+-----------+------------+-------+---------------------+----------+--------------+
| Notifier  | Event      | State | At                  | Attempts | Answer       |
+-----------+------------+-------+---------------------+----------+--------------+
| ops\\u{1b} | fail       | sent  | 2013-07-11 06:17:59 | 2        | 250 2.0.0 Ok |
| ops\\u{1b} | reminder 1 | owed  | 2013-07-11 06:17:54 | 2        | -            |
+-----------+------------+-------+---------------------+----------+--------------+

The probe that opened it:
"
            ),
            "{text}"
        );
        d.notifications = vec![Told {
            attempts: 3,
            next_at: Some(UtcMs(1_373_523_494_000)),
            ..told("fail", 0, "sending", None, Some("451 4.7.1 later"))
        }];
        let text = detail(&d, &Style::plain());
        assert!(text.contains("| 3        | 451 4.7.1 later; next at 2013-07-11 06:18:14 |"), "{text}");
        let narrow = detail(&d, &Style { width: Some(80), ..Style::plain() });
        let table = narrow.lines().skip_while(|l| *l != "What was told:").skip(1).take(6);
        assert!(table.clone().all(|l| l.chars().count() <= 80), "{narrow}");
    }

    #[test]
    fn at_80_columns_steps_are_folded() {
        let mut first = Trace::default();
        let description = "connecting to 127.0.0.1:80: connection refused after 0.2 ms; usually nothing listens on that \
                           port: the service is stopped or starting";
        first.push(1_234_500, Event::Failed { reason: Reason::ConnectRefused, description: description.into() });
        let d = IncidentDetail {
            summary: incident(),
            first_trace: first,
            last_good_trace: None,
            notifications: Vec::new(),
        };
        let style = Style { width: Some(80), ..Style::plain() };
        let text = detail(&d, &style);
        let lines: Vec<&str> = text.lines().skip_while(|l| !l.starts_with("The probe")).skip(1).collect();
        assert!(lines.len() == 3 && lines.iter().all(|l| l.chars().count() <= 80), "{text}");
        assert!(lines[0].starts_with("  1234.500 ms  ") && lines[1].starts_with(&" ".repeat(15)), "{text}");
    }

    #[test]
    fn at_80_columns_the_description_stands_below() {
        let open = IncidentSummary {
            id: 911_911_911_911_911_911,
            name: "shop of the north, checkout".into(),
            description: "no connection to 127.0.0.1:8080: connection refused; the last of 4 addresses that were tried"
                .into(),
            ..incident()
        };
        let ended = IncidentSummary {
            id: open.id - 1,
            reason: Reason::Status,
            description: "503 is not in 200".into(),
            started_at: UtcMs(1_373_436_000_000),
            ended_at: Some(UtcMs(1_373_523_539_500)),
            ended_by: Some(End::Recovered),
            ..incident()
        };
        let style = Style { width: Some(80), now: UtcMs(1_373_523_600_000), ..Style::plain() };
        assert_eq!(
            list(&[open, ended], &style),
            "\
+--------------------+--------------+-------------+----------+-----------------+
| ID                 | Name         | Started     | Duration | Reason          |
+--------------------+--------------+-------------+----------+-----------------+
| 911911911911911911 | shop of the… | 06:17:54    | open     | connect_refused |
|   no connection to 127.0.0.1:8080: connection refused; the last of 4         |
|   addresses that were tried                                                  |
| 911911911911911910 | shop         | 07-10 06:00 | 1day 18m | status          |
|   503 is not in 200                                                          |
+--------------------+--------------+-------------+----------+-----------------+
"
        );
    }
}
