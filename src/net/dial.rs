//! Addresses to a TCP connection: happy eyeballs over all of them.
//!
//! ```text
//!  address 1 ----------------------------x refused: the next at once
//!      |250 ms|  address 2 --------------------> connected: the others are dropped
//!              |250 ms|  address 3 ------
//! ```
//!
//! There is no limit for one address: the caller's deadline ends them all.

use std::io;
use std::net::{IpAddr, SocketAddr};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;

use super::happy::{self, Kind};
use super::{Observer, descriptors};
use crate::model::reason::Reason;
use crate::model::text::escape_controls;
use crate::model::trace::Event;

/// Why no address took the connection.
#[derive(Debug, thiserror::Error)]
#[error("connecting to {}: {}", Addresses(.attempts), Attempts(.attempts))]
pub struct DialError {
    reason: Reason,
    /// Each address and what it said, in the order of failing.
    pub attempts: Vec<(SocketAddr, io::Error)>,
}

impl DialError {
    /// The word for it.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    fn new(attempts: Vec<(SocketAddr, io::Error)>) -> DialError {
        let kinds: Vec<Kind> = attempts.iter().map(|(a, e)| happy::kind(*a, e)).collect();
        DialError { reason: happy::judge(kinds.iter().copied()), attempts }
    }
}

/// The first addresses of a list, for people.
struct Addresses<'a>(&'a [(SocketAddr, io::Error)]);

/// At most so many addresses are spelt out in a sentence; the trace has all.
const SHOWN: usize = 4;

impl std::fmt::Display for Addresses<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, (address, _)) in self.0.iter().take(SHOWN).enumerate() {
            write!(f, "{}{address}", if i == 0 { "" } else { ", " })?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// What they said: once, where all say the same.
struct Attempts<'a>(&'a [(SocketAddr, io::Error)]);

impl std::fmt::Display for Attempts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut texts: Vec<String> = self.0.iter().map(|(_, e)| words(e)).collect();
        texts.dedup();
        texts.truncate(SHOWN);
        f.write_str(&texts.join("; "))
    }
}

/// The system's words without the number: "connection refused".
#[must_use]
pub fn words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split_once(" (os error").map_or(text.as_str(), |(t, _)| t);
    escape_controls(&text.to_lowercase()).into_owned()
}

/// Connects to one address: no timer, no list.
///
/// # Errors
/// What the address said.
pub async fn one(address: SocketAddr, observer: &dyn Observer) -> Result<TcpStream, DialError> {
    match attempt(address, observer).await {
        (_, Ok(tcp)) => {
            connected(&tcp, address, observer);
            Ok(tcp)
        }
        (_, Err(e)) => Err(DialError::new(vec![(address, e)])),
    }
}

/// Connects to whichever address takes it first.
///
/// # Errors
/// What each address said, when none did.
pub async fn any(addresses: &[IpAddr], port: u16, observer: &dyn Observer) -> Result<TcpStream, DialError> {
    if let [ip] = addresses {
        return one(SocketAddr::new(*ip, port), observer).await;
    }
    let mut waiting = addresses.iter().map(|ip| SocketAddr::new(*ip, port));
    let mut failed = Vec::new();
    let mut running = FuturesUnordered::new();
    loop {
        if let Some(next) = waiting.next() {
            running.push(attempt(next, observer));
        }
        // Wait for an end, or for the time to try the next address beside those that run.
        let ended = if waiting.len() == 0 {
            running.next().await
        } else {
            match tokio::time::timeout(happy::STAGGER, running.next()).await {
                Ok(ended) => ended,
                Err(_) => continue,
            }
        };
        match ended {
            Some((address, Ok(tcp))) => {
                connected(&tcp, address, observer);
                return Ok(tcp);
            }
            Some((address, Err(e))) => failed.push((address, e)),
            None => return Err(DialError::new(failed)),
        }
    }
}

async fn attempt(address: SocketAddr, observer: &dyn Observer) -> (SocketAddr, io::Result<TcpStream>) {
    observer.event(Event::Connecting { address });
    let result = descriptors::connect(address).await;
    if let Err(e) = &result {
        observer.event(Event::ConnectFailed { address, error: words(e) });
    }
    (address, result)
}

fn connected(tcp: &TcpStream, address: SocketAddr, observer: &dyn Observer) {
    observer.event(Event::Connected { address, local: tcp.local_addr().ok() });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_names_every_address_and_repeats_no_words() {
        let refused = || io::Error::from_raw_os_error(rustix::io::Errno::CONNREFUSED.raw_os_error());
        let error =
            DialError::new(vec![("127.0.0.1:1".parse().unwrap(), refused()), ("[::1]:1".parse().unwrap(), refused())]);
        assert_eq!(error.to_string(), "connecting to 127.0.0.1:1, [::1]:1: connection refused");
        assert_eq!(error.reason(), Reason::ConnectRefused);
    }
}
