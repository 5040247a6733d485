//! How to log in at an OpenStack identity service (Keystone): where, as whom, for what.
//!
//! The shapes are those of the Identity API v3, `POST /v3/auth/tokens`
//! (<https://docs.openstack.org/api-ref/identity/v3/>, "Authentication and token management").

use url::Url;

use crate::model::target::TlsOptions;
use crate::secret::Secret;

/// Everything that a login needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The identity service as it was written: `https://host:5000/v3`, the bare URL (the version is then asked for), or
    /// `…/v2.0/tokens`.
    pub auth_url: Url,
    /// Which API is spoken there.
    pub api: Api,
    /// As whom.
    pub identity: Identity,
    /// For what.
    pub scope: Scope,
    /// How the identity service's certificate is judged.
    pub tls: TlsOptions,
    /// Region of the catalog, where a target does not name one.
    pub region: Option<String>,
    /// Interfaces of the catalog in order of preference, where a target does not name them: `public`, `internal`, `admin`.
    pub interfaces: Vec<String>,
}

/// A version of the identity API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// v3, the only one since the Queens release (2018).
    V3,
    /// v2.0, for clouds older than that.
    V2,
}

/// A domain, by id or by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Domain {
    /// By id.
    Id(String),
    /// By name.
    Name(String),
}

/// Something that belongs to a domain (a user, a project): by id alone, or by name and domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owned {
    /// By id, unique without a domain.
    Id(String),
    /// By name within a domain.
    Name {
        /// The name.
        name: String,
        /// Its domain.
        domain: Domain,
    },
}

/// As whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// User and password (v3).
    Password {
        /// The user.
        user: Owned,
        /// The password, or a reference to it.
        password: Secret,
    },
    /// An application credential by its id (v3).
    ApplicationCredentialId {
        /// Its id.
        id: String,
        /// Its secret, or a reference to it.
        secret: Secret,
    },
    /// An application credential by its name and owner (v3).
    ApplicationCredentialName {
        /// Its name.
        name: String,
        /// Who owns it.
        user: Owned,
        /// Its secret, or a reference to it.
        secret: Secret,
    },
    /// `passwordCredentials` of v2.0.
    V2 {
        /// The user's name.
        user: String,
        /// The password, or a reference to it.
        password: Secret,
        /// The tenant's id.
        tenant_id: String,
    },
}

/// For what the token is good. An application credential has its scope in itself: none may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// None is sent: the user's default project, if there is one.
    Default,
    /// `"unscoped"`.
    Unscoped,
    /// A project.
    Project(Owned),
    /// A domain.
    Domain(Domain),
    /// The whole deployment.
    System,
}
