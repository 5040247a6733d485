//! What went wrong, as a reason and a sentence; pure.
//!
//! The sentence says what was tried, what happened, after how long, and what that usually means:
//! `connecting to 127.0.0.1:81: connection refused after 0.2 ms; usually nothing listens on that port: …`.

use std::net::SocketAddr;
use std::time::Duration;

use super::head::Framing;
use super::recorder::Phase;
use super::wire::Broken;
use crate::model::reason::Reason;
use crate::model::text::escape_controls;
use crate::net::{NetError, TlsError};

/// Why a probe did not pass, before it is a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The word for it.
    pub reason: Reason,
    /// `what was tried: what happened`, free of control characters.
    pub text: String,
    /// The text says all there is to say: neither a time nor a guess is added.
    pub complete: bool,
    /// What that usually means.
    usually: &'static str,
}

impl Failure {
    /// A failure whose sentence gets its time and what it usually means.
    #[must_use]
    pub fn new(reason: Reason, text: impl Into<String>) -> Failure {
        Failure { reason, text: text.into(), complete: false, usually: reason.usually() }
    }

    /// An answer whose status code is not as asked.
    #[must_use]
    pub fn status(code: u16, text: impl Into<String>) -> Failure {
        Failure { usually: usual_cause(code), ..Failure::new(Reason::Status, text) }
    }

    /// A failure whose text already says what to do.
    #[must_use]
    pub fn complete(reason: Reason, text: impl Into<String>) -> Failure {
        Failure { complete: true, ..Failure::new(reason, text) }
    }

    /// The sentence for people.
    #[must_use]
    pub fn sentence(&self, after: Duration) -> String {
        if self.complete {
            return self.text.clone();
        }
        format!("{} after {}; usually {}", self.text, span(after), self.usually)
    }
}

/// What an answer that is not as asked usually means.
fn usual_cause(code: u16) -> &'static str {
    match code {
        200..=299 => "the service works, but answers otherwise than `pass_result` says",
        300..=399 => "the service has moved: ask its new address, or let `redirects` follow",
        401 | 407 => "the login is missing, wrong or expired",
        403 => "the login lacks the right, or a firewall of the service refuses us",
        404 | 410 => "that path is gone, or the service behind it is not deployed",
        429 => "we ask too often, or the service sheds load",
        400..=499 => "the service does not take such a request any more",
        500 => "the service has a fault: its own log says which",
        502 | 504 => "the proxy works, the service behind it does not answer",
        503 => "the service is overloaded, being restarted, or in maintenance",
        _ => Reason::Status.usually(),
    }
}

impl From<NetError> for Failure {
    fn from(e: NetError) -> Failure {
        match &e {
            NetError::Tls(TlsError::Authorities(_) | TlsError::ServerName(_)) => {
                Failure::complete(e.reason(), e.to_string())
            }
            NetError::Dial(dial) if dial.reason() == Reason::EgressDenied => {
                Failure::complete(dial.reason(), dial.to_string())
            }
            _ => Failure::new(e.reason(), e.to_string()),
        }
    }
}

/// A time as people read it: `0.2 ms`, `12 ms`, `1.50 s`.
#[must_use]
pub fn span(d: Duration) -> String {
    let ms = d.as_secs_f64() * 1000.0;
    match ms {
        ms if ms < 10.0 => format!("{ms:.1} ms"),
        ms if ms < 1000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.2} s", ms / 1000.0),
    }
}

/// What it usually means that skypunch did not run.
pub const OVERSLEPT: &str = "the machine or the process was suspended, or its processors are overloaded";

