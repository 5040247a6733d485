//! The alert channels of other monitors, and the types of notifiers that are the same thing here.
//!
//! One row a channel: the source's word, the type, which key is the address, which keys are parameters.

use super::draft::{Draft, NotifierDraft};
use super::fields::Fields;
use crate::model::notifier::{NotifierDefinition, SMTP};
use crate::model::params;

/// A channel of a source.
pub(super) struct Channel {
    /// The source's word for it.
    pub word: &'static str,
    /// The type of notifier.
    pub kind: &'static str,
    /// The source's key that holds the address.
    pub address: &'static str,
    /// Source's key and parameter; `true` where the type demands it.
    pub params: &'static [(&'static str, &'static str, bool)],
}

const fn channel(
    word: &'static str,
    kind: &'static str,
    address: &'static str,
    params: &'static [(&'static str, &'static str, bool)],
) -> Channel {
    Channel { word, kind, address, params }
}

/// Those of Gatus (`alerting:`).
pub(super) const GATUS: &[Channel] = &[
    channel("slack", "SLACK", "webhook-url", &[]),
    channel("discord", "DISCORD", "webhook-url", &[]),
    channel("teams-workflows", "TEAMS", "webhook-url", &[]),
    channel("googlechat", "GOOGLECHAT", "webhook-url", &[]),
    channel("mattermost", "MATTERMOST", "webhook-url", &[("channel", "channel", false)]),
    channel("rocketchat", "ROCKETCHAT", "webhook-url", &[("channel", "channel", false)]),
    channel("telegram", "TELEGRAM", "id", &[("token", "token", true), ("api-url", "url", false)]),
    channel("pagerduty", "PAGERDUTY", "integration-key", &[]),
    channel("opsgenie", "OPSGENIE", "api-key", &[("priority", "priority", false)]),
    channel(
        "pushover",
        "PUSHOVER",
        "user-key",
        &[
            ("application-token", "token", true),
            ("priority", "priority", false),
            ("sound", "sound", false),
            ("device", "device", false),
        ],
    ),
    channel("gotify", "GOTIFY", "server-url", &[("token", "token", true), ("priority", "priority", false)]),
    channel("ntfy", "NTFY", "url", &[("token", "token", false), ("priority", "priority", false)]),
    channel("matrix", "MATRIX", "internal-room-id", &[("server-url", "server", true), ("access-token", "token", true)]),
    channel("twilio", "TWILIO", "to", &[("sid", "account", true), ("token", "token", true), ("from", "from", true)]),
    channel("homeassistant", "HOME_ASSISTANT", "url", &[("token", "token", true)]),
    channel(
        "email",
        SMTP,
        "to",
        &[
            ("host", "server", true),
            ("port", "port", false),
            ("username", "user", false),
            ("password", "password", false),
            ("from", "from", false),
        ],
    ),
];

