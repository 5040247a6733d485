//! One exchange over a ready connection: the request out, the answer's head in.
//!
//! HTTP/1.1 by hand, with httparse: a client library would hide what a monitor is for (interim answers, framing, how
//! and when a connection broke), and cost more than all the rest of a probe in user mode (benches/README.md).

use std::time::Duration;

use super::head::{self, Head, Look, MAX_HEAD};
use super::recorder::Recorder;
use super::request;
use super::verdict::{self, Failure, NoHead};
use super::wire::Wire;
use crate::model::text::{escape_controls, shorten};
use crate::model::trace::Event;

/// So many bytes of an answer that is not HTTP are looked at to say how it begins.
const FIRST_BYTES: usize = 256;

/// What goes out.
pub struct Request<'a> {
    /// Line, headers and body.
    pub bytes: &'a [u8],
    /// A body is among them.
    pub with_body: bool,
}

/// An answer whose head is read and whose body is still on the wire.
#[derive(Debug)]
pub struct Answer {
    /// Its head.
    pub head: Head,
    /// Where the body comes from.
    pub wire: Wire,
}

/// Sends one request and reads the answer's head. `leaks` tells a text of the server that must not be shown, by how many
/// characters it has in common with a secret; `headers` gets the answer's headers, where somebody wants them.
///
/// # Errors
/// Why there is no head.
pub async fn exchange(
    mut wire: Wire,
    request: Request<'_>,
    leaks: impl Fn(&str, usize) -> bool,
    headers: Option<&mut Vec<(String, String)>>,
    recorder: &Recorder,
) -> Result<Answer, Failure> {
    if request.with_body && !wire.is_tls() {
        // A body may take several writes: the last must not wait for an acknowledgement. A dead socket shows later.
        drop(wire.tcp().set_nodelay(true));
    }
    let sent = wire.send(request.bytes).await;
    let head = if sent {
        recorder.step(Event::Sent { bytes: u32::try_from(request.bytes.len()).unwrap_or(u32::MAX) });
        read_head(&mut wire, headers, recorder).await
    } else {
        Err(Unread::Ended)
    };
    answer(wire, head, sent, &leaks, recorder)
}

/// The same over a connection that has served before. What it shows before an answer begins says nothing of the service,
/// so then nothing is judged: `Err` says why the request should be repeated over a fresh connection. `patience` is how long
/// the first byte is waited for.
///
/// # Errors
/// Why this connection gave no answer, in words.
pub async fn again(
    mut wire: Wire,
    request: Request<'_>,
    patience: Duration,
    leaks: impl Fn(&str, usize) -> bool,
    recorder: &Recorder,
) -> Result<Result<Answer, Failure>, &'static str> {
    let first = async {
        let sent = wire.send(request.bytes).await;
        if sent {
            recorder.step(Event::Sent { bytes: u32::try_from(request.bytes.len()).unwrap_or(u32::MAX) });
        }
        sent && wire.read().await
    };
    match tokio::time::timeout(patience, first).await {
        Err(_) => return Err("no answer came over it: the request is repeated over a fresh one"),
        Ok(false) if wire.eof() => {
            return Err("the server closed it before any answer: the request is repeated over a fresh one");
        }
        Ok(false) => return Err("it broke before any answer: the request is repeated over a fresh one"),
        Ok(true) => {}
    }
    let head = read_head(&mut wire, None, recorder).await;
    match &head {
        // What came may have been sent before the request arrived, as a farewell to an idle connection is.
        Ok(head) if head.status == 408 => {
            Err("the server was about to close it (408): the request is repeated over a fresh one")
        }
        Err(Unread::Ended) => Err("it broke within the head of an answer: the request is repeated over a fresh one"),
        Err(Unread::Foreign | Unread::Bad(_)) => {
            Err("what came over it was no answer: the request is repeated over a fresh one")
        }
        Ok(_) => Ok(answer(wire, head, true, &leaks, recorder)),
    }
}

/// What was read, as an answer or as a failure.
fn answer(
    wire: Wire,
    head: Result<Head, Unread>,
    sent: bool,
    leaks: &impl Fn(&str, usize) -> bool,
    recorder: &Recorder,
) -> Result<Answer, Failure> {
    match head {
        Ok(mut head) => {
            recorder.step(Event::Head { version: head.version.into(), status: head.status });
            if let Some(id) = head.request_id.take_if(|id| !leaks(id, request::ID)) {
                recorder.step(Event::RequestId { id });
            }
            Ok(Answer { head, wire })
        }
        Err(why) => {
            let foreign =
                matches!(why, Unread::Foreign).then(|| begins(wire.bytes(), |text| leaks(text, request::SHOWN)));
            Err(verdict::no_head(NoHead {
                peer: recorder.peer(),
                broken: wire.broken(),
                sent,
                received: wire.received(),
                foreign: foreign.as_deref(),
                error: if let Unread::Bad(why) = why { Some(why) } else { None },
            }))
        }
    }
}

/// More interim answers than any server sends in good faith. Each is a step of the trace, which is kept and told.
const MAX_INTERIM: usize = 32;

/// Why there is no head.
enum Unread {
    /// The connection ended or broke.
    Ended,
    /// It is not HTTP/1.x.
    Foreign,
    /// What is wrong with it.
    Bad(&'static str),
}

async fn read_head(
    wire: &mut Wire,
    headers: Option<&mut Vec<(String, String)>>,
    recorder: &Recorder,
) -> Result<Head, Unread> {
    let (mut looked, mut dropped, mut interims) = (0, 0, 0);
    let mut there = wire.received() > 0;
    while there || wire.read().await {
        there = false;
        if wire.received() == wire.bytes().len() as u64 && looked == 0 {
            recorder.step(Event::FirstByte);
        }
        loop {
            match head::look(wire.bytes(), looked) {
                Look::More if wire.bytes().len() + dropped > MAX_HEAD => {
                    return Err(Unread::Bad("it is longer than 128 KiB"));
                }
                Look::More => {
                    looked = wire.bytes().len();
                    break;
                }
                Look::Interim { .. } if interims == MAX_INTERIM => {
                    return Err(Unread::Bad("more than 32 interim answers (1xx) come before it"));
                }
                Look::Interim { bytes, status } => {
                    interims += 1;
                    recorder.step(Event::Interim { status });
                    wire.consume(bytes);
                    dropped += bytes;
                    looked = 0;
                }
                Look::Final(head, bytes) => {
                    if let Some(headers) = headers {
                        *headers = head::headers(&wire.bytes()[..bytes]);
                    }
                    wire.consume(bytes);
                    return Ok(head);
                }
                Look::Foreign => return Err(Unread::Foreign),
                Look::Bad(why) => return Err(Unread::Bad(why)),
            }
        }
    }
    Err(Unread::Ended)
}

/// How something that is not HTTP begins, for people.
fn begins(bytes: &[u8], leaks: impl Fn(&str) -> bool) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(FIRST_BYTES)]);
    if leaks(&text) {
        "(what it sent is not shown: it repeats a secret)".to_owned()
    } else {
        format!("(it begins with `{}`)", escape_controls(&shorten(&text, 60)))
    }
}
