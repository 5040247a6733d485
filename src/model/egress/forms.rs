//! What an address leads to besides itself: IPv4 addresses in IPv6 clothes, and the unspecified address.
//!
//! ```text
//!  ::ffff:a.b.c.d       IPv4-mapped: the kernel speaks IPv4           0.0.0.0, ::   the kernel connects to this machine
//!  64:ff9b::/96         NAT64 (RFC 6052), 64:ff9b:1::/48 (RFC 8215)   2002::/16     6to4 (RFC 3056)
//!  ::ffff:0:a.b.c.d     translated (RFC 2765)                         2001::/32     Teredo (RFC 4380): server and client
//!  ::a.b.c.d            compatible (RFC 4291)                         …:5efe:a.b.c.d  ISATAP (RFC 5214)
//! ```
//!
//! A network's own NAT64 prefix is not known here: whoever has one denies it by its CIDR.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The first form of `address` for which `holds`.
pub(super) fn any(address: IpAddr, mut holds: impl FnMut(IpAddr) -> bool) -> Option<IpAddr> {
    let v6 = match address {
        IpAddr::V4(v4) => return any_v4(v4, &mut holds),
        // It is sent as IPv4, so nothing else of it counts.
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => return any_v4(v4, &mut holds),
            None => v6,
        },
    };
    if holds(address) {
        return Some(address);
    }
    if v6.is_unspecified() {
        return Some(Ipv6Addr::LOCALHOST.into()).filter(|form| holds(*form));
    }
    embedded(v6).into_iter().flatten().map(IpAddr::V4).find(|form| holds(*form))
}

fn any_v4(v4: Ipv4Addr, holds: &mut dyn FnMut(IpAddr) -> bool) -> Option<IpAddr> {
    if holds(v4.into()) {
        return Some(v4.into());
    }
    Some(Ipv4Addr::LOCALHOST.into()).filter(|form| v4.is_unspecified() && holds(*form))
}

/// The IPv4 addresses within an IPv6 address that translators and tunnels send it to.
fn embedded(v6: Ipv6Addr) -> [Option<Ipv4Addr>; 4] {
    let n = v6.to_bits();
    // The 32 bits that end `after` bits before the address does.
    let at = |after: u32| {
        let [.., a, b, c, d] = (n >> after).to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    let below = |bits: u32| n & ((1 << bits) - 1);
    let one = |v4| [Some(v4), None, None, None];
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => [None; 4],
        [0, 0, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => one(at(0)),
        [0x64, 0xff9b, 1, ..] => {
            // How long the prefix within it is, nobody can know; what comes behind the IPv4 address is zero (RFC 6052
            // section 2.2), and so are the bits 64 to 71.
            let no_u = (n >> 56) & 0xff == 0;
            let [.., a, b] = (n >> 64).to_be_bytes();
            let [.., c, d, e] = (n >> 32).to_be_bytes();
            [
                (below(32) != 0).then(|| at(0)),
                (no_u && below(24) == 0).then(|| at(24)),
                (no_u && below(32) == 0).then(|| Ipv4Addr::new(b, c, d, e)),
                (no_u && below(40) == 0).then(|| Ipv4Addr::new(a, b, c, d)),
            ]
        }
        [0x2002, ..] => one(at(80)),
        [0x2001, 0, ..] => [Some(at(64)), Some(Ipv4Addr::from_bits(!at(0).to_bits())), None, None],
        [.., 0 | 0x200, 0x5efe, _, _] => one(at(0)),
        _ => [None; 4],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(address: &str) -> Vec<String> {
        let mut seen = Vec::new();
        any(address.parse().unwrap(), |form| {
            seen.push(form.to_string());
            false
        });
        seen
    }

    #[test]
    fn whatever_wears_ipv4_within_is_seen_as_that_too() {
        for (address, found) in [
            ("192.0.2.1", vec!["192.0.2.1"]),
            ("0.0.0.0", vec!["0.0.0.0", "127.0.0.1"]),
            ("::", vec!["::", "::1"]),
            ("::1", vec!["::1"]),
            ("2001:db8::1", vec!["2001:db8::1"]),
            ("::ffff:169.254.169.254", vec!["169.254.169.254"]),
            ("::ffff:0.0.0.0", vec!["0.0.0.0", "127.0.0.1"]),
            ("::169.254.169.254", vec!["::a9fe:a9fe", "169.254.169.254"]),
            ("::ffff:0:169.254.169.254", vec!["::ffff:0:a9fe:a9fe", "169.254.169.254"]),
            ("64:ff9b::a9fe:a9fe", vec!["64:ff9b::a9fe:a9fe", "169.254.169.254"]),
            ("64:ff9b:1::a9fe:a9fe", vec!["64:ff9b:1::a9fe:a9fe", "169.254.169.254"]),
            ("64:ff9b:1:7:8:9:a9fe:a9fe", vec!["64:ff9b:1:7:8:9:a9fe:a9fe", "169.254.169.254"]),
            ("2002:a9fe:a9fe::1", vec!["2002:a9fe:a9fe::1", "169.254.169.254"]),
            ("2001:0:a9fe:a9fe::", vec!["2001:0:a9fe:a9fe::", "169.254.169.254", "255.255.255.255"]),
            ("2001:0:101:101:0:0:5601:5601", vec!["2001:0:101:101::5601:5601", "1.1.1.1", "169.254.169.254"]),
            ("fe80::5efe:a9fe:a9fe", vec!["fe80::5efe:a9fe:a9fe", "169.254.169.254"]),
            ("2001:db8::200:5efe:a9fe:a9fe", vec!["2001:db8::200:5efe:a9fe:a9fe", "169.254.169.254"]),
        ] {
            assert_eq!(forms(address), found, "{address}");
        }
    }

    /// The layouts of RFC 6052 section 2.2, with the prefix 64:ff9b:1::/48 in each length that it can have.
    #[test]
    fn nat64_of_ones_own_is_read_at_every_length() {
        for address in [
            "64:ff9b:1:a9fe:a9:fe00::",
            "64:ff9b:1:22a9:fe:a9fe::",
            "64:ff9b:1:2222:a9:fea9:fe00:0",
            "64:ff9b:1::a9fe:a9fe",
        ] {
            let found = forms(address);
            assert!(found.contains(&"169.254.169.254".to_owned()), "{address}: {found:?}");
        }
    }
}
