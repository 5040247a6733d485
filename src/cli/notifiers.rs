//! `notifiers`: the list, one notifier, enable and disable; `test` is in sample.rs, `types` in types.rs.

use serde_json::Value;

use super::args::{EventArg, NotifierAction, NotifiersArgs, TypesCommand};
use super::exit::{CliError, Exit};
use super::facts::Facts;
use super::output::{Out, Style, Tint};
use super::tables::{Cell, Narrow, Table, yes_no};
use super::targets::{invalid_rows, key_text, seconds};
use super::{sample, types};
use crate::control::api::{NotifierDetail, NotifierFilter, NotifierRef, NotifierSummary, SampleEvent, SampleQuery};
use crate::control::client::Client;

pub(super) async fn run(client: &Client, args: NotifiersArgs, out: &mut Out) -> Result<Exit, CliError> {
    if let Some(TypesCommand::Types { kind }) = args.types {
        if args.notifier.is_some() || args.tenant.is_some() || args.enabled.is_some() {
            return Err(CliError::input("`types` is about no notifier: write `skypunchctl notifiers types [TYPE]`"));
        }
        return types::run(client, kind.as_deref(), out).await;
    }
    if args.event.is_some() && args.action != Some(NotifierAction::Test) {
        return Err(CliError::input("--event is for `notifiers ID test` only: leave it out"));
    }
    match (args.notifier, args.action) {
        (Some(notifier), None) => out.show(&client.notifier(&notifier).await?, detail)?,
        (Some(notifier), Some(NotifierAction::Enable)) => set_enabled(client, &notifier, true, out).await?,
        (Some(notifier), Some(NotifierAction::Disable)) => set_enabled(client, &notifier, false, out).await?,
        (Some(notifier), Some(NotifierAction::Test)) => {
            let event = args.event.map(|e| match e {
                EventArg::Fail => SampleEvent::Fail,
                EventArg::Recovery => SampleEvent::Recovery,
            });
            return sample::run(client, &notifier, &SampleQuery { event }, out).await;
        }
        (None, _) => {
            let filter = NotifierFilter { tenant: args.tenant, enabled: args.enabled };
            out.show(&client.notifiers(&filter).await?, |notifiers, style| list(notifiers, style))?;
        }
    }
    Ok(Exit::Done)
}

async fn set_enabled(client: &Client, notifier: &NotifierRef, on: bool, out: &mut Out) -> Result<(), CliError> {
    let changed = client.set_notifier_enabled(notifier, on).await?;
    out.show(&changed, |n, _| {
        format!("Notifier: {} has been {}\n", key_text(&n.definition, "name"), if on { "Enabled" } else { "Disabled" })
    })
}

/// How the list fits a narrow terminal.
const NARROW: &[Narrow] = &[
    Narrow::Short(&[(7, "Last Sent")]),
    Narrow::Short(&[(5, "Pass"), (6, "Fail")]),
    Narrow::Shrink(1, 12),
    Narrow::Shrink(4, 12),
    Narrow::Shrink(1, 8),
];

/// The table of `notifiers`: the columns of 0.3.0 in its order, then those that are new.
pub(super) fn list(notifiers: &[NotifierSummary], style: &Style) -> String {
    let header = ["ID", "Name", "Enabled", "Type", "Address", "Pass Count", "Fail Count", "Last Sent"];
    let mut table = Table::new(&header).narrow(NARROW);
    for n in notifiers {
        table.row(vec![
            Cell::new(n.id.to_string()),
            Cell::new(n.name.as_str()),
            Cell::new(yes_no(n.enabled)),
            Cell::new(n.kind.as_str()),
            Cell::new(n.address.as_str()),
            Cell::new(n.counts.pass_count.to_string()),
            Cell::new(n.counts.fail_count.to_string()),
            Cell::new(style.time(n.counts.last_sent_at)).or_short(style, || style.time_short(n.counts.last_sent_at)),
        ]);
    }
    let mut text = table.render(style);
    let invalid: Vec<String> = notifiers.iter().filter(|n| n.invalid).map(|n| n.id.to_string()).collect();
    text.push_str(&invalid_rows("notifiers", &invalid));
    text
}

