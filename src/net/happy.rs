//! The rules of happy eyeballs (RFC 8305) and of what a set of failed attempts means; pure.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::model::reason::Reason;

/// Time that an attempt has for itself before the next address is tried beside it (RFC 8305 section 5).
pub const STAGGER: Duration = Duration::from_millis(250);

/// Families interleaved, the family of the first address first; the order within a family stays.
#[must_use]
pub fn interleave(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let Some(first) = addresses.first() else { return Vec::new() };
    let (mut a, mut b): (Vec<_>, Vec<_>) = addresses.iter().partition(|ip| ip.is_ipv4() == first.is_ipv4());
    let mut out = Vec::with_capacity(addresses.len());
    a.reverse();
    b.reverse();
    while let Some(ip) = a.pop() {
        out.push(ip);
        out.extend(b.pop());
    }
    b.reverse();
    out.extend(b);
    out
}

/// What one failed attempt says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// RST to our SYN.
    Refused,
    /// The network says no.
    Unreachable,
    /// The kernel gave up.
    TimedOut,
    /// We have no way to send.
    NoRoute,
    /// Out of descriptors, ports, buffers or memory.
    Resources,
    /// Not tried: the egress policy denies it.
    Denied,
}

/// Whether an error says that this machine lacks something.
#[must_use]
pub fn is_local_resource(error: &io::Error) -> bool {
    use rustix::io::Errno;
    error.kind() == io::ErrorKind::OutOfMemory
        || [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM]
            .iter()
            .any(|e| error.raw_os_error() == Some(e.raw_os_error()))
}

/// Sorts one attempt's error.
#[must_use]
pub fn kind(address: SocketAddr, error: &io::Error) -> Kind {
    match error.kind() {
        _ if is_local_resource(error) => Kind::Resources,
        // No free port; but on a machine without IPv6 it is the answer to every IPv6 address.
        io::ErrorKind::AddrNotAvailable if address.is_ipv4() => Kind::Resources,
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => Kind::Refused,
        io::ErrorKind::TimedOut => Kind::TimedOut,
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable if is_routable(address.ip()) => {
            Kind::NoRoute
        }
        io::ErrorKind::Unsupported if is_routable(address.ip()) => Kind::NoRoute, // no such family here
        _ => Kind::Unreachable,
    }
}

/// Whether a route to it can exist anywhere. That there is none to a multicast or broadcast address is no fault of
/// our network.
fn is_routable(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => !(v4.is_multicast() || v4.octets()[0] >= 240 || (v4.is_loopback() && v4.octets()[3] == 255)),
        IpAddr::V6(v6) => !v6.is_multicast(),
    }
}

/// What a set of failed attempts, one an address, means together. What the target did counts more than what our
/// network could not do; what this machine lacks counts most, because then nothing is known. That addresses are denied
/// counts only where all are: a route that is lost to the one that is allowed is our network's fault.
#[must_use]
pub fn judge(kinds: impl Iterator<Item = Kind> + Clone) -> Reason {
    let any = |kind| kinds.clone().any(|k| k == kind);
    if any(Kind::Resources) {
        Reason::LocalResources
    } else if any(Kind::Refused) {
        Reason::ConnectRefused
    } else if any(Kind::Unreachable) {
        Reason::ConnectUnreachable
    } else if any(Kind::TimedOut) {
        Reason::TimeoutConnect
    } else if any(Kind::Denied) && !any(Kind::NoRoute) {
        Reason::EgressDenied
    } else {
        Reason::LocalNetwork
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(code: rustix::io::Errno) -> io::Error {
        io::Error::from_raw_os_error(code.raw_os_error())
    }

    fn of(address: &str, code: rustix::io::Errno) -> Reason {
        judge([kind(address.parse().unwrap(), &os(code))].into_iter())
    }

    #[test]
    fn families_alternate_and_keep_their_order() {
        let ips = |s: &[&str]| s.iter().map(|s| s.parse::<IpAddr>().unwrap()).collect::<Vec<_>>();
        assert_eq!(
            interleave(&ips(&["::1", "::2", "::3", "1.1.1.1", "2.2.2.2"])),
            ips(&["::1", "1.1.1.1", "::2", "2.2.2.2", "::3"])
        );
        assert_eq!(interleave(&ips(&["1.1.1.1", "::1", "::2", "::3"])), ips(&["1.1.1.1", "::1", "::2", "::3"]));
        assert!(interleave(&[]).is_empty());
    }

    #[test]
    fn what_this_machine_lacks_is_local_resources() {
        use rustix::io::Errno;
        for code in [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL, Errno::NOBUFS, Errno::NOMEM] {
            assert_eq!(of("127.0.0.1:80", code), Reason::LocalResources, "{code:?}");
        }
    }

    #[test]
    fn refused_unreachable_and_no_route_differ() {
        use rustix::io::Errno;
        assert_eq!(of("127.0.0.1:80", Errno::CONNREFUSED), Reason::ConnectRefused);
        assert_eq!(of("192.0.2.1:80", Errno::HOSTUNREACH), Reason::ConnectUnreachable);
        assert_eq!(of("192.0.2.1:80", Errno::ACCESS), Reason::ConnectUnreachable);
        assert_eq!(of("192.0.2.1:80", Errno::TIMEDOUT), Reason::TimeoutConnect);
        assert_eq!(of("192.0.2.1:80", Errno::NETUNREACH), Reason::LocalNetwork);
        assert_eq!(of("[2001:db8::1]:80", Errno::NETUNREACH), Reason::LocalNetwork);
        assert_eq!(of("[::1]:80", Errno::ADDRNOTAVAIL), Reason::LocalNetwork, "IPv6 is switched off");
        assert_eq!(of("255.255.255.255:80", Errno::NETUNREACH), Reason::ConnectUnreachable, "never routable");
    }

    #[test]
    fn one_address_that_answers_decides_over_one_without_a_route() {
        let reason = |kinds: &[Kind]| judge(kinds.iter().copied());
        assert_eq!(reason(&[Kind::NoRoute, Kind::Refused]), Reason::ConnectRefused);
        assert_eq!(reason(&[Kind::NoRoute, Kind::Unreachable]), Reason::ConnectUnreachable);
        assert_eq!(reason(&[Kind::Refused, Kind::Resources]), Reason::LocalResources);
        assert_eq!(reason(&[Kind::NoRoute, Kind::NoRoute]), Reason::LocalNetwork);
    }

    #[test]
    fn denied_is_what_is_denied_at_every_address() {
        let reason = |kinds: &[Kind]| judge(kinds.iter().copied());
        assert_eq!(reason(&[Kind::Denied]), Reason::EgressDenied);
        assert_eq!(reason(&[Kind::Denied, Kind::Denied]), Reason::EgressDenied);
        assert_eq!(reason(&[Kind::Denied, Kind::Refused]), Reason::ConnectRefused);
        assert_eq!(reason(&[Kind::TimedOut, Kind::Denied]), Reason::TimeoutConnect);
        assert_eq!(reason(&[Kind::Denied, Kind::NoRoute]), Reason::LocalNetwork, "the network is lost");
        assert_eq!(reason(&[Kind::Denied, Kind::Resources]), Reason::LocalResources);
    }
}
