//! For whom a login is made: what the egress policy wants to know.

use std::sync::Arc;

use super::Identities;
use crate::model::credential::CredentialKey;
use crate::model::egress::{AddressList, Caller};

/// For whom a login is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behalf {
    /// For the target that has this login as its own, with its `egress_allow`.
    Target(Option<Arc<AddressList>>),
    /// For all who share the credential.
    Shared,
}

impl Behalf {
    /// As the policy asks.
    #[must_use]
    pub fn caller(&self) -> Caller<'_> {
        match self {
            Behalf::Target(own) => Caller::Target(own.as_deref()),
            Behalf::Shared => Caller::Shared,
        }
    }
}

impl Identities {
    /// For whom a login with that credential is made, as it is now.
    #[must_use]
    pub fn behalf(&self, key: &CredentialKey) -> Behalf {
        match key {
            CredentialKey::Target(_) => Behalf::Target(self.owner(key).and_then(|target| target.egress_allow.clone())),
            CredentialKey::Row(_) | CredentialKey::Cloud(_) => Behalf::Shared,
        }
    }
}
