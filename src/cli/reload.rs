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
    format!("definitions read: {} targets, {} changed{invalid}\n", r.targets, r.changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_rows_are_told_only_where_there_are_any() {
        assert_eq!(
            text(&Reloaded { targets: 12, changed: 3, invalid: 0 }),
            "definitions read: 12 targets, 3 changed\n"
        );
        assert!(text(&Reloaded { targets: 12, changed: 3, invalid: 1 }).contains("1 invalid and not in force"));
    }
}
