//! A target that is fit to be probed: everything in it has been checked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use super::auth::Auth;
use super::catalog::CatalogQuery;
use super::definition::Definition;
use super::egress::{AddressList, Caller, Denied, EgressPolicy};
use super::expectation::StatusSet;
use super::state::Policy;

/// The id of a target: the database's, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TargetId(pub i64);

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The request methods that a target may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of RFC 9110 and RFC 5789 say it all")]
pub enum Method {
    Get,
    Put,
    Post,
    Delete,
    Head,
    Patch,
    Options,
}

impl Method {
    /// All of them, in the order of skypunch 0.3.0.
    pub const ALL: [Method; 7] =
        [Method::Get, Method::Put, Method::Post, Method::Delete, Method::Head, Method::Patch, Method::Options];

    /// As it stands in the request line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Put => "PUT",
            Method::Post => "POST",
            Method::Delete => "DELETE",
            Method::Head => "HEAD",
            Method::Patch => "PATCH",
            Method::Options => "OPTIONS",
        }
    }

    /// Whether asking twice means the same as asking once (RFC 9110 section 9.2.2).
    #[must_use]
    pub fn is_idempotent(self) -> bool {
        !matches!(self, Method::Post | Method::Patch)
    }

    /// The method of that name; case is significant (RFC 9110 section 9.1).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Method> {
        Method::ALL.into_iter().find(|m| m.as_str() == name)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How the server's certificate is judged.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct TlsOptions {
    /// PEM file with the certificate authorities to trust instead of the system's.
    pub ca: Option<String>,
    /// Accept any certificate; it is still recorded.
    pub skip_verify: bool,
    /// Name to send (SNI) and to verify instead of the URL's host.
    pub server_name: Option<String>,
}

/// What is probed, how, how often, and what must come back.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The database's id.
    pub id: TargetId,
    /// Unique within the tenant.
    pub name: String,
    /// The tenant it belongs to; `0` when nobody said.
    pub tenant: String,
    /// `http` or `https`, with a host, without userinfo and fragment; `openstack` where `catalog` says what it means.
    pub url: Url,
    /// What is looked up in the service catalog instead of probing `url` itself.
    pub catalog: Option<Box<CatalogQuery>>,
    /// Request method.
    pub method: Method,
    /// Request headers in the order written; `Host` is in `host`.
    pub headers: Vec<(String, String)>,
    /// Request body.
    pub body: Option<String>,
    /// Authentication.
    pub auth: Auth,
    /// Which status codes are PASS.
    pub expect: StatusSet,
    /// Time between due times.
    pub frequency: Duration,
    /// Deadline over the whole probe; at most the frequency.
    pub timeout: Duration,
    /// `timeout` was not written, but follows from the frequency.
    pub timeout_is_default: bool,
    /// Thresholds.
    pub policy: Policy,
    /// How many redirects are followed; 0: a redirect is an answer as any other.
    pub redirects: u8,
    /// How many probes one connection may serve; 0 or 1: each has a fresh one.
    pub keep_alive: u16,
    /// TLS options.
    pub tls: TlsOptions,
    /// `Host` header instead of the URL's authority.
    pub host: Option<String>,
    /// Free words for grouping.
    pub tags: Vec<String>,
    /// The target that it depends on, as a name of its tenant or `tenant/name`; that it exists is not checked.
    pub parent: Option<String>,
    /// Addresses that it may connect to though `[egress] deny` has them, as far as the settings let targets.
    pub egress_allow: Option<Arc<AddressList>>,
    /// Whether it is probed at all.
    pub enabled: bool,
}

impl Target {
    /// Why its URL cannot be connected to, where that is known without resolving a name: it holds an address.
    #[must_use]
    pub fn denied(&self, policy: &EgressPolicy) -> Option<Box<Denied>> {
        let address = match self.url.host()? {
            url::Host::Ipv4(v4) => v4.into(),
            url::Host::Ipv6(v6) => v6.into(),
            url::Host::Domain(_) => return None,
        };
        policy.check(address, Caller::Target(self.egress_allow.as_deref())).err()
    }

    /// The definition that this target was made of, in its canonical form.
    #[must_use]
    pub fn definition(&self) -> Definition {
        let millis = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
        let joined = |lines: Vec<String>, sep: &str| (!lines.is_empty()).then(|| lines.join(sep));
        Definition {
            id: self.id.0,
            name: self.name.clone(),
            tenantid: self.tenant.clone(),
            url: self.url.to_string(),
            method: self.method.as_str().into(),
            headers: joined(self.headers.iter().map(|(n, v)| format!("{n}: {v}")).collect(), "\n"),
            body: self.body.clone(),
            authn: self.auth.kind().into(),
            authn_parms: self.auth.parms(),
            credential: self.auth.credential().map(|c| c.written(&self.tenant)),
            pass_result: self.expect.to_string(),
            frequency_ms: millis(self.frequency),
            timeout_ms: (!self.timeout_is_default).then(|| millis(self.timeout)),
            fail_after: self.policy.fail_after.into(),
            recover_after: self.policy.recover_after.into(),
            redirects: self.redirects.into(),
            tls_ca: self.tls.ca.clone(),
            tls_verify: !self.tls.skip_verify,
            tls_server_name: self.tls.server_name.clone(),
            host: self.host.clone(),
            tags: joined(self.tags.clone(), ","),
            parent: self.parent.clone(),
            egress_allow: self.egress_allow.as_ref().map(ToString::to_string),
            keep_alive: self.keep_alive.into(),
            enabled: self.enabled,
            odd_flags: Vec::new(),
        }
    }
}
