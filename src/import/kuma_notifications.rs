//! Notifications of Uptime Kuma: a row with a name, and a text of JSON that only its type understands.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::channels::{self, KUMA, add_param};
use super::draft::{Found, NotifierDraft};
use super::fields::Fields;
use super::kuma::renamed;
use crate::model::text::quoted;

/// A notification as a notifier, by its id.
pub(super) fn notification(value: Value, notifiers: &mut BTreeMap<String, NotifierDraft>, found: &mut Found) {
    let mut row = Fields::of(renamed(value), "");
    let id = row.text("id").unwrap_or_default();
    let name = row.word("name").unwrap_or_default();
    let config = match row.take("config") {
        Some(Value::String(text)) => serde_json::from_str(&text).unwrap_or(Value::Null),
        Some(other) => other,
        None => Value::Null,
    };
    let mut f = Fields::of(config, "");
    let word = f.word("type").unwrap_or_default();
    let title =
        format!("notification {} ({})", quoted(&name), if word.is_empty() { "no type".into() } else { quoted(&word) });
    f.skip(&["name", "isDefault", "applyExisting", "id", "userId", "active"]);
    let Some(channel) = KUMA.iter().find(|c| c.word == word) else {
        found.leave(title, "skypunch has no type of notifier for it: see `skypunchctl notifiers types`", Vec::new());
        return;
    };
    if word == "ntfy"
        && let (Some(server), Some(topic)) = (f.word("ntfyserverurl"), f.word("ntfytopic"))
    {
        f.extend(Map::from_iter([(
            "ntfyserverurl".to_owned(),
            format!("{}/{topic}", server.trim_end_matches('/')).into(),
        )]));
    }
    let security = (word == "smtp").then(|| {
        let (secure, ignored) = (f.flag("smtpSecure").unwrap_or(false), f.flag("smtpIgnoreTLSError").unwrap_or(false));
        if ignored {
            f.note("smtpIgnoreTLSError has no counterpart: write `ca` for an authority of your own");
        }
        if secure { "tls" } else { "opportunistic" }
    });
    let region = f.word("opsgenieRegion");
    let priority = f.number("opsgeniePriority");
    match channels::notifier(channel, &name, &mut f, str::to_owned) {
        Ok(mut draft) => {
            if let Some(security) = security {
                add_param(&mut draft, "security", security);
            }
            if region.as_deref() == Some("eu") {
                add_param(&mut draft, "url", "https://api.eu.opsgenie.com");
            }
            if let Some(p @ 1..=5) = priority {
                add_param(&mut draft, "priority", &format!("P{p}"));
            }
            if word == "webhook" {
                f.note("a WEBHOOK of skypunch sends a body of its own: see `skypunchctl notifiers types WEBHOOK`");
                f.skip(&["webhookContentType"]);
            }
            f.skip(&["ntfyAuthenticationMethod"]);
            draft.definition.enabled = row.flag("active").unwrap_or(true);
            f.finish();
            draft.notes.append(&mut f.notes);
            notifiers.insert(id, draft);
        }
        Err(why) => found.leave(title, &why, std::mem::take(&mut f.notes)),
    }
}
