//! The probe of an OPENSTACK target: its token, its URL out of the service catalog, and once more after a 401.
//!
//! ```text
//!  token (at hand | waited for) --> URL (written | out of the catalog) --> ask --> check
//!    ^                                                                      |
//!    '---------- refused: exactly this one ------- 401 that nobody expects, the first time
//! ```
//!
//! All of it is within the probe's one deadline. What is waited for a token is a phase of its own and no latency of the
//! target's; why there is none is the credential's failure.

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use url::Url;

use super::keep::Slot;
use super::recorder::Recorder;
use super::request::Authorization;
use super::tokens::Tokens;
use super::verdict::{self, Failure};
use super::{HttpProber, hops};
use crate::model::auth::Auth;
use crate::model::catalog::{Catalog, CatalogQuery};
use crate::model::credential::OpenStackAuth;
use crate::model::reason::Reason;
use crate::model::target::{Target, TargetId};
use crate::model::token::Token;
use crate::model::trace::Event;
use crate::net::Observer;

impl HttpProber {
    /// Probes with a token.
    pub(super) async fn run_with_token(
        &self,
        target: &Target,
        recorder: &Rc<Recorder>,
        mut slot: Option<&mut Slot>,
    ) -> Result<u16, Failure> {
        let Some(tokens) = self.tokens.as_deref() else {
            return Err(Failure::new(Reason::Internal, "logging in: this prober was given nobody who does"));
        };
        let mut token = self.token(tokens, target, None, recorder).await?;
        let mut repeated = false;
        loop {
            let url = match &target.catalog {
                None => Cow::Borrowed(&target.url),
                Some(query) => Cow::Owned(self.find(tokens, target, query, &token, recorder)?),
            };
            let authorization = Authorization::Token(token.clone());
            let first = hops::first(target, &url, recorder);
            let asked = self.ask(target, &first, Some(&authorization), recorder, slot.as_deref_mut()).await?;
            // At another origin no token was shown, so none was refused.
            if asked.status != 401 || !asked.same_origin || repeated || target.expect.contains(401) {
                return asked.check(target, recorder);
            }
            repeated = true;
            if let Some(slot) = slot.as_deref_mut() {
                *slot = None; // the second request has a connection of its own, as every one that is repeated
            }
            recorder.step(Event::TokenRefused);
            let another = self.token(tokens, target, Some(&token), recorder).await?;
            if another.serial == token.serial {
                // This service has refused fresh tokens before: it is not asked twice each time.
                return asked.check(target, recorder);
            }
            token = another;
        }
    }

    async fn token(
        &self,
        tokens: &dyn Tokens,
        target: &Target,
        refused: Option<&Token>,
        recorder: &Rc<Recorder>,
    ) -> Result<Arc<Token>, Failure> {
        let credential = credential(target).into_owned();
        if refused.is_none()
            && let Some(found) = tokens.at_hand(target)
        {
            let token = found?;
            recorder.step(Event::Token { credential, waited_us: None });
            return Ok(token);
        }
        recorder.step(Event::TokenAsked { credential: credential.clone() });
        let limit = self.login_timeout.min(target.timeout / 2);
        let steps = LoginSteps(recorder);
        let Ok(found) = tokio::time::timeout(limit, tokens.token(target, refused, &steps)).await else {
            return Err(verdict::no_token(&credential, limit));
        };
        let token = found?;
        let waited = u32::try_from(recorder.phase_time().as_micros()).unwrap_or(u32::MAX);
        recorder.step(Event::Token { credential, waited_us: Some(waited) });
        Ok(token)
    }

    /// The URL that the catalog has for the target.
    fn find(
        &self,
        tokens: &dyn Tokens,
        target: &Target,
        query: &CatalogQuery,
        token: &Token,
        recorder: &Recorder,
    ) -> Result<Url, Failure> {
        let Some(catalog) = &token.catalog else {
            let text = format!(
                "looking up {}: the token of credential {} came without a service catalog; usually it has no scope: name a \
                 project in the credential",
                target.url,
                credential(target)
            );
            return Err(Failure::complete(Reason::IdentityCatalog, text));
        };
        let mut found = self.found.borrow_mut();
        let (url, before) = match found.get(target, catalog) {
            Some(url) => (url, None),
            None => {
                let prefers = tokens.preferences(target);
                let looked = catalog.find(query, prefers.region.as_deref(), &prefers.interfaces);
                let url = looked.map_err(|why| {
                    Failure::complete(Reason::IdentityCatalog, format!("looking up {}: {why}", target.url))
                })?;
                let before = found.insert(target, catalog, url.clone());
                (url, before)
            }
        };
        let event = Event::Catalog { query: target.url.to_string(), url: url.to_string(), before };
        recorder.step(event);
        Ok(url)
    }

    /// The probe ended like this: is its URL out of the catalog to blame?
    pub(super) fn doubt(&self, target: &Target, failure: &Failure, status: Option<u16>) {
        let doubted = match failure.reason {
            Reason::Dns
            | Reason::ConnectRefused
            | Reason::ConnectUnreachable
            | Reason::TlsHandshake
            | Reason::TlsCertificate
            | Reason::TimeoutResolve
            | Reason::TimeoutConnect
            | Reason::TimeoutTls
            | Reason::EgressDenied
            | Reason::IdentityCatalog => true,
            Reason::Status => status == Some(404),
            _ => false,
        };
        if let (true, Some(_), Some(tokens)) = (doubted, &target.catalog, &self.tokens) {
            tokens.catalog_doubted(target);
        }
    }
}

/// How people call the target's credential; one of its own has the target's name.
pub(super) fn credential(target: &Target) -> Cow<'_, str> {
    match &target.auth {
        Auth::OpenStack(OpenStackAuth::Shared(credential)) => Cow::Owned(credential.written(&target.tenant)),
        _ => Cow::Borrowed(&target.name),
    }
}

/// The steps of a login that a probe waits for.
struct LoginSteps<'a>(&'a Recorder);

impl Observer for LoginSteps<'_> {
    fn event(&self, event: Event) {
        self.0.aside(event);
    }
}

/// The URLs that catalogs had for targets: looking one up costs more than a probe.
#[derive(Debug, Default)]
pub(super) struct FoundUrls {
    by_target: HashMap<TargetId, Found>,
    /// Sweep when there are so many.
    sweep_at: usize,
}

#[derive(Debug)]
struct Found {
    /// Good for this catalog only, which it keeps from being mistaken for another, not alive.
    catalog: Weak<Catalog>,
    /// What was asked.
    query: Url,
    url: Url,
}

impl FoundUrls {
    fn get(&self, target: &Target, catalog: &Arc<Catalog>) -> Option<Url> {
        let found = self.by_target.get(&target.id)?;
        let good = std::ptr::eq(found.catalog.as_ptr(), Arc::as_ptr(catalog)) && found.query == target.url;
        good.then(|| found.url.clone())
    }

    /// Where the same query led before, if that was elsewhere.
    fn insert(&mut self, target: &Target, catalog: &Arc<Catalog>, url: Url) -> Option<String> {
        if self.by_target.len() >= self.sweep_at {
            self.by_target.retain(|_, found| found.catalog.strong_count() > 0);
            self.sweep_at = 64.max(self.by_target.len() * 2);
        }
        let now = Found { catalog: Arc::downgrade(catalog), query: target.url.clone(), url };
        let (query, url) = (now.query.clone(), now.url.clone());
        let before = self.by_target.insert(target.id, now)?;
        (before.query == query && before.url != url).then(|| before.url.to_string())
    }
}
