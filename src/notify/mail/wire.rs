//! A connection of ours as lettre wants it, and the way to get it back.
//!
//! ```text
//!  net: resolve, dial, TLS --> Connection --> Wire --> lettre speaks SMTP over it
//!                                  ^            \__ at most MAX_ANSWER bytes until we speak again; other bytes than
//!                      Slot::take -' STARTTLS       UTF-8 become `?`
//! ```
//!
//! lettre could connect and shake hands by itself; then neither our resolver, nor our deadline, nor our words about
//! certificates would count. After STARTTLS the connection is taken back, secured, and given to a new session: what
//! the server said before the handshake is gone with the old one.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::Connection;

/// No honest answer is longer.
const MAX_ANSWER: usize = 64 * 1024;

/// What lettre reads first on a connection that has been greeted already.
const GREETING: &[u8] = b"220 go on\r\n";

/// Where the connection lies while lettre uses it.
#[derive(Debug, Clone)]
pub struct Slot(Arc<Mutex<Option<Connection>>>);

impl Slot {
    /// Takes the connection back; lettre gets errors from now on.
    #[must_use]
    pub fn take(&self) -> Option<Connection> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection as lettre sees it.
#[derive(Debug)]
pub struct Wire {
    slot: Slot,
    /// What is still to be read before the connection itself.
    before: &'static [u8],
    /// Bytes read since the last write.
    read: usize,
}

impl Wire {
    /// `greeted`: the server has sent its greeting already and will not send another.
    #[must_use]
    pub fn new(connection: Connection, greeted: bool) -> (Wire, Slot) {
        let slot = Slot(Arc::new(Mutex::new(Some(connection))));
        (Wire { slot: slot.clone(), before: if greeted { GREETING } else { b"" }, read: 0 }, slot)
    }

    fn with<T>(&self, poll: impl FnOnce(Pin<&mut Connection>) -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match self.slot.lock().as_mut() {
            Some(connection) => poll(Pin::new(connection)),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncTokioStream for Wire {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        match self.slot.lock().as_ref() {
            Some(connection) => connection.tcp().peer_addr(),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.before.is_empty() {
            let (now, later) = this.before.split_at(this.before.len().min(buf.remaining()));
            buf.put_slice(now);
            this.before = later;
            return Poll::Ready(Ok(()));
        }
        let begin = buf.filled().len();
        let polled = this.with(|connection| connection.poll_read(cx, buf));
        let new = &mut buf.filled_mut()[begin..];
        this.read += new.len();
        if this.read > MAX_ANSWER {
            return Poll::Ready(Err(io::Error::other("the server's answer does not end")));
        }
        if std::str::from_utf8(new).is_err() {
            new.iter_mut().filter(|b| !b.is_ascii()).for_each(|b| *b = b'?');
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.read = 0;
        this.with(|connection| connection.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|connection| connection.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|connection| connection.poll_shutdown(cx))
    }
}
