//! Reads a body to its end or to the cap, and judges its framing. Who wants what is in it gives a sink.

use super::chunks::{Chunks, Malformed};
use super::head::Framing;
use super::http::Answer;
use super::recorder::Recorder;
use super::verdict::{self, BodyEnd, Failure};
use crate::model::target::Method;
use crate::model::trace::Event;

/// What was read of a body.
#[derive(Debug, Clone, Copy)]
pub struct Drained {
    /// Bytes; as many as the cap where that was reached.
    bytes: u32,
    framing: Framing,
    /// There was more than the cap.
    pub capped: bool,
}

impl Drained {
    /// The step of it in a trace.
    pub fn step(&self) -> Event {
        Event::Body { bytes: self.bytes, framing: self.framing.as_str().into(), capped: self.capped }
    }
}

/// Reads the body, piece by piece into `sink`; more than `cap` bytes are left unread: what that means, the caller says.
///
/// # Errors
/// When it is truncated, malformed, or the connection breaks.
pub async fn drain(
    answer: &mut Answer,
    method: Method,
    cap: usize,
    recorder: &Recorder,
    mut sink: impl FnMut(&[u8]),
) -> Result<Drained, Failure> {
    let framing = if method == Method::Head { Framing::None } else { answer.head.framing };
    let wire = &mut answer.wire;
    let mut chunks = Chunks::default();
    let (mut received, mut malformed) = (0_usize, None);
    let (complete, capped) = loop {
        let there = wire.bytes().len();
        let (taken, data) = match framing {
            Framing::None => (0, 0),
            Framing::Close => {
                sink(wire.bytes());
                (there, there)
            }
            Framing::Length(n) => {
                let n = usize::try_from(n).map_or(there, |n| (n - received).min(there));
                sink(&wire.bytes()[..n]);
                (n, n)
            }
            Framing::Chunked => chunks.take(wire.bytes(), &mut sink).unwrap_or_else(|Malformed(why)| {
                malformed = Some(why);
                (0, 0)
            }),
        };
        wire.consume(taken);
        received += data;
        let complete = match framing {
            Framing::None => true,
            Framing::Close => false,
            Framing::Length(n) => received as u64 == n,
            Framing::Chunked => chunks.done(),
        };
        let capped = received > cap || (received == cap && matches!(framing, Framing::Length(_)) && !complete);
        if capped {
            received = cap;
        }
        recorder.set_body_bytes(received);
        if complete || capped || malformed.is_some() || !wire.read().await {
            break (complete, capped);
        }
    };
    if !complete && !capped {
        verdict::body_end(BodyEnd {
            peer: recorder.peer(),
            framing,
            received: received as u64,
            broken: wire.broken(),
            malformed,
        })?;
        if wire.unclean() {
            recorder.step(Event::Note {
                text: "the TLS connection ended without close_notify: the body may be cut".to_owned(),
            });
        }
    }
    let bytes = u32::try_from(received).unwrap_or(u32::MAX);
    Ok(Drained { bytes, framing, capped })
}
