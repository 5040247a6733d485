//! A mail server of the bench's own: takes every mail, keeps none, counts.
//!
//! ```text
//!  EHLO MAIL RCPT DATA mail QUIT, one task a connection; nothing is written to a disk
//! ```
//!
//! So it shows what sending costs here; a real server adds what it does with a mail before it answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::Outcome;
use crate::roles::{Role, say, serve_stdin};

#[derive(Default)]
struct Seen {
    mails: AtomicU64,
    connections: AtomicU64,
    bytes: AtomicU64,
}

/// The role.
pub fn run() -> Outcome<()> {
    let seen = Arc::new(Seen::default());
    let asked = Arc::clone(&seen);
    serve_stdin(move |_| {
        let s = &asked;
        format!("{} {} {}", s.mails.load(Relaxed), s.connections.load(Relaxed), s.bytes.load(Relaxed))
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        say(&listener.local_addr()?.port().to_string());
        loop {
            let Ok((tcp, _)) = listener.accept().await else { continue };
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                seen.connections.fetch_add(1, Relaxed);
                // A client that goes away in the middle is its own affair.
                let _gone = serve(tcp, &seen).await;
            });
        }
    })
}

async fn serve(tcp: TcpStream, seen: &Seen) -> std::io::Result<()> {
    tcp.set_nodelay(true)?;
    let mut tcp = BufReader::new(tcp);
    tcp.write_all(b"220 sink ESMTP\r\n").await?;
    let (mut line, mut in_mail) = (Vec::new(), false);
    loop {
        line.clear();
        let bytes = tcp.read_until(b'\n', &mut line).await?;
        if bytes == 0 {
            return Ok(());
        }
        if in_mail {
            seen.bytes.fetch_add(bytes as u64, Relaxed);
            if line == b".\r\n" {
                in_mail = false;
                seen.mails.fetch_add(1, Relaxed);
                tcp.write_all(b"250 2.0.0 Ok: counted\r\n").await?;
            }
            continue;
        }
        let answer: &[u8] = match line.get(..4).unwrap_or_default() {
            b"EHLO" => b"250-sink\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n",
            b"DATA" => {
                in_mail = true;
                b"354 go on\r\n"
            }
            b"QUIT" => {
                tcp.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            _ => b"250 2.1.0 Ok\r\n",
        };
        tcp.write_all(answer).await?;
    }
}

/// The sink as the bench sees it.
pub struct Sink {
    role: Role,
    port: u16,
}

impl Sink {
    /// Starts one.
    pub fn start(nice: Option<i32>) -> Outcome<Sink> {
        let mut role = Role::start("sink", &[], nice)?;
        let port = role.line()?.parse()?;
        Ok(Sink { role, port })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Mails, connections and bytes of mail so far.
    pub fn counts(&mut self) -> Outcome<(u64, u64, u64)> {
        let n = self.role.numbers("count")?;
        Ok((n[0], n[1], n[2]))
    }
}
