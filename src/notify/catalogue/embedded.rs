//! The files of `etc/notifiers`, built in. A test holds that none is missing here.

/// Name and text.
pub(super) const FILES: &[(&str, &str)] = &[
    ("alertmanager.toml", include_str!("../../../etc/notifiers/alertmanager.toml")),
    ("discord.toml", include_str!("../../../etc/notifiers/discord.toml")),
    ("googlechat.toml", include_str!("../../../etc/notifiers/googlechat.toml")),
    ("gotify.toml", include_str!("../../../etc/notifiers/gotify.toml")),
    ("grafana_oncall.toml", include_str!("../../../etc/notifiers/grafana_oncall.toml")),
    ("home_assistant.toml", include_str!("../../../etc/notifiers/home_assistant.toml")),
    ("matrix.toml", include_str!("../../../etc/notifiers/matrix.toml")),
    ("mattermost.toml", include_str!("../../../etc/notifiers/mattermost.toml")),
    ("ntfy.toml", include_str!("../../../etc/notifiers/ntfy.toml")),
    ("opsgenie.toml", include_str!("../../../etc/notifiers/opsgenie.toml")),
    ("pagerduty.toml", include_str!("../../../etc/notifiers/pagerduty.toml")),
    ("pushover.toml", include_str!("../../../etc/notifiers/pushover.toml")),
    ("rocketchat.toml", include_str!("../../../etc/notifiers/rocketchat.toml")),
    ("slack.toml", include_str!("../../../etc/notifiers/slack.toml")),
    ("slack_bot.toml", include_str!("../../../etc/notifiers/slack_bot.toml")),
    ("splunk_oncall.toml", include_str!("../../../etc/notifiers/splunk_oncall.toml")),
    ("teams.toml", include_str!("../../../etc/notifiers/teams.toml")),
    ("telegram.toml", include_str!("../../../etc/notifiers/telegram.toml")),
    ("twilio.toml", include_str!("../../../etc/notifiers/twilio.toml")),
    ("webhook.toml", include_str!("../../../etc/notifiers/webhook.toml")),
    ("zulip.toml", include_str!("../../../etc/notifiers/zulip.toml")),
];
