//! The targets file: `[[target]]`, `[[notifier]]` and `[[credential]]` tables in TOML, in the words of the tables
//! `targets`, `notifiers` and `credentials`.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Map, Value};

use super::credential::CredentialDefinition;
use super::defined::{Defined, is_hidden};
use super::definition::{Definition, Problem};
use super::notifier::{NotifierDefinition, TypeCheck};
use super::text::{clean, escape_controls, nearest, quoted, shorten};

/// One `[[target]]`, `[[notifier]]` or `[[credential]]` of a file: what was written, and nothing else, so that an absent
/// key can mean "as it is".
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its tenant; `0` when the file does not say.
    pub tenantid: String,
    /// The name it had before: keeps its history over a rename.
    pub renamed_from: Option<String>,
    /// All keys that were written, without `renamed_from`.
    pub keys: Map<String, Value>,
}

impl Entry {
    /// Reads and checks the keys of one of them.
    ///
    /// # Errors
    /// Its name, if it has one, and everything that is wrong.
    pub fn from_keys<D: Defined>(
        keys: Map<String, Value>,
        types: &TypeCheck,
    ) -> Result<Entry, (Option<String>, Vec<Problem>)> {
        entry_from_keys::<D>(keys, types)
    }

    /// The definition when there is no row yet.
    ///
    /// # Errors
    /// All problems of the keys; the meaning is checked by [`Defined::problems`].
    pub fn definition<D: Defined>(&self) -> Result<D, Vec<Problem>> {
        let mut definition = D::default();
        definition.set_all(&self.keys)?;
        Ok(definition)
    }
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TargetsFile {
    /// Each `[[target]]`.
    pub targets: Vec<Entry>,
    /// Each `[[notifier]]`.
    pub notifiers: Vec<Entry>,
    /// Each `[[credential]]`.
    pub credentials: Vec<Entry>,
}

/// One thing that is wrong with a file, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileProblem {
    /// `line 3, column 7` or `[[target]] 2 (shop)`; empty for the file as a whole.
    pub place: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl std::fmt::Display for FileProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.place.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.place, self.message) }
    }
}

/// Reads and checks a whole targets file.
///
/// # Errors
/// Every problem of the file with its place; nothing of a file with a problem is to be used.
pub fn parse(text: &str, types: &TypeCheck) -> Result<TargetsFile, Vec<FileProblem>> {
    let table: toml::Table = toml::from_str(text).map_err(|e| {
        let place = e.span().map_or(String::new(), |span| {
            let before = text.get(..span.start).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            format!("line {line}, column {column}")
        });
        vec![FileProblem { place, message: format!("this is not TOML: {}", words(&e)) }]
    })?;
    let mut problems = Vec::new();
    let mut file = TargetsFile::default();
    for (key, value) in table {
        match key.as_str() {
            "target" => file.targets = entries::<Definition>(value, types, &mut problems),
            "notifier" => file.notifiers = entries::<NotifierDefinition>(value, types, &mut problems),
            "credential" => file.credentials = entries::<CredentialDefinition>(value, types, &mut problems),
            other => {
                let hint = nearest(other, ["target", "notifier", "credential"]).map_or(
                    "targets are written as [[target]], notifiers as [[notifier]], credentials as [[credential]]"
                        .to_owned(),
                    |k| format!("did you mean [[{k}]]?"),
                );
                problems.push(whole(format!("there is no key {}; {hint}", quoted(other))));
            }
        }
    }
    if problems.is_empty() { Ok(file) } else { Err(problems) }
}

/// `[[target]]` and below it the keys that differ from their defaults, in the order of the table.
pub fn write_entry<D: Defined>(text: &mut String, keys: &Map<String, Value>) {
    let defaults = D::default().to_json();
    text.push_str(&format!("[[{}]]\n", D::WHAT));
    for key in D::KEYS {
        let value = keys.get(*key).unwrap_or(&Value::Null);
        if !value.is_null()
            && defaults.get(*key) != Some(value)
            && let Some(line) = key_line(key, value)
        {
            text.push_str(&line);
            text.push('\n');
        }
    }
}

/// A key as a file writes it: `frequency = "10s"` rather than `frequency_ms = 10000`. `None`: TOML has no form for it.
#[must_use]
pub fn key_line(key: &str, value: &Value) -> Option<String> {
    if let (Some(short), Some(ms)) = (key.strip_suffix("_ms"), value.as_u64()) {
        let duration = humantime::format_duration(Duration::from_millis(ms));
        return Some(format!("{short} = \"{duration}\""));
    }
    let text = toml::Value::try_from(value).ok()?.to_string();
    let text = if text.contains(is_hidden_in_toml) { in_escapes(value) } else { text };
    Some(format!("{key} = {text}"))
}

