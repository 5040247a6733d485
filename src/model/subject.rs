//! What an incident is about: a target, a credential that targets share, or the monitor itself.
//!
//! ```text
//!  target 7                   7        (targets.id)
//!  credential, row 3         -3        (minus credentials.id)
//!  credential of target 7    -2^61 - 7
//!  cloud:NAME                -2^62 - hash of NAME
//!  the monitor               -2^62 - 2^61
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
    /// Skypunch itself: this machine and its network.
    Monitor,
}

impl SubjectKind {
    /// The word for it, as `incidents.subject_kind` has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SubjectKind::Target => "target",
            SubjectKind::Credential => "credential",
            SubjectKind::Monitor => "monitor",
        }
    }
}

impl SubjectId {
    /// The monitor itself.
    pub const MONITOR: SubjectId = SubjectId(-OF_CLOUDS - OF_TARGETS);

    /// What kind of thing it is.
    #[must_use]
    pub fn kind(self) -> SubjectKind {
        match self {
            SubjectId::MONITOR => SubjectKind::Monitor,
            SubjectId(..0) => SubjectKind::Credential,
            _ => SubjectKind::Target,
        }
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
    /// As `incidents` writes it: a credential's row by its own id, the monitor by 0, what else has no row by the number
    /// above.
    #[must_use]
    pub fn row(self) -> (&'static str, i64) {
        let id = if self == SubjectId::MONITOR { 0 } else { self.credential().map_or(self.0, |id| id.0) };
        (self.kind().as_str(), id)
    }

    /// What [`SubjectId::row`] wrote.
    #[must_use]
    pub fn of_row(kind: &str, id: i64) -> SubjectId {
        if kind == SubjectKind::Monitor.as_str() {
            return SubjectId::MONITOR;
        }
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
        let monitor = SubjectId::MONITOR;
        assert_eq!((monitor.kind(), monitor.target(), monitor.credential()), (SubjectKind::Monitor, None, None));
        assert_eq!(monitor.row(), ("monitor", 0));
        for id in clouds.iter().chain([&own, &target, &row, &monitor]) {
            let (kind, number) = id.row();
            assert_eq!(SubjectId::of_row(kind, number), *id);
        }
        assert!(own.0 > -OF_CLOUDS && clouds.iter().all(|c| c.0 <= -OF_CLOUDS && *c > monitor));
        assert!(clouds[0] != clouds[1] && clouds[1] != clouds[2]);
    }
}
