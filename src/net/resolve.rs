//! Names to addresses, without blocking and with the reason for every failure.
//!
//! ```text
//!  literal address, localhost --> at once, nothing is asked
//!  other name --> our cache (time to live) --> hosts file --> name servers of resolv.conf (or given ones)
//! ```
//!
//! Answers live as long as their records say, at most [`MAX_TTL`]; failures are not kept, so that a recovery is seen
//! by the next probe. resolv.conf and hosts are read again within some seconds of a change.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ProtocolConfig, ResolveHosts, ResolverConfig,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;

use super::silence::Silence;
use super::{Observer, happy};
use crate::clock::Clock;
use crate::model::reason::Reason;
use crate::model::text::escape_controls;
use crate::model::time::Mono;
use crate::model::trace::Event;

/// An answer is never kept longer, whatever its records say.
pub const MAX_TTL: Duration = Duration::from_secs(300);

/// How often, at most, the system's files are looked at for a change.
const FILES_CHECKED_EVERY: Duration = Duration::from_secs(5);

/// More names than any daemon watches; beyond it the cache starts anew.
const MAX_NAMES: usize = 200_000;

/// How names are resolved.
#[derive(Debug, Clone)]
pub struct ResolverSettings {
    /// Ask these instead of the system's name servers, and read neither hosts nor resolv.conf.
    pub name_servers: Option<Vec<SocketAddr>>,
    /// How long one question waits for its answer.
    pub timeout: Duration,
    /// How often a question that nobody answered is asked again.
    pub retries: usize,
}

impl Default for ResolverSettings {
    fn default() -> Self {
        ResolverSettings { name_servers: None, timeout: Duration::from_secs(1), retries: 1 }
    }
}

/// Why a name has no address for us.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The name servers answered, and the answer is no address.
    #[error("resolving {host}: {answer}")]
    Answered {
        /// The name.
        host: String,
        /// What they said.
        answer: String,
    },
    /// No name server answered.
    #[error("resolving {host}: no name server answered ({detail})")]
    NoAnswer {
        /// The name.
        host: String,
        /// How it failed.
        detail: String,
    },
    /// The name server cannot be asked, for lack of something on this machine.
    #[error("resolving {host}: this machine could not ask ({detail})")]
    Resources {
        /// The name.
        host: String,
        /// What is lacking.
        detail: String,
    },
}

impl ResolveError {
    /// The word for it.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            ResolveError::Answered { .. } => Reason::Dns,
            ResolveError::NoAnswer { .. } => Reason::LocalNetwork,
            ResolveError::Resources { .. } => Reason::LocalResources,
        }
    }

    /// Sorts hickory's error.
    fn of(host: &str, error: &NetError) -> ResolveError {
        let host = escape_controls(host).into_owned();
        let answered = |host, answer: String| ResolveError::Answered { host, answer };
        match error {
            NetError::Dns(DnsError::NoRecordsFound(none)) => answered(
                host,
                match none.response_code {
                    ResponseCode::NXDomain => "the name does not exist (NXDOMAIN)".to_owned(),
                    ResponseCode::NoError => "the name has no address (NODATA)".to_owned(),
                    code => format!("the name server answered {}", escape_controls(&code.to_string())),
                },
            ),
            NetError::Dns(DnsError::ResponseCode(code)) => answered(
                host,
                match code {
                    ResponseCode::ServFail => "the name server failed (SERVFAIL)".to_owned(),
                    ResponseCode::Refused => "the name server refused to answer (REFUSED)".to_owned(),
                    code => format!("the name server answered {}", escape_controls(&code.to_string())),
                },
            ),
            NetError::Proto(e) => {
                answered(host, format!("not a name that DNS knows ({})", escape_controls(&e.to_string())))
            }
            NetError::Io(e) if happy::is_local_resource(e) || e.kind() == std::io::ErrorKind::AddrNotAvailable => {
                ResolveError::Resources { host, detail: super::dial::words(e) }
            }
            NetError::Busy => ResolveError::Resources { host, detail: "too many questions at once".into() },
            NetError::Io(e) => ResolveError::NoAnswer { host, detail: super::dial::words(e) },
            other => ResolveError::NoAnswer { host, detail: escape_controls(&other.to_string()).into_owned() },
        }
    }
}

