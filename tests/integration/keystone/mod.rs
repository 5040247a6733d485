//! A real Keystone and a real Glance behind it (PyPI, SQLite, loopback), for the tests of everything OpenStack.
//!
//! ```text
//!  tests/run -> tests/keystone/prepare -> SKYPUNCH_TEST_KEYSTONE -> server   Keystone, Glance: start, stop, freeze, slow,
//!                                                                            logins counted
//!                                                                -> tenants  users, projects, application credentials,
//!                                                                            revoking, catalog
//! ```
//!
//! A start takes two seconds of CPU: tests share one Keystone ([`Keystone::shared`]) with tenants of their own, except
//! those that stop it, slow it or change its catalog.

pub mod http;
mod server;
mod tenants;
mod works;

pub use server::{Glance, Keystone, Options};
pub use tenants::{Endpoint, Home, Tenant};
