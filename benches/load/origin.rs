//! The origin that is probed: one thread, the same small answer to every request.
//!
//! ```text
//!  accept -> (read the request) -> 200 with two bytes -> close        paths /t/ID; 500 while it is told to fail
//!                     |-> 401 instead, unless Keystone knows the token    paths /a/ID
//!                     |-> 200 without the close, again and again     paths /k/ID
//!                     |-> 200 and 500 in turn                          paths /flip/ID
//!                     '-> nothing, until the client gives up          paths /hang/ID
//! ```

use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use skypunch::clock::Clock;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::Outcome;
use crate::roles::{Role, say, serve_stdin};
use crate::tls;
use crate::tokens::{Identity, Tokens};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
const FAILURE: &[u8] = b"HTTP/1.1 500 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno";

const REFUSAL: &[u8] = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno";

const KEPT: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Memory for samples ends here.
const MAX_SAMPLES: usize = 2_000_000;

#[derive(Default)]
struct Seen {
    answered: AtomicU64,
    held: AtomicU64,
    fails: AtomicBool,
    /// By id: whether the last answer of a path that flips was 500.
    turns: Mutex<HashMap<Vec<u8>, bool>>,
    refused: AtomicU64,
    identity: Mutex<Option<Identity>>,
    sampling: AtomicBool,
    /// (id, wall-clock microseconds at which the connection was accepted).
    samples: Mutex<Vec<(u32, u64)>>,
}

/// The role: with a folder, its certificate is shown to whoever connects.
pub fn run(args: &[String]) -> Outcome<()> {
    let tls = args.first().map(|folder| tls::acceptor(Path::new(folder))).transpose()?;
    let seen = Arc::new(Seen::default());
    let asked = Arc::clone(&seen);
    serve_stdin(move |line| {
        let samples = || asked.samples.lock().unwrap_or_else(PoisonError::into_inner);
        match line {
            "sample" => {
                samples().clear();
                asked.sampling.store(true, Relaxed);
                "ok".into()
            }
            "fail" | "pass" => {
                asked.fails.store(line == "fail", Relaxed);
                "ok".into()
            }
            "samples" => {
                asked.sampling.store(false, Relaxed);
                let taken = std::mem::take(&mut *samples());
                let words: Vec<String> = taken.iter().map(|(id, at)| format!("{id} {at}")).collect();
                words.join(" ")
            }
            "count" => {
                let n = |count: &AtomicU64| count.load(Relaxed);
                format!("{} {} {}", n(&asked.answered), n(&asked.held), n(&asked.refused))
            }
            other => {
                let mut words = other.split(' ').skip(1).map_while(|w| w.parse().ok());
                let (Some(port), Some(seconds)) = (words.next(), words.next()) else { return "what?".into() };
                let identity = Identity { port, life: std::time::Duration::from_secs(seconds.into()) };
                *asked.identity.lock().unwrap_or_else(PoisonError::into_inner) = Some(identity);
                "ok".into()
            }
        }
    });
    let clock = Clock::system();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async move {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        say(&listener.local_addr()?.port().to_string());
        let shared = Rc::new((seen, Tokens::new(clock.clone())));
        loop {
            let Ok((tcp, _)) = listener.accept().await else { continue };
            let accepted = clock.wall_us_at_zero() + clock.now().0;
            let (seen, tls) = (Rc::clone(&shared), tls.clone());
            tokio::task::spawn_local(async move {
                // A client that goes away in the middle is its own affair.
                let _gone = match tls {
                    None => answer(tcp, &seen.0, &seen.1, accepted).await,
                    Some(tls) => match tls.accept(tcp).await {
                        Ok(stream) => answer(stream, &seen.0, &seen.1, accepted).await,
                        Err(e) => Err(e),
                    },
                };
            });
        }
    })
}

