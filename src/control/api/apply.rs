//! Targets files: `POST /v1/apply` and `GET /v1/export`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The body of `POST /v1/apply`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplyRequest {
    /// The keys of each target as written, `renamed_from` among them; an absent key leaves what is there.
    #[serde(default)]
    pub targets: Vec<Map<String, Value>>,
    /// Those of each notifier.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notifiers: Vec<Map<String, Value>>,
    /// Those of each credential.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<Map<String, Value>>,
    /// Only say what would change.
    #[serde(default)]
    pub plan: bool,
    /// Delete what is not listed; targets only where some are listed, notifiers and credentials likewise.
    #[serde(default)]
    pub prune: bool,
}

/// What was changed, or would be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApplyReport {
    /// One a target, in the order of the request, deletions last; then the notifiers and the credentials likewise.
    pub changes: Vec<Change>,
    /// False for a plan.
    pub applied: bool,
    /// What is not wrong, but should be known, such as credentials that targets name and that there are none of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// What becomes of one target, notifier or credential.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// What is done.
    pub action: Action,
    /// With what.
    #[serde(default)]
    pub kind: Kind,
    /// Its tenant.
    pub tenantid: String,
    /// Its name, after the change.
    pub name: String,
    /// Its id; `None` in the plan of an insertion.
    pub id: Option<i64>,
    /// What differs, in the order of the table; secrets are shown as `***`. A rename has `name` among them.
    pub fields: Vec<FieldChange>,
}

/// What a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A target.
    #[default]
    Target,
    /// A notifier.
    Notifier,
    /// A credential.
    Credential,
}

/// What is done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is new.
    Insert,
    /// Some of its keys change.
    Update,
    /// Its name changes, and perhaps other keys.
    Rename,
    /// It goes.
    Delete,
    /// It is as asked already.
    Unchanged,
}

impl Action {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Insert => "insert",
            Action::Update => "update",
            Action::Rename => "rename",
            Action::Delete => "delete",
            Action::Unchanged => "unchanged",
        }
    }
}

/// One key that changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    /// The key.
    pub field: String,
    /// Its value before; null where there was none.
    pub from: Value,
    /// Its value after.
    pub to: Value,
}

/// The answer to `GET /v1/export`: every definition, as `GET /v1/targets/{ref}` and
/// the like of notifiers and credentials have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exported {
    /// In the order of tenant and name.
    pub targets: Vec<Map<String, Value>>,
    /// In the order of tenant and name; without secrets.
    #[serde(default)]
    pub notifiers: Vec<Map<String, Value>>,
    /// In the order of tenant and name; without secrets.
    #[serde(default)]
    pub credentials: Vec<Map<String, Value>>,
}
