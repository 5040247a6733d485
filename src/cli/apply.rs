//! `apply FILE`: brings targets, notifiers and credentials into the form that a file says.
//!
//! The file is read and checked here, so that a problem names its place in the file; the daemon compares and changes.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::{Map, Value};

use super::args::ApplyArgs;
use super::edit::warnings;
use super::exit::{CliError, Exit};
use super::output::{Out, Style, Tint};
use crate::control::api::{Action, ApplyReport, ApplyRequest, Change, Kind};
use crate::control::client::Client;
use crate::model::notifier::any_type;
use crate::model::targets_file::{self, Entry};
use crate::model::text::{escape_controls, shorten};

/// 100,000 targets with headers and bodies fit; a disk image given by mistake does not.
const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;
/// A value in a list of changes is cut off beyond this; JSON has it whole.
const MAX_VALUE_CHARS: usize = 60;

pub(super) async fn run(client: &Client, args: &ApplyArgs, out: &mut Out) -> Result<Exit, CliError> {
    let text = read(&args.file)?;
    let request = request(&text, &args.file, args.plan, args.prune)?;
    out.show(&client.apply(&request).await?, report)?;
    Ok(Exit::Done)
}

/// The whole file as text.
fn read(file: &Path) -> Result<String, CliError> {
    if file == Path::new("-") {
        return read_text(io::stdin().lock(), "standard input");
    }
    let shown = escape_controls(&file.display().to_string()).into_owned();
    let unreadable = |e: io::Error| CliError::input(format!("{shown} cannot be read: {e}"));
    let opened = File::open(file).map_err(unreadable)?;
    if opened.metadata().map_err(unreadable)?.is_dir() {
        return Err(CliError::input(format!("{shown} is a directory: name a targets file")));
    }
    read_text(opened, &shown)
}

fn read_text(from: impl Read, shown: &str) -> Result<String, CliError> {
    let mut bytes = Vec::new();
    let read = from.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|e| CliError::input(format!("{shown} cannot be read: {e}")))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(CliError::input(format!("{shown} is longer than 256 MiB: this is no targets file")));
    }
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let line = e.as_bytes()[..at].iter().filter(|b| **b == b'\n').count() + 1;
        CliError::input(format!("{shown}: line {line} is not UTF-8 text: save the file as UTF-8"))
    })
}

fn request(text: &str, file: &Path, plan: bool, prune: bool) -> Result<ApplyRequest, CliError> {
    let shown = file.display();
    let entries = targets_file::parse(text, &any_type)
        .map_err(|problems| CliError::Input(problems.iter().map(|p| format!("{shown}: {p}")).collect()))?;
    if prune && [&entries.targets, &entries.notifiers, &entries.credentials].iter().all(|e| e.is_empty()) {
        return Err(CliError::input(format!(
            "{shown} lists nothing, and with --prune that would delete all: use `skypunchctl remove target`"
        )));
    }
    let (targets, notifiers) = (keys(entries.targets), keys(entries.notifiers));
    Ok(ApplyRequest { targets, notifiers, credentials: keys(entries.credentials), plan, prune })
}

/// The keys as they were written.
fn keys(entries: Vec<Entry>) -> Vec<Map<String, Value>> {
    let keys = |entry: Entry| {
        let mut keys = entry.keys;
        if let Some(old) = entry.renamed_from {
            keys.insert("renamed_from".into(), Value::String(old));
        }
        keys
    };
    entries.into_iter().map(keys).collect()
}

/// A line a change, then the sum.
fn report(report: &ApplyReport, style: &Style) -> String {
    let mut text = String::new();
    for change in report.changes.iter().filter(|c| c.action != Action::Unchanged) {
        text.push_str(&change_text(change, style));
    }
    let count = |action| report.changes.iter().filter(|c| c.action == action).count();
    let words = [
        (Action::Insert, "to insert", "inserted"),
        (Action::Update, "to update", "updated"),
        (Action::Rename, "to rename", "renamed"),
        (Action::Delete, "to delete", "deleted"),
        (Action::Unchanged, "unchanged", "unchanged"),
    ];
    let sum: Vec<String> = words
        .iter()
        .map(|(action, plan, done)| (count(*action), if report.applied { done } else { plan }))
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| format!("{n} {word}"))
        .collect();
    let sum = if sum.is_empty() { "no targets".to_owned() } else { sum.join(", ") };
    let end = if report.applied { "" } else { " (plan: nothing has been changed)" };
    text.push_str(&format!("{sum}{end}\n"));
    text.push_str(&warnings(&report.warnings));
    text
}

