//! Sends what a provider of the catalogue wants to be told: HTTP by awc over a connection of our own.
//!
//! ```text
//!  Request --net: resolve, connect, tls--> awc --> status, Retry-After, at most 64 KiB of the body --> Request::judge
//!     \________________\______________________\______> Dialogue: each step, without secrets
//! ```
//!
//! A fresh connection per message, one deadline over the whole. Redirects are not followed: what is sent holds secrets.

use std::cell::RefCell;
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_rt::net::{ActixStream, Ready as Readiness};
use actix_service::Service;
use actix_tls::connect::{ConnectError, ConnectInfo, Connection as Handed};
use awc::error::SendRequestError;
use awc::http::Uri;
use awc::http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use futures_util::StreamExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use url::{Position, Url};

use super::catalogue::Request;
use super::{Dialogue, SendResult};
use crate::clock::Clock;
use crate::model::egress::Caller;
use crate::model::target::TlsOptions;
use crate::model::trace::Event;
use crate::net::{Connection, Endpoint, Net, Observer};

/// So much of an answer is looked at.
const BODY_CAP: usize = 64 * 1024;

/// Sends requests; belongs to one arbiter.
#[derive(Debug)]
pub struct Webhooks {
    net: Net,
    clock: Clock,
}

impl Webhooks {
    /// A sender with a resolver of its own.
    #[must_use]
    pub fn new(net: Net, clock: Clock) -> Webhooks {
        Webhooks { net, clock }
    }

    /// Sends one request within `limit`, from resolving to the end of the answer. `unanswered` becomes true, and stays so
    /// where this is dropped, from its first byte on until the answer's status is there. Needs a tokio `LocalSet`.
    pub async fn send(
        &self,
        request: &Request,
        limit: Duration,
        dialogue: &dyn Dialogue,
        unanswered: &mut bool,
    ) -> SendResult {
        dialogue.step(&request.shown());
        let told = Told { request, dialogue };
        let result = match tokio::time::timeout(limit, self.exchange(request, &told, unanswered)).await {
            Ok(result) => result,
            Err(_) => Err(format!("no complete answer within {}", humantime::format_duration(limit))),
        };
        let result = result.unwrap_or_else(|why| SendResult::Transient { why: request.clean(&why, 300), after: None });
        match &result {
            SendResult::Sent { answer, .. } => dialogue.step(&format!("Answer    [OK] {answer}")),
            SendResult::Transient { why, .. } | SendResult::Permanent { why, .. } => {
                dialogue.step(&format!("[FAIL] {why}"));
            }
        }
        result
    }

