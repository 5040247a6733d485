//! `add`, `edit` and `remove`.

use std::io;

use serde_json::{Map, Value};

use super::args::EditArgs;
use super::exit::{CliError, Exit};
use super::keys::KeyArgs;
use super::output::Out;
use super::targets::key_text;
use crate::control::api::TargetRef;
use crate::control::client::Client;
use crate::model::definition::Definition;
use crate::model::text::{escape_controls, quoted};

pub(super) async fn add(client: &Client, keys: Box<KeyArgs>, out: &mut Out) -> Result<Exit, CliError> {
    let map = keys.map(io::stdin().lock())?;
    check_new(&map)?;
    let added = client.add(&map).await?;
    out.show(&added, |t, _| format!("Target: {} has been added with ID {}\n", key_text(t, "name"), t.id))?;
    Ok(Exit::Done)
}

/// The same checks as the daemon's, made before it is asked: they name what is wrong even when it does not run.
fn check_new(map: &Map<String, Value>) -> Result<(), CliError> {
    let mut definition = Definition::default();
    definition
        .set_all(map)
        .and_then(|()| definition.validate().map(drop))
        .map_err(|problems| CliError::Input(problems.iter().map(ToString::to_string).collect()))
}

pub(super) async fn edit(client: &Client, args: Box<EditArgs>, out: &mut Out) -> Result<Exit, CliError> {
    let map = args.keys.map(io::stdin().lock())?;
    if map.is_empty() {
        return Err(CliError::input(format!(
            "nothing is to be changed in {}: name a key, for example --frequency 30s (see skypunchctl edit target --help)",
            quoted(&args.target.to_string())
        )));
    }
    let changed = client.edit(&args.target, &map).await?;
    out.show(&changed, |t, _| format!("Target: {} has been changed\n", key_text(t, "name")))?;
    Ok(Exit::Done)
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
        check_new(value.as_object().unwrap())
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