struct Kept {
    addresses: Rc<[IpAddr]>,
    until: Mono,
}

/// A resolver with its cache; belongs to one arbiter.
pub struct Resolver {
    settings: ResolverSettings,
    clock: Clock,
    /// Made at the first use, and again when the system's files have changed.
    system: RefCell<Option<Rc<TokioResolver>>>,
    files: Cell<(Mono, FileTimes)>,
    cache: RefCell<HashMap<Box<str>, Kept>>,
    silence: RefCell<Silence>,
}

/// An open question; dropped without an answer, it was given up.
struct Question<'a> {
    resolver: &'a Resolver,
    host: &'a str,
    since: Mono,
    answered: bool,
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        let now = self.resolver.clock.now();
        self.resolver.silence.borrow_mut().ended(self.host, self.since, now, self.answered);
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").field("settings", &self.settings).finish_non_exhaustive()
    }
}

type FileTimes = [Option<SystemTime>; 2];

impl Resolver {
    /// A resolver; reads no file before the first question.
    #[must_use]
    pub fn new(settings: ResolverSettings, clock: Clock) -> Resolver {
        Resolver {
            settings,
            clock,
            system: RefCell::default(),
            files: Cell::new((Mono(0), [None; 2])),
            cache: RefCell::default(),
            silence: RefCell::default(),
        }
    }

    /// After a deadline of the caller's: whether a question for `host` that waited for `waited` until now was not
    /// answered because no name server answers anybody. That is our network's trouble, not the name's.
    #[must_use]
    pub fn is_silent(&self, host: &str, waited: Duration) -> bool {
        self.silence.borrow_mut().is_general(host, waited, self.clock.now())
    }

    /// The addresses of `host`, in the order in which they should be tried; never empty.
    ///
    /// # Errors
    /// When the name has none, or nobody can be asked.
    pub async fn resolve(&self, host: &str, observer: &dyn Observer) -> Result<Rc<[IpAddr]>, ResolveError> {
        observer.event(Event::Resolving { host: host.to_owned() });
        let (addresses, cached) = self.lookup(host).await?;
        observer.event(Event::Resolved { addresses: addresses.to_vec(), cached });
        Ok(addresses)
    }

    /// The addresses of `host` as they were answered last, where that still holds; asks nobody.
    #[must_use]
    pub fn known(&self, host: &str) -> Option<Rc<[IpAddr]>> {
        let cache = self.cache.borrow();
        let kept = cache.get(host)?;
        (self.clock.now() < kept.until).then(|| Rc::clone(&kept.addresses))
    }

    async fn lookup(&self, host: &str) -> Result<(Rc<[IpAddr]>, bool), ResolveError> {
        if is_localhost(host) {
            // RFC 6761 section 6.3: never asked. IPv4 first: far more services listen there only.
            return Ok((Rc::new([IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]), false));
        }
        let now = self.clock.now();
        if let Some(kept) = self.cache.borrow().get(host)
            && now < kept.until
        {
            return Ok((Rc::clone(&kept.addresses), true));
        }
        super::descriptors::spare().map_err(|e| ResolveError::Resources {
            host: escape_controls(host).into_owned(),
            detail: super::dial::words(&e),
        })?;
        let resolver = self.resolver(host, now)?;
        self.silence.borrow_mut().asked(host, now);
        let mut question = Question { resolver: self, host, since: now, answered: false };
        let found = resolver.lookup_ip(host).await.map_err(|e| ResolveError::of(host, &e));
        question.answered = !matches!(found, Err(ResolveError::NoAnswer { .. } | ResolveError::Resources { .. }));
        drop(question);
        let found = found?;
        let records = found.as_lookup().answers();
        let addresses: Vec<IpAddr> = found.iter().collect();
        if addresses.is_empty() {
            return Err(ResolveError::Answered {
                host: escape_controls(host).into_owned(),
                answer: "the name has no address (NODATA)".into(),
            });
        }
        let ttl = records.iter().map(|r| r.ttl).min().unwrap_or(0);
        let addresses: Rc<[IpAddr]> = happy::interleave(&addresses).into();
        self.keep(host, Rc::clone(&addresses), Duration::from_secs(ttl.into()).min(MAX_TTL));
        Ok((addresses, false))
    }

