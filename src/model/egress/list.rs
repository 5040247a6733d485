//! A list of addresses, as people write it: CIDRs, single addresses, presets.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::preset::Preset;
use crate::model::text::{nearest, quoted};

/// One entry of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Entry {
    /// By a name.
    Preset(Preset),
    /// By its CIDR; one address is the network of itself.
    Network(IpNet),
}

/// `10.0.0.0/8`; one address without the length of its prefix.
pub(super) fn written(net: IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Entry::Preset(preset) => preset.fmt(f),
            Entry::Network(net) => f.write_str(&written(*net)),
        }
    }
}

const HOW: &str = "write for example 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7";

impl FromStr for Entry {
    type Err = String;

    fn from_str(s: &str) -> Result<Entry, String> {
        if let Some(preset) = Preset::ALL.into_iter().find(|p| p.as_str().eq_ignore_ascii_case(s)) {
            return Ok(Entry::Preset(preset));
        }
        let (address, prefix) = s.split_once('/').map_or((s, None), |(address, prefix)| (address, Some(prefix)));
        let Ok(address) = address.parse::<IpAddr>() else { return Err(no_entry(s, address)) };
        let longest: u8 = if address.is_ipv4() { 32 } else { 128 };
        let length = match prefix {
            None => Some(longest),
            Some(digits) if digits.len() <= 3 && digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok(),
            Some(_) => None,
        };
        let net = length.and_then(|length| IpNet::new(address, length).ok());
        let net = net.ok_or_else(|| format!("{} has no prefix from 0 to {longest} behind its `/`", quoted(s)))?;
        if net.trunc() != net {
            return Err(format!("{} has bits set behind its prefix: write {}", quoted(s), net.trunc()));
        }
        Ok(Entry::Network(mapped(net)))
    }
}

/// An IPv4-mapped network as the IPv4 network that it is: such addresses are connected to, and looked up, as IPv4.
fn mapped(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let v4 = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96));
    v4.and_then(|(address, length)| Ipv4Net::new(address, length).ok()).map_or(net, IpNet::V4)
}

/// What is wrong with text that is no entry.
fn no_entry(s: &str, address: &str) -> String {
    let presets = || Preset::ALL.map(Preset::as_str);
    let looks_like_address = address.contains(':') || address.starts_with(|c: char| c.is_ascii_digit());
    match nearest(&s.to_ascii_lowercase(), presets()) {
        Some(near) => format!("{} is not known: did you mean {near}?", quoted(s)),
        None if looks_like_address || address.starts_with('[') => format!("{} is no address: {HOW}", quoted(s)),
        None => {
            let presets = presets().join(", ");
            format!("{} is neither an address nor one of {presets} (names cannot stand here): {HOW}", quoted(s))
        }
    }
}

/// A list, quick to search.
#[derive(Clone, Default)]
pub struct AddressList {
    entries: Box<[Entry]>,
    /// First and last address of each network that is within no other one, in order.
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
}

impl AddressList {
    /// The list of these entries.
    #[must_use]
    pub fn new(entries: Vec<Entry>) -> AddressList {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for net in entries.iter().flat_map(|e| networks(*e)) {
            match net {
                IpNet::V4(net) => v4.push((net.network().to_bits(), net.broadcast().to_bits())),
                IpNet::V6(net) => v6.push((net.network().to_bits(), net.broadcast().to_bits())),
            }
        }
        AddressList { entries: entries.into(), v4: outermost(v4), v6: outermost(v6) }
    }

    /// The list of some presets.
    #[must_use]
    pub fn of(presets: impl IntoIterator<Item = Preset>) -> AddressList {
        AddressList::new(presets.into_iter().map(Entry::Preset).collect())
    }

    /// Reads entries, each for itself.
    ///
    /// # Errors
    /// What is wrong with the first that is none.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<AddressList, String> {
        let entries: Result<Vec<Entry>, String> = entries.into_iter().map(str::parse).collect();
        entries.map(AddressList::new)
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Its entries, as they were written.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether an address is in it. Asks about that address alone, not about what it leads to.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => within(&self.v4, v4.to_bits()),
            IpAddr::V6(v6) => within(&self.v6, v6.to_bits()),
        }
    }

    /// The entry that says most exactly why an address is in it, and the network of that entry.
    #[must_use]
    pub fn entry_of(&self, address: IpAddr) -> Option<(Entry, IpNet)> {
        let covering = self.entries.iter().flat_map(|e| networks(*e).map(|net| (*e, net)));
        let covering = covering.filter(|(_, net)| net.contains(&address));
        covering.min_by_key(|(_, net)| net.max_prefix_len() - net.prefix_len())
    }
}

/// Lists are the same when they are written the same.
impl PartialEq for AddressList {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl Eq for AddressList {}

impl fmt::Debug for AddressList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.iter().map(ToString::to_string)).finish()
    }
}

/// With commas, as `egress_allow` is written.
impl fmt::Display for AddressList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, entry) in self.entries.iter().enumerate() {
            write!(f, "{}{entry}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

fn networks(entry: Entry) -> impl Iterator<Item = IpNet> {
    let (one, (v4, v6)): (_, (&[Ipv4Net], &[Ipv6Net])) = match entry {
        Entry::Preset(preset) => (None, preset.networks()),
        Entry::Network(net) => (Some(net), (&[], &[])),
    };
    one.into_iter().chain(v4.iter().copied().map(IpNet::V4)).chain(v6.iter().copied().map(IpNet::V6))
}

/// Two networks are apart, or one is within the other: what is left when those within others are gone is apart.
fn outermost<T: Ord + Copy>(mut all: Vec<(T, T)>) -> Box<[(T, T)]> {
    // The wider one of two that begin alike comes first.
    all.sort_unstable_by_key(|(first, last)| (*first, std::cmp::Reverse(*last)));
    let mut end = None;
    all.retain(|(_, last)| {
        let outside = end.is_none_or(|end| *last > end);
        if outside {
            end = Some(*last);
        }
        outside
    });
    all.into()
}

fn within<T: Ord + Copy>(ranges: &[(T, T)], address: T) -> bool {
    let at = ranges.partition_point(|(first, _)| *first <= address);
    at.checked_sub(1).and_then(|i| ranges.get(i)).is_some_and(|(_, last)| address <= *last)
}
