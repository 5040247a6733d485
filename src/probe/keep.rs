//! Connections that serve more than one probe of their target (`keep_alive`): when one may be kept, and when used again.
//!
//! ```text
//!  fresh probe --answer--> may_keep? --yes--> Kept, in the target's actor until its next probe
//!                                               |
//!   a fresh connection <--no-- still good? -----'--yes--> request --answer--> as above, counted
//!          ^                                                 '-- closed or silent before any answer: the request is
//!          '------------------------------------------------------ repeated once, in the time that is left
//! ```
//!
//! A kept connection shows nothing of DNS, connecting and TLS. So it serves so many probes only, and no probe fails for
//! what only a kept connection showed: that its server had closed it says nothing of the service.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::head::{Framing, Head};
use super::hops::Asked;
use super::wire::Wire;
use crate::model::target::Target;
use crate::model::time::UtcMs;
use crate::model::trace::Event;
use crate::net::descriptors::Room;
use crate::net::tls_authorities::Trust;
use crate::net::{Leave, Net, Observer, dial};

/// Where a probe finds its target's kept connection, and leaves one.
pub type Slot = Option<Box<Kept>>;

/// A connection between two probes.
#[derive(Debug)]
pub struct Kept {
    wire: Wire,
    /// Boxed: it is handed on more often than looked at.
    made: Box<Made>,
}

/// How a connection was made: it is used for the same again only.
#[derive(Debug)]
pub(super) struct Made {
    /// For this URL's scheme, host and port.
    url: Url,
    address: SocketAddr,
    local: Option<SocketAddr>,
    /// All addresses that the name had, sorted; `None`: nothing was resolved, or is not remembered.
    addresses: Option<Box<[IpAddr]>>,
    /// Whom its certificate was judged by.
    trust: Option<Arc<Trust>>,
    /// `notAfter` of its certificate.
    expires: Option<UtcMs>,
    /// So many probes have used it.
    probes: u16,
    /// Given back when it goes.
    _room: Room,
}

/// The time in which a kept connection must bring the first byte before a fresh one is tried: a quarter of the timeout.
/// Targets that take longer than that are not kept, see [`may_keep`].
#[must_use]
pub fn patience(timeout: Duration) -> Duration {
    timeout / 4
}

/// What decides whether a connection may be kept after a probe.
#[derive(Debug, Clone, Copy)]
pub struct End {
    /// The head neither says that the connection ends nor leaves that open.
    pub persistent: bool,
    /// How the body ended.
    pub framing: Framing,
    /// The request was HEAD: there is no body, whatever the head says.
    pub head_only: bool,
    /// The body was read to its end.
    pub whole: bool,
    /// Bytes came behind it, or the connection has ended.
    pub disturbed: bool,
    /// The time from the request to the first byte.
    pub waited: Duration,
    /// The probe's timeout.
    pub timeout: Duration,
    /// So many probes have used it, this one among them.
    pub probes: u16,
    /// So many may.
    pub keep_alive: u16,
}

/// Whether a connection may serve another probe (RFC 9112 section 9.3), and should.
#[must_use]
pub fn may_keep(end: &End) -> bool {
    end.persistent
        && end.whole
        && (end.head_only || end.framing != Framing::Close)
        && !end.disturbed
        && end.waited < patience(end.timeout)
        && end.probes < end.keep_alive
}

impl Made {
    /// How this fresh connection was made.
    pub(super) fn new(target: &Target, url: &Url, wire: &Wire, room: Room, net: &Net) -> Option<Box<Made>> {
        let tcp = wire.tcp();
        let trust = if url.scheme() == "https" { net.tls.trusted(&target.tls) } else { None };
        Some(Box::new(Made {
            address: tcp.peer_addr().ok()?,
            local: tcp.local_addr().ok(),
            addresses: known(net, url),
            trust,
            expires: None,
            probes: 1,
            _room: room,
            url: url.clone(),
        }))
    }

    /// Keeps the connection, if that may be.
    pub(super) fn keep(mut self: Box<Self>, target: &Target, asked: &Asked, head: &Head, wire: Wire, saw: Saw) -> Slot {
        let end = End {
            persistent: head.persistent,
            framing: head.framing,
            head_only: asked.method == crate::model::target::Method::Head,
            whole: saw.whole,
            disturbed: !wire.bytes().is_empty() || wire.eof() || wire.broken().is_some(),
            waited: Duration::from_micros(saw.waited_us.into()),
            timeout: target.timeout,
            probes: self.probes,
            keep_alive: target.keep_alive,
        };
        self.expires = saw.expires;
        may_keep(&end).then(|| Box::new(Kept { wire: wire.rest(), made: self }))
    }

    /// It serves no probe after this one.
    pub(super) fn is_last(&self, keep_alive: u16) -> bool {
        self.probes >= keep_alive
    }

