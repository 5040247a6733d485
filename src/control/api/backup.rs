//! `/v1/backup`.

use serde::{Deserialize, Serialize};

/// What a backup is to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackupQuery {
    /// The rows of `results` too.
    pub results: bool,
}
