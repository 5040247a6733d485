//! The ordered steps of one probe, with offsets in microseconds from its start.
//!
//! Steps are data, not text: a passing probe's trace costs a few dozen nanoseconds a step and is rendered only
//! when somebody looks. No step holds a secret: header values, bodies and userinfo never enter a trace.

pub mod packed;

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::reason::Reason;
use super::text::escape_controls;

/// Declares the events twice: as what everybody uses, which describes itself in JSON, and as the same list without names,
/// which [`packed`] writes.
macro_rules! events {
    ($(#[$doc:meta])* pub enum $name:ident { $($body:tt)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "step", rename_all = "snake_case")]
        pub enum $name { $($body)* }

        #[derive(Serialize, Deserialize)]
        #[serde(remote = "Event")]
        enum Unnamed { $($body)* }
    };
}

events! {
    /// One thing that happened in a probe.
    pub enum Event {
        /// A hop begins: the first request, or a redirect's next one.
        Request {
            /// The method.
            method: Cow<'static, str>,
            /// The URL without userinfo.
            url: String,
        },
        /// The name is being resolved.
        Resolving {
            /// The name.
            host: String,
        },
        /// The name has these addresses.
        Resolved {
            /// In the order in which they will be tried.
            addresses: Vec<IpAddr>,
            /// Answered from our own cache, within the record's time to live.
            cached: bool,
        },
        /// A connection attempt has been started.
        Connecting {
            /// To where.
            address: SocketAddr,
        },
        /// A connection attempt has failed; others may go on.
        ConnectFailed {
            /// To where.
            address: SocketAddr,
            /// The system's words.
            error: String,
        },
        /// The connection stands.
        Connected {
            /// The address that won.
            address: SocketAddr,
            /// Our end, where known.
            local: Option<SocketAddr>,
        },
        /// The TLS handshake has begun.
        TlsStarted {
            /// The server name sent and verified.
            server_name: String,
        },
        /// The TLS handshake is complete.
        TlsDone {
            /// `TLSv1.3` or `TLSv1.2`.
            version: Cow<'static, str>,
            /// The cipher suite's IANA name.
            cipher: String,
        },
        /// The certificate chain that the server sent, also when it was refused.
        Certificate {
            /// Subject of the leaf.
            subject: String,
            /// Issuer of the leaf.
            issuer: String,
            /// `notAfter` of the leaf in milliseconds UTC.
            not_after: i64,
            /// Why it was not accepted; `None` when it was, or when it was not verified.
            refused: Option<String>,
            /// Verification is switched off for this target.
            unverified: bool,
        },
        /// The authentication has been prepared: its kind, never its content.
        Auth {
            /// `BASIC` or `BEARER`.
            kind: Cow<'static, str>,
        },
        /// No token was at hand, or it was refused: a login is waited for. Steps up to [`Event::Token`] are the login's.
        TokenAsked {
            /// Name of the credential.
            credential: String,
        },
        /// There is a token: whose, never its value.
        Token {
            /// Name of the credential.
            credential: String,
            /// How long it was waited for, in microseconds; `None`: it was at hand.
            waited_us: Option<u32>,
        },
        /// The service refused the token with 401: a new one is asked for and the request repeated, once.
        TokenRefused,
        /// The service catalog was asked for the URL.
        Catalog {
            /// What was asked, as `openstack://compute/public`.
            query: String,
            /// Where that is.
            url: String,
            /// Where it was at the probe before, when that was elsewhere.
            before: Option<String>,
        },
        /// The request has been handed to the kernel.
        Sent {
            /// Bytes of head and body.
            bytes: u32,
        },
        /// The first byte of the answer has come.
        FirstByte,
        /// An interim answer (1xx) was skipped.
        Interim {
            /// Its status.
            status: u16,
        },
        /// The final answer's head is complete.
        Head {
            /// `HTTP/1.1` or `HTTP/1.0`, as the server said.
            version: Cow<'static, str>,
            /// Its status.
            status: u16,
        },
        /// What an OpenStack service calls this request in its logs (`X-Openstack-Request-Id`).
        RequestId {
            /// Letters, digits and `-`, at most 100.
            id: String,
        },
        /// The body has ended, or the cap was reached.
        Body {
            /// Bytes read.
            bytes: u32,
            /// `length`, `chunked`, `close` (ends with the connection) or `none`.
            framing: Cow<'static, str>,
            /// More was left unread beyond the cap.
            capped: bool,
        },
        /// The answer points elsewhere and is followed.
        Redirect {
            /// The next URL, without userinfo.
            to: String,
        },
        /// The answer was compared with the expectation.
        Check {
            /// What was asked, as in `pass_result`.
            expected: Cow<'static, str>,
            /// What came.
            status: u16,
            /// Whether it fits.
            ok: bool,
        },
        /// The probe ended without PASS.
        Failed {
            /// Why.
            reason: Reason,
            /// The sentence for people.
            description: String,
        },
        /// Something worth knowing that is not an error.
        Note {
            /// What.
            text: String,
        },
        /// The connection of the probes before serves this one too: nothing was resolved, connected or shaken hands on.
        Reused {
            /// The address that it leads to.
            address: SocketAddr,
            /// Our end, where known.
            local: Option<SocketAddr>,
            /// The how manieth probe over it this is, …
            probe: u32,
            /// … of at most so many.
            of: u32,
            /// `notAfter` of the certificate that its handshake showed, in milliseconds UTC.
            certificate_until: Option<i64>,
        },
        /// The connection of the probes before does not serve this one: a fresh one is made.
        NotReused {
            /// Why.
            why: Cow<'static, str>,
        },
    }
}

/// An event with its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Microseconds since the probe's start.
    pub at_us: u32,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// All steps of one probe, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Trace {
    /// In the order in which they happened; offsets never decrease.
    pub steps: Vec<Step>,
}