/// The deadline passed in `phase`.
#[must_use]
pub fn timed_out(phase: Phase, host: &str, peer: Option<SocketAddr>, body_bytes: u32, timeout: Duration) -> Failure {
    let peer = peer.map_or_else(|| "the server".to_owned(), |p| p.to_string());
    let within = span(timeout);
    let (reason, text) = match phase {
        Phase::Resolve => (Reason::TimeoutResolve, format!("resolving {host}: no answer within {within}")),
        Phase::Start | Phase::Auth | Phase::Connect => {
            (Reason::TimeoutConnect, format!("connecting to {peer}: no answer within {within}"))
        }
        Phase::Tls => (Reason::TimeoutTls, format!("TLS handshake with {peer}: not complete within {within}")),
        Phase::Send => (Reason::TimeoutSend, format!("sending the request to {peer}: not taken within {within}")),
        Phase::FirstByte => {
            (Reason::TimeoutFirstByte, format!("waiting for the answer of {peer}: no byte came within {within}"))
        }
        Phase::Head => {
            (Reason::TimeoutHead, format!("reading the answer's head from {peer}: not complete within {within}"))
        }
        Phase::Body => {
            (Reason::TimeoutBody, format!("reading the body from {peer}: only {body_bytes} bytes came within {within}"))
        }
    };
    Failure::complete(reason, format!("{text}; usually {}", reason.usually()))
}

/// The deadline passed while a file of this machine was waited for.
#[must_use]
pub fn file_silent(file: &str, waited: Duration) -> Failure {
    let text = format!(
        "{file} did not answer within {}; usually its network filesystem hangs: mend that, or name a file on a local disk",
        span(waited)
    );
    Failure::complete(Reason::AuthConfig, text)
}

/// No token came in time.
#[must_use]
pub fn no_token(credential: &str, waited: Duration) -> Failure {
    let credential = escape_controls(credential);
    let text = format!(
        "logging in: no token of credential {credential} within {}; usually the identity \
                        service hangs or is overloaded",
        span(waited)
    );
    Failure::complete(Reason::IdentityUnreachable, text)
}

/// What is known when no head could be read.
#[derive(Debug, Clone, Copy)]
pub struct NoHead<'a> {
    /// From whom.
    pub peer: Option<SocketAddr>,
    /// How the connection broke.
    pub broken: Option<&'a Broken>,
    /// The request had gone out as a whole.
    pub sent: bool,
    /// Bytes that came.
    pub received: u64,
    /// It does not begin as HTTP/1.x does: how it begins, or that this is not shown.
    pub foreign: Option<&'a str>,
    /// It is HTTP/1.x, but not as it should be.
    pub error: Option<&'static str>,
}

/// There is no head.
#[must_use]
pub fn no_head(seen: NoHead<'_>) -> Failure {
    let peer = seen.peer.map_or_else(|| "the server".to_owned(), |p| p.to_string());
    let (doing, within) = match seen.received {
        0 if !seen.sent => (format!("sending the request to {peer}"), "before any answer"),
        0 => (format!("waiting for the answer of {peer}"), "before any answer"),
        _ => (format!("reading the answer's head from {peer}"), "within the head"),
    };
    if let Some(foreign) = seen.foreign {
        return Failure::new(Reason::Protocol, format!("{doing}: it is not HTTP/1.x {foreign}"));
    }
    if let Some(broken) = seen.broken {
        return broke(&doing, broken, within);
    }
    if let Some(error) = seen.error {
        return Failure::new(Reason::Protocol, format!("{doing}: {error}"));
    }
    Failure::new(Reason::ClosedEarly, format!("{doing}: the connection was closed {within}"))
}

/// A connection that broke.
#[must_use]
pub fn broke(doing: &str, broken: &Broken, within: &str) -> Failure {
    match broken {
        Broken::Reset => Failure::new(Reason::Reset, format!("{doing}: the connection was reset {within}")),
        Broken::Tls(why) => Failure::new(Reason::TlsHandshake, format!("{doing}: {why}")),
        Broken::Resources(why) => Failure::new(Reason::LocalResources, format!("{doing}: {why}")),
        Broken::Other(why) => Failure::new(Reason::Reset, format!("{doing}: the connection broke {within}: {why}")),
    }
}