    /// Connects to where the request goes, with TLS where its URL says so, and sends nothing. The host and port.
    ///
    /// # Errors
    /// The sentence for people.
    pub async fn reach(&self, request: &Request, limit: Duration) -> Result<String, String> {
        let url = Url::parse(request.url.expose()).map_err(|e| format!("its URL is wrong: {e}"))?;
        let tls = (url.scheme() == "https").then(TlsOptions::default);
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err("its URL has no host".to_owned());
        };
        let place = format!("{host}:{port}");
        let endpoint = Endpoint { host, port, tls: tls.as_ref(), caller: Caller::Shared, sends_at_once: false };
        match tokio::time::timeout(limit, self.net.connect(endpoint, &())).await {
            Ok(Ok(_)) => Ok(place),
            Ok(Err(e)) => Err(request.clean(&e.to_string(), 300)),
            Err(_) => Err(format!("{place}: no connection within {}", humantime::format_duration(limit))),
        }
    }

    async fn exchange(&self, request: &Request, told: &Told<'_>, unanswered: &mut bool) -> Result<SendResult, String> {
        let url = Url::parse(request.url.expose()).map_err(|e| format!("its URL is wrong: {e}"))?;
        let tls = (url.scheme() == "https").then(TlsOptions::default);
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Ok(SendResult::permanent("its URL has no host"));
        };
        let endpoint = Endpoint { host, port, tls: tls.as_ref(), caller: Caller::Shared, sends_at_once: false };
        let connection = self.net.connect(endpoint, told).await.map_err(|e| e.to_string())?;
        let wrong = |what: &str| format!("the request cannot be sent: {what}");
        let uri = Uri::builder()
            .scheme("http") // the connection stands already: no TLS of awc's own
            .authority(&url[Position::BeforeHost..Position::AfterPort])
            .path_and_query(&url[Position::BeforePath..Position::AfterQuery])
            .build()
            .map_err(|_| wrong("its path is not fit for HTTP"))?;
        let method = request.method.parse().map_err(|_| wrong("its method is none"))?;
        let handed = OneShot(Rc::new(RefCell::new(Some(Io(connection)))));
        let connector = awc::Connector::new().connector(handed).limit(0);
        let client = awc::Client::builder().disable_timeout().disable_redirects().connector(connector).finish();
        let mut sending = client.request(method, uri).no_decompress().force_close();
        for (name, value) in &request.headers {
            let name: HeaderName = name.parse().map_err(|_| wrong("a header's name is none"))?;
            let value = HeaderValue::from_str(value.expose()).map_err(|_| wrong("a header's value is not fit"))?;
            sending.headers_mut().append(name, value);
        }
        let before = std::mem::replace(unanswered, true);
        let mut response = sending.send_body(request.body.clone()).await.map_err(|e| words(&e))?;
        *unanswered = before;
        let after = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(|v| self.rest(v));
        let mut body = Vec::new();
        while body.len() < BODY_CAP {
            match response.next().await {
                Some(Ok(piece)) => body.extend_from_slice(&piece),
                // What the server did with the message stands in the status: a broken body changes nothing.
                Some(Err(_)) | None => break,
            }
        }
        body.truncate(BODY_CAP);
        Ok(request.judge(response.status().as_u16(), after, &body))
    }

    /// `Retry-After`: seconds, or a date (RFC 9110 section 10.2.3).
    fn rest(&self, value: &str) -> Option<Duration> {
        if let Ok(seconds) = value.trim().parse::<u64>() {
            return Some(Duration::from_secs(seconds));
        }
        let at = jiff::fmt::rfc2822::parse(value.trim()).ok()?.timestamp().as_millisecond();
        Some(Duration::from_millis(u64::try_from(at - self.clock.utc_now().0).unwrap_or(0)))
    }
}

/// awc's words, where they say more than that it did not work.
fn words(e: &SendRequestError) -> String {
    match e {
        SendRequestError::Connect(_) => "the connection was closed before any answer".to_owned(),
        SendRequestError::Response(_) => "the answer is not HTTP".to_owned(),
        SendRequestError::Send(e) => format!("the connection broke: {e}"),
        other => other.to_string(),
    }
}

/// The steps of connecting, as a trace words them.
struct Told<'a> {
    request: &'a Request,
    dialogue: &'a dyn Dialogue,
}

impl Observer for Told<'_> {
    fn event(&self, event: Event) {
        self.dialogue.step(&self.request.clean(&event.to_string(), 300));
    }
}

/// Hands out one connection, once.
#[derive(Clone)]
struct OneShot(Rc<RefCell<Option<Io>>>);

impl Service<ConnectInfo<Uri>> for OneShot {
    type Response = Handed<Uri, Io>;
    type Error = ConnectError;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    actix_service::always_ready!();

    fn call(&self, info: ConnectInfo<Uri>) -> Self::Future {
        let io = self.0.borrow_mut().take();
        ready(io.map(|io| Handed::new(info.request().clone(), io)).ok_or(ConnectError::Unresolved))
    }
}

/// A connection as awc wants it.
#[derive(Debug)]
struct Io(Connection);

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }
}

impl ActixStream for Io {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Readiness>> {
        ActixStream::poll_read_ready(self.0.tcp(), cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Readiness>> {
        ActixStream::poll_write_ready(self.0.tcp(), cx)
    }
}
