//! Targets: `/v1/targets` and what lies below it.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::credentials::CredentialStatus;
use super::history::IncidentSummary;
use super::problem::ProblemDetails;
use crate::model::definition::{KEYS, Problem};
use crate::model::outcome::Outcome;
use crate::model::reason::Reason;
use crate::model::state::{Counters, Status, TargetState};
use crate::model::target::TargetId;
use crate::model::time::UtcMs;
use crate::model::trace::Step;

/// Query of `GET /v1/targets`: every condition that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetFilter {
    /// Only those with this status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Only those of this tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Only those that carry this tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Only those that are enabled, or disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// One target in a list, in the order of its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetSummary {
    /// The database's id.
    pub id: TargetId,
    /// Its name.
    pub name: String,
    /// Its tenant.
    pub tenantid: String,
    /// Where it stands.
    pub status: Status,
    /// When its last outcome came.
    pub last_updated: Option<UtcMs>,
    /// Whether it is probed.
    pub enabled: bool,
    /// Outcomes that passed.
    pub pass_count: i64,
    /// Outcomes that failed.
    pub fail_count: i64,
    /// Request method.
    pub method: String,
    /// URL without userinfo.
    pub url: String,
    /// Why it does not pass.
    pub reason: Option<Reason>,
    /// Its row is wrong: its last good form, if there was one, stays in force.
    pub invalid: bool,
}

/// Where a target stands: the columns of `target_status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetStatus {
    /// The status to show.
    pub status: Status,
    /// The conclusive status before the last outcome.
    pub previous_status: Status,
    /// The last outcome's description.
    pub status_description: String,
    /// The last outcome's reason.
    pub reason: Option<Reason>,
    /// When the last outcome came.
    pub last_updated: Option<UtcMs>,
    /// All counters.
    #[serde(flatten)]
    pub counters: Counters,
    /// FAIL outcomes in a row.
    pub repeated_fails: u32,
    /// PASS outcomes in a row.
    pub repeated_passes: u32,
    /// Latency of the last outcome in microseconds.
    pub last_latency_us: Option<u32>,
    /// `notAfter` of the last certificate seen.
    pub certificate_expires_at: Option<UtcMs>,
    /// The incident it is in.
    #[serde(with = "super::id_string::option")]
    pub incident_id: Option<i64>,
}

impl From<&TargetState> for TargetStatus {
    fn from(state: &TargetState) -> TargetStatus {
        TargetStatus {
            status: state.status(),
            previous_status: state.previous_status,
            status_description: state.status_description.to_string(),
            reason: state.reason,
            last_updated: state.last_updated,
            counters: state.counters,
            repeated_fails: state.repeated_fails,
            repeated_passes: state.repeated_passes,
            last_latency_us: state.last_latency_us,
            certificate_expires_at: state.certificate_expires_at,
            incident_id: state.incident.map(|i| i.id),
        }
    }
}

/// Everything about one target, all in one JSON object: the columns of `targets` and of `target_status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetDetail {
    /// The database's id.
    pub id: TargetId,
    /// Where it stands.
    #[serde(flatten)]
    pub status: TargetStatus,
    /// The incident it is in.
    pub open_incident: Option<IncidentSummary>,
    /// The credential that it logs in with, and how that is doing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<TargetCredential>,
    /// What is wrong with its row; empty when nothing is. The last good form, if there was one, stays in force.
    pub problems: Vec<Problem>,
    /// What is not wrong, but should be known, such as a credential that there is none of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The definition, as [`crate::model::definition::Definition::to_json`] writes it.
    #[serde(flatten, deserialize_with = "definition_keys")]
    pub definition: Map<String, Value>,
}

/// The credential that a target logs in with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetCredential {
    /// Its name, `tenant/name` where it is another tenant's, `cloud:NAME`, or `target:NAME` for the target's own.
    pub name: String,
    /// How it is doing.
    #[serde(flatten)]
    pub status: CredentialStatus,
}

/// Keeps the keys of a definition: a flattened map is given those of `target_status` too.
fn definition_keys<'de, D: Deserializer<'de>>(d: D) -> Result<Map<String, Value>, D::Error> {
    let mut map = Map::deserialize(d)?;
    map.retain(|key, _| KEYS.contains(&key.as_str()));
    Ok(map)
}

/// The answer to `DELETE /v1/targets/{ref}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// The id that it had; never given again.
    pub id: TargetId,
    /// Its tenant.
    pub tenantid: String,
    /// Its name.
    pub name: String,
}

/// One line of the answer to `POST /v1/targets/{ref}/test`: `started`, each `step`, then `outcome` or `error`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestLine {
    /// The probe begins.
    Started(TestStarted),
    /// Something happened.
    Step(Step),
    /// The probe has ended.
    Outcome(Outcome),
    /// The probe could not be carried out to its end by fault of the daemon (it stops, for example).
    Error(ProblemDetails),
}

/// The first line of a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestStarted {
    /// Microseconds UTC: a step's time is this plus its offset.
    pub started_at_us: i64,
    /// The target.
    pub id: TargetId,
    /// Its name.
    pub name: String,
    /// Request method.
    pub method: String,
    /// URL without userinfo.
    pub url: String,
}
