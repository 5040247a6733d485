//! `notifiers types`: what types of notifiers there are, and what one wants to be told.

use super::exit::{CliError, Exit};
use super::facts::Facts;
use super::output::{Out, Style};
use super::tables::{Cell, Narrow, Table, yes_no};
use crate::control::api::{NotifierParam, NotifierType};
use crate::control::client::Client;

pub(super) async fn run(client: &Client, kind: Option<&str>, out: &mut Out) -> Result<Exit, CliError> {
    match kind {
        Some(kind) => out.show(&client.notifier_type(kind).await?, detail)?,
        None => out.show(&client.notifier_types().await?, |types, style| list(types, style))?,
    }
    Ok(Exit::Done)
}

/// How the list fits a narrow terminal.
const NARROW: &[Narrow] = &[Narrow::Shrink(2, 40), Narrow::Below(2), Narrow::Shrink(1, 12)];

fn list(types: &[NotifierType], style: &Style) -> String {
    let mut table = Table::new(&["Type", "Name", "Address"]).narrow(NARROW);
    for t in types {
        table.row(vec![Cell::new(t.name.as_str()), Cell::new(t.title.as_str()), Cell::new(t.address.help.as_str())]);
    }
    let mut text = table.render(style);
    text.push_str("What one wants to be told: skypunchctl notifiers types TYPE\n");
    text
}

fn detail(t: &NotifierType, style: &Style) -> String {
    let mut facts = Facts::default();
    facts.add("Type", t.name.as_str());
    facts.add("Name", t.title.as_str());
    if !t.also.is_empty() {
        facts.add("Also", t.also.join(", "));
    }
    facts.add("Address", t.address.help.as_str());
    facts.add("Several Addresses", yes_no(t.address.list));
    facts.add("Secret Address", yes_no(t.address.secret));
    facts.add("Documentation", if t.documentation.is_empty() { "-" } else { &t.documentation });
    let mut text = facts.render(style);
    if t.params.is_empty() {
        text.push_str("\nIt has no parameters.\n");
    } else {
        text.push_str("\nParameters:\n");
        text.push_str(&params(&t.params, style));
    }
    text
}

/// How the parameters fit a narrow terminal.
const PARAMS_NARROW: &[Narrow] =
    &[Narrow::Shrink(5, 40), Narrow::Below(5), Narrow::Shrink(4, 10), Narrow::Shrink(1, 10)];

fn params(all: &[NotifierParam], style: &Style) -> String {
    let mut table = Table::new(&["Name", "Type", "Required", "Secret", "Default", "Help"]).narrow(PARAMS_NARROW);
    for p in all {
        table.row(vec![
            Cell::new(p.name.as_str()),
            Cell::new(holds(p)),
            Cell::new(yes_no(p.required)),
            Cell::new(yes_no(p.secret)),
            Cell::new(p.default.as_deref().filter(|d| !d.is_empty()).unwrap_or("-")),
            Cell::new(p.help.as_str()),
        ]);
    }
    table.render(style)
}

/// `text`, `low|high`, `integer 1 to 5`.
fn holds(p: &NotifierParam) -> String {
    match (p.choices.is_empty(), p.min, p.max) {
        (false, ..) => p.choices.join("|"),
        (true, Some(min), Some(max)) => format!("{} {min} to {max}", p.kind),
        (true, Some(min), None) => format!("{} from {min}", p.kind),
        (true, None, Some(max)) => format!("{} to {max}", p.kind),
        (true, None, None) => p.kind.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::NotifierAddress;

    fn chat() -> NotifierType {
        let param = |name: &str, kind: &str, help: &str| NotifierParam {
            name: name.into(),
            kind: kind.into(),
            help: help.into(),
            ..NotifierParam::default()
        };
        NotifierType {
            name: "CHAT".into(),
            title: "Chat".into(),
            documentation: "https://chat.example/hooks".into(),
            also: vec!["TALK".into()],
            address: NotifierAddress { help: "URL of the webhook".into(), secret: true, ..NotifierAddress::default() },
            params: vec![
                NotifierParam { required: true, secret: true, ..param("token", "text", "the door's key") },
                NotifierParam { min: Some(1), max: Some(5), ..param("level", "integer", "how loud\u{1b}") },
                NotifierParam {
                    choices: vec!["low".into(), "high".into()],
                    default: Some("low".into()),
                    ..param("urgency", "choice", "how urgent")
                },
            ],
        }
    }

    #[test]
    fn the_list_says_what_an_address_is() {
        let types = [chat(), NotifierType { name: "SMTP".into(), title: "Mail".into(), ..NotifierType::default() }];
        assert_eq!(
            list(&types, &Style::plain()),
            "\
+------+------+--------------------+
| Type | Name | Address            |
+------+------+--------------------+
| CHAT | Chat | URL of the webhook |
| SMTP | Mail |                    |
+------+------+--------------------+
What one wants to be told: skypunchctl notifiers types TYPE
"
        );
    }

    #[test]
    fn one_type_shows_its_parameters() {
        assert_eq!(
            detail(&chat(), &Style::plain()),
            "\
+-------------------+----------------------------+
| Field             | Value                      |
+-------------------+----------------------------+
| Type              | CHAT                       |
| Name              | Chat                       |
| Also              | TALK                       |
| Address           | URL of the webhook         |
| Several Addresses | No                         |
| Secret Address    | Yes                        |
| Documentation     | https://chat.example/hooks |
+-------------------+----------------------------+

Parameters:
+---------+----------------+----------+--------+---------+----------------+
| Name    | Type           | Required | Secret | Default | Help           |
+---------+----------------+----------+--------+---------+----------------+
| token   | text           | Yes      | Yes    | -       | the door's key |
| level   | integer 1 to 5 | No       | No     | -       | how loud\\u{1b} |
| urgency | low|high       | No       | No     | low     | how urgent     |
+---------+----------------+----------+--------+---------+----------------+
"
        );
        let plain = NotifierType { params: Vec::new(), ..chat() };
        assert!(detail(&plain, &Style::plain()).ends_with("\nIt has no parameters.\n"));
        let narrow = detail(&chat(), &Style { width: Some(60), ..Style::plain() });
        assert!(narrow.lines().all(|l| l.chars().count() <= 60), "{narrow}");
    }
}
