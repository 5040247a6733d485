//! What probes see of identities: the token of their target's credential.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use super::handle::Asked;
use super::{Identities, Wake};
use crate::model::reason::Reason;
use crate::model::target::Target;
use crate::model::time::Mono;
use crate::model::token::Token;
use crate::net::Observer;
use crate::probe::{IdentityFailure, Preferences, Tokens};

/// The tokens for the probes of one arbiter.
#[derive(Debug)]
pub struct LocalTokens {
    identities: Arc<Identities>,
}

impl LocalTokens {
    /// Out of these.
    #[must_use]
    pub fn new(identities: Arc<Identities>) -> LocalTokens {
        LocalTokens { identities }
    }

    fn now(&self) -> Mono {
        self.identities.clock.now()
    }
}

fn misconfigured(sentence: String) -> IdentityFailure {
    IdentityFailure { reason: Reason::AuthConfig, sentence }
}

impl Tokens for LocalTokens {
    fn at_hand(&self, target: &Target) -> Option<Result<Arc<Token>, IdentityFailure>> {
        let key = match self.identities.key(target) {
            Ok(key) => key,
            Err(why) => return Some(Err(misconfigured(why))),
        };
        self.identities.handle(&key)?.at_hand(self.now(), target.id, target.catalog.is_some())
    }

    fn token<'a>(
        &'a self,
        target: &'a Target,
        refused: Option<&'a Token>,
        _observer: &'a dyn Observer,
    ) -> LocalBoxFuture<'a, Result<Arc<Token>, IdentityFailure>> {
        async move {
            let key = self.identities.key(target).map_err(misconfigured)?;
            let stops = || IdentityFailure {
                reason: Reason::Internal,
                sentence: "waiting for a token: the daemon stops".to_owned(),
            };
            let slot = self.identities.slot(&key).ok_or_else(stops)?;
            let catalog = target.catalog.is_some();
            match slot.handle.ask(self.now(), target.id, catalog, refused.map(|t| t.serial)) {
                Asked::Now(result) => result,
                Asked::Later(result) => {
                    slot.actor.do_send(Wake);
                    result.await.unwrap_or_else(|_| Err(stops()))
                }
            }
        }
        .boxed_local()
    }

    fn preferences(&self, target: &Target) -> Preferences {
        let Ok(key) = self.identities.key(target) else { return Preferences::default() };
        self.identities.preferences(&key)
    }

    fn catalog_doubted(&self, target: &Target) {
        let Ok(key) = self.identities.key(target) else { return };
        let Some(handle) = self.identities.handle(&key) else { return };
        let renew = handle.lock().keeper.doubt_catalog(self.now(), target.id);
        if let (true, Some(slot)) = (renew, self.identities.slot(&key)) {
            slot.actor.do_send(Wake);
        }
    }
}