    /// It serves another probe: the step for its trace.
    pub(super) fn reused(&mut self, keep_alive: u16) -> Event {
        self.probes = self.probes.saturating_add(1);
        Event::Reused {
            address: self.address,
            local: self.local,
            probe: self.probes.into(),
            of: keep_alive.into(),
            certificate_until: self.expires.map(|at| at.0),
        }
    }
}

/// What a probe saw of the connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Saw {
    pub(super) whole: bool,
    pub(super) waited_us: u32,
    pub(super) expires: Option<UtcMs>,
}

/// The addresses that a name has as far as we know without asking.
fn known(net: &Net, url: &Url) -> Option<Box<[IpAddr]>> {
    let Some(url::Host::Domain(name)) = url.host() else { return None };
    let mut addresses = net.resolver.known(name)?.to_vec();
    addresses.sort_unstable();
    Some(addresses.into())
}

impl Kept {
    /// The connection, if it may serve a probe of `url` now.
    ///
    /// # Errors
    /// Why it may not, in words.
    pub(super) async fn open(
        mut self,
        target: &Target,
        url: &Url,
        now: UtcMs,
        net: &Net,
        leave: Leave<'_>,
        observer: &dyn Observer,
    ) -> Result<(Wire, Box<Made>), &'static str> {
        let made = &self.made;
        if made.probes >= target.keep_alive
            || made.url.scheme() != url.scheme()
            || made.url.host() != url.host()
            || made.url.port_or_known_default() != url.port_or_known_default()
        {
            return Err("the target is defined otherwise now");
        }
        if made.expires.is_some_and(|until| until <= now) {
            return Err("its certificate has expired since");
        }
        if dial::may_use(made.address, leave).is_err() {
            return Err("the egress policy denies its address now");
        }
        if let (Some(before), Some(known)) = (&made.addresses, known(net, url))
            && *before != known
        {
            return Err("the name has other addresses now");
        }
        if url.scheme() == "https" {
            // A fresh handshake says what is wrong with the file, if anything is.
            let trust = net.tls.trust(&target.tls, observer).await.unwrap_or(None);
            let same = match (&trust, &made.trust) {
                (Some(now), Some(before)) => Arc::ptr_eq(now, before),
                (None, None) => target.tls.skip_verify,
                _ => false,
            };
            if !same {
                return Err("other certificate authorities are trusted now");
            }
        }
        match self.wire.idle() {
            Ok(()) => Ok((self.wire, self.made)),
            Err(why) => Err(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: End = End {
        persistent: true,
        framing: Framing::Length(2),
        head_only: false,
        whole: true,
        disturbed: false,
        waited: Duration::from_millis(10),
        timeout: Duration::from_secs(10),
        probes: 1,
        keep_alive: 2,
    };

    #[test]
    fn one_wrong_thing_is_enough() {
        assert!(may_keep(&GOOD));
        assert!(may_keep(&End { framing: Framing::Close, head_only: true, ..GOOD }));
        for end in [
            End { persistent: false, ..GOOD },
            End { framing: Framing::Close, ..GOOD },
            End { whole: false, ..GOOD },
            End { disturbed: true, ..GOOD },
            End { waited: Duration::from_millis(2500), ..GOOD },
            End { probes: 2, ..GOOD },
            End { keep_alive: 0, ..GOOD },
            End { keep_alive: 1, ..GOOD },
        ] {
            assert!(!may_keep(&end), "{end:?}");
        }
    }

    proptest! {
        #[test]
        fn no_connection_serves_more_probes_than_it_may(keep_alive in 0u16..1001, good in proptest::collection::vec(any::<bool>(), 1..50)) {
            let mut probes = 0;
            for good in good.into_iter().cycle().take(3000) {
                probes += 1;
                prop_assert!(probes <= keep_alive.max(1));
                if !may_keep(&End { persistent: good, probes, keep_alive, ..GOOD }) {
                    probes = 0;
                }
            }
        }

        #[test]
        fn what_is_kept_is_sound(
            persistent: bool, head_only: bool, whole: bool, disturbed: bool, waited in 0u64..20_000, probes in 1u16..5,
            keep_alive in 0u16..5, framing in prop_oneof![
                Just(Framing::None), Just(Framing::Close), Just(Framing::Chunked), (0u64..9).prop_map(Framing::Length)
            ],
        ) {
            let waited = Duration::from_millis(waited);
            let end = End { persistent, framing, head_only, whole, disturbed, waited, probes, keep_alive, ..GOOD };
            if may_keep(&end) {
                prop_assert!(persistent && whole && !disturbed && probes < keep_alive && waited < patience(end.timeout));
                prop_assert!(head_only || framing != Framing::Close);
            }
        }
    }
}
