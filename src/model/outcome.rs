//! What one probe found.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::reason::{Reason, Verdict};
use super::time::{Mono, UtcMs};
use super::trace::Trace;

/// How long each phase of a probe took, in microseconds; `None` where it was not reached.
///
/// With redirects the phases of all hops add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Phases {
    /// Resolving the name; `None` for a literal address.
    pub resolve_us: Option<u32>,
    /// From the first connection attempt to the connection that won.
    pub connect_us: Option<u32>,
    /// The TLS handshake.
    pub tls_us: Option<u32>,
    /// Obtaining a token; not part of the latency.
    pub auth_us: Option<u32>,
    /// From the request being sent to the first byte of the answer.
    pub first_byte_us: Option<u32>,
    /// From the first byte to the end of the body.
    pub body_us: Option<u32>,
}

/// The finding of one probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// PASS, FAIL or UNKNOWN.
    pub verdict: Verdict,
    /// Why not PASS; `None` exactly for PASS.
    pub reason: Option<Reason>,
    /// For people: the reason phrase of the status for PASS ("OK"), else a sentence that says what was
    /// tried, what happened, after how long, and what that usually means. Free of secrets and control characters.
    pub description: Cow<'static, str>,
    /// The HTTP status code of the last answer, if there was one.
    pub status_code: Option<u16>,
    /// Time from start to end without the auth phase, in microseconds.
    pub latency_us: u32,
    /// Time of each phase.
    pub phases: Phases,
    /// Body bytes read (at most the cap), after framing, before decompression.
    pub body_bytes: u32,
    /// `notAfter` of the server's certificate, if there was a TLS handshake that got so far.
    pub certificate_expires_at: Option<UtcMs>,
}

impl Outcome {
    /// An outcome that passed.
    #[must_use]
    pub fn pass(status_code: u16, description: impl Into<Cow<'static, str>>) -> Outcome {
        Outcome {
            verdict: Verdict::Pass,
            reason: None,
            description: description.into(),
            status_code: Some(status_code),
            latency_us: 0,
            phases: Phases::default(),
            body_bytes: 0,
            certificate_expires_at: None,
        }
    }

    /// An outcome that did not pass; the verdict follows from the reason.
    #[must_use]
    pub fn not_passed(reason: Reason, description: impl Into<Cow<'static, str>>) -> Outcome {
        Outcome {
            verdict: reason.verdict(),
            reason: Some(reason),
            description: description.into(),
            status_code: None,
            latency_us: 0,
            phases: Phases::default(),
            body_bytes: 0,
            certificate_expires_at: None,
        }
    }
}

/// One probe, from due time to outcome.
#[derive(Debug, Clone)]
pub struct Probe {
    /// When it should have started.
    pub due: Mono,
    /// When it started: before resolving, after admission.
    pub started: Mono,
    /// The wall-clock time of `started`.
    pub started_at: UtcMs,
    /// What was found.
    pub outcome: Outcome,
    /// Every step with its offset.
    pub trace: Trace,
}