/// What the TOML library writes as it is, and no terminal should get.
fn is_hidden_in_toml(c: char) -> bool {
    super::text::is_hidden(c) && !matches!(c, '\n' | '\t')
}

/// A value as TOML, with escapes for everything that is hidden.
fn in_escapes(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(in_escapes).collect::<Vec<_>>().join(", ")),
        Value::Object(keys) => {
            let pairs = keys.iter().map(|(key, v)| format!("{} = {}", in_escapes(&key.as_str().into()), in_escapes(v)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        // A basic string of TOML takes every escape of JSON.
        other => other.to_string().chars().fold(String::new(), |mut out, c| {
            if super::text::is_hidden(c) {
                out.push_str(&format!("\\U{:08X}", u32::from(c)));
            } else {
                out.push(c);
            }
            out
        }),
    }
}

/// The parser's words on one line; they may quote the file.
fn words(error: &toml::de::Error) -> String {
    let words: Vec<&str> = error.message().lines().map(str::trim).collect();
    clean(&words.join(" "), 300)
}

/// A problem of the file as a whole.
fn whole(message: String) -> FileProblem {
    FileProblem { place: String::new(), message }
}

/// All entries of one kind that are fit; what is wrong with the others goes to `problems`.
fn entries<D: Defined>(value: toml::Value, types: &TypeCheck, problems: &mut Vec<FileProblem>) -> Vec<Entry> {
    let what = D::WHAT;
    let toml::Value::Array(all) = value else {
        problems.push(whole(format!("`{what}` is not a list: write [[{what}]] with double brackets")));
        return Vec::new();
    };
    let mut entries: Vec<Entry> = Vec::new();
    for (i, value) in all.into_iter().enumerate() {
        match read_entry::<D>(value, types) {
            Ok(entry) => entries.push(entry),
            Err((name, found)) => {
                let name = name.map_or(String::new(), |n| format!(" ({})", quoted(&n)));
                let place = format!("[[{what}]] {}{name}", i + 1);
                let placed = |p: Problem| FileProblem { place: place.clone(), message: p.to_string() };
                problems.extend(found.into_iter().map(placed));
            }
        }
    }
    let mut seen: HashMap<(&str, &str), usize> = HashMap::new();
    for (i, entry) in entries.iter().enumerate() {
        if let Some(first) = seen.insert((&entry.tenantid, &entry.name), i + 1) {
            problems.push(whole(format!(
                "{} stands twice in tenant {} (the {first}. and {}. valid [[{what}]]): names are unique within a tenant",
                quoted(&entry.name),
                quoted(&entry.tenantid),
                i + 1
            )));
        }
    }
    entries
}

fn read_entry<D: Defined>(value: toml::Value, types: &TypeCheck) -> Result<Entry, (Option<String>, Vec<Problem>)> {
    // JSON knows no nan and no inf: they would become nothing, and nothing means the default.
    if let Some((key, _)) =
        value.as_table().and_then(|t| t.iter().find(|(_, v)| v.as_float().is_some_and(|f| !f.is_finite())))
    {
        let name = value.get("name").and_then(toml::Value::as_str).map(str::to_owned);
        return Err((name, vec![wrong(&escape_controls(&shorten(key, 60)), "is no number")]));
    }
    match serde_json::to_value(&value) {
        Ok(Value::Object(keys)) => Entry::from_keys::<D>(keys, types),
        _ => {
            let message = format!("is not a table: write [[{}]] and keys below it", D::WHAT);
            Err((None, vec![wrong(D::WHAT, &message)]))
        }
    }
}

fn wrong(field: &str, message: &str) -> Problem {
    Problem { field: field.into(), message: message.into() }
}

fn entry_from_keys<D: Defined>(
    mut keys: Map<String, Value>,
    types: &TypeCheck,
) -> Result<Entry, (Option<String>, Vec<Problem>)> {
    let text = |keys: &Map<String, Value>, key: &str| keys.get(key).and_then(Value::as_str).map(str::to_owned);
    let name = text(&keys, "name");
    let tenantid = text(&keys, "tenantid").unwrap_or_else(|| "0".into());
    let renamed_from = match keys.remove("renamed_from") {
        None => None,
        Some(Value::String(s)) => Some(s),
        Some(_) => {
            let message = format!("is not a text: write the name that the {} had before", D::WHAT);
            return Err((name, vec![wrong("renamed_from", &message)]));
        }
    };
    let mut definition = D::standing_in(&keys);
    let mut problems = definition.set_all(&keys).err().unwrap_or_default();
    if problems.is_empty() {
        problems = definition.problems(types);
        // A secret that is left out, or `***`, means "as it is". Whether there is one, only the database knows.
        let kept: Vec<&str> = D::SECRETS.iter().filter(|k| keys.get(**k).is_none_or(is_hidden)).copied().collect();
        problems.retain(|p| !kept.iter().any(|k| p.field == *k || p.field.starts_with(&format!("{k}."))));
    }
    match name {
        Some(name) if problems.is_empty() => Ok(Entry { name, tenantid, renamed_from, keys }),
        name => Err((name, problems)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::notifier::any_type;
    use proptest::prelude::*;

    #[test]
    fn a_file_with_everything_people_write() {
        let entries = parse(
            r#"
            [[target]]
            name = "shop"
            url = "https://shop.example/"
            frequency = "10s"
            pass_result = 200
            tags = ["web", "prod"]
            headers = { Accept = "text/html" }

            [[target]]
            name = "api"
            tenantid = "7"
            renamed_from = "old api"
            url = "https://api.example/v1?x=1"
            frequency_ms = 500
            "#,
            &any_type,
        )
        .unwrap()
        .targets;
        let d: Definition = entries[0].definition().unwrap();
        assert_eq!(
            (d.frequency_ms, d.pass_result.as_str(), d.headers.as_deref()),
            (10_000, "200", Some("Accept: text/html"))
        );
        assert_eq!(entries[1].renamed_from.as_deref(), Some("old api"));
        assert!(!entries[1].keys.contains_key("renamed_from"));
    }

    #[test]
    fn an_absent_secret_is_as_it_is_and_a_wrong_one_is_wrong() {
        let target = "[[target]]\nname='a'\nurl='http://x/'\nauthn='BASIC'\n";
        assert_eq!(parse(target, &any_type).unwrap().targets.len(), 1);
        let wrong = parse(&format!("{target}authn_parms='user=a'\n"), &any_type).unwrap_err();
        assert!(wrong[0].message.contains("password"), "{wrong:?}");
    }

    #[test]
    fn problems_name_their_place() {
        let cases = [
            ("[[target]\nname=1", "line 1"),
            (
                "[[target]]\nname='a'\nurl='http://x/'\nfrequncy='1s'",
                "[[target]] 1 (`a`): frequncy: there is no such key; did you mean",
            ),
            ("[[target]]\nurl='http://x/'", "[[target]] 1: name: is empty"),
            ("[[target]]\nname='a'\nurl='http://x/'\nfail_after=nan", "[[target]] 1 (`a`): fail_after: is no number"),
            ("[[target]]\nname='a'\nurl='http://x/'\ntimeout='2m'", "timeout_ms: 120000 is longer"),
            ("[[targets]]\nname='a'", "did you mean [[target]]?"),
            ("target = 3", "double brackets"),
            (
                "[[notifier]]\nname='a'\ntype='SMTP'\naddress='a@x'\ngruop_wait='1s'",
                "[[notifier]] 1 (`a`): gruop_wait: there is no such key; did you mean `group_wait`?",
            ),
            ("[[notifier]]\nname='a'\naddress='a@x'", "[[notifier]] 1 (`a`): type: is empty"),
            ("[[notifer]]\nname='a'", "did you mean [[notifier]]?"),
            ("[[credentials]]\nname='a'", "did you mean [[credential]]?"),
            (
                "[[credential]]\nname='a'\nparams='auth_url=http://k,usernme=hunter2'",
                "[[credential]] 1 (`a`): params: `usernme` is not known to OPENSTACK; did you mean `username`?",
            ),
            ("[[credential]]\nname='a'\ntype='OPENSTAK'", "type: `OPENSTAK` is no type of credential"),
            ("[[target]]\nname='a'\nurl='http://x/'\n[[target]]\nname='a'\nurl='http://y/'", "stands twice"),
        ];
        for (text, part) in cases {
            let all: Vec<String> = parse(text, &any_type).unwrap_err().iter().map(ToString::to_string).collect();
            assert!(all.iter().any(|p| p.contains(part)), "{text}: {all:?} should hold {part}");
        }
    }

    #[test]
    fn what_is_hidden_is_written_in_escapes_and_read_back() {
        let odd = "say \"hi\"\n'\u{9b}31m\u{85}\u{202e}\u{7f}\u{1f600}\\\0";
        let all = serde_json::json!({ "k": odd, "list": [odd, 1, true], "table": { odd: { "x": odd } } });
        for (key, value) in all.as_object().unwrap() {
            let line = key_line(key, value).unwrap();
            assert!(!line.contains(crate::model::text::is_hidden), "{line:?}");
            let read: Value = toml::from_str(&line).unwrap();
            assert_eq!(&read[key], value, "{line}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC*|(\\[\\[(target|notifier)\\]\\]\n)?([a-z_]{1,12} = (\"[^\"]{0,12}\"|-?[0-9]{1,20}|true|\\[\\])\n){0,6}") {
            let _ignored = parse(&text, &any_type);
        }
    }
}
