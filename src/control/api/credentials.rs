//! Credentials: `/v1/credentials` and what lies below it.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::model::credential::{CredentialDefinition, CredentialId};
use crate::model::definition::Problem;
use crate::model::reason::Reason;
use crate::model::time::UtcMs;

/// Query of `GET /v1/credentials`: every condition that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialFilter {
    /// Only those of this tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Only those that are enabled, or disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// Query of `DELETE /v1/credentials/{ref}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialRemoval {
    /// Although targets use it.
    #[serde(default)]
    pub force: bool,
}

/// Where a credential comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CredentialSource {
    /// A row of `credentials`.
    #[default]
    Row,
    /// An entry of clouds.yaml or the `OS_*` environment, by the name `cloud:NAME`.
    Cloud,
    /// The `authn_parms` of a target, by the name `target:NAME`.
    Target,
}

impl CredentialSource {
    /// The words for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            CredentialSource::Row => "credentials",
            CredentialSource::Cloud => "clouds.yaml",
            CredentialSource::Target => "authn_parms of its target",
        }
    }
}

/// What becomes of a credential's logins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum CredentialState {
    /// Nobody has needed a token since the daemon started, or since it was last used.
    #[default]
    #[serde(rename = "NEW")]
    New,
    /// The first login is under way.
    #[serde(rename = "LOGGING IN")]
    LoggingIn,
    /// There is a token.
    #[serde(rename = "VALID")]
    Valid,
    /// The token has ended, or was refused: who needs the next one causes a login.
    #[serde(rename = "EXPIRED")]
    Expired,
    /// There is no token, because the last login failed. It is tried again.
    #[serde(rename = "FAIL")]
    Fail,
    /// It may not be used.
    #[serde(rename = "DISABLED")]
    Disabled,
}

impl CredentialState {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            CredentialState::New => "NEW",
            CredentialState::LoggingIn => "LOGGING IN",
            CredentialState::Valid => "VALID",
            CredentialState::Expired => "EXPIRED",
            CredentialState::Fail => "FAIL",
            CredentialState::Disabled => "DISABLED",
        }
    }
}

/// How a credential is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CredentialStatus {
    /// What becomes of its logins.
    pub state: CredentialState,
    /// Why it fails, in a word.
    pub reason: Option<Reason>,
    /// When its token expires.
    pub expires_at: Option<UtcMs>,
    /// When the last login succeeded.
    pub logged_in_at: Option<UtcMs>,
    /// Whose token it is and what for, as the identity service says.
    pub logged_in_as: Option<String>,
    /// When it logs in again, if somebody uses it then.
    pub next_login_at: Option<UtcMs>,
    /// Why the last login failed; `None` when it did not. The token of an earlier one may still hold.
    pub last_error: Option<String>,
    /// When that was.
    pub last_failed_at: Option<UtcMs>,
    /// Logins that succeeded since the daemon started.
    pub logins_ok: u64,
    /// Logins that failed since the daemon started.
    pub logins_failed: u64,
}

/// One credential in a list: the rows in the order of their ids, then what is in use without a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialSummary {
    /// The database's id; `None` for one without a row.
    pub id: Option<CredentialId>,
    /// Where it comes from.
    pub source: CredentialSource,
    /// Its name, `cloud:NAME` or `target:NAME`; may stand where a credential is asked for.
    pub name: String,
    /// Its tenant; `None` for an entry of clouds.yaml.
    pub tenantid: Option<String>,
    /// `OPENSTACK`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it may be used.
    pub enabled: bool,
    /// How it is doing.
    #[serde(flatten)]
    pub status: CredentialStatus,
    /// Targets that name it, or whose own it is.
    pub users: usize,
    /// Its row is wrong: its last good form, if there was one, stays in force.
    pub invalid: bool,
}

/// Everything about one credential, all in one JSON object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CredentialDetail {
    /// The database's id; `None` for one without a row.
    pub id: Option<CredentialId>,
    /// Where it comes from.
    pub source: CredentialSource,
    /// The identity service that it logs in at; `None` where that is not known.
    pub auth_url: Option<String>,
    /// How it is doing.
    #[serde(flatten)]
    pub status: CredentialStatus,
    /// Names of the targets that name it, `tenant/name` where theirs is another tenant; or the target whose own it is.
    pub users: Vec<String>,
    /// What is wrong with its row; empty when nothing is. The last good form, if there was one, stays in force.
    pub problems: Vec<Problem>,
    /// What is not wrong, but should be known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The definition, as [`CredentialDefinition::to_json`] writes it; of one without a row what there is of it.
    #[serde(flatten, deserialize_with = "definition_keys")]
    pub definition: Map<String, Value>,
}

/// Keeps the keys of a definition: a flattened map is given those of the status too.
fn definition_keys<'de, D: Deserializer<'de>>(d: D) -> Result<Map<String, Value>, D::Error> {
    let mut map = Map::deserialize(d)?;
    map.retain(|key, _| CredentialDefinition::KEYS.contains(&key.as_str()));
    Ok(map)
}

/// The answer to `DELETE /v1/credentials/{ref}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedCredential {
    /// The id that it had; never given again.
    pub id: CredentialId,
    /// Its tenant.
    pub tenantid: String,
    /// Its name.
    pub name: String,
}
