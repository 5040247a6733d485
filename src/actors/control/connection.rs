//! One caller's connection: who it is, and bounds on how it sends its request.
//!
//! ```text
//!  accepted --a head within request_timeout and max_head?--> admitted --body (see `body`)--> answered --> closed
//!               '- no: a problem document, the end
//! ```
//!
//! A connection carries one request. What a caller keeps us waiting for is known here, so that `server` can cut off who
//! stalls when there are too many.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use rustix::net::SendFlags;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::time::Sleep;

use super::head::{Head, Read};
use super::peer::Peer;
use super::refusals::Refusals;
use crate::config::ControlLimits;
use crate::control::api::{PROBLEM_JSON, ProblemDetails};
use crate::model::time::Mono;

/// A caller, as accept loop, connection and routes know it; all of them are on one thread.
#[derive(Debug)]
pub struct Caller {
    /// Who it is, where the kernel says.
    pub peer: Option<Peer>,
    /// When it came.
    pub since: Mono,
    /// Its request's head is here.
    head: Cell<bool>,
    /// Its request is here.
    request: Cell<bool>,
    /// It does not take what is written.
    stuck: Cell<bool>,
    /// Its answer goes on until it leaves.
    watches: Cell<bool>,
    /// Its connection is closed.
    ended: Cell<bool>,
}

impl Caller {
    /// One that has just come.
    pub fn new(peer: Option<Peer>, since: Mono) -> Rc<Caller> {
        let no = || Cell::new(false);
        Rc::new(Caller { peer, since, head: no(), request: no(), stuck: no(), watches: no(), ended: no() })
    }

    /// The head of its request has been read.
    pub fn head_is_here(&self) {
        self.head.set(true);
    }

    /// Nothing more is expected of it than to take the answer.
    pub fn request_is_here(&self) {
        self.head.set(true);
        self.request.set(true);
    }

    /// Its answer has no end.
    pub fn now_watches(&self) {
        self.watches.set(true);
    }

    /// Whether its answer has no end.
    pub fn watches(&self) -> bool {
        self.watches.get()
    }

    /// Whether it keeps us waiting: for its request, or for taking the answer.
    pub fn stalls(&self) -> bool {
        !self.request.get() || self.stuck.get()
    }

    /// Whether its connection is closed.
    pub fn has_ended(&self) -> bool {
        self.ended.get()
    }
}

/// The connection of a caller.
pub struct Connection {
    stream: UnixStream,
    caller: Rc<Caller>,
    limits: ControlLimits,
    refusals: Rc<Refusals>,
    /// Till the head must be here; later, till something of the answer must be taken.
    deadline: Option<Pin<Box<Sleep>>>,
    head: Head,
    refused: bool,
}

impl Connection {
    /// A connection that was just accepted.
    pub fn new(stream: UnixStream, caller: Rc<Caller>, limits: ControlLimits, refusals: Rc<Refusals>) -> Connection {
        let deadline = Some(Box::pin(tokio::time::sleep(limits.request_timeout)));
        Connection { stream, caller, limits, refusals, deadline, head: Head::default(), refused: false }
    }

    /// Whose it is.
    pub fn caller(&self) -> &Rc<Caller> {
        &self.caller
    }

    fn poll_head(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, out) {
            read?;
            let fresh = &out.filled()[before..];
            if fresh.is_empty() {
                return Poll::Ready(Ok(())); // it has gone
            }
            let (status, why) = match self.head.take(fresh, self.limits.max_head) {
                Read::Part => return Poll::Ready(Ok(())),
                Read::Whole => {
                    self.caller.head_is_here();
                    self.deadline = None;
                    return Poll::Ready(Ok(()));
                }
                Read::TooLong => {
                    let max = self.limits.shown_max_head();
                    (431, format!("line and headers of the request are longer than control.max_head = {max}"))
                }
                Read::Wrong(status, why) => (status, why),
            };
            out.set_filled(before);
            return self.refuse(status, why);
        }
        if let Some(deadline) = &mut self.deadline {
            ready!(deadline.as_mut().poll(cx));
            let (came, limit) = (self.head.len(), self.limits.shown_request_timeout());
            return self.refuse(
                408,
                format!(
                    "the head of a request did not come within control.request_timeout = {limit}: {came} bytes of it did"
                ),
            );
        }
        Poll::Pending
    }

    /// Says why, and ends the connection.
    fn refuse(&mut self, status: u16, why: String) -> Poll<io::Result<()>> {
        self.refused = true;
        self.refusals.limit(self.caller.peer, &why);
        say(&self.stream, status, why);
        Poll::Ready(Ok(())) // nothing more comes
    }
}

/// Answers with a problem document, as far as the caller takes it at once.
pub fn say(stream: &UnixStream, status: u16, why: String) {
    let problem = ProblemDetails::new(status, why);
    let body = serde_json::to_string(&problem).unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: {PROBLEM_JSON}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        problem.title,
        body.len()
    );
    // A caller whose buffer is full, or who has gone, is not waited for.
    let _unheard = rustix::net::send(stream, answer.as_bytes(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.caller.ended.set(true);
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.refused {
            return Poll::Ready(Ok(()));
        }
        if self.caller.head.get() {
            if !self.caller.stuck.get() {
                self.deadline = None;
            }
            return Pin::new(&mut self.stream).poll_read(cx, out);
        }
        self.poll_head(cx, out)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.refused {
            return Poll::Ready(Ok(bytes.len())); // it has its answer
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        let was_stuck = self.caller.stuck.replace(written.is_pending());
        if written.is_ready() || self.caller.watches() {
            self.deadline = None;
            return written; // who watches may pause
        }
        if !was_stuck {
            self.deadline = Some(Box::pin(tokio::time::sleep(self.limits.request_timeout)));
        }
        if let Some(deadline) = &mut self.deadline {
            ready!(deadline.as_mut().poll(cx));
            let limit = self.limits.shown_request_timeout();
            let why = format!("it has taken nothing of its answer for control.request_timeout = {limit}");
            self.refusals.limit(self.caller.peer, &why);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stalls_is_known() {
        let caller = Caller::new(None, Mono::default());
        assert!(caller.stalls());
        caller.head_is_here();
        assert!(caller.stalls(), "its body may be missing");
        caller.request_is_here();
        assert!(!caller.stalls());
        caller.stuck.set(true);
        assert!(caller.stalls());
    }
}
