//! A reserve of file descriptors that probes never touch.
//!
//! ```text
//!   0 ............................ ceiling ......... limit (RLIMIT_NOFILE)
//!   whatever was opened first, probes | control socket, databases, log, notifier: also when probes take all they get
//! ```
//!
//! The kernel gives out the lowest number that is free. So a socket whose number is at the ceiling or above says that
//! all below are taken, and no counting is needed: such a probe is `local_resources`, as if the limit were reached.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rustix::net::sockopt;
use rustix::process::{Resource, getrlimit};
use tokio::net::{TcpSocket, TcpStream};

/// So many descriptors are kept from probes: enough for the people who look what is wrong, and for every database
/// connection to be made anew.
const RESERVE: u64 = 64;

/// Where the limit is so low that the reserve would leave probes next to nothing, a quarter of it is enough.
fn ceiling_of(limit: u64) -> u64 {
    limit - RESERVE.min(limit / 4)
}

thread_local! {
    static RESERVE_IS_OPEN: Cell<bool> = const { Cell::new(false) };
}

/// What this thread opens from now on may come from the reserve: it tells people what is wrong.
pub fn open_reserve() {
    RESERVE_IS_OPEN.set(true);
}

/// 0: not asked for yet.
static CEILING: AtomicU64 = AtomicU64::new(0);

/// The lowest number that no probe may have, by the limit as it was when it was last looked at.
fn ceiling() -> u64 {
    if RESERVE_IS_OPEN.get() {
        return u64::MAX;
    }
    match CEILING.load(Relaxed) {
        0 => look_at_limit(),
        known => known,
    }
}

/// Looks at the limit, which somebody may have changed (`prlimit --pid`): to be called now and then.
pub fn look_at_limit() -> u64 {
    let ceiling = getrlimit(Resource::Nofile).current.map_or(u64::MAX, ceiling_of).max(1);
    CEILING.store(ceiling, Relaxed);
    ceiling
}

fn check(fd: RawFd, ceiling: u64) -> io::Result<()> {
    match u64::try_from(fd) {
        Ok(number) if number < ceiling => Ok(()),
        _ => Err(rustix::io::Errno::MFILE.into()),
    }
}

/// So many connections are kept between probes, in the whole process.
static KEPT: AtomicU64 = AtomicU64::new(0);

/// How many may be: half of what probes may open, so that those which need a fresh connection find one.
#[must_use]
pub fn kept_limit() -> u64 {
    ceiling() / 2
}

/// Room for one connection that is kept between probes; given back by dropping it.
#[derive(Debug)]
pub struct Room(());

impl Room {
    /// Room, if there is any.
    #[must_use]
    pub fn take() -> Option<Room> {
        Room::below(kept_limit())
    }

    fn below(limit: u64) -> Option<Room> {
        let one_more = |kept| (kept < limit).then_some(kept + 1);
        KEPT.fetch_update(Relaxed, Relaxed, one_more).is_ok().then(|| Room(()))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        KEPT.fetch_sub(1, Relaxed);
    }
}

/// Connects, unless that would take a descriptor of the reserve.
///
/// `sends_at_once`: the last packet of the handshake waits for what the caller sends and goes out with it, as HAProxy's
/// `tcp-smart-connect` has it; if nothing is sent, after 200 ms. The kernel takes such a connection for one that talks in
/// turns and delays the acknowledgement of what the server says by 40 ms, for which a server that writes its answer in
/// small pieces waits (Nagle, RFC 9293 section 3.7.4): so [`acknowledge_at_once`] when a piece has come.
///
/// # Errors
/// The system's; "too many open files" also when only the reserve is left.
pub async fn connect(address: SocketAddr, sends_at_once: bool) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    check(socket.as_raw_fd(), ceiling())?;
    if sends_at_once {
        // Where the kernel cannot, one packet more is sent.
        let _cannot = sockopt::set_tcp_quickack(&socket, false);
    }
    socket.connect(address).await
}

/// What comes is acknowledged at once, as on any young connection.
pub fn acknowledge_at_once(tcp: &TcpStream) {
    // A dead socket shows later.
    let _cannot = sockopt::set_tcp_quickack(tcp, true);
}

/// Whether a descriptor can be opened without taking one of the reserve: for those that others open for us.
///
/// # Errors
/// "Too many open files" when only the reserve is left, or not even that.
pub fn spare() -> io::Result<()> {
    let copy = io::stderr().as_fd().try_clone_to_owned()?;
    check(copy.as_raw_fd(), ceiling())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::net::happy::is_local_resource;

    #[test]
    fn a_reserve_is_kept_however_low_the_limit() {
        assert_eq!([20, 64, 256, 1024, 1 << 20].map(ceiling_of), [15, 48, 192, 960, (1 << 20) - 64]);
        assert!(check(14, 15).is_ok());
        assert!(is_local_resource(&check(15, 15).unwrap_err()));
    }

    #[test]
    fn only_so_many_connections_are_kept() {
        // No other unit test keeps one.
        let rooms = [Room::below(2), Room::below(2)];
        assert!(rooms.iter().all(Option::is_some) && Room::below(2).is_none());
        drop(rooms);
        assert!(Room::below(1).is_some());
        assert!(kept_limit() >= 1);
    }

    #[test]
    fn with_room_it_connects_and_says_so() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let tcp = runtime.block_on(connect(address, false)).unwrap();
        assert_eq!(tcp.peer_addr().unwrap(), address);
        spare().unwrap();
    }

    #[test]
    fn the_handshake_ends_with_what_is_said_first() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let clock = Clock::system();
        let (tcp, early) = loop {
            let begun = clock.now();
            let tcp = runtime.block_on(connect(listener.local_addr().unwrap(), true)).unwrap();
            let early = listener.accept();
            // Where this machine was busy elsewhere meanwhile, the kernel may have waited long enough.
            if early.is_err() || clock.now().since(begun) < Duration::from_millis(40) {
                break (tcp, early);
            }
        };
        assert_eq!(early.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(tcp.try_write(b"x").unwrap(), 1);
        listener.accept().unwrap();
    }
}
