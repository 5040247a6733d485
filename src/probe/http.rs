//! One exchange over a ready connection: awc, for once.
//!
//! awc's own pool, DNS, TLS, timeouts and redirects stay out of the way: a client is made for the one request
//! (under a microsecond), and its connector hands out the one connection.

use std::cell::RefCell;
use std::future::{Ready, ready};
use std::rc::Rc;

use actix_service::Service;
use actix_tls::connect::{ConnectError, ConnectInfo, Connection as Handed};
use awc::ClientResponse;
use awc::body::None as NoBody;
use awc::error::SendRequestError;
use awc::http::Uri;
use awc::http::header::HeaderValue;

use super::io::{ProbeIo, Wire};
use super::recorder::Recorder;
use super::redirect::Hop;
use super::request::{self, Authorization};
use super::verdict::{self, Failure, NoHead};
use crate::model::reason::Reason;
use crate::model::target::Target;
use crate::model::text::{escape_controls, shorten};
use crate::model::trace::Event;
use crate::net::Connection;

/// Hands out one connection, once.
#[derive(Clone)]
struct OneShot(Rc<RefCell<Option<ProbeIo>>>);

impl Service<ConnectInfo<Uri>> for OneShot {
    type Response = Handed<Uri, ProbeIo>;
    type Error = ConnectError;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    actix_service::always_ready!();

    fn call(&self, info: ConnectInfo<Uri>) -> Self::Future {
        let io = self.0.borrow_mut().take();
        ready(io.map(|io| Handed::new(info.request().clone(), io)).ok_or(ConnectError::Unresolved))
    }
}

/// An answer whose head is read and whose body is still on the wire.
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// The body's source.
    pub response: ClientResponse,
    /// What was seen of the exchange.
    pub wire: Rc<Wire>,
}

/// Sends one request and reads the answer's head.
///
/// # Errors
/// Why there is no head.
pub async fn exchange(
    connection: Connection,
    target: &Target,
    hop: &Hop<'_>,
    authorization: Option<&Authorization>,
    user_agent: &HeaderValue,
    recorder: &Rc<Recorder>,
) -> Result<Answer, Failure> {
    let body = target.body.as_deref().filter(|_| hop.with_body);
    if body.is_some() && matches!(connection, Connection::Plain(_)) {
        // A body may take several writes: the last must not wait for an acknowledgement. A dead socket shows later.
        drop(connection.tcp().set_nodelay(true));
    }
    let wire = Rc::new(Wire::new(Rc::clone(recorder)));
    let io = ProbeIo::new(connection, Rc::clone(&wire));
    let connector = awc::Connector::new().connector(OneShot(Rc::new(RefCell::new(Some(io))))).limit(0);
    let client = awc::Client::builder().disable_timeout().disable_redirects().connector(connector).finish();
    let mut sending = client.request(request::method(hop.method), request::uri(hop)?).no_decompress().force_close();
    request::headers(sending.headers_mut(), target, hop, authorization, user_agent)?;
    let result = match body {
        Some(body) => sending.send_body(body.to_owned()).await,
        None if request::says_empty(hop.method) => sending.send_body(()).await,
        None => sending.send_body(NoBody::new()).await,
    };
    match result {
        Ok(response) => {
            let status = response.status().as_u16();
            let version = wire.head().map_or("HTTP/1.1", |h| if h.minor == b'0' { "HTTP/1.0" } else { "HTTP/1.1" });
            recorder.step(Event::Head { version: version.to_owned(), status });
            Ok(Answer { status, response, wire })
        }
        Err(e) => Err(no_head(&e, &wire, recorder, |text| request::leaks(text, target, authorization))),
    }
}

fn no_head(e: &SendRequestError, wire: &Wire, recorder: &Recorder, leaks: impl Fn(&str) -> bool) -> Failure {
    let broken = wire.broken();
    if broken.is_none() && wire.received() == 0 && !wire.eof() {
        // Neither the network nor the server has a part in this.
        let text = format!("sending the request: {}", escape_controls(&shorten(&e.to_string(), 200)));
        return Failure::new(Reason::Internal, text);
    }
    let first = wire.first_bytes();
    let foreign = (!first.is_empty()).then(|| {
        let text = String::from_utf8_lossy(&first);
        if leaks(&text) {
            "(what it sent is not shown: it repeats a secret)".to_owned()
        } else {
            format!("(it begins with `{}`)", escape_controls(&shorten(&text, 60)))
        }
    });
    verdict::no_head(NoHead {
        peer: recorder.peer(),
        broken: broken.as_ref(),
        eof: wire.eof(),
        sent: wire.sent(),
        received: wire.received(),
        too_large: wire.too_large(),
        foreign: foreign.as_deref(),
        error: parse_words(e),
    })
}

/// What the reader found wrong with a head. Its own texts are not used: they may repeat what the server sent.
fn parse_words(e: &SendRequestError) -> &'static str {
    use actix_http::error::ParseError;
    match e {
        SendRequestError::Response(ParseError::Version) => "its version is not HTTP/1.x",
        SendRequestError::Response(ParseError::Header) => "a header in it is malformed or contradicts another",
        SendRequestError::Response(ParseError::TooLarge) => "it has more than 96 headers, or is longer than 128 KiB",
        SendRequestError::Response(ParseError::Status) => "its status line is malformed",
        _ => "it is not HTTP",
    }
}
