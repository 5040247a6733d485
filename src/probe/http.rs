//! One exchange over a ready connection: the request out, the answer's head in.
//!
//! HTTP/1.1 by hand, with httparse: a client library would hide what a monitor is for (interim answers, framing, how
//! and when a connection broke), and cost more than all the rest of a probe in user mode (benches/README.md).

use super::head::{self, Head, Look, MAX_HEAD};
use super::recorder::Recorder;
use super::request;
use super::verdict::{self, Failure, NoHead};
use super::wire::Wire;
use crate::model::text::{escape_controls, shorten};
use crate::model::trace::Event;
use crate::net::Connection;

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
    connection: Connection,
    request: Request<'_>,
    leaks: impl Fn(&str, usize) -> bool,
    headers: Option<&mut Vec<(String, String)>>,
    recorder: &Recorder,
) -> Result<Answer, Failure> {
    if request.with_body && matches!(connection, Connection::Plain(_)) {
        // A body may take several writes: the last must not wait for an acknowledgement. A dead socket shows later.
        drop(connection.tcp().set_nodelay(true));
    }
    let mut wire = Wire::new(connection);
    let sent = wire.send(request.bytes).await;
    let head = if sent {
        recorder.step(Event::Sent { bytes: u32::try_from(request.bytes.len()).unwrap_or(u32::MAX) });
        read_head(&mut wire, headers, recorder).await
    } else {
        Err(Unread::Ended)
    };
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
    while wire.read().await {
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
