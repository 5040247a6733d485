//! Ready connections: names to addresses, addresses to sockets, sockets to TLS sessions.
//!
//! ```text
//!  (a tls_ca is read first, away from this thread)
//!  Endpoint --resolve--> addresses --dial--> TcpStream --tls--> Connection (ready to speak over)
//!                                   '-> Guard: may this address be connected to?
//!                \___________________\__________________\__> Observer: every step, as it happens
//!                 \___________________\__________________\_> NetError: carries its Reason
//! ```
//!
//! Nothing here knows of targets, HTTP or deadlines: the caller wraps the whole in one deadline, and the last step
//! told to the [`Observer`] says where it fired. One [`Net`] belongs to one arbiter.

pub mod connection;
pub mod descriptors;
pub mod dial;
pub mod egress;
pub mod files;
pub mod happy;
pub mod reach;
pub mod resolve;
pub mod secrets;
pub mod silence;
pub mod tls;
pub mod tls_authorities;
pub mod tls_text;
pub mod tls_verify;

use std::net::SocketAddr;

use crate::clock::Clock;
use crate::model::egress::Caller;
use crate::model::reason::Reason;
use crate::model::target::TlsOptions;
use crate::model::trace::Event;

pub use connection::Connection;
pub use dial::{DialError, Leave};
pub use egress::{EgressSource, Guard};
pub use resolve::{ResolveError, Resolver, ResolverSettings};
pub use tls::{TlsError, TlsProfiles};

/// Is told every step as it happens.
pub trait Observer {
    /// A step.
    fn event(&self, event: Event);

    /// From now on a file of this machine is waited for, which the function names; `None`: no longer. A deadline that
    /// fires between the two is the file's fault.
    fn waits_for(&self, _file: Option<&dyn Fn() -> String>) {}
}

/// For callers that want the connection only.
impl Observer for () {
    fn event(&self, _: Event) {}
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The name has no address for us.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// No address took the connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// No TLS session.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl NetError {
    /// The word for it.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            NetError::Resolve(e) => e.reason(),
            NetError::Dial(e) => e.reason(),
            NetError::Tls(e) => e.reason(),
        }
    }
}

/// Where to connect to.
#[derive(Debug, Clone)]
pub struct Endpoint<'a> {
    /// A name or a literal address.
    pub host: url::Host<&'a str>,
    /// TCP port.
    pub port: u16,
    /// TLS, and how; `None`: plain TCP.
    pub tls: Option<&'a TlsOptions>,
    /// For whom: what lifts the egress policy.
    pub caller: Caller<'a>,
    /// Without TLS: the caller sends at once, and calls [`descriptors::acknowledge_at_once`] where more than one piece comes; see
    /// [`descriptors::connect`]. Never where the server speaks first.
    pub sends_at_once: bool,
}

/// What one arbiter needs to connect: its resolver with cache, its TLS profiles, the egress policy.
#[derive(Debug)]
pub struct Net {
    /// Names to addresses.
    pub resolver: Resolver,
    /// TLS profiles.
    pub tls: TlsProfiles,
    /// The egress policy.
    pub guard: Guard,
}

impl Net {
    /// A resolver and profiles of their own; reads no file yet.
    #[must_use]
    pub fn new(settings: ResolverSettings, egress: EgressSource, clock: Clock) -> Net {
        Net {
            resolver: Resolver::new(settings, clock.clone()),
            tls: TlsProfiles::new(clock),
            guard: Guard::new(egress),
        }
    }

    /// Resolves, connects and, where asked, shakes hands. Resolving and TLS are boxed: a plain probe need not carry them.
    ///
    /// # Errors
    /// The step that failed, with its reason.
    pub async fn connect(&self, to: Endpoint<'_>, observer: &dyn Observer) -> Result<Connection, NetError> {
        let trust = match to.tls {
            Some(options) => Box::pin(self.tls.trust(options, observer)).await?,
            None => None,
        };
        let leave = Leave { guard: &self.guard, caller: to.caller };
        let at_once = to.sends_at_once && to.tls.is_none();
        let tcp = match &to.host {
            url::Host::Ipv4(ip) => dial::one(SocketAddr::new((*ip).into(), to.port), leave, at_once, observer).await?,
            url::Host::Ipv6(ip) => dial::one(SocketAddr::new((*ip).into(), to.port), leave, at_once, observer).await?,
            url::Host::Domain(name) => {
                let addresses = Box::pin(self.resolver.resolve(name, observer)).await?;
                Box::pin(dial::any(&addresses, to.port, leave, at_once, observer)).await?
            }
        };
        match to.tls {
            None => Ok(Connection::Plain(tcp)),
            Some(options) => {
                let stream = Box::pin(self.tls.handshake(tcp, to.host, options, trust, observer)).await?;
                Ok(Connection::Tls(Box::new(stream)))
            }
        }
    }
}
