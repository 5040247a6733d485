//! Targets files: `POST /v1/apply` and `GET /v1/export`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::target::TargetId;

/// The body of `POST /v1/apply`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplyRequest {
    /// The keys of each target as written, `renamed_from` among them; an absent key leaves what is there.
    pub targets: Vec<Map<String, Value>>,
    /// Only say what would change.
    #[serde(default)]
    pub plan: bool,
    /// Delete what is not listed.
    #[serde(default)]
    pub prune: bool,
}

/// What was changed, or would be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApplyReport {
    /// One a target, in the order of the request; deletions last.
    pub changes: Vec<Change>,
    /// False for a plan.
    pub applied: bool,
}

/// What becomes of one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// What is done.
    pub action: Action,
    /// Its tenant.
    pub tenantid: String,
    /// Its name, after the change.
    pub name: String,
    /// Its id; `None` in the plan of an insertion.
    pub id: Option<TargetId>,
    /// What differs, in the order of the table; secrets are shown as `***`. A rename has `name` among them.
    pub fields: Vec<FieldChange>,
}

/// What is done with a target.
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

/// The answer to `GET /v1/export`: every definition, as `GET /v1/targets/{ref}` has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exported {
    /// In the order of tenant and name.
    pub targets: Vec<Map<String, Value>>,
}
