//! A connection that is ready to speak over: plain or TLS, one type.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use rustix::io::Errno;
use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A ready connection.
#[derive(Debug)]
pub enum Connection {
    /// Plain TCP.
    Plain(TcpStream),
    /// TLS over TCP, after the handshake.
    Tls(Box<TlsStream<TcpStream>>),
}

/// What waits to be read on a connection that nobody has asked anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// Nothing: it is as it was.
    Nothing,
    /// The other side has closed it.
    End,
    /// Bytes.
    Bytes,
    /// It does not stand any more.
    Broken,
}

impl Connection {
    /// The TCP socket below.
    #[must_use]
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Connection::Plain(tcp) => tcp,
            Connection::Tls(tls) => tls.get_ref().0,
        }
    }

    /// What waits to be read; asks the kernel, does not wait.
    pub fn waiting(&mut self) -> Waiting {
        let mut byte = [0; 1];
        match rustix::net::recv(self.tcp(), &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok((_, 0)) => return Waiting::End,
            // In TLS too: what the session itself sends comes before the first answer as a rule.
            Ok(_) => return Waiting::Bytes,
            Err(Errno::AGAIN) => {}
            Err(_) => return Waiting::Broken,
        }
        let Connection::Tls(tls) = self else { return Waiting::Nothing };
        // What the session has read and nobody has taken yet.
        let mut buffer = ReadBuf::new(&mut byte);
        match Pin::new(tls.as_mut()).poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer) {
            Poll::Pending => Waiting::Nothing,
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => Waiting::End,
            Poll::Ready(Ok(())) => Waiting::Bytes,
            Poll::Ready(Err(_)) => Waiting::Broken,
        }
    }

    /// Makes the close an abortive one: no TIME_WAIT is left behind. Only for when nothing more is to come or to be
    /// said; with TIME_WAIT, 28,000 probes a minute to one address use up every local port.
    pub fn forget_on_close(&self) {
        // A socket that is already gone has no TIME_WAIT to prevent.
        drop(self.tcp().set_zero_linger());
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Connection::Tls(tls) => Pin::new(tls.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Connection::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Connection::Tls(tls) => Pin::new(tls.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Connection::Tls(tls) => Pin::new(tls.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Connection::Tls(tls) => Pin::new(tls.as_mut()).poll_shutdown(cx),
        }
    }
}
