//! One exchange whose answer is kept: what a login at an identity service is made of.
//!
//! ```text
//!  Fetch --resolve, connect, tls, send, head, body: the prober's own--> Fetched { status, headers, body }
//!             \__________________________________________________> recorder: the same steps as a probe's
//! ```
//!
//! No redirect is followed and no status is judged: that is for who asks. The steps hold neither headers nor bodies.

use std::rc::Rc;
use std::time::Duration;

use url::Url;

use super::recorder::Recorder;
use super::verdict::Failure;
use super::wire::Wire;
use super::{HttpProber, body, http, request};
use crate::model::egress::Caller;
use crate::model::reason::Reason;
use crate::model::target::{Method, TlsOptions};
use crate::model::trace::Event;
use crate::net::Endpoint;
use crate::secret::Secret;

/// What to ask, of whom, and for how long.
#[derive(Clone, Copy)]
pub struct Fetch<'a> {
    /// To where: `http` or `https`, with a host, without userinfo.
    pub url: &'a Url,
    /// With which method.
    pub method: Method,
    /// Headers beside `Host`, `User-Agent`, `Content-Length` and `Connection`; each value must fit into a header
    /// ([`request::fits_header`]).
    pub headers: &'a [(&'a str, &'a str)],
    /// The body; it never shows.
    pub body: Option<&'a Secret>,
    /// What is secret in headers and body: no text of the server that repeats a part of one is shown.
    pub secrets: &'a [&'a Secret],
    /// How the server's certificate is judged.
    pub tls: &'a TlsOptions,
    /// On whose behalf: what lifts the egress policy.
    pub caller: Caller<'a>,
    /// Deadline over all of it.
    pub timeout: Duration,
    /// A longer body than this is a failure: what is cut cannot be read.
    pub body_cap: usize,
}

impl Fetch<'_> {
    /// Whether a text of the server repeats a part of one of the secrets, and so must not be shown.
    #[must_use]
    pub fn leaks(&self, text: &str) -> bool {
        self.repeats(text, request::SHOWN)
    }

    fn repeats(&self, text: &str, least: usize) -> bool {
        self.secrets.iter().any(|secret| request::repeats(text, secret.expose().as_bytes(), least))
    }
}

/// An answer, complete.
#[derive(Clone)]
pub struct Fetched {
    /// The status code.
    pub status: u16,
    /// Names and values as they came, in their order; values are trimmed.
    pub headers: Vec<(String, String)>,
    /// The body without its framing.
    pub body: Vec<u8>,
}

impl Fetched {
    /// The first header of that name, in whatever case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

impl HttpProber {
    /// Asks once, over a connection of its own. Needs a tokio `LocalSet`, as every arbiter has.
    ///
    /// # Errors
    /// Why there is no complete answer; a deadline that passes has the reason of the phase it met, as in a probe.
    pub async fn fetch(&self, request: &Fetch<'_>, recorder: &Rc<Recorder>) -> Result<Fetched, Failure> {
        let ended = tokio::time::timeout(request.timeout, self.fetch_all(request, recorder)).await;
        ended.unwrap_or_else(|_| Err(self.timed_out(request.timeout, recorder)))
    }

    async fn fetch_all(&self, request: &Fetch<'_>, recorder: &Rc<Recorder>) -> Result<Fetched, Failure> {
        let (url, method) = (request.url, request.method);
        recorder.step(Event::Request { method: method.as_str().into(), url: url.as_str().to_owned() });
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(Failure::new(Reason::Internal, "connecting: the URL has no host"));
        };
        let tls = (url.scheme() == "https").then_some(request.tls);
        let endpoint = Endpoint { host, port, tls, caller: request.caller, sends_at_once: true };
        let connection = self.net.connect(endpoint, recorder.as_ref()).await?;
        let bytes = request::fetching(request, &self.user_agent);
        let sent = http::Request { bytes: &bytes, with_body: request.body.is_some() };
        let (mut headers, mut kept) = (Vec::new(), Vec::new());
        let leaks = |text: &str, least| request.repeats(text, least);
        let mut answer = http::exchange(Wire::new(connection), sent, leaks, Some(&mut headers), recorder).await?;
        let keep = |piece: &[u8]| kept.extend_from_slice(piece);
        let read = body::drain(&mut answer, method, request.body_cap, recorder, keep).await?;
        if read.capped {
            let text = format!(
                "reading the body from {}: it is longer than {} bytes",
                url.host_str().unwrap_or_default(),
                request.body_cap
            );
            return Err(Failure::new(Reason::BodyLimit, text));
        }
        recorder.step(read.step());
        Ok(Fetched { status: answer.head.status, headers, body: kept })
    }
}
