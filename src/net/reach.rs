//! After a deadline: did our own machine keep the probe from its peer? Asked without sending anything to it.
//!
//! ```text
//!  is there a route to it?          connect() of a UDP socket, which sends nothing
//!  is it an address of our own?     then a datagram from it to itself must arrive (loopback may be down: no error, no answer)
//! ```

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use crate::model::time::Mono;

/// Over loopback a datagram is there when it is sent; this is for a kernel that is asked at a bad moment.
const ARRIVES_WITHIN: Duration = Duration::from_millis(2);

/// What was away is taken to have been so for that much longer: a probe that began then, and ends when the network is there
/// again, has met it too, and not always does another deadline come in between to say so.
const LINGERS: Duration = Duration::from_secs(1);

thread_local! {
    /// When it was last found so: of addresses of our own, and of others.
    static CUT_OFF: Cell<[Option<Mono>; 2]> = const { Cell::new([None; 2]) };
}

/// Why nothing could reach `peer` from here, now or when this was last asked for another peer of its kind, at the earliest a
/// second before `began`; as the end of a sentence. `None` when nothing speaks against it.
#[must_use]
pub fn cut_off_from(peer: SocketAddr, began: Mono, now: Mono) -> Option<&'static str> {
    let (own, found) = look(peer)?;
    let mut known = CUT_OFF.get();
    let last = &mut known[usize::from(own)];
    if found.is_some() {
        *last = Some(now);
        CUT_OFF.set(known);
        return found;
    }
    // What is there again now may have been away when it was needed.
    last.is_some_and(|at| at + LINGERS >= began).then_some("this machine's network was away a moment ago")
}

/// Whether it is an address of our own, and why it cannot be reached at this moment; `None`: nobody knows.
fn look(peer: SocketAddr) -> Option<(bool, Option<&'static str>)> {
    let any = if peer.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    // No socket, no verdict: that is told by others.
    let socket = UdpSocket::bind((any, 0)).ok()?;
    match socket.connect(peer) {
        Err(e) if matches!(e.kind(), io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable) => {
            return Some((false, Some("there is no route to it any more")));
        }
        Err(_) => return None,
        Ok(()) => {}
    }
    let own = socket.local_addr().ok()?.ip();
    if own != peer.ip() {
        return Some((false, None));
    }
    let cut_off = !reaches_itself(own)?;
    Some((true, cut_off.then_some("this machine does not reach its own addresses")))
}

fn reaches_itself(own: IpAddr) -> Option<bool> {
    let socket = UdpSocket::bind((own, 0)).ok()?;
    let here = socket.local_addr().ok()?;
    socket.set_read_timeout(Some(ARRIVES_WITHIN)).ok()?;
    if socket.send_to(b"?", here).is_err() {
        return Some(false);
    }
    Some(socket.recv_from(&mut [0; 1]).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_reached() {
        for peer in ["127.0.0.1:1", "127.8.7.6:1"] {
            assert_eq!(cut_off_from(peer.parse().unwrap(), Mono(0), Mono(9)), None, "{peer}");
        }
        // What was away while a probe ran, or just before, counts for that probe, and for no later one.
        let peer = "127.0.0.1:1".parse().unwrap();
        let later = Mono(9_000_000);
        for (found, began, cut_off) in [(5, 5, true), (5, 4, true), (5, 1_000_005, true), (5, 1_000_006, false)] {
            CUT_OFF.set([None, Some(Mono(found))]);
            assert_eq!(cut_off_from(peer, Mono(began), later).is_some(), cut_off, "{found} {began}");
        }
    }
}
