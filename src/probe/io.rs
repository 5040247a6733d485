//! The connection as awc sees it: every read and write is noted, the head is mended on the way.
//!
//! ```text
//!  awc --write--> ProbeIo --> Connection        noted: bytes and time of sending
//!  awc <--read--- ProbeIo <-- Connection        noted: first byte, end, error, first bytes, framing
//!            held back until the head is whole: see `head`
//! ```

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_rt::net::{ActixStream, Ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::head::{Fix, Framing, Head, MAX_HEAD, fix};
use super::recorder::Recorder;
use crate::model::trace::Event;
use crate::net::{Connection, dial, happy, tls};

/// So many bytes of the answer are kept to say what it began with.
const FIRST_BYTES: usize = 256;

/// How reading or writing failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// RST, or a write to a connection that is gone.
    Reset,
    /// A TLS alert or broken TLS, in words.
    Tls(String),
    /// This machine lacks something.
    Resources(String),
    /// Else, in the system's words.
    Other(String),
}

/// What was seen of one exchange; shared with the reader of the body.
pub struct Wire {
    recorder: Rc<Recorder>,
    sent: Cell<u32>,
    sent_at: Cell<u32>,
    sent_told: Cell<bool>,
    received: Cell<u64>,
    eof: Cell<bool>,
    unclean: Cell<bool>,
    too_large: Cell<bool>,
    head: Cell<Option<Head>>,
    broken: RefCell<Option<Broken>>,
    first: RefCell<Vec<u8>>,
}

impl Wire {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(recorder: Rc<Recorder>) -> Wire {
        Wire {
            recorder,
            sent: Cell::new(0),
            sent_at: Cell::new(0),
            sent_told: Cell::new(false),
            received: Cell::new(0),
            eof: Cell::new(false),
            unclean: Cell::new(false),
            too_large: Cell::new(false),
            head: Cell::new(None),
            broken: RefCell::new(None),
            first: RefCell::new(Vec::new()),
        }
    }

    /// The whole request has been handed to the kernel.
    #[must_use]
    pub fn sent(&self) -> bool {
        self.sent_told.get()
    }

    /// Bytes of the answer that have come.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.get()
    }

    /// The server has closed its side.
    #[must_use]
    pub fn eof(&self) -> bool {
        self.eof.get()
    }

    /// It did so without TLS's own farewell.
    #[must_use]
    pub fn unclean(&self) -> bool {
        self.unclean.get()
    }

    /// The head is longer than [`MAX_HEAD`].
    #[must_use]
    pub fn too_large(&self) -> bool {
        self.too_large.get()
    }

    /// The final head, once it is complete.
    #[must_use]
    pub fn head(&self) -> Option<Head> {
        self.head.get()
    }

    /// How the body ends.
    #[must_use]
    pub fn framing(&self) -> Framing {
        self.head.get().map_or(Framing::None, |h| h.framing)
    }

    /// How reading or writing failed, if it did.
    #[must_use]
    pub fn broken(&self) -> Option<Broken> {
        self.broken.borrow().clone()
    }

    /// The first bytes of an answer that is not HTTP.
    #[must_use]
    pub fn first_bytes(&self) -> Vec<u8> {
        self.first.borrow().clone()
    }

    fn note_broken(&self, e: &io::Error) {
        let broken = match tls::inside(e) {
            Some(e) => Broken::Tls(crate::net::tls_text::trouble(e)),
            None if happy::is_local_resource(e) => Broken::Resources(dial::words(e)),
            None => match e.kind() {
                io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
                    Broken::Reset
                }
                _ => Broken::Other(dial::words(e)),
            },
        };
        self.broken.borrow_mut().get_or_insert(broken);
    }

    /// The first read after the last write: the request is out.
    fn tell_sent(&self) {
        if !self.sent_told.replace(true) {
            self.recorder.step_at(self.sent_at.get(), Event::Sent { bytes: self.sent.get() });
        }
    }

    fn note_received(&self, bytes: &[u8]) {
        if self.received.get() == 0 {
            self.recorder.step(Event::FirstByte);
        }
        self.received.set(self.received.get() + bytes.len() as u64);
    }

    fn note_foreign(&self, bytes: &[u8]) {
        *self.first.borrow_mut() = bytes[..bytes.len().min(FIRST_BYTES)].to_vec();
    }
}

/// A connection for one exchange.
pub struct ProbeIo {
    connection: Connection,
    wire: Rc<Wire>,
    /// Bytes held back while the head is not whole, or that did not fit the reader's buffer.
    held: Vec<u8>,
    /// How many of them were looked at, or are passed on already once `passing`.
    at: usize,
    /// Bytes of interim heads that were dropped.
    dropped: usize,
    passing: bool,
}