    fn keep(&self, host: &str, addresses: Rc<[IpAddr]>, ttl: Duration) {
        let mut cache = self.cache.borrow_mut();
        if ttl.is_zero() {
            cache.remove(host);
            return;
        }
        if cache.len() >= MAX_NAMES {
            cache.clear();
        }
        cache.insert(host.into(), Kept { addresses, until: self.clock.now() + ttl });
    }

    /// The resolver, made anew when the system's files have changed.
    fn resolver(&self, host: &str, now: Mono) -> Result<Rc<TokioResolver>, ResolveError> {
        if self.settings.name_servers.is_none() {
            let (checked, known) = self.files.get();
            if self.system.borrow().is_none() || now.since(checked) >= FILES_CHECKED_EVERY {
                let times = file_times();
                if times != known {
                    *self.system.borrow_mut() = None;
                    self.cache.borrow_mut().clear();
                }
                self.files.set((now, times));
            }
        }
        if let Some(resolver) = &*self.system.borrow() {
            return Ok(Rc::clone(resolver));
        }
        let resolver = Rc::new(self.build().map_err(|e| ResolveError::NoAnswer {
            host: escape_controls(host).into_owned(),
            detail: format!("/etc/resolv.conf: {}", escape_controls(&e.to_string())),
        })?);
        *self.system.borrow_mut() = Some(Rc::clone(&resolver));
        Ok(resolver)
    }

    fn build(&self) -> Result<TokioResolver, NetError> {
        let mut builder = match &self.settings.name_servers {
            None => TokioResolver::builder_tokio()?,
            Some(servers) => {
                let servers = servers.iter().map(|s| name_server(*s)).collect();
                let config = ResolverConfig::from_name_servers(servers);
                let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
                builder.options_mut().use_hosts_file = ResolveHosts::Never;
                builder
            }
        };
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.timeout = self.settings.timeout;
        options.attempts = self.settings.retries;
        options.cache_size = 0; // ours keeps answers, and nothing keeps failures
        options.max_active_requests = 4096; // the default of 32 is an error as soon as 33 probes ask at once
        builder.build()
    }
}

fn name_server(at: SocketAddr) -> NameServerConfig {
    let connections = [ProtocolConfig::Udp, ProtocolConfig::Tcp]
        .into_iter()
        .map(|protocol| {
            let mut connection = ConnectionConfig::new(protocol);
            connection.port = at.port();
            connection
        })
        .collect();
    NameServerConfig::new(at.ip(), true, connections)
}

fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let Some(at) = host.len().checked_sub("localhost".len()) else { return false };
    host.is_char_boundary(at)
        && host[at..].eq_ignore_ascii_case("localhost")
        && (at == 0 || host.as_bytes()[at - 1] == b'.')
}

fn file_times() -> FileTimes {
    ["/etc/resolv.conf", "/etc/hosts"].map(|path| std::fs::metadata(path).and_then(|m| m.modified()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_and_its_subdomains_only() {
        for name in ["localhost", "LOCALHOST", "localhost.", "a.localhost"] {
            assert!(is_localhost(name), "{name}");
        }
        for name in ["mylocalhost", "localhost.example", "example", "", "älocalhost"] {
            assert!(!is_localhost(name), "{name}");
        }
    }

    #[test]
    fn answered_silent_and_lacking_differ() {
        let io = |code: rustix::io::Errno| NetError::from(std::io::Error::from_raw_os_error(code.raw_os_error()));
        let reason = |e: &NetError| ResolveError::of("a.test", e).reason();
        for code in [ResponseCode::ServFail, ResponseCode::Refused, ResponseCode::NotImp] {
            assert_eq!(reason(&NetError::Dns(DnsError::ResponseCode(code))), Reason::Dns);
        }
        assert_eq!(reason(&NetError::Timeout), Reason::LocalNetwork);
        assert_eq!(reason(&NetError::NoConnections), Reason::LocalNetwork);
        assert_eq!(reason(&io(rustix::io::Errno::NETUNREACH)), Reason::LocalNetwork);
        assert_eq!(reason(&io(rustix::io::Errno::MFILE)), Reason::LocalResources);
        assert_eq!(reason(&NetError::Busy), Reason::LocalResources);
    }
}