fn change_text(change: &Change, style: &Style) -> String {
    let tint = match change.action {
        Action::Insert => Tint::Good,
        Action::Delete => Tint::Bad,
        Action::Update | Action::Rename => Tint::Unclear,
        Action::Unchanged => Tint::None,
    };
    let tenant = if change.tenantid == "0" { String::new() } else { format!("{}/", change.tenantid) };
    let id = change.id.map_or(String::new(), |id| format!("[{id}] "));
    let kind = match change.kind {
        Kind::Target => "",
        Kind::Notifier => "notifier ",
        Kind::Credential => "credential ",
    };
    let name = escape_controls(&format!("{kind}{id}{tenant}{}", change.name)).into_owned();
    let mut text = format!("{} {name}\n", style.paint(&format!("{:<6}", change.action.as_str()), tint));
    for field in &change.fields {
        let arrow = match (change.action, &field.from) {
            (Action::Insert, _) => value(&field.to),
            (_, from) => format!("{} -> {}", value(from), value(&field.to)),
        };
        text.push_str(&format!("         {}: {arrow}\n", escape_controls(&field.field)));
    }
    text
}

fn value(value: &Value) -> String {
    let text = match value {
        Value::Null => return "(none)".into(),
        Value::String(s) => s.clone(),
        other => other.to_string(),
    };
    escape_controls(&shorten(&text, MAX_VALUE_CHARS)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::FieldChange;
    use serde_json::json;

    fn change(action: Action, name: &str, fields: Vec<FieldChange>) -> Change {
        Change { action, kind: Kind::Target, tenantid: "0".into(), name: name.into(), id: Some(4), fields }
    }

    fn field(field: &str, from: Value, to: Value) -> FieldChange {
        FieldChange { field: field.into(), from, to }
    }

    #[test]
    fn a_report_tells_each_change_and_the_sum() {
        let mut r = ApplyReport {
            changes: vec![
                Change {
                    id: None,
                    tenantid: "acme".into(),
                    ..change(Action::Insert, "shop", vec![field("url", Value::Null, json!("http://shop/"))])
                },
                change(Action::Update, "api", vec![field("frequency_ms", json!(60_000), json!(10_000))]),
                change(Action::Rename, "new", vec![field("name", json!("old"), json!("new"))]),
                change(Action::Delete, "gone\u{1b}", vec![]),
                change(Action::Unchanged, "same", vec![]),
                Change { kind: Kind::Notifier, ..change(Action::Delete, "ops", vec![]) },
                Change { kind: Kind::Credential, ..change(Action::Delete, "mycloud", vec![]) },
            ],
            applied: false,
            warnings: vec!["1 target names no\u{1b}thing".into()],
        };
        assert_eq!(
            report(&r, &Style::plain()),
            "\
insert acme/shop
         url: http://shop/
update [4] api
         frequency_ms: 60000 -> 10000
rename [4] new
         name: old -> new
delete [4] gone\\u{1b}
delete notifier [4] ops
delete credential [4] mycloud
1 to insert, 1 to update, 1 to rename, 3 to delete, 1 unchanged (plan: nothing has been changed)
Warning: 1 target names no\\u{1b}thing
"
        );
        r.applied = true;
        r.changes.truncate(1);
        r.warnings.clear();
        assert!(report(&r, &Style::plain()).ends_with("\n1 inserted\n"));
        r.changes.clear();
        assert_eq!(report(&r, &Style::plain()), "no targets\n");
    }

    #[test]
    fn the_request_holds_the_keys_as_written() {
        let text = "[[target]]\nname='b'\nrenamed_from='a'\nurl='http://b/'\nfrequency='10s'\n\
            [[notifier]]\nname='n'\ntype='SMTP'\naddress='a@x'\ngroup_wait='1s'\n\
            [[credential]]\nname='c'\nparams={auth_url='http://k', user_id='u', password='p'}\n";
        let r = request(text, Path::new("t.toml"), true, false).unwrap();
        assert_eq!(
            serde_json::to_value(&r).unwrap(),
            json!({"targets": [{"name": "b", "renamed_from": "a", "url": "http://b/", "frequency": "10s"}],
                   "notifiers": [{"name": "n", "type": "SMTP", "address": "a@x", "group_wait": "1s"}],
                   "credentials": [{"name": "c", "params": {"auth_url": "http://k", "user_id": "u", "password": "p"}}],
                   "plan": true, "prune": false})
        );
    }

    #[test]
    fn wrong_files_are_refused_with_their_place() {
        let error = |text: &str, prune| request(text, Path::new("t.toml"), false, prune).unwrap_err().to_string();
        assert!(error("[[target]\n", false).starts_with("t.toml: line 1, column "), "{}", error("[[target]\n", false));
        assert!(error("[[target]]\nname='a'\n", false).contains("t.toml: [[target]] 1 (`a`): url: is empty"));
        assert!(error("", true).contains("would delete all"));
        assert!(read_text(&b"a\nb\xff"[..], "t").unwrap_err().to_string().contains("line 2 is not UTF-8"));
        assert!(read(Path::new("/")).unwrap_err().to_string().contains("is a directory"));
        assert!(read(Path::new("/no/such")).unwrap_err().to_string().contains("/no/such cannot be read"));
    }
}
