//! What an incident is about: a target, or a credential that targets share.
//!
//! ```text
//!  target 7                   7        (targets.id)
//!  credential, row 3         -3        (minus credentials.id)
//!  credential of target 7    -2^61 - 7
//!  cloud:NAME                -2^62 - hash of NAME
//! ```
//!
//! One number, so that statuses, incidents, events and the outbox treat all alike.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::credential::{CredentialId, CredentialKey};
use super::ids::splitmix64;
use super::target::TargetId;

/// Below this are the credentials of targets.
const OF_TARGETS: i64 = 1 << 61;
/// Below this are those of clouds.yaml.
const OF_CLOUDS: i64 = 1 << 62;

/// The number of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SubjectId(pub i64);

/// What kind of thing it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubjectKind {
    /// A target.
    #[default]
    Target,
    /// A credential.
    Credential,
}

impl SubjectKind {
    /// The word for it, as `incidents.subject_kind` has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SubjectKind::Target => "target",
            SubjectKind::Credential => "credential",
        }
    }
}

impl SubjectId {
    /// What kind of thing it is.
    #[must_use]
    pub fn kind(self) -> SubjectKind {
        if self.0 < 0 { SubjectKind::Credential } else { SubjectKind::Target }
    }

    /// The target, if it is one.
    #[must_use]
    pub fn target(self) -> Option<TargetId> {
        (self.kind() == SubjectKind::Target).then_some(TargetId(self.0))
    }

    /// The row of `credentials`, if it is one.
    #[must_use]
    pub fn credential(self) -> Option<CredentialId> {
        (self.0 < 0 && self.0 > -OF_TARGETS).then_some(CredentialId(-self.0))
    }
}

impl SubjectId {
    /// As `incidents` writes it: a credential's row by its own id, what has no row by the number above.
    #[must_use]
    pub fn row(self) -> (&'static str, i64) {
        (self.kind().as_str(), self.credential().map_or(self.0, |id| id.0))
    }

    /// What [`SubjectId::row`] wrote.
    #[must_use]
    pub fn of_row(kind: &str, id: i64) -> SubjectId {
        SubjectId(if kind == SubjectKind::Credential.as_str() && id > 0 { -id } else { id })
    }
}

impl From<TargetId> for SubjectId {
    fn from(id: TargetId) -> SubjectId {
        SubjectId(id.0)
    }
}

impl From<&CredentialKey> for SubjectId {
    fn from(key: &CredentialKey) -> SubjectId {
        SubjectId(match key {
            CredentialKey::Row(id) => -id.0,
            CredentialKey::Target(id) => -OF_TARGETS - id.0,
            CredentialKey::Cloud(name) => {
                let hash = name.bytes().fold(0, |hash, byte| splitmix64(hash ^ u64::from(byte)));
                -OF_CLOUDS - i64::try_from(hash >> 8).unwrap_or(0)
            }
        })
    }
}

impl fmt::Display for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subject_has_a_number_of_its_own_that_tells_its_kind() {
        let target = SubjectId::from(TargetId(7));
        assert_eq!(
            (target.kind(), target.target(), target.credential()),
            (SubjectKind::Target, Some(TargetId(7)), None)
        );
        let row = SubjectId::from(&CredentialKey::Row(CredentialId(3)));
        assert_eq!(
            (row.kind(), row.target(), row.credential()),
            (SubjectKind::Credential, None, Some(CredentialId(3)))
        );
        let own = SubjectId::from(&CredentialKey::Target(TargetId(3)));
        let clouds = ["a", "b", "envvars"].map(|n| SubjectId::from(&CredentialKey::Cloud(n.into())));
        for id in clouds.iter().chain([&own]) {
            assert_eq!((id.kind(), id.target(), id.credential()), (SubjectKind::Credential, None, None));
        }
        assert_eq!((target.row(), row.row()), (("target", 7), ("credential", 3)));
        for id in clouds.iter().chain([&own, &target, &row]) {
            let (kind, number) = id.row();
            assert_eq!(SubjectId::of_row(kind, number), *id);
        }
        assert!(own.0 > -OF_CLOUDS && clouds.iter().all(|c| c.0 <= -OF_CLOUDS));
        assert!(clouds[0] != clouds[1] && clouds[1] != clouds[2]);
    }
}
