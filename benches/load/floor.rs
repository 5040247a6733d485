//! The floor: a loop of bare tokio sockets, at the same rate and in the same shape as the daemon.
//!
//! ```text
//!  for each step of the grid: sleep -> a task for each target that is due: connect, GET, read to the end, close
//! ```
//!
//! Same due times (`model::schedule`), same request, same close (without TIME_WAIT where the end was not seen). What is
//! not there: traces, states, results, a database, limits, and any look at the answer beyond its length.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use skypunch::clock::Clock;
use skypunch::model::schedule::Schedule;
use skypunch::model::target::TargetId;
use skypunch::model::time::Mono;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Outcome;
use crate::roles::{Role, say, serve_stdin};
use crate::tls;

#[derive(Default)]
struct Counts {
    started: AtomicU64,
    failed: AtomicU64,
}

/// The role: `args` are the origin's port, how many targets, their frequency in milliseconds, and for TLS the folder of the
/// authority.
pub fn run(args: &[String]) -> Outcome<()> {
    let (args, tls) = match args {
        [numbers @ .., folder] if numbers.len() == 3 => (numbers, Some(tls::connector(Path::new(folder))?)),
        numbers => (numbers, None),
    };
    let [port, targets, frequency_ms] = args else { return Err("floor PORT TARGETS FREQUENCY_MS [FOLDER]".into()) };
    let (port, targets, frequency_ms): (u16, i64, u64) = (port.parse()?, targets.parse()?, frequency_ms.parse()?);
    let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
    let counts = Arc::new(Counts::default());
    let asked = Arc::clone(&counts);
    serve_stdin(move |_| format!("{} {}", asked.started.load(Relaxed), asked.failed.load(Relaxed)));
    let clock = Clock::system();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async move {
        let frequency = Duration::from_millis(frequency_ms);
        let now = clock.now();
        let first = |id| Schedule::new(TargetId(id), frequency, clock.wall_us_at_zero()).first_after(now);
        let mut due: Vec<(Mono, Rc<Vec<u8>>)> =
            (1..=targets).map(|id| (first(id), Rc::new(request(id, port)))).collect();
        due.sort_by_key(|(at, _)| *at);
        let counts = Rc::new(RefCell::new(counts));
        say("ready");
        loop {
            for (at, request) in &mut due {
                let wait = at.since(clock.now());
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
                *at = *at + frequency;
                let (request, counts, tls) = (Rc::clone(request), Rc::clone(&counts), tls.clone());
                tokio::task::spawn_local(async move {
                    counts.borrow().started.fetch_add(1, Relaxed);
                    let ended = match tls {
                        None => probe(address, &request).await,
                        Some(tls) => probe_tls(address, &request, &tls).await,
                    };
                    if ended.is_err() {
                        counts.borrow().failed.fetch_add(1, Relaxed);
                    }
                });
            }
        }
    })
}

fn request(id: i64, port: u16) -> Vec<u8> {
    format!(
        "GET /t/{id} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nuser-agent: skypunch/{}\r\naccept: */*\r\n\
        connection: close\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    )
    .into_bytes()
}

async fn probe(address: SocketAddr, request: &[u8]) -> std::io::Result<()> {
    let mut tcp = TcpStream::connect(address).await?;
    exchange(&mut tcp, request).await?;
    tcp.set_zero_linger()
}

/// The same over TLS: a full handshake that verifies the certificate.
async fn probe_tls(address: SocketAddr, request: &[u8], tls: &TlsConnector) -> std::io::Result<()> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let mut stream = tls.connect(tls::name(), tcp).await?;
    exchange(&mut stream, request).await?;
    stream.get_ref().0.set_zero_linger()
}

async fn exchange(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &[u8]) -> std::io::Result<()> {
    stream.write_all(request).await?;
    let mut buffer = [0u8; 1024];
    let mut len = 0;
    while !buffer[..len].ends_with(b"\r\n\r\nok") {
        let n = stream.read(&mut buffer[len..]).await?;
        if n == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        len += n;
    }
    Ok(())
}

/// The floor as the bench sees it.
pub struct Floor(Role);

impl Floor {
    /// Starts one.
    pub fn start(port: u16, targets: usize, frequency: Duration, nice: Option<i32>) -> Outcome<Floor> {
        Floor::start_with(vec![port.to_string(), targets.to_string(), frequency.as_millis().to_string()], nice)
    }

    /// Starts one that speaks TLS and trusts the authority in that folder.
    pub fn start_tls(
        port: u16,
        targets: usize,
        frequency: Duration,
        folder: &Path,
        nice: Option<i32>,
    ) -> Outcome<Floor> {
        let numbers = [port.to_string(), targets.to_string(), frequency.as_millis().to_string()];
        Floor::start_with(numbers.into_iter().chain([folder.display().to_string()]).collect(), nice)
    }

    fn start_with(args: Vec<String>, nice: Option<i32>) -> Outcome<Floor> {
        let mut role = Role::start("floor", &args, nice)?;
        role.line()?;
        Ok(Floor(role))
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Probes so far: started, and failed.
    pub fn counts(&mut self) -> Outcome<(u64, u64)> {
        let n = self.0.numbers("count")?;
        Ok((n[0], n[1]))
    }
}
