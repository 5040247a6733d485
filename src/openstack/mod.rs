//! OpenStack: how to log in at an identity service, and what its answers mean.
//!
//! ```text
//!  clouds.yaml, OS_* --clouds--> Login                      catalog --discover (services)--> targets file
//!                                  |
//!  client:  discovery (bare URL --GET--> …/v3)  -->  login (bodies)  --POST-->  answer (judged) --> Token | IdentityError
//!             '-----------------------'--------- exchanges of the prober, recorded ----'
//! ```
//!
//! When to log in again is [`crate::model::credential::renewal`]'s. All but [`client`] and the reader of [`clouds`] is pure: bytes in, decision out.

pub mod answer;
pub mod client;
pub mod clouds;
pub mod discover;
pub mod discovery;
pub mod error;
pub mod login;
pub mod services;

pub use self::error::IdentityError;
