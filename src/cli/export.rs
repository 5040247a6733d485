//! `export`: all targets, notifiers and credentials as a file for `apply`. Only what differs from its default is written,
//! and no secret.

use std::path::Path;

use serde_json::{Map, Value};

use super::exit::{CliError, Exit};
use super::output::{Format, Out};
use crate::control::api::Exported;
use crate::control::client::Client;
use crate::model::credential::CredentialDefinition;
use crate::model::defined::{Defined, is_hidden};
use crate::model::definition::Definition;
use crate::model::notifier::NotifierDefinition;
use crate::model::targets_file::key_line;
use crate::model::text::{escape_controls, escape_json};

pub(super) async fn run(client: &Client, file: Option<&Path>, out: &mut Out) -> Result<Exit, CliError> {
    let exported = client.export().await?;
    let text = match out.format {
        Format::Table => toml_text(&exported),
        Format::Json => serde_json::to_string_pretty(&exported)
            .map(|json| escape_json(&json).into_owned() + "\n")
            .map_err(|e| CliError::Failed(format!("the targets cannot be written as JSON: {e}")))?,
    };
    match file {
        None => out.text(&text)?,
        Some(file) if file == Path::new("-") => out.text(&text)?,
        Some(file) => {
            let shown = escape_controls(&file.display().to_string()).into_owned();
            std::fs::write(file, text).map_err(|e| CliError::input(format!("{shown} cannot be written: {e}")))?;
            out.line(&format!("{} written to {shown}", counted(&exported)))?;
        }
    }
    Ok(Exit::Done)
}

/// `3 targets, 1 notifiers and 2 credentials`, without what there is none of; targets are always named.
fn counted(all: &Exported) -> String {
    let parts: Vec<String> = [(all.notifiers.len(), "notifiers"), (all.credentials.len(), "credentials")]
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!("{n} {what}"))
        .collect();
    let targets = format!("{} targets", all.targets.len());
    match parts.as_slice() {
        [] => targets,
        [one] => format!("{targets} and {one}"),
        several => format!("{targets}, {}", several.join(" and ")),
    }
}

fn toml_text(all: &Exported) -> String {
    let what = match (all.notifiers.is_empty(), all.credentials.is_empty()) {
        (true, true) => "Targets",
        (false, true) => "Targets and notifiers",
        (true, false) => "Targets and credentials",
        (false, false) => "Targets, notifiers and credentials",
    };
    let mut text = format!(
        "# {what} of skypunch: edit, then `skypunchctl apply FILE`. Secrets are left out; what is\n# left out stays as it is.\n"
    );
    all.targets.iter().for_each(|keys| table::<Definition>(&mut text, keys));
    all.notifiers.iter().for_each(|keys| table::<NotifierDefinition>(&mut text, keys));
    all.credentials.iter().for_each(|keys| table::<CredentialDefinition>(&mut text, keys));
    text
}

/// A `[[target]]`, `[[notifier]]` or `[[credential]]` in the order of the keys of the table.
fn table<D: Defined>(text: &mut String, keys: &Map<String, Value>) {
    let defaults = D::default().to_json();
    text.push_str(&format!("\n[[{}]]\n", D::WHAT));
    for key in D::KEYS {
        let value = keys.get(*key).unwrap_or(&Value::Null);
        if value.is_null() || defaults.get(*key) == Some(value) {
            continue;
        }
        let written = if holds_secret(key, value) {
            Some(format!("# {key} is left out: it holds a secret"))
        } else {
            key_line(key, value)
        };
        if let Some(written) = written {
            text.push_str(&written);
            text.push('\n');
        }
    }
}