impl Trace {
    /// Adds a step. An offset before the last step's is raised to it.
    pub fn push(&mut self, at_us: u32, event: Event) {
        let at_us = self.steps.last().map_or(at_us, |last| at_us.max(last.at_us));
        self.steps.push(Step { at_us, event });
    }

    /// One line a step with `[OK]` or `[FAIL]`, each prefixed by its offset in milliseconds.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.steps.iter().map(|s| format!("{:>10.3} ms  {}", f64::from(s.at_us) / 1000.0, s.event)).collect()
    }
}

impl fmt::Display for Event {
    /// The words of skypunch 0.3.0 where the step is the same. Text from outside is escaped: nothing that a
    /// server sends can reach a terminal as a control sequence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let e = |s: &str| escape_controls(s).into_owned();
        match self {
            Event::Request { method, url } => write!(f, "{} {}", e(method), e(url)),
            Event::Resolving { host } => write!(f, "Resolving {} ....", e(host)),
            Event::Resolved { addresses, cached } => {
                write!(f, "Resolved    [OK] ")?;
                for (i, a) in addresses.iter().enumerate() {
                    if i > 0 {
                        write!(f, ", ")?;
                    }
                    write!(f, "{a}")?;
                }
                if *cached { write!(f, " (cached)") } else { Ok(()) }
            }
            Event::Connecting { address } => write!(f, "Connecting to {address} ...."),
            Event::ConnectFailed { address, error } => {
                write!(f, "Connection to {address}    [FAIL] {}", e(error))
            }
            Event::Connected { address, local } => {
                write!(f, "Connection    [OK] to {address}")?;
                local.map_or(Ok(()), |l| write!(f, " from {l}"))
            }
            Event::TlsStarted { server_name } => write!(f, "TLS handshake with {} ....", e(server_name)),
            Event::TlsDone { version, cipher } => write!(f, "TLS handshake    [OK] {} {}", e(version), e(cipher)),
            Event::Certificate { subject, issuer, not_after, refused, unverified } => {
                let day = super::text::utc_day(*not_after);
                match refused {
                    Some(why) => write!(f, "Certificate    [FAIL] {}: ", e(why))?,
                    None if *unverified => write!(f, "Certificate    [not verified] ")?,
                    None => write!(f, "Certificate    [OK] ")?,
                }
                write!(f, "{}, issued by {}, valid until {day}", e(subject), e(issuer))
            }
            Event::Auth { kind } => write!(f, "Using {} Authentication    [OK]", e(kind)),
            Event::TokenAsked { credential } => write!(f, "Waiting for a token of credential {} ....", e(credential)),
            Event::Token { credential, waited_us: None } => {
                write!(f, "Token       [OK] of credential {} (at hand)", e(credential))
            }
            Event::Token { credential, waited_us: Some(us) } => {
                let waited = f64::from(*us) / 1_000_000.0;
                write!(f, "Token       [OK] of credential {} (waited {waited:.3} s)", e(credential))
            }
            Event::TokenRefused => write!(f, "401 with a token: asking for another, to repeat once"),
            Event::Catalog { query, url, before } => {
                write!(f, "Catalog    [OK] {} is {}", e(query), e(url))?;
                before.as_ref().map_or(Ok(()), |before| write!(f, " (it was {})", e(before)))
            }
            Event::Sent { bytes } => write!(f, "Sending request    [OK] {bytes} bytes"),
            Event::FirstByte => write!(f, "First byte    [OK]"),
            Event::Interim { status } => write!(f, "Interim answer {status} skipped"),
            Event::Head { version, status } => write!(f, "Reading response    [OK] {} {status}", e(version)),
            Event::RequestId { id } => write!(f, "Request id    {}", e(id)),
            Event::Body { bytes, framing, capped } => {
                write!(f, "Reading body    [OK] {bytes} bytes ({})", e(framing))?;
                if *capped { write!(f, ", the rest left unread (probe.body_cap = {bytes})") } else { Ok(()) }
            }
            Event::Redirect { to } => write!(f, "Redirect to {}", e(to)),
            Event::Check { expected, status, ok: true } => {
                write!(f, "Response    [OK] {status} is in {}", e(expected))
            }
            Event::Check { expected, status, ok: false } => {
                write!(f, "Response    [FAIL] {status} is not in {}", e(expected))
            }
            Event::Failed { reason, description } => write!(f, "[FAIL] {reason}: {}", e(description)),
            Event::Note { text } => write!(f, "{}", e(text)),
            Event::Reused { address, local, probe, of, certificate_until } => {
                write!(f, "Connection    [OK] reused, probe {probe} of {of}, to {address}")?;
                local.map_or(Ok(()), |l| write!(f, " from {l}"))?;
                let day = certificate_until.map(super::text::utc_day);
                day.map_or(Ok(()), |day| write!(f, ", certificate valid until {day}"))
            }
            Event::NotReused { why } => write!(f, "Connection    [not reused] {}", e(why)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_never_decrease() {
        let mut trace = Trace::default();
        trace.push(5, Event::FirstByte);
        trace.push(3, Event::FirstByte);
        assert_eq!(trace.steps[1].at_us, 5);
    }

    #[test]
    fn a_servers_escape_sequence_reaches_no_terminal() {
        let event = Event::Note { text: "\u{1b}[31mred\r\n\u{9b}x".into() };
        let shown = event.to_string();
        assert!(shown.chars().all(|c| !c.is_control()), "{shown:?}");
    }

    #[test]
    fn a_trace_reads_back_from_json() {
        let mut trace = Trace::default();
        trace.push(1, Event::Connecting { address: "127.0.0.1:80".parse().unwrap() });
        trace.push(2, Event::Failed { reason: Reason::ConnectRefused, description: "x".into() });
        let json = serde_json::to_string(&trace).unwrap();
        assert_eq!(serde_json::from_str::<Trace>(&json).unwrap(), trace);
        assert!(json.contains(r#""step":"connecting""#), "{json}");
    }
}
