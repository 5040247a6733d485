//! The service catalog that came with a token, and what a target asks of it.
//!
//! ```text
//!  openstack://compute/public?region=RegionOne&path=/v2.1   --parse--> CatalogQuery --find in Catalog--> URL | miss
//! ```

mod aliases;
mod find;
mod query;

use serde::{Deserialize, Serialize};

pub use self::aliases::official;
pub use self::find::is_version;
pub use self::query::{INTERFACES, SCHEME, interfaces};

/// What a token's catalog lists.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Catalog {
    /// In the order in which the identity service lists them.
    pub endpoints: Vec<CatalogEndpoint>,
}

/// One way to one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogEndpoint {
    /// The service's type, as `compute`.
    pub service_type: String,
    /// The service's name, as `nova`.
    pub service_name: String,
    /// `public`, `internal` or `admin`.
    pub interface: String,
    /// The region; empty where the catalog names none.
    pub region: String,
    /// Where it is, as the catalog says.
    pub url: String,
}

/// What a target's `openstack://` URL asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogQuery {
    /// The service's type, or an alias of it.
    pub service_type: String,
    /// Interfaces in order of preference; empty: those of the credential.
    pub interfaces: Vec<String>,
    /// The region; `None`: that of the credential, or any.
    pub region: Option<String>,
    /// What is put behind the endpoint's URL: begins with `/`, may hold a query; empty: nothing.
    pub path: String,
}