impl ProbeIo {
    /// Wraps a ready connection.
    #[must_use]
    pub fn new(connection: Connection, wire: Rc<Wire>) -> ProbeIo {
        ProbeIo { connection, wire, held: Vec::new(), at: 0, dropped: 0, passing: false }
    }

    /// Reads from the connection and notes what came; `Ready(Ok)` with nothing read is the end.
    fn read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match ready!(Pin::new(&mut self.connection).poll_read(cx, buf)) {
            Ok(()) if buf.filled().len() == before => self.wire.eof.set(true),
            Ok(()) => self.wire.note_received(&buf.filled()[before..]),
            // TLS without close_notify: for us it is the end of the stream.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof && tls::inside(&e).is_none() => {
                self.wire.eof.set(true);
                self.wire.unclean.set(true);
            }
            Err(e) => {
                self.wire.note_broken(&e);
                return Poll::Ready(Err(e));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Looks at a head: whether it may be passed on now.
    fn look(&mut self, bytes: &mut Vec<u8>) -> io::Result<bool> {
        loop {
            match fix(bytes, self.at) {
                Fix::More if bytes.len() + self.dropped > MAX_HEAD => {
                    self.wire.too_large.set(true);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer's head is too large"));
                }
                Fix::More => {
                    self.at = bytes.len();
                    return Ok(false);
                }
                Fix::Interim { bytes: n, status } => {
                    self.wire.recorder.step(Event::Interim { status });
                    bytes.drain(..n);
                    self.dropped += n;
                    self.at = 0;
                }
                Fix::Pass(head) => {
                    self.wire.head.set(Some(head));
                    return Ok(true);
                }
                Fix::Foreign => {
                    self.wire.note_foreign(bytes);
                    return Ok(true);
                }
            }
        }
    }

    fn pass_on(&mut self, buf: &mut ReadBuf<'_>) {
        let n = buf.remaining().min(self.held.len() - self.at);
        buf.put_slice(&self.held[self.at..self.at + n]);
        self.at += n;
        if self.at == self.held.len() {
            self.held = Vec::new();
            self.at = 0;
        }
    }

    /// Reads until the head may be passed on.
    fn read_head(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let before = buf.filled().len();
            ready!(self.read(cx, buf))?;
            let came = buf.filled().len() - before;
            if came == 0 {
                // The end within the head: awc gets what there is, and the wire knows.
                self.passing = true;
                self.at = 0;
                self.pass_on(buf);
                return Poll::Ready(Ok(()));
            }
            if self.held.is_empty() && self.dropped == 0 {
                // The usual case: the whole head in one read, mended where it lies.
                match fix(&mut buf.filled_mut()[before..], 0) {
                    Fix::Pass(head) => {
                        self.wire.head.set(Some(head));
                        self.passing = true;
                        return Poll::Ready(Ok(()));
                    }
                    Fix::Foreign => {
                        self.wire.note_foreign(&buf.filled()[before..]);
                        self.passing = true;
                        return Poll::Ready(Ok(()));
                    }
                    Fix::More | Fix::Interim { .. } => {}
                }
            }
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(&buf.filled()[before..]);
            buf.set_filled(before);
            let whole = self.look(&mut held);
            self.held = held;
            if whole? {
                self.passing = true;
                self.at = 0;
                self.pass_on(buf);
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncRead for ProbeIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.wire.tell_sent();
        if !this.passing {
            return this.read_head(cx, buf);
        }
        if !this.held.is_empty() {
            this.pass_on(buf);
            return Poll::Ready(Ok(()));
        }
        this.read(cx, buf)
    }
}

impl AsyncWrite for ProbeIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = ready!(Pin::new(&mut this.connection).poll_write(cx, buf));
        match &result {
            Ok(n) => {
                this.wire.sent.set(this.wire.sent.get().saturating_add(u32::try_from(*n).unwrap_or(u32::MAX)));
                this.wire.sent_at.set(this.wire.recorder.elapsed_us());
            }
            Err(e) => this.wire.note_broken(e),
        }
        Poll::Ready(result)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = ready!(Pin::new(&mut this.connection).poll_flush(cx));
        if let Err(e) = &result {
            this.wire.note_broken(e);
        }
        Poll::Ready(result)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().connection).poll_shutdown(cx)
    }
}

impl ActixStream for ProbeIo {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(self.connection.tcp(), cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(self.connection.tcp(), cx)
    }
}

impl std::fmt::Debug for ProbeIo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProbeIo").finish_non_exhaustive()
    }
}

impl Drop for ProbeIo {
    fn drop(&mut self) {
        // Where the server closed first, no TIME_WAIT is ours. awc drops the connection as soon as the answer is
        // complete, and a probe that is given up drops it at any time: in neither case is anything left to say.
        if !self.wire.eof.get() {
            self.connection.forget_on_close();
        }
    }
}