/// How the reading of a body ended before its end was seen.
#[derive(Debug, Clone, Copy)]
pub struct BodyEnd<'a> {
    /// From whom.
    pub peer: Option<SocketAddr>,
    /// How the end was to be known.
    pub framing: Framing,
    /// Bytes that came.
    pub received: u64,
    /// How the connection broke; `None`: the server closed it.
    pub broken: Option<&'a Broken>,
    /// What is wrong with its chunks.
    pub malformed: Option<&'static str>,
}

/// Whether a body without a seen end is whole: only one that ends with the connection is.
///
/// # Errors
/// What it lacks.
pub fn body_end(seen: BodyEnd<'_>) -> Result<(), Failure> {
    let peer = seen.peer.map_or_else(|| "the server".to_owned(), |p| p.to_string());
    let doing = format!("reading the body from {peer}");
    let came = match seen.framing {
        Framing::Length(n) => format!("after {} of {n} bytes", seen.received),
        _ => format!("after {} bytes", seen.received),
    };
    if let Some(broken) = seen.broken {
        return Err(broke(&doing, broken, &came));
    }
    if let Some(why) = seen.malformed {
        let text = format!("{doing}: its framing is broken {came}: {why}");
        return Err(Failure::new(Reason::Protocol, text));
    }
    match seen.framing {
        Framing::None | Framing::Close => Ok(()),
        Framing::Length(_) | Framing::Chunked => {
            Err(Failure::new(Reason::ClosedEarly, format!("{doing}: the connection was closed {came}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: Option<SocketAddr> = Some(SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 80));

    #[test]
    fn a_sentence_says_what_when_and_why() {
        let failure = Failure::new(Reason::ConnectRefused, "connecting to 127.0.0.1:80: connection refused");
        assert_eq!(
            failure.sentence(Duration::from_micros(240)),
            "connecting to 127.0.0.1:80: connection refused after 0.2 ms; \
             usually nothing listens on that port: the service is stopped or starting"
        );
        assert_eq!(
            Failure::status(502, "GET answered 502 Bad Gateway, not 200").sentence(Duration::from_millis(3)),
            "GET answered 502 Bad Gateway, not 200 after 3.0 ms; \
             usually the proxy works, the service behind it does not answer"
        );
        assert_eq!(span(Duration::from_millis(1500)), "1.50 s");
        assert_eq!(span(Duration::from_millis(42)), "42 ms");
    }

    #[test]
    fn each_phase_has_its_timeout() {
        let reason = |phase| timed_out(phase, "a.test", PEER, 3, Duration::from_secs(2)).reason;
        for (phase, expected) in [
            (Phase::Resolve, Reason::TimeoutResolve),
            (Phase::Connect, Reason::TimeoutConnect),
            (Phase::Tls, Reason::TimeoutTls),
            (Phase::Send, Reason::TimeoutSend),
            (Phase::FirstByte, Reason::TimeoutFirstByte),
            (Phase::Head, Reason::TimeoutHead),
            (Phase::Body, Reason::TimeoutBody),
        ] {
            assert_eq!(reason(phase), expected);
        }
    }

    #[test]
    fn truncation_is_judged_by_framing() {
        let end = |framing, malformed| {
            body_end(BodyEnd { peer: PEER, framing, received: 5, broken: None, malformed }).err().map(|f| f.reason)
        };
        assert_eq!(end(Framing::Length(100), None), Some(Reason::ClosedEarly));
        assert_eq!(end(Framing::Chunked, None), Some(Reason::ClosedEarly));
        assert_eq!(end(Framing::Close, None), None);
        assert_eq!(end(Framing::Chunked, Some("a chunk's size is malformed")), Some(Reason::Protocol));
        let broken = Some(&Broken::Reset);
        let reset = body_end(BodyEnd { peer: PEER, framing: Framing::Close, received: 5, broken, malformed: None });
        assert_eq!(reset.err().map(|f| f.reason), Some(Reason::Reset));
    }

    #[test]
    fn our_own_lack_is_never_the_servers_fault() {
        let broken = Broken::Resources("no buffer space available".into());
        assert_eq!(broke("sending", &broken, "before any answer").reason, Reason::LocalResources);
    }
}
