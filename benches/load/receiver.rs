//! The server of the notifiers of a run: takes webhooks, counts what they say, and answers or does not.
//!
//! ```text
//!  POST /live -> read, counted, noted when -> 200
//!  POST /dead -> never answered
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use skypunch::clock::Clock;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::Outcome;
use crate::roles::{Role, say, serve_stdin};

/// What the live one has got.
#[derive(Debug, Default, Clone, Copy)]
pub struct Got {
    /// Messages.
    pub messages: u64,
    /// Things that they name one by one, and those that they count only.
    pub named: u64,
    /// See `named`.
    pub counted: u64,
    /// Bytes of the longest.
    pub longest: u64,
    /// When the first was complete, in wall-clock milliseconds.
    pub first_at: u64,
    /// When the last was.
    pub last_at: u64,
    /// Connections to the dead one.
    pub dead: u64,
}

/// The role.
pub fn run() -> Outcome<()> {
    let got = Arc::new(Mutex::new(Got::default()));
    let asked = Arc::clone(&got);
    serve_stdin(move |_| {
        let g = *lock(&asked);
        format!("{} {} {} {} {} {} {}", g.messages, g.named, g.counted, g.longest, g.first_at, g.last_at, g.dead)
    });
    let clock = Clock::system();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        say(&listener.local_addr()?.port().to_string());
        loop {
            let Ok((tcp, _)) = listener.accept().await else { continue };
            let (got, clock) = (Arc::clone(&got), clock.clone());
            tokio::spawn(async move {
                // A sender that goes away in the middle is its own affair.
                let _gone = take(tcp, &got, &clock).await;
            });
        }
    })
}

async fn take(tcp: TcpStream, got: &Mutex<Got>, clock: &Clock) -> std::io::Result<()> {
    let mut tcp = BufReader::new(tcp);
    let (mut line, mut length, mut dead) = (String::new(), 0, None);
    while tcp.read_line(&mut line).await? > 2 {
        dead.get_or_insert_with(|| line.starts_with("POST /dead"));
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    let mut body = vec![0; length];
    tcp.read_exact(&mut body).await?;
    if dead == Some(true) {
        lock(got).dead += 1;
        while tcp.read(&mut body).await? > 0 {}
        return Ok(());
    }
    let now = u64::try_from(clock.utc_now().0).unwrap_or(0);
    let message = serde_json::from_slice::<Value>(&body).unwrap_or_default()["message"].take();
    {
        let mut got = lock(got);
        got.messages += 1;
        got.named += message["items"].as_array().map_or(0, |i| i.len() as u64);
        got.counted += message["more"].as_u64().unwrap_or(0);
        got.longest = got.longest.max(length as u64);
        got.first_at = if got.first_at == 0 { now } else { got.first_at };
        got.last_at = now;
    }
    tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await
}

fn lock(got: &Mutex<Got>) -> MutexGuard<'_, Got> {
    got.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The receiver as the bench sees it.
pub struct Receiver {
    role: Role,
    port: u16,
}

impl Receiver {
    /// Starts one.
    pub fn start(nice: Option<i32>) -> Outcome<Receiver> {
        let mut role = Role::start("receiver", &[], nice)?;
        let port = role.line()?.parse()?;
        Ok(Receiver { role, port })
    }

    /// Rows for the database of a daemon: one notifier that is never answered, and one that is.
    pub fn notifiers(&self) -> String {
        let port = self.port;
        format!(
            "INSERT INTO notifiers (id, name, type, address) VALUES \
            (1, 'dead', 'WEBHOOK', 'http://127.0.0.1:{port}/dead'), (2, 'live', 'WEBHOOK', 'http://127.0.0.1:{port}/live')"
        )
    }

    /// What has come so far.
    pub fn got(&mut self) -> Outcome<Got> {
        let n = self.role.numbers("got")?;
        let [messages, named, counted, longest, first_at, last_at, dead] = n[..] else {
            return Err("the receiver does not say what it has got".into());
        };
        Ok(Got { messages, named, counted, longest, first_at, last_at, dead })
    }
}
