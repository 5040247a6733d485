//! A credential: who skypunch is at an OpenStack identity service, shared by targets or written into one.
//!
//! ```text
//!  row of `credentials`  (type, params)  --.
//!  authn_parms of a target               --+--> Login (checked) --> one token actor for each CredentialKey
//!  clouds.yaml, OS_* environment         --'
//!  credential = NAME | tenant/NAME | cloud:NAME     is what a target writes
//! ```
//!
//! The fields of a [`CredentialDefinition`] are the columns of the `credentials` table, the keys of `[[credential]]` in
//! a targets file, of the API and of `--output json`.

pub mod account;
mod definition;
pub mod keeper;
mod login;
mod missing;
mod params;
mod reference;
pub mod renewal;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::definition::TYPES;
pub use self::login::{Api, Domain, Identity, Login, Owned, Scope};
pub use self::missing::{Missing, NamedCloud, missing, named_clouds};
pub use self::params::is_plain_param;
pub use self::reference::{CLOUD, TARGET};
use super::target::TargetId;
use crate::secret::Secret;

/// The id of a credential's row: the database's, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CredentialId(pub i64);

impl fmt::Display for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A credential's definition, unchecked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CredentialDefinition {
    /// The database's id; 0 where there is none yet.
    pub id: i64,
    /// Unique within the tenant.
    pub name: String,
    /// The tenant.
    pub tenantid: String,
    /// `OPENSTACK`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `auth_url=…,username=…,password=…,…`.
    pub params: Option<Secret>,
    /// Whether it may be used.
    pub enabled: bool,
    /// Columns of a row that should hold 0 or 1, and what they hold instead.
    #[serde(skip)]
    pub odd_flags: Vec<(&'static str, String)>,
}

impl Default for CredentialDefinition {
    fn default() -> Self {
        CredentialDefinition {
            id: 0,
            name: String::new(),
            tenantid: "0".into(),
            kind: "OPENSTACK".into(),
            params: None,
            enabled: true,
            odd_flags: Vec::new(),
        }
    }
}

/// A credential that is fit to be used: everything in it has been checked, but for what the identity service thinks of
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The database's id.
    pub id: CredentialId,
    /// Unique within the tenant.
    pub name: String,
    /// The tenant.
    pub tenant: String,
    /// How to log in.
    pub login: Login,
    /// Whether it may be used.
    pub enabled: bool,
}

/// What a target writes into `credential`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CredentialRef {
    /// The row of that name: of the target's own tenant, or as `tenant/name`.
    Named {
        /// The tenant.
        tenant: String,
        /// The name.
        name: String,
    },
    /// `cloud:NAME`: that entry of clouds.yaml; `cloud:envvars` is what the `OS_*` environment says.
    Cloud(String),
}

/// How a target of `authn` OPENSTACK comes to a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenStackAuth {
    /// By a shared credential.
    Shared(CredentialRef),
    /// By its own `authn_parms`: a credential of its own, named after the target.
    Own(Arc<Login>),
}

/// Which token actor: one for each of these, whatever targets use it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CredentialKey {
    /// A row of `credentials`.
    Row(CredentialId),
    /// An entry of clouds.yaml, or the environment.
    Cloud(String),
    /// The `authn_parms` of that target.
    Target(TargetId),
}

impl CredentialKey {
    /// The target whose own it is.
    #[must_use]
    pub fn owner(&self) -> Option<TargetId> {
        match self {
            CredentialKey::Target(id) => Some(*id),
            CredentialKey::Row(_) | CredentialKey::Cloud(_) => None,
        }
    }
}
