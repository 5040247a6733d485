//! The named entries of a list, and what they stand for.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// A named set of networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Preset {
    /// Every address.
    All,
    /// This machine.
    Loopback,
    /// Addresses without a router: 169.254.0.0/16 and fe80::/10.
    LinkLocal,
    /// Where clouds tell a machine its secrets.
    Metadata,
    /// Networks of one's own (RFC 1918, RFC 4193).
    Private,
    /// Between a provider and its customers (RFC 6598).
    Shared,
    /// To many at once.
    Multicast,
    /// What no host on the internet has: documentation, benchmarks, never assigned.
    Reserved,
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(a: u16, b: u16, c: u16, g: u16, h: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, g, h), prefix)
}

/// The metadata services of the clouds, as their documentation names them; most are link-local as well.
const METADATA_V4: &[Ipv4Net] = &[
    v4(169, 254, 169, 254, 32), // AWS, Azure, Google, OpenStack, Oracle, DigitalOcean, Hetzner, IBM, Akamai, …
    v4(169, 254, 170, 2, 32),   // AWS: credentials of ECS tasks
    v4(169, 254, 170, 23, 32),  // AWS: EKS Pod Identity
    v4(169, 254, 42, 42, 32),   // Scaleway
    v4(169, 254, 0, 23, 32),    // Tencent
    v4(169, 254, 10, 10, 32),   // Tencent
    v4(168, 63, 129, 16, 32),   // Azure: WireServer
    v4(100, 100, 100, 200, 32), // Alibaba
    v4(192, 0, 0, 192, 32),     // Oracle Classic
];

const METADATA_V6: &[Ipv6Net] = &[
    v6(0xfd00, 0xec2, 0, 0, 0x254, 128),      // AWS
    v6(0xfd00, 0xec2, 0, 0, 0x23, 128),       // AWS: EKS Pod Identity
    v6(0xfd20, 0xce, 0, 0, 0x254, 128),       // Google
    v6(0xfd00, 0xc1, 0, 0xa9fe, 0xa9fe, 128), // Oracle
    v6(0xfe80, 0, 0, 0xa9fe, 0xa9fe, 128),    // OpenStack
    v6(0xfd00, 0xa9fe, 0xa9fe, 0, 1, 128),    // Akamai
    v6(0xfd00, 0x42, 0, 0, 0x42, 128),        // Scaleway
    v6(0xfd00, 0x100, 0, 0x100, 0x200, 128),  // Alibaba
];

impl Preset {
    /// All of them.
    pub const ALL: [Preset; 8] = [
        Preset::All,
        Preset::Loopback,
        Preset::LinkLocal,
        Preset::Metadata,
        Preset::Private,
        Preset::Shared,
        Preset::Multicast,
        Preset::Reserved,
    ];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Preset::All => "all",
            Preset::Loopback => "loopback",
            Preset::LinkLocal => "link-local",
            Preset::Metadata => "metadata",
            Preset::Private => "private",
            Preset::Shared => "shared",
            Preset::Multicast => "multicast",
            Preset::Reserved => "reserved",
        }
    }

    /// What it stands for.
    #[must_use]
    pub fn networks(self) -> (&'static [Ipv4Net], &'static [Ipv6Net]) {
        match self {
            Preset::All => (const { &[v4(0, 0, 0, 0, 0)] }, const { &[v6(0, 0, 0, 0, 0, 0)] }),
            // Whoever connects to 0.0.0.0 or :: reaches this machine too.
            Preset::Loopback => (
                const { &[v4(127, 0, 0, 0, 8), v4(0, 0, 0, 0, 32)] },
                const { &[v6(0, 0, 0, 0, 1, 128), v6(0, 0, 0, 0, 0, 128)] },
            ),
            Preset::LinkLocal => (const { &[v4(169, 254, 0, 0, 16)] }, const { &[v6(0xfe80, 0, 0, 0, 0, 10)] }),
            Preset::Metadata => (METADATA_V4, METADATA_V6),
            Preset::Private => (
                const { &[v4(10, 0, 0, 0, 8), v4(172, 16, 0, 0, 12), v4(192, 168, 0, 0, 16)] },
                const { &[v6(0xfc00, 0, 0, 0, 0, 7), v6(0xfec0, 0, 0, 0, 0, 10)] },
            ),
            Preset::Shared => (const { &[v4(100, 64, 0, 0, 10)] }, &[]),
            Preset::Multicast => (const { &[v4(224, 0, 0, 0, 4)] }, const { &[v6(0xff00, 0, 0, 0, 0, 8)] }),
            // The registries of special-purpose addresses, as far as no other preset has them.
            Preset::Reserved => (
                const {
                    &[
                        v4(0, 0, 0, 0, 8),
                        v4(192, 0, 0, 0, 24),
                        v4(192, 0, 2, 0, 24),
                        v4(192, 88, 99, 0, 24),
                        v4(198, 18, 0, 0, 15),
                        v4(198, 51, 100, 0, 24),
                        v4(203, 0, 113, 0, 24),
                        v4(240, 0, 0, 0, 4),
                    ]
                },
                const {
                    &[
                        v6(0x100, 0, 0, 0, 0, 64),
                        v6(0x2001, 0x2, 0, 0, 0, 48),
                        v6(0x2001, 0xdb8, 0, 0, 0, 32),
                        v6(0x3fff, 0, 0, 0, 0, 20),
                        v6(0x5f00, 0, 0, 0, 0, 16),
                    ]
                },
            ),
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
