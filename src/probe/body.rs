//! Reads a body to its end or to the cap, and judges its framing.

use awc::error::PayloadError;
use futures_util::StreamExt;

use super::head::Framing;
use super::http::Answer;
use super::recorder::Recorder;
use super::verdict::{self, BodyEnd, Failure};
use crate::model::target::Method;
use crate::model::trace::Event;

/// Reads the body; more than `cap` bytes are left unread, which is no failure.
///
/// # Errors
/// When it is truncated, malformed, or the connection breaks.
pub async fn drain(answer: &mut Answer, method: Method, cap: usize, recorder: &Recorder) -> Result<(), Failure> {
    let framing = if method == Method::Head { Framing::None } else { answer.wire.framing() };
    let mut received: usize = 0;
    let mut capped = false;
    if framing != Framing::None {
        let declared_longer = matches!(framing, Framing::Length(n) if n > cap as u64);
        let mut error = None;
        while let Some(piece) = answer.response.next().await {
            match piece {
                Ok(bytes) => received = received.saturating_add(bytes.len()),
                Err(e) => {
                    error = Some(e);
                    break;
                }
            }
            if received > cap || (received == cap && declared_longer) {
                received = cap;
                capped = true;
                break;
            }
            recorder.set_body_bytes(received);
        }
        if !capped {
            let broken = answer.wire.broken();
            verdict::body_end(BodyEnd {
                peer: recorder.peer(),
                framing,
                received: received as u64,
                eof: answer.wire.eof(),
                broken: broken.as_ref(),
                error: error.as_ref().map(words),
            })?;
            if framing == Framing::Close && answer.wire.unclean() {
                recorder.step(Event::Note {
                    text: "the TLS connection ended without close_notify: the body may be cut".to_owned(),
                });
            }
        }
    }
    let bytes = u32::try_from(received).unwrap_or(u32::MAX);
    recorder.step(Event::Body { bytes, framing: framing.as_str().to_owned(), capped });
    Ok(())
}

/// The reader's error in words that hold nothing of what the server sent, and whether it is about the form.
fn words(e: &PayloadError) -> (&'static str, bool) {
    use std::io::ErrorKind;
    match e {
        PayloadError::Incomplete(Some(e)) if matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData) => {
            ("a chunk's size or end is malformed", true)
        }
        PayloadError::EncodingCorrupted | PayloadError::Overflow => ("it cannot be decoded", true),
        _ => ("it ended too early", false),
    }
}
