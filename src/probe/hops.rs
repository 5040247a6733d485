//! From a URL to its last answer: connect, send, read, follow redirects, read the body.

use std::borrow::Cow;
use std::rc::Rc;

use url::{Position, Url};

use super::http::{self, Answer};
use super::keep::{self, Kept, Made, Saw, Slot};
use super::recorder::Recorder;
use super::redirect::{self, Hop};
use super::request::{self, Authorization};
use super::verdict::Failure;
use super::wire::Wire;
use super::{HttpProber, body, phrase};
use crate::model::egress::Caller;
use crate::model::reason::Reason;
use crate::model::target::{Method, Target, TlsOptions};
use crate::model::trace::Event;
use crate::net::descriptors::{self, Room};
use crate::net::{Endpoint, Leave};

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
    /// Asks, beginning with `first`; the connection that is in `slot` may be used, and one may be left there.
    pub(super) async fn ask(
        &self,
        target: &Target,
        first: &Hop<'_>,
        authorization: Option<&Authorization>,
        recorder: &Rc<Recorder>,
        mut slot: Option<&mut Slot>,
    ) -> Result<Asked, Failure> {
        let (mut answer, mut made) = match &slot {
            Some(_) if target.keep_alive < 2 => (self.hop(target, first, authorization, recorder, true).await?, None),
            None => (self.hop(target, first, authorization, recorder, true).await?, None),
            Some(_) => {
                let kept = slot.as_deref_mut().and_then(Option::take);
                Box::pin(self.keeping_hop(target, first, authorization, recorder, kept)).await?
            }
        };
        let (mut method, mut same_origin) = (first.method, first.same_origin);
        if target.redirects > 0 && redirect::is_redirect(answer.head.status) {
            let mut hops = vec![first.clone()];
            while let Some(next) = follow(target, &hops, &answer, authorization)? {
                let shown = shown(&next, target, authorization);
                recorder.step(Event::Redirect { to: shown.clone() });
                (made, _) = (None, answer);
                recorder.step(Event::Request { method: next.method.as_str().into(), url: shown });
                answer = self.hop(target, &next, authorization, recorder, true).await?;
                (method, same_origin) = (next.method, next.same_origin);
                hops.push(next);
            }
        }
        let read = body::drain(&mut answer, method, self.body_cap, recorder, |_| {}).await?;
        recorder.step(read.step());
        let asked = Asked { method, status: answer.head.status, same_origin };
        if let (Some(made), Some(slot)) = (made, slot) {
            let saw = Saw { whole: !read.capped, waited_us: recorder.first_byte_us(), expires: recorder.expires() };
            *slot = made.keep(target, &asked, &answer.head, answer.wire, saw);
        }
        Ok(asked)
    }

    /// The first hop of a target that keeps its connection: over the one that is kept, or over a fresh one. How the
    /// connection was made, if it may be kept.
    async fn keeping_hop(
        &self,
        target: &Target,
        hop: &Hop<'_>,
        authorization: Option<&Authorization>,
        recorder: &Rc<Recorder>,
        kept: Slot,
    ) -> Result<(Answer, Option<Box<Made>>), Failure> {
        if let Some(kept) = kept {
            match Box::pin(self.again(target, hop, authorization, recorder, *kept)).await {
                Ok((answer, made)) => return answer.map(|answer| (answer, Some(made))),
                Err(why) => recorder.step(Event::NotReused { why: why.into() }),
            }
        }
        let room = Room::take();
        if room.is_none() {
            let text = format!(
                "Connection not kept: {} are, half of the files that probes may open (LimitNOFILE, ulimit -n)",
                descriptors::kept_limit()
            );
            recorder.step(Event::Note { text });
        }
        let answer = self.hop(target, hop, authorization, recorder, room.is_none()).await?;
        let made = room.and_then(|room| Made::new(target, &hop.url, &answer.wire, room, &self.net));
        Ok((answer, made))
    }

    /// Over a connection that is kept: the answer, or why it gave none that counts.
    async fn again(
        &self,
        target: &Target,
        hop: &Hop<'_>,
        authorization: Option<&Authorization>,
        recorder: &Rc<Recorder>,
        kept: Kept,
    ) -> Result<(Result<Answer, Failure>, Box<Made>), &'static str> {
        let leave = Leave { guard: &self.net.guard, caller: Caller::Target(target.egress_allow.as_deref()) };
        let now = self.clock.utc_now();
        let (wire, mut made) = kept.open(target, &hop.url, now, &self.net, leave, recorder.as_ref()).await?;
        recorder.step(made.reused(target.keep_alive));
        let bytes = request::message(target, hop, authorization, &self.user_agent, made.is_last(target.keep_alive));
        let request = http::Request { bytes: &bytes, with_body: hop.with_body && target.body.is_some() };
        let leaks = |text: &str, least| request::leaks(text, least, target, authorization);
        let answer = http::again(wire, request, keep::patience(target.timeout), leaks, recorder).await?;
        Ok((answer, made))
    }

    /// Connects, sends, and reads the answer's head; `last`: nothing more is to go over this connection.
    async fn hop(
        &self,
        target: &Target,
        hop: &Hop<'_>,
        authorization: Option<&Authorization>,
        recorder: &Rc<Recorder>,
        last: bool,
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
        let endpoint = Endpoint { host, port, tls: tls.as_deref(), caller, sends_at_once: true };
        let connection = self.net.connect(endpoint, recorder.as_ref()).await?;
        let bytes = request::message(target, hop, authorization, &self.user_agent, last);
        let request = http::Request { bytes: &bytes, with_body: hop.with_body && target.body.is_some() };
        let leaks = |text: &str, least| request::leaks(text, least, target, authorization);
        http::exchange(Wire::new(connection), request, leaks, None, recorder).await
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
