//! `add`, `edit` and `remove`.

use std::io;

use serde_json::{Map, Value};

use super::args::{EditArgs, EditCredentialArgs, EditNotifierArgs};
use super::credentials::id_text;
use super::exit::{CliError, Exit};
use super::keys::{CredentialKeyArgs, KeyArgs, NotifierKeyArgs};
use super::output::Out;
use super::targets::key_text;
use crate::control::api::{CredentialReference, CredentialRemoval, NotifierRef, TargetRef};
use crate::control::client::Client;
use crate::model::credential::CredentialDefinition;
use crate::model::defined::Defined;
use crate::model::definition::Definition;
use crate::model::notifier::{NotifierDefinition, any_type};
use crate::model::text::{escape_controls, quoted};

pub(super) async fn add(client: &Client, keys: Box<KeyArgs>, out: &mut Out) -> Result<Exit, CliError> {
    let map = keys.map(io::stdin().lock())?;
    check_new::<Definition>(&map)?;
    let added = client.add(&map).await?;
    out.show(&added, |t, _| {
        let name = key_text(&t.definition, "name");
        format!("Target: {name} has been added with ID {}\n{}", t.id, warnings(&t.warnings))
    })?;
    Ok(Exit::Done)
}

/// The same checks as the daemon's, made before it is asked: they name what is wrong even when it does not run.
fn check_new<D: Defined>(map: &Map<String, Value>) -> Result<(), CliError> {
    let mut definition = D::default();
    // What the type of a notifier demands is known to the daemon.
    let problems = definition.set_all(map).err().unwrap_or_else(|| definition.problems(&any_type));
    if problems.is_empty() {
        return Ok(());
    }
    Err(CliError::Input(problems.iter().map(ToString::to_string).collect()))
}

pub(super) async fn edit(client: &Client, args: Box<EditArgs>, out: &mut Out) -> Result<Exit, CliError> {
    let map = args.keys.map(io::stdin().lock())?;
    something(&map, &args.target.to_string(), "--frequency 30s", "target")?;
    let changed = client.edit(&args.target, &map).await?;
    out.show(&changed, |t, _| {
        format!("Target: {} has been changed\n{}", key_text(&t.definition, "name"), warnings(&t.warnings))
    })?;
    Ok(Exit::Done)
}

/// Refuses an edit of nothing.
fn something(map: &Map<String, Value>, of: &str, example: &str, what: &str) -> Result<(), CliError> {
    if !map.is_empty() {
        return Ok(());
    }
    Err(CliError::input(format!(
        "nothing is to be changed in {}: name a key, for example {example} (see skypunchctl edit {what} --help)",
        quoted(of)
    )))
}

pub(super) async fn add_notifier(client: &Client, keys: Box<NotifierKeyArgs>, out: &mut Out) -> Result<Exit, CliError> {
    let map = keys.map(io::stdin().lock())?;
    check_new::<NotifierDefinition>(&map)?;
    let added = client.add_notifier(&map).await?;
    out.show(&added, |n, _| {
        format!("Notifier: {} has been added with ID {}\n", key_text(&n.definition, "name"), n.id)
    })?;
    Ok(Exit::Done)
}

pub(super) async fn edit_notifier(
    client: &Client,
    args: Box<EditNotifierArgs>,
    out: &mut Out,
) -> Result<Exit, CliError> {
    let map = args.keys.map(io::stdin().lock())?;
    something(&map, &args.notifier.to_string(), "--events fail,recovery", "notifier")?;
    let changed = client.edit_notifier(&args.notifier, &map).await?;
    out.show(&changed, |n, _| format!("Notifier: {} has been changed\n", key_text(&n.definition, "name")))?;
    Ok(Exit::Done)
}

pub(super) async fn remove_notifier(client: &Client, notifier: &NotifierRef, out: &mut Out) -> Result<Exit, CliError> {
    let removed = client.remove_notifier(notifier).await?;
    out.show(&removed, |r, _| format!("Notifier: {} has been removed\n", escape_controls(&r.name)))?;
    Ok(Exit::Done)
}

pub(super) async fn add_credential(
    client: &Client,
    keys: Box<CredentialKeyArgs>,
    out: &mut Out,
) -> Result<Exit, CliError> {
    let map = keys.map(io::stdin().lock())?;
    check_new::<CredentialDefinition>(&map)?;
    let added = client.add_credential(&map).await?;
    out.show(&added, |c, _| {
        let name = key_text(&c.definition, "name");
        format!("Credential: {name} has been added with ID {}\n{}", id_text(c.id), warnings(&c.warnings))
    })?;
    Ok(Exit::Done)
}

pub(super) async fn edit_credential(
    client: &Client,
    args: Box<EditCredentialArgs>,
    out: &mut Out,
) -> Result<Exit, CliError> {
    let map = args.keys.map(io::stdin().lock())?;
    something(&map, &args.credential.to_string(), "--params -", "credential")?;
    let changed = client.edit_credential(&args.credential, &map).await?;
    out.show(&changed, |c, _| {
        format!("Credential: {} has been changed\n{}", key_text(&c.definition, "name"), warnings(&c.warnings))
    })?;
    Ok(Exit::Done)
}

pub(super) async fn remove_credential(
    client: &Client,
    credential: &CredentialReference,
    force: bool,
    out: &mut Out,
) -> Result<Exit, CliError> {
    let removed = client.remove_credential(credential, CredentialRemoval { force }).await?;
    out.show(&removed, |r, _| format!("Credential: {} has been removed\n", escape_controls(&r.name)))?;
    Ok(Exit::Done)
}

/// A line a warning.
pub(super) fn warnings(all: &[String]) -> String {
    all.iter().map(|w| format!("Warning: {}\n", escape_controls(w))).collect()
}

pub(super) async fn remove(client: &Client, target: &TargetRef, out: &mut Out) -> Result<Exit, CliError> {
    let removed = client.remove(target).await?;
    out.show(&removed, |r, _| format!("Target: {} has been removed\n", escape_controls(&r.name)))?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(value: Value) -> Result<(), CliError> {
        check_new::<Definition>(value.as_object().unwrap())
    }

    #[test]
    fn a_new_target_is_checked_before_the_daemon_is_asked() {
        assert!(check(json!({"name": "a", "url": "http://a/"})).is_ok());
        for (value, part) in [
            (json!({"url": "http://a/"}), "name: is empty"),
            (json!({"name": "a"}), "url: is empty"),
            (json!({"name": "a\u{7}", "url": "http://a/"}), "holds a control character"),
            (json!({"name": "a", "url": "gopher://a/"}), "gopher"),
            (json!({"name": "a", "url": "http://a/", "method": "GTE"}), "did you mean GET?"),
            (json!({"name": "a", "url": "http://a/", "frequency_ms": 0}), "frequency_ms: 0 is out of range"),
            (json!({"name": "a", "url": "http://a/", "frequency_ms": i64::MAX}), "out of range"),
            (json!({"name": "a", "url": "http://a/", "authn": "BASIC"}), "authn_parms"),
        ] {
            let error = check(value.clone()).unwrap_err().to_string();
            assert!(error.contains(part), "{value}: {error}");
        }
    }
}
