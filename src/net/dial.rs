//! Addresses to a TCP connection: happy eyeballs over all of them.
//!
//! ```text
//!  address 1 ----------------------------x refused: the next at once
//!      |250 ms|  address 2 --------------------> connected: the others are dropped
//!              |250 ms|  address 3 ------
//! ```
//!
//! There is no limit for one address: the caller's deadline ends them all. An address that the egress policy denies is
//! not connected to: it counts as one that failed at once. Everything that skypunch connects to on behalf of targets,
//! credentials and notifiers passes here.

use std::io;
use std::net::{IpAddr, SocketAddr};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;

use super::happy::{self, Kind};
use super::{Guard, Observer, descriptors};
use crate::model::egress::{Caller, Denied};
use crate::model::reason::Reason;
use crate::model::text::escape_controls;
use crate::model::trace::Event;

/// Who asks whether an address may be connected to, and for whom.
#[derive(Debug, Clone, Copy)]
pub struct Leave<'a> {
    /// The egress policy.
    pub guard: &'a Guard,
    /// On whose behalf.
    pub caller: Caller<'a>,
}

/// Why one address did not take it.
#[derive(Debug)]
pub enum Trouble {
    /// The system's error.
    System(io::Error),
    /// It was not tried.
    Denied(Box<Denied>),
}

impl Trouble {
    fn kind(&self, address: SocketAddr) -> Kind {
        match self {
            Trouble::System(e) => happy::kind(address, e),
            Trouble::Denied(_) => Kind::Denied,
        }
    }

    fn words(&self) -> String {
        match self {
            Trouble::System(e) => words(e),
            Trouble::Denied(denied) => denied.to_string(),
        }
    }
}

/// Why no address took the connection.
#[derive(Debug, thiserror::Error)]
#[error("connecting to {}: {}{}", Addresses(.attempts), Attempts(.attempts), Mend(.reason, .attempts))]
pub struct DialError {
    reason: Reason,
    /// Each address and what it said, in the order of failing.
    pub attempts: Vec<(SocketAddr, Trouble)>,
}

impl DialError {
    /// The word for it.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    fn new(attempts: Vec<(SocketAddr, Trouble)>) -> DialError {
        let kinds: Vec<Kind> = attempts.iter().map(|(a, trouble)| trouble.kind(*a)).collect();
        DialError { reason: happy::judge(kinds.iter().copied()), attempts }
    }
}

/// The first addresses of a list, for people.
struct Addresses<'a>(&'a [(SocketAddr, Trouble)]);

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
struct Attempts<'a>(&'a [(SocketAddr, Trouble)]);

impl std::fmt::Display for Attempts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut texts: Vec<String> = self.0.iter().map(|(_, trouble)| trouble.words()).collect();
        texts.dedup();
        texts.truncate(SHOWN);
        f.write_str(&texts.join("; "))
    }
}

/// What to do where nothing but the egress policy is in the way.
struct Mend<'a>(&'a Reason, &'a [(SocketAddr, Trouble)]);

impl std::fmt::Display for Mend<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.0, self.1.first()) {
            (Reason::EgressDenied, Some((_, Trouble::Denied(denied)))) => write!(f, "; {}", denied.mend()),
            _ => Ok(()),
        }
    }
}

/// The system's words without the number: "connection refused".
#[must_use]
pub fn words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split_once(" (os error").map_or(text.as_str(), |(t, _)| t);
    escape_controls(&text.to_lowercase()).into_owned()
}

/// Connects to one address: no timer, no list. `sends_at_once`: see [`descriptors::connect`].
///
/// # Errors
/// What the address said.
pub async fn one(
    address: SocketAddr,
    leave: Leave<'_>,
    sends_at_once: bool,
    observer: &dyn Observer,
) -> Result<TcpStream, DialError> {
    match attempt(address, leave, sends_at_once, observer).await {
        (_, Ok(tcp)) => {
            connected(&tcp, address, observer);
            Ok(tcp)
        }
        (_, Err(trouble)) => Err(DialError::new(vec![(address, trouble)])),
    }
}

/// Whether a connection that stands already may be used: the policy may have changed since it was made.
///
/// # Errors
/// By which entry its address is denied.
pub fn may_use(address: SocketAddr, leave: Leave<'_>) -> Result<(), DialError> {
    let denied = leave.guard.check(address.ip(), leave.caller);
    denied.map_err(|denied| DialError::new(vec![(address, Trouble::Denied(denied))]))
}

/// Connects to whichever address takes it first. `sends_at_once`: see [`descriptors::connect`].
///
/// # Errors
/// What each address said, when none did.
pub async fn any(
    addresses: &[IpAddr],
    port: u16,
    leave: Leave<'_>,
    sends_at_once: bool,
    observer: &dyn Observer,
) -> Result<TcpStream, DialError> {
    if let [ip] = addresses {
        return one(SocketAddr::new(*ip, port), leave, sends_at_once, observer).await;
    }
    let mut waiting = addresses.iter().map(|ip| SocketAddr::new(*ip, port));
    let mut failed = Vec::new();
    let mut running = FuturesUnordered::new();
    loop {
        if let Some(next) = waiting.next() {
            running.push(attempt(next, leave, sends_at_once, observer));
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
            Some((address, Err(trouble))) => failed.push((address, trouble)),
            None => return Err(DialError::new(failed)),
        }
    }
}

async fn attempt(
    address: SocketAddr,
    leave: Leave<'_>,
    sends_at_once: bool,
    observer: &dyn Observer,
) -> (SocketAddr, Result<TcpStream, Trouble>) {
    let result = match leave.guard.check(address.ip(), leave.caller) {
        Err(denied) => Err(Trouble::Denied(denied)),
        Ok(()) => {
            observer.event(Event::Connecting { address });
            descriptors::connect(address, sends_at_once).await.map_err(Trouble::System)
        }
    };
    if let Err(trouble) = &result {
        observer.event(Event::ConnectFailed { address, error: trouble.words() });
    }
    (address, result)
}

fn connected(tcp: &TcpStream, address: SocketAddr, observer: &dyn Observer) {
    observer.event(Event::Connected { address, local: tcp.local_addr().ok() });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::EgressSource;

    #[test]
    fn the_sentence_names_every_address_and_repeats_no_words() {
        let refused = || Trouble::System(io::Error::from_raw_os_error(rustix::io::Errno::CONNREFUSED.raw_os_error()));
        let error =
            DialError::new(vec![("127.0.0.1:1".parse().unwrap(), refused()), ("[::1]:1".parse().unwrap(), refused())]);
        assert_eq!(error.to_string(), "connecting to 127.0.0.1:1, [::1]:1: connection refused");
        assert_eq!(error.reason(), Reason::ConnectRefused);
    }

    #[test]
    fn what_is_denied_is_not_tried_and_says_the_mend() {
        let guard = Guard::new(EgressSource::default());
        let leave = Leave { guard: &guard, caller: Caller::Target(None) };
        let error = may_use("[64:ff9b::a9fe:a9fe]:80".parse().unwrap(), leave).unwrap_err();
        assert_eq!(error.reason(), Reason::EgressDenied);
        assert_eq!(
            error.to_string(),
            "connecting to [64:ff9b::a9fe:a9fe]:80: denied by metadata (169.254.169.254) in [egress] deny, since it leads to \
             169.254.169.254; if that is meant, write 169.254.169.254 into the target's egress_allow or [egress] allow"
        );
        assert!(may_use("127.0.0.1:80".parse().unwrap(), leave).is_ok());
    }
}
