//! From a URL to its last answer: connect, send, read, follow redirects, read the body.

use std::borrow::Cow;
use std::rc::Rc;

use url::{Position, Url};

use super::http::{self, Answer};
use super::recorder::Recorder;
use super::redirect::{self, Hop};
use super::request::{self, Authorization};
use super::verdict::Failure;
use super::{HttpProber, body, phrase};
use crate::model::egress::Caller;
use crate::model::reason::Reason;
use crate::model::target::{Method, Target, TlsOptions};
use crate::model::trace::Event;
use crate::net::Endpoint;

/// The last answer, read to its end.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// The method of the last hop.
    pub method: Method,
    /// The status code.
    pub status: u16,
    /// The last hop went to the origin that may see secrets.
    pub same_origin: bool,
}

impl Asked {
    /// Compares the answer with what the target expects.
    ///
    /// # Errors
    /// When it is another.
    pub fn check(self, target: &Target, recorder: &Recorder) -> Result<u16, Failure> {
        let Asked { method, status, .. } = self;
        let ok = target.expect.contains(status);
        recorder.step(Event::Check { expected: target.expect.text(), status, ok });
        if ok {
            return Ok(status);
        }
        let text = format!("{method} answered {status} {}, not {}", phrase(status), target.expect);
        Err(Failure::status(status, text))
    }
}

/// The first request of a target, to that URL.
pub(super) fn first<'a>(target: &Target, url: &'a Url, recorder: &Recorder) -> Hop<'a> {
    let hop = Hop { url: Cow::Borrowed(url), method: target.method, with_body: true, same_origin: true };
    recorder.step(Event::Request { method: hop.method.as_str().into(), url: url.as_str().to_owned() });
    hop
}

impl HttpProber {
    /// Asks, beginning with `first`.
    pub(super) async fn ask(
        &self,
        target: &Target,
        first: &Hop<'_>,
        authorization: Option<&Authorization>,
        recorder: &Rc<Recorder>,
    ) -> Result<Asked, Failure> {
        let mut answer = self.hop(target, first, authorization, recorder).await?;
        let (mut method, mut same_origin) = (first.method, first.same_origin);
        if target.redirects > 0 && redirect::is_redirect(answer.head.status) {
            let mut hops = vec![first.clone()];
            while let Some(next) = follow(target, &hops, &answer, authorization)? {
                let shown = shown(&next, target, authorization);
                recorder.step(Event::Redirect { to: shown.clone() });
                drop(answer);
                recorder.step(Event::Request { method: next.method.as_str().into(), url: shown });
                answer = self.hop(target, &next, authorization, recorder).await?;
                (method, same_origin) = (next.method, next.same_origin);
                hops.push(next);
            }
        }
        body::drain(&mut answer, method, self.body_cap, recorder, |_| {}).await?;
        Ok(Asked { method, status: answer.head.status, same_origin })
    }

    /// Connects, sends, and reads the answer's head.
    async fn hop(
        &self,
        target: &Target,
        hop: &Hop<'_>,
        authorization: Option<&Authorization>,
        recorder: &Rc<Recorder>,
    ) -> Result<Answer, Failure> {
        let https = hop.url.scheme() == "https";
        let tls = https.then(|| match hop.same_origin {
            true => Cow::Borrowed(&target.tls),
            false => Cow::Owned(TlsOptions { server_name: None, ..target.tls.clone() }),
        });
        let (Some(host), Some(port)) = (hop.url.host(), hop.url.port_or_known_default()) else {
            return Err(Failure::new(Reason::Internal, "connecting: the URL has no host"));
        };
        let caller = Caller::Target(target.egress_allow.as_deref());
        let endpoint = Endpoint { host, port, tls: tls.as_deref(), caller };
        let connection = self.net.connect(endpoint, recorder.as_ref()).await?;
        let bytes = request::message(target, hop, authorization, &self.user_agent);
        let request = http::Request { bytes: &bytes, with_body: hop.with_body && target.body.is_some() };
        let leaks = |text: &str, least| request::leaks(text, least, target, authorization);
        http::exchange(connection, request, leaks, None, recorder).await
    }
}

/// The next hop, if the answer points elsewhere.
fn follow<'a>(
    target: &Target,
    hops: &[Hop<'_>],
    answer: &Answer,
    authorization: Option<&Authorization>,
) -> Result<Option<Hop<'a>>, Failure> {
    let status = answer.head.status;
    let (Some(location), Some(first)) = (&answer.head.location, hops.first()) else { return Ok(None) };
    let location = String::from_utf8_lossy(location);
    let failure = |why: &str| {
        Failure::new(Reason::Redirect, format!("following the redirect {status} of hop {}: {why}", hops.len()))
    };
    let next = redirect::next(&first.url, hops, status, &location, target.redirects).map_err(|why| {
        let secret = request::leaks(&why, request::SHOWN, target, authorization);
        failure(if secret { "its location repeats a secret and leads nowhere" } else { &why })
    })?;
    if next.url.host() != first.url.host()
        && next.url.host_str().is_some_and(|h| request::host_leaks(h, target, authorization))
    {
        return Err(failure("its location's host repeats a secret"));
    }
    Ok(Some(next))
}

/// A redirect's URL, without the path where the server has put into it a secret that was sent to it.
fn shown(hop: &Hop<'_>, target: &Target, authorization: Option<&Authorization>) -> String {
    let url = hop.url.as_str();
    if request::leaks(url, request::SHOWN, target, authorization) {
        format!("{}***", &hop.url[..Position::BeforePath])
    } else {
        url.to_owned()
    }
}
