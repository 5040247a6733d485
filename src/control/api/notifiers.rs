//! Notifiers: `/v1/notifiers` and what lies below it.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::model::definition::Problem;
use crate::model::notifier::{NotifierDefinition, NotifierId};
use crate::model::time::UtcMs;

/// Query of `GET /v1/notifiers`: every condition that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotifierFilter {
    /// Only those of this tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Only those that are enabled, or disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// How a notifier is doing: the columns of `notifier_status`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NotifierCounts {
    /// Messages that were accepted.
    pub pass_count: i64,
    /// Attempts that were not.
    pub fail_count: i64,
    /// When the last message was accepted.
    pub last_sent_at: Option<UtcMs>,
    /// When the last attempt was not.
    pub last_failed_at: Option<UtcMs>,
}

/// One notifier in a list, in the order of its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifierSummary {
    /// The database's id.
    pub id: NotifierId,
    /// Its name.
    pub name: String,
    /// Its tenant.
    pub tenantid: String,
    /// Whether it is told at all.
    pub enabled: bool,
    /// `SMTP`, or a provider of the catalogue.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where to, without secrets.
    pub address: String,
    /// How it is doing.
    #[serde(flatten)]
    pub counts: NotifierCounts,
    /// Its row is wrong: its last good form, if there was one, stays in force.
    pub invalid: bool,
}

/// Everything about one notifier, all in one JSON object: the columns of `notifiers` and of `notifier_status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NotifierDetail {
    /// The database's id.
    pub id: NotifierId,
    /// How it is doing.
    #[serde(flatten)]
    pub counts: NotifierCounts,
    /// What the server said last, or why it could not be asked.
    pub last_answer: Option<String>,
    /// What is wrong with its row; empty when nothing is. The last good form, if there was one, stays in force.
    pub problems: Vec<Problem>,
    /// The definition, as [`NotifierDefinition::to_json`] writes it.
    #[serde(flatten, deserialize_with = "definition_keys")]
    pub definition: Map<String, Value>,
}

/// Keeps the keys of a definition: a flattened map is given those of `notifier_status` too.
fn definition_keys<'de, D: Deserializer<'de>>(d: D) -> Result<Map<String, Value>, D::Error> {
    let mut map = Map::deserialize(d)?;
    map.retain(|key, _| NotifierDefinition::KEYS.contains(&key.as_str()));
    Ok(map)
}

/// The answer to `DELETE /v1/notifiers/{ref}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedNotifier {
    /// The id that it had; never given again.
    pub id: NotifierId,
    /// Its tenant.
    pub tenantid: String,
    /// Its name.
    pub name: String,
}