/// Those of Uptime Kuma (`type` of a notification).
pub(super) const KUMA: &[Channel] = &[
    channel("slack", "SLACK", "slackwebhookURL", &[]),
    channel("discord", "DISCORD", "discordWebhookUrl", &[("discordUsername", "username", false)]),
    channel("teams", "TEAMS", "webhookUrl", &[]),
    channel("GoogleChat", "GOOGLECHAT", "googleChatWebhookURL", &[]),
    channel(
        "mattermost",
        "MATTERMOST",
        "mattermostWebhookUrl",
        &[("mattermostchannel", "channel", false), ("mattermostusername", "username", false)],
    ),
    channel("rocket.chat", "ROCKETCHAT", "rocketwebhookURL", &[("rocketchannel", "channel", false)]),
    channel(
        "telegram",
        "TELEGRAM",
        "telegramChatID",
        &[("telegramBotToken", "token", true), ("telegramMessageThreadID", "thread", false)],
    ),
    channel("PagerDuty", "PAGERDUTY", "pagerdutyIntegrationKey", &[]),
    channel("Opsgenie", "OPSGENIE", "opsgenieApiKey", &[]),
    channel(
        "pushover",
        "PUSHOVER",
        "pushoveruserkey",
        &[
            ("pushoverapptoken", "token", true),
            ("pushoverdevice", "device", false),
            ("pushoversounds", "sound", false),
            ("pushoverpriority", "priority", false),
        ],
    ),
    channel(
        "gotify",
        "GOTIFY",
        "gotifyserverurl",
        &[("gotifyapplicationToken", "token", true), ("gotifyPriority", "priority", false)],
    ),
    channel(
        "ntfy",
        "NTFY",
        "ntfyserverurl",
        &[
            ("ntfyaccesstoken", "token", false),
            ("ntfyusername", "user", false),
            ("ntfypassword", "password", false),
            ("ntfyPriority", "priority", false),
        ],
    ),
    channel("matrix", "MATRIX", "internalRoomId", &[("homeserverUrl", "server", true), ("accessToken", "token", true)]),
    channel(
        "twilio",
        "TWILIO",
        "twilioToNumber",
        &[
            ("twilioAccountSID", "account", true),
            ("twilioApiKey", "key", false),
            ("twilioAuthToken", "token", true),
            ("twilioFromNumber", "from", true),
        ],
    ),
    channel(
        "HomeAssistant",
        "HOME_ASSISTANT",
        "homeAssistantUrl",
        &[("longLivedAccessToken", "token", true), ("notificationService", "service", false)],
    ),
    channel("GrafanaOncall", "GRAFANA_ONCALL", "GrafanaOncallURL", &[]),
    channel("Splunk", "SPLUNK_ONCALL", "splunkRestURL", &[]),
    channel("webhook", "WEBHOOK", "webhookURL", &[]),
    channel(
        "smtp",
        SMTP,
        "smtpTo",
        &[
            ("smtpHost", "server", true),
            ("smtpPort", "port", false),
            ("smtpUsername", "user", false),
            ("smtpPassword", "password", false),
            ("smtpFrom", "from", false),
        ],
    ),
];

/// The notifier that a channel is, or why it cannot be one. `secret` writes a value as skypunch would.
pub(super) fn notifier(
    channel: &Channel,
    name: &str,
    fields: &mut Fields,
    secret: impl Fn(&str) -> String,
) -> Result<NotifierDraft, String> {
    let mut draft: NotifierDraft = Draft::default();
    let d: &mut NotifierDefinition = &mut draft.definition;
    d.name = name.to_owned();
    d.kind = channel.kind.to_owned();
    d.address = fields.word(channel.address).map(|a| secret(a.trim())).unwrap_or_default();
    if d.address.is_empty() {
        return Err(format!("{} is missing", channel.address));
    }
    let mut written: Vec<(&str, String)> = Vec::new();
    for (key, param, required) in channel.params {
        match fields.word(key) {
            Some(value) => written.push((param, secret(&value))),
            None if *required => return Err(format!("{key} is missing, and {} needs it", channel.kind)),
            None => {}
        }
    }
    if !written.is_empty() {
        d.params = Some(params::write(written.iter().map(|(n, v)| (*n, v.as_str()))));
    }
    Ok(draft)
}

/// Adds a parameter to those of a notifier.
pub(super) fn add_param(draft: &mut NotifierDraft, name: &str, value: &str) {
    let more = params::write([(name, value)]);
    let params = &mut draft.definition.params;
    let written = match params.as_ref().map(crate::secret::Secret::expose).filter(|p| !p.is_empty()) {
        Some(before) => format!("{before},{}", more.expose()),
        None => more.expose().to_owned(),
    };
    *params = Some(crate::secret::Secret::new(written));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_channel_becomes_a_notifier_or_says_what_is_missing() {
        let telegram = GATUS.iter().find(|c| c.word == "telegram").unwrap();
        let mut fields = Fields::of(json!({"id": -100, "token": "a,b"}), "telegram.");
        let mut draft = notifier(telegram, "t", &mut fields, str::to_owned).unwrap();
        add_param(&mut draft, "thread", "5");
        let d = &draft.definition;
        assert_eq!((d.address.as_str(), d.params.as_ref().unwrap().expose()), ("-100", "token=\"a,b\",thread=5"));
        let error = notifier(telegram, "t", &mut Fields::of(json!({"id": 1}), ""), str::to_owned).unwrap_err();
        assert_eq!(error, "token is missing, and TELEGRAM needs it");
    }
}
