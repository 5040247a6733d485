//! `export`: all targets as a file for `apply`. Only what differs from its default is written, and no secret.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};

use super::exit::{CliError, Exit};
use super::output::{Format, Out};
use crate::control::client::Client;
use crate::model::definition::{Definition, KEYS};
use crate::model::text::escape_controls;

pub(super) async fn run(client: &Client, file: Option<&Path>, out: &mut Out) -> Result<Exit, CliError> {
    let exported = client.export().await?;
    let text = match out.format {
        Format::Table => toml_text(&exported.targets),
        Format::Json => serde_json::to_string_pretty(&exported)
            .map(|json| json + "\n")
            .map_err(|e| CliError::Failed(format!("the targets cannot be written as JSON: {e}")))?,
    };
    match file {
        None => out.text(&text)?,
        Some(file) if file == Path::new("-") => out.text(&text)?,
        Some(file) => {
            let shown = escape_controls(&file.display().to_string()).into_owned();
            std::fs::write(file, text).map_err(|e| CliError::input(format!("{shown} cannot be written: {e}")))?;
            out.line(&format!("{} targets written to {shown}", exported.targets.len()))?;
        }
    }
    Ok(Exit::Done)
}

/// `[[target]]` tables in the order of the keys of the table.
fn toml_text(targets: &[Map<String, Value>]) -> String {
    let defaults = Definition::default().to_json();
    let mut text = String::from(
        "# Targets of skypunch: edit, then `skypunchctl apply FILE`. Secrets are left out; what is\n# left out stays as it is.\n",
    );
    for target in targets {
        text.push_str("\n[[target]]\n");
        for key in KEYS {
            let value = target.get(*key).unwrap_or(&Value::Null);
            if value.is_null() || defaults.get(*key) == Some(value) {
                continue;
            }
            let written = match (*key, value) {
                ("frequency_ms" | "timeout_ms", Value::Number(n)) => duration_line(key, n.as_u64(), value),
                _ if holds_secret(value) => Some(format!("# {key} is left out: it holds a secret")),
                _ => line(key, value),
            };
            if let Some(written) = written {
                text.push_str(&written);
                text.push('\n');
            }
        }
    }
    text
}

/// The daemon shows `***` in place of a secret: in `authn_parms` and in the values of some headers.
fn holds_secret(value: &Value) -> bool {
    match value {
        Value::String(s) => s == "***",
        Value::Array(items) => items.iter().any(|i| i.as_str().is_some_and(|s| s.ends_with(": ***"))),
        _ => false,
    }
}

/// `frequency = "10s"` rather than `frequency_ms = 10000`.
fn duration_line(key: &str, ms: Option<u64>, value: &Value) -> Option<String> {
    match (key.strip_suffix("_ms"), ms) {
        (Some(key), Some(ms)) => Some(format!("{key} = \"{}\"", humantime::format_duration(Duration::from_millis(ms)))),
        _ => line(key, value),
    }
}

fn line(key: &str, value: &Value) -> Option<String> {
    let value = toml::Value::try_from(value).ok()?;
    Some(format!("{key} = {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::targets_file;
    use crate::secret::Secret;
    use proptest::prelude::*;

    fn definition(name: &str) -> Definition {
        Definition { name: name.into(), url: "http://a/".into(), ..Definition::default() }
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
            toml_text(&[definition("plain").to_json(), rich.to_json()]),
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
        let entries = targets_file::parse(&toml_text(&[definition("a").to_json(), basic.to_json()])).unwrap();
        assert_eq!(entries[0].definition().unwrap(), definition("a"));
        assert!(!entries[1].keys.contains_key("authn_parms"));
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
            let text = toml_text(&[d.to_json()]);
            let entries = targets_file::parse(&text).map_err(|e| TestCaseError::fail(format!("{text}\n{e:?}")))?;
            prop_assert_eq!(entries[0].definition().unwrap(), d);
        }
    }
}