/// The table of `notifiers REF`: the rows of 0.3.0 in its order, then those that are new.
pub(super) fn detail(n: &NotifierDetail, style: &Style) -> String {
    let number = |key: &str| n.definition.get(key).and_then(Value::as_i64);
    let enabled = n.definition.get("enabled").and_then(Value::as_bool).unwrap_or(true);
    let mut facts = Facts::default();
    facts.add("ID", n.id.to_string());
    facts.add("Name", key_text(&n.definition, "name"));
    facts.add("Enabled", yes_no(enabled));
    facts.add("Type", key_text(&n.definition, "type"));
    facts.add("Address", key_text(&n.definition, "address"));
    facts.add("Pass Count", n.counts.pass_count.to_string());
    facts.add("Fail Count", n.counts.fail_count.to_string());
    facts.add("Last Sent", style.time(n.counts.last_sent_at));
    facts.add("Last Failed", style.time(n.counts.last_failed_at));
    facts.add("Last Answer", n.last_answer.as_deref().unwrap_or("-"));
    facts.add("Tenant", key_text(&n.definition, "tenantid"));
    facts.add("Events", all_or(key_text(&n.definition, "events")));
    facts.add("Group Wait (sec)", seconds(number("group_wait_ms")));
    facts.add("Group Window (sec)", seconds(number("group_window_ms")));
    facts.add("Rate (per min)", key_text(&n.definition, "rate_per_minute"));
    facts.add("Retry For (sec)", seconds(number("retry_for_ms")));
    facts.add("Remind (sec)", seconds(number("remind_ms")));
    let optional = [
        ("Parameters", "params"),
        ("Match Tags", "match_tags"),
        ("Match Tenant", "match_tenant"),
        ("Match Name", "match_name"),
        ("Templates", "templates"),
    ];
    for (label, key) in optional {
        let value = key_text(&n.definition, key);
        if !matches!(value.as_str(), "" | "-") {
            facts.add(label, value);
        }
    }
    for problem in &n.problems {
        facts.add_tinted("Invalid Row", problem.to_string(), Tint::Bad);
    }
    facts.render(style)
}

fn all_or(words: String) -> String {
    if words.is_empty() { "all".into() } else { words }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::NotifierCounts;
    use crate::model::definition::Problem;
    use crate::model::notifier::{NotifierDefinition, NotifierId};
    use crate::model::time::UtcMs;
    use crate::secret::Secret;

    fn summary(id: i64, name: &str) -> NotifierSummary {
        NotifierSummary {
            id: NotifierId(id),
            name: name.into(),
            tenantid: "0".into(),
            enabled: true,
            kind: "SMTP".into(),
            address: "ops@example.com".into(),
            counts: NotifierCounts {
                pass_count: 12,
                fail_count: 1,
                last_sent_at: Some(UtcMs(1_373_523_474_000)),
                last_failed_at: None,
            },
            invalid: false,
        }
    }

    #[test]
    fn the_list_begins_with_the_columns_of_0_3_0() {
        let new = NotifierSummary {
            enabled: false,
            kind: "SLACK".into(),
            address: "https://hooks.slack.com/***".into(),
            counts: NotifierCounts::default(),
            invalid: true,
            ..summary(2, "chat\u{1b}")
        };
        assert_eq!(
            list(&[summary(1, "ops"), new.clone()], &Style::plain()),
            "\
+----+------------+---------+-------+-----------------------------+------------+------------+---------------------+
| ID | Name       | Enabled | Type  | Address                     | Pass Count | Fail Count | Last Sent           |
+----+------------+---------+-------+-----------------------------+------------+------------+---------------------+
| 1  | ops        | Yes     | SMTP  | ops@example.com             | 12         | 1          | 2013-07-11 06:17:54 |
| 2  | chat\\u{1b} | No      | SLACK | https://hooks.slack.com/*** | 0          | 0          | -                   |
+----+------------+---------+-------+-----------------------------+------------+------------+---------------------+
Invalid rows, not in force: 2 (what is wrong: skypunchctl notifiers 2)
"
        );
        let style = Style { width: Some(80), now: UtcMs(1_373_523_600_000), ..Style::plain() };
        let narrow = list(&[summary(1, "the people on call in the north"), new], &style);
        assert!(narrow.lines().take(6).all(|l| l.chars().count() <= 80), "{narrow}");
    }

    #[test]
    fn the_detail_begins_with_the_rows_of_0_3_0() {
        let definition = NotifierDefinition {
            name: "chat".into(),
            kind: "SLACK".into(),
            address: "https://hooks.slack.com/services/hunter2".into(),
            params: Some(Secret::new("token=hunter2")),
            match_tags: Some("web,prod".into()),
            remind_ms: Some(3_600_000),
            ..NotifierDefinition::default()
        };
        let n = NotifierDetail {
            id: NotifierId(3),
            counts: NotifierCounts { pass_count: 5, ..NotifierCounts::default() },
            last_answer: Some("ok".into()),
            problems: vec![Problem { field: "type".into(), message: "is not known".into() }],
            definition: definition.to_json(),
        };
        assert_eq!(
            detail(&n, &Style::plain()),
            "\
+--------------------+-----------------------------+
| Field              | Value                       |
+--------------------+-----------------------------+
| ID                 | 3                           |
| Name               | chat                        |
| Enabled            | Yes                         |
| Type               | SLACK                       |
| Address            | https://hooks.slack.com/*** |
| Pass Count         | 5                           |
| Fail Count         | 0                           |
| Last Sent          | -                           |
| Last Failed        | -                           |
| Last Answer        | ok                          |
| Tenant             | 0                           |
| Events             | all                         |
| Group Wait (sec)   | 5                           |
| Group Window (sec) | 30                          |
| Rate (per min)     | 20                          |
| Retry For (sec)    | 86400                       |
| Remind (sec)       | 3600                        |
| Parameters         | ***                         |
| Match Tags         | web, prod                   |
| Invalid Row        | type: is not known          |
+--------------------+-----------------------------+
"
        );
    }
}
