//! Where a probe gets its token from. The owner of the credentials implements [`Tokens`]; a probe never logs in itself.
//!
//! ```text
//!  probe --at_hand--> token                      no waiting, no task, no message
//!        --token----> wait --> token             one login, whoever asks and however many at once
//!        --token(refused)--> wait --> another    the service said 401: exactly that token counts no longer
//!        --catalog_doubted-->                    its URL led nowhere: fetch the catalog anew for the next probe
//! ```

use std::fmt;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;

use super::verdict::Failure;
use crate::model::reason::Reason;
use crate::model::target::Target;
use crate::model::token::Token;
use crate::net::Observer;

/// Gives tokens to the probes of one arbiter.
pub trait Tokens: fmt::Debug {
    /// The token for an OPENSTACK target if one is good now, or why there cannot be one while a login is backed off from;
    /// `None`: it has to be waited for. Called by every probe: cheap.
    fn at_hand(&self, target: &Target) -> Option<Result<Arc<Token>, IdentityFailure>>;

    /// Waits for a token. `refused` is one to which a service said 401: if it is still the present one it counts no
    /// longer and a login follows, else the present one is given. `observer` may be told the steps of the login; they
    /// stand within the probe's trace. The prober sets the deadline and drops the future then, which must not end a
    /// login that others wait for.
    fn token<'a>(
        &'a self,
        target: &'a Target,
        refused: Option<&'a Token>,
        observer: &'a dyn Observer,
    ) -> LocalBoxFuture<'a, Result<Arc<Token>, IdentityFailure>>;

    /// What the target's credential prefers in the catalog, where the target does not say.
    fn preferences(&self, target: &Target) -> Preferences;

    /// A URL out of the catalog led nowhere, or the catalog lacks the service: it should come anew before the next
    /// probe. Called by every such probe: how often that is done is the implementer's to bound.
    fn catalog_doubted(&self, target: &Target);
}

/// The region and the interfaces of a credential.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Preferences {
    /// The region.
    pub region: Option<String>,
    /// Interfaces in order of preference.
    pub interfaces: Vec<String>,
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct IdentityFailure {
    /// `identity_unreachable`, `identity_rejected`, `auth_config` or `egress_denied`.
    pub reason: Reason,
    /// All there is to say, for people: free of secrets and control characters.
    pub sentence: String,
}

impl From<IdentityFailure> for Failure {
    fn from(e: IdentityFailure) -> Failure {
        Failure::complete(e.reason, e.sentence)
    }
}