/// The daemon shows `***` in place of a secret: in keys that are secrets and in the values of some headers.
fn holds_secret(key: &str, value: &Value) -> bool {
    match value {
        Value::String(_) => ["authn_parms", "params", "address"].contains(&key) && is_hidden(value),
        Value::Array(items) => items.iter().any(|i| i.as_str().is_some_and(|s| s.ends_with(": ***"))),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::notifier::any_type;
    use crate::model::targets_file;
    use crate::secret::Secret;
    use proptest::prelude::*;

    fn definition(name: &str) -> Definition {
        Definition { name: name.into(), url: "http://a/".into(), ..Definition::default() }
    }

    fn targets(all: &[Definition]) -> Exported {
        let targets = all.iter().map(Definition::to_json).collect();
        Exported { targets, notifiers: Vec::new(), credentials: Vec::new() }
    }

    #[test]
    fn credentials_are_written_without_their_secrets() {
        let cloud = CredentialDefinition {
            name: "mycloud".into(),
            params: Some(Secret::new("auth_url=http://k,user_id=u,password=hunter2")),
            enabled: false,
            ..CredentialDefinition::default()
        };
        let all = Exported { credentials: vec![cloud.to_json()], ..targets(&[]) };
        let text = toml_text(&all);
        assert!(text.starts_with("# Targets and credentials of skypunch"), "{text}");
        assert!(
            text.ends_with(
                "\n[[credential]]\nname = \"mycloud\"\n# params is left out: it holds a secret\nenabled = false\n"
            ),
            "{text}"
        );
        let entries = targets_file::parse(&text, &any_type).unwrap().credentials;
        assert_eq!(
            entries[0].definition::<CredentialDefinition>().unwrap(),
            CredentialDefinition { params: None, ..cloud }
        );
        assert_eq!(counted(&all), "0 targets and 1 credentials");
        assert_eq!(
            counted(&Exported { notifiers: all.credentials.clone(), ..all }),
            "0 targets, 1 notifiers and 1 credentials"
        );
    }

    #[test]
    fn only_what_differs_is_written_and_no_secret() {
        let rich = Definition {
            frequency_ms: 90_000,
            headers: Some("Accept: text/html\nX-Api-Key: hunter2".into()),
            authn: "BASIC".into(),
            authn_parms: Some(Secret::new("user=a,password=hunter2")),
            tags: Some("web,prod".into()),
            enabled: false,
            ..definition("a \"quoted\" name")
        };
        assert_eq!(
            toml_text(&targets(&[definition("plain"), rich])),
            r#"# Targets of skypunch: edit, then `skypunchctl apply FILE`. Secrets are left out; what is
# left out stays as it is.

[[target]]
name = "plain"
url = "http://a/"

[[target]]
name = 'a "quoted" name'
url = "http://a/"
# headers is left out: it holds a secret
authn = "BASIC"
# authn_parms is left out: it holds a secret
frequency = "1m 30s"
tags = ["web", "prod"]
enabled = false
"#
        );
    }

    #[test]
    fn what_is_exported_can_be_applied() {
        let basic = Definition {
            authn: "BASIC".into(),
            authn_parms: Some(Secret::new("user=a,password=p")),
            ..definition("b")
        };
        let text = toml_text(&targets(&[definition("a"), basic]));
        let entries = targets_file::parse(&text, &any_type).unwrap().targets;
        assert_eq!(entries[0].definition::<Definition>().unwrap(), definition("a"));
        assert!(!entries[1].keys.contains_key("authn_parms"));
    }

    #[test]
    fn notifiers_are_written_without_their_secrets() {
        let mail = NotifierDefinition {
            name: "ops".into(),
            kind: "SMTP".into(),
            address: "ops@example.com".into(),
            params: Some(Secret::new("user=a,password=hunter2")),
            events: Some("fail,recovery".into()),
            group_wait_ms: 10_000,
            remind_ms: Some(3_600_000),
            templates: Some("fail = \"{{ title }}\"\n".into()),
            ..NotifierDefinition::default()
        };
        let chat = NotifierDefinition {
            name: "chat".into(),
            kind: "SLACK".into(),
            address: "https://hooks.example/hunter2".into(),
            ..NotifierDefinition::default()
        };
        let text = toml_text(&Exported { notifiers: vec![mail.to_json(), chat.to_json()], ..targets(&[]) });
        assert_eq!(
            text,
            r#"# Targets and notifiers of skypunch: edit, then `skypunchctl apply FILE`. Secrets are left out; what is
# left out stays as it is.

[[notifier]]
name = "ops"
type = "SMTP"
address = "ops@example.com"
# params is left out: it holds a secret
events = ["fail", "recovery"]
group_wait = "10s"
remind = "1h"
templates = """
fail = "{{ title }}"
"""

[[notifier]]
name = "chat"
type = "SLACK"
# address is left out: it holds a secret
"#
        );
        let entries = targets_file::parse(&text, &any_type).unwrap().notifiers;
        let read: NotifierDefinition = entries[0].definition().unwrap();
        assert_eq!(read, NotifierDefinition { params: None, ..mail });
        assert!(!entries[1].keys.contains_key("address"));
    }

    proptest! {
        #[test]
        fn every_definition_reads_back(
            name in "[a-z]([^\\p{C}]{0,20}[a-z])?", body in proptest::option::of("[\\PC\n\t\"'\\\\]{1,40}"),
            frequency_ms in 100i64..10_000_000, timeout in proptest::option::of(10i64..100), tags in proptest::option::of("[a-z]{1,5}(,[a-z]{1,5}){0,3}"),
            header in proptest::option::of("X-[a-z]{1,8}: [!-~]{1,20}"), tls_verify: bool, redirects in 0i64..20,
        ) {
            prop_assume!(header.as_deref().is_none_or(|h| !h.ends_with(": ***")));
            let d = Definition {
                body, frequency_ms: frequency_ms / 10 * 10, timeout_ms: timeout, tags, headers: header, tls_verify, redirects,
                ..definition(&name)
            };
            let text = toml_text(&targets(std::slice::from_ref(&d)));
            let entries = targets_file::parse(&text, &any_type).map_err(|e| TestCaseError::fail(format!("{text}\n{e:?}")))?;
            prop_assert_eq!(entries.targets[0].definition::<Definition>().unwrap(), d);
        }
    }
}
