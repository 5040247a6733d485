//! A connection during one exchange: sends, reads into a buffer, and keeps what was seen.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::net::connection::Waiting;
use crate::net::{Connection, descriptors, dial, happy, tls};

/// Room for a usual head in one read.
const FIRST_READ: usize = 2 * 1024;

/// Room for a body, and at most so much of it at once.
const NEXT_READ: usize = 16 * 1024;

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

impl Broken {
    fn new(e: &io::Error) -> Broken {
        match tls::inside(e) {
            Some(e) => Broken::Tls(crate::net::tls_text::trouble(e)),
            None if happy::is_local_resource(e) => Broken::Resources(dial::words(e)),
            None => match e.kind() {
                io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
                    Broken::Reset
                }
                _ => Broken::Other(dial::words(e)),
            },
        }
    }
}

/// A connection and what was seen of it.
#[derive(Debug)]
pub struct Wire {
    connection: Connection,
    buffer: Vec<u8>,
    /// So many bytes of the buffer are used up.
    at: usize,
    received: u64,
    /// What comes is acknowledged at once.
    prompt: bool,
    eof: bool,
    unclean: bool,
    broken: Option<Broken>,
}

impl Wire {
    /// A connection on which nothing was sent.
    #[must_use]
    pub fn new(connection: Connection) -> Wire {
        Wire {
            connection,
            buffer: Vec::new(),
            at: 0,
            received: 0,
            prompt: false,
            eof: false,
            unclean: false,
            broken: None,
        }
    }

    /// The TCP socket below.
    #[must_use]
    pub fn tcp(&self) -> &tokio::net::TcpStream {
        self.connection.tcp()
    }

    /// Whether it is TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        matches!(self.connection, Connection::Tls(_))
    }

    /// Between two exchanges: without memory, and with nothing of the first.
    #[must_use]
    pub fn rest(mut self) -> Wire {
        (self.buffer, self.at, self.received, self.prompt) = (Vec::new(), 0, 0, false);
        self
    }

    /// Whether nothing has come since the last exchange ended.
    ///
    /// # Errors
    /// What has come, in words.
    pub fn idle(&mut self) -> Result<(), &'static str> {
        let found = self.connection.waiting();
        self.eof |= found == Waiting::End;
        match found {
            Waiting::Nothing => Ok(()),
            Waiting::End => Err("the server had closed it"),
            Waiting::Bytes => Err("the server had sent something that nobody asked for"),
            Waiting::Broken => Err("it was broken"),
        }
    }

    /// Hands everything to the kernel; `false` when the connection broke.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        let result = match self.connection.write_all(bytes).await {
            Ok(()) => self.connection.flush().await,
            Err(e) => Err(e),
        };
        if let Err(e) = result {
            self.broken = Some(Broken::new(&e));
        }
        self.broken.is_none()
    }

    /// Waits for more; `false` when no more will come: the end, or the connection broke.
    ///
    /// An answer that comes whole is acknowledged by what follows, the next request or the end. Where more is to come, the
    /// server may be waiting for an acknowledgement ([`descriptors::connect`]).
    pub async fn read(&mut self) -> bool {
        if self.received > 0 && !self.prompt && !self.is_tls() {
            self.prompt = true;
            descriptors::acknowledge_at_once(self.tcp());
        }
        if self.at == self.buffer.len() {
            self.buffer.clear();
            self.at = 0;
        }
        if self.buffer.len() == self.buffer.capacity() {
            self.buffer.drain(..self.at);
            self.at = 0;
            self.buffer.reserve(if self.buffer.capacity() == 0 { FIRST_READ } else { NEXT_READ });
        }
        match self.connection.read_buf(&mut self.buffer).await {
            Ok(0) => self.eof = true,
            Ok(n) => {
                self.received += n as u64;
                return true;
            }
            // TLS without close_notify: for us it is the end of the stream.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof && tls::inside(&e).is_none() => {
                self.eof = true;
                self.unclean = true;
            }
            Err(e) => self.broken = Some(Broken::new(&e)),
        }
        false
    }

    /// What has come and was not used up.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    /// The first `n` of [`bytes`](Self::bytes) are used up.
    pub fn consume(&mut self, n: usize) {
        self.at = (self.at + n).min(self.buffer.len());
    }

    /// All bytes that have come.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The server has closed its side.
    #[must_use]
    pub fn eof(&self) -> bool {
        self.eof
    }

    /// It did so without TLS's own farewell.
    #[must_use]
    pub fn unclean(&self) -> bool {
        self.unclean
    }

    /// How reading or writing failed, if it did.
    #[must_use]
    pub fn broken(&self) -> Option<&Broken> {
        self.broken.as_ref()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // Where the server closed first, no TIME_WAIT is ours. Else the answer is complete, or the probe is given up: in
        // neither case is anything left to say.
        if !self.eof {
            self.connection.forget_on_close();
        }
    }
}
