//! `reload`.

use super::exit::{CliError, Exit};
use super::output::Out;
use crate::control::api::Reloaded;
use crate::control::client::Client;

pub(super) async fn run(client: &Client, out: &mut Out) -> Result<Exit, CliError> {
    out.show(&client.reload().await?, |r, _| text(r))?;
    Ok(Exit::Done)
}

fn text(r: &Reloaded) -> String {
    let invalid = match r.invalid {
        0 => String::new(),
        n => format!(", {n} invalid and not in force (see skypunchctl status)"),
    };
    let mut text = format!("definitions read: {} targets, {} changed{invalid}\n", r.targets, r.changed);
    if !r.settings_changed.is_empty() {
        text.push_str(&format!("settings changed: {}\n", r.settings_changed.join(", ")));
    }
    if !r.needs_restart.is_empty() {
        text.push_str(&format!("settings that need a restart: {}\n", r.needs_restart.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_rows_are_told_only_where_there_are_any() {
        assert_eq!(
            text(&Reloaded { targets: 12, changed: 3, ..Reloaded::default() }),
            "definitions read: 12 targets, 3 changed\n"
        );
        assert!(text(&Reloaded { invalid: 1, ..Reloaded::default() }).contains("1 invalid and not in force"));
    }

    #[test]
    fn settings_are_told_only_where_they_differ() {
        let keys = |keys: &[&str]| keys.iter().map(|k| (*k).to_owned()).collect();
        let r = Reloaded {
            settings_changed: keys(&["log.level"]),
            needs_restart: keys(&["state.dir", "probe.arbiters"]),
            ..Reloaded::default()
        };
        let told = text(&r);
        assert!(told.contains("settings changed: log.level\n"), "{told}");
        assert!(told.ends_with("settings that need a restart: state.dir, probe.arbiters\n"), "{told}");
    }
}