async fn answer(
    mut tcp: impl AsyncRead + AsyncWrite + Unpin,
    seen: &Seen,
    tokens: &Tokens,
    accepted: u64,
) -> std::io::Result<()> {
    let mut buffer = [0u8; 1024];
    let mut len = 0;
    while !buffer[..len].ends_with(b"\r\n\r\n") {
        let n = tcp.read(&mut buffer[len..]).await?;
        if n == 0 {
            return Ok(());
        }
        len += n;
    }
    let path = buffer[..len].split(|b| *b == b' ').nth(1).unwrap_or_default();
    if path.starts_with(b"/hang/") {
        seen.held.fetch_add(1, Relaxed);
        while tcp.read(&mut buffer).await? > 0 {}
        return Ok(());
    }
    if path.starts_with(b"/k/") {
        loop {
            seen.answered.fetch_add(1, Relaxed);
            tcp.write_all(KEPT).await?;
            len = 0;
            while !buffer[..len].ends_with(b"\r\n\r\n") {
                let n = tcp.read(&mut buffer[len..]).await?;
                if n == 0 {
                    return Ok(());
                }
                len += n;
            }
        }
    }
    if path.starts_with(b"/a/") {
        let identity = *seen.identity.lock().unwrap_or_else(PoisonError::into_inner);
        let good = match identity {
            Some(identity) => tokens.accepts(&buffer[..len], identity).await,
            None => false,
        };
        if !good {
            seen.refused.fetch_add(1, Relaxed);
            return tcp.write_all(REFUSAL).await;
        }
    }
    seen.answered.fetch_add(1, Relaxed);
    let mut fails = seen.fails.load(Relaxed);
    if let Some(id) = path.strip_prefix(b"/flip/") {
        let mut turns = seen.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = turns.entry(id.to_vec()).or_default();
        *turn = !*turn;
        fails = *turn;
    }
    if seen.sampling.load(Relaxed)
        && let Some(id) = path.strip_prefix(b"/t/").and_then(|id| std::str::from_utf8(id).ok()?.parse().ok())
    {
        let mut samples = seen.samples.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() < MAX_SAMPLES {
            samples.push((id, accepted));
        }
    }
    tcp.write_all(if fails { FAILURE } else { ANSWER }).await
}

/// The origin as the bench sees it.
pub struct Origin {
    role: Role,
    port: u16,
}

impl Origin {
    /// The process id.
    pub fn pid(&self) -> u32 {
        self.role.pid()
    }

    /// Starts one.
    pub fn start(nice: Option<i32>) -> Outcome<Origin> {
        Origin::start_with(&[], nice)
    }

    /// Starts one that speaks TLS with the certificate in that folder.
    pub fn start_tls(folder: &Path, nice: Option<i32>) -> Outcome<Origin> {
        Origin::start_with(&[folder.display().to_string()], nice)
    }

    fn start_with(args: &[String], nice: Option<i32>) -> Outcome<Origin> {
        let mut role = Role::start("origin", args, nice)?;
        let port = role.line()?.parse()?;
        Ok(Origin { role, port })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Requests so far: answered, and held until the client gave up.
    pub fn counts(&mut self) -> Outcome<(u64, u64)> {
        let n = self.role.numbers("count")?;
        Ok((n[0], n[1]))
    }

    /// Answers 500 to everybody from now on.
    pub fn fail(&mut self) -> Outcome<()> {
        self.role.ask("fail").map(drop)
    }

    /// Answers 200 again.
    pub fn pass(&mut self) -> Outcome<()> {
        self.role.ask("pass").map(drop)
    }

    /// Requests below /a/ that had no good token.
    pub fn refused(&mut self) -> Outcome<u64> {
        Ok(self.role.numbers("count")?[2])
    }

    /// From now on tokens of the Keystone at that port are good for so many seconds.
    pub fn trust(&mut self, port: u16, seconds: u64) -> Outcome<()> {
        self.role.ask(&format!("trust {port} {seconds}")).map(drop)
    }

    /// Begins to note when each request was accepted.
    pub fn sample(&mut self) -> Outcome<()> {
        self.role.ask("sample").map(drop)
    }

    /// Ends that: (id, wall-clock microseconds) of each.
    pub fn samples(&mut self) -> Outcome<Vec<(i64, u64)>> {
        let n = self.role.numbers("samples")?;
        Ok(n.chunks_exact(2).map(|pair| (i64::try_from(pair[0]).unwrap_or(0), pair[1])).collect())
    }
}
