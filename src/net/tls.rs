//! The TLS handshake with every fact about it.
//!
//! ```text
//!  options --trust (may read a file)--> Trust --+
//!                             TcpStream --------+--handshake--> TlsStream, and its certificate to the Observer
//! ```
//!
//! Resumption is off: a resumed session skips the verification of the certificate, and a monitor would not see it
//! expire.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::io;
use std::sync::{Arc, PoisonError};

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Observer;
use super::dial::words;
use super::tls_authorities::{Trust, Trusts};
use super::tls_text::{refusal, trouble};
use super::tls_verify::{Recording, Seen, Slot};
use crate::clock::Clock;
use crate::model::reason::Reason;
use crate::model::target::TlsOptions;
use crate::model::text::{escape_controls, quoted};
use crate::model::trace::Event;

/// Why there is no TLS session.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate was refused.
    #[error("TLS handshake with {server_name}: {why}")]
    Certificate {
        /// The name that was sent and verified.
        server_name: String,
        /// In words.
        why: String,
    },
    /// The handshake failed otherwise.
    #[error("TLS handshake with {server_name}: {why}")]
    Handshake {
        /// The name that was sent.
        server_name: String,
        /// In words.
        why: String,
    },
    /// The authorities to trust cannot be read; the sentence says what to do.
    #[error("{0}")]
    Authorities(String),
    /// The name that is to be sent is no host name.
    #[error("{0} is no server name for TLS: write a host name into tls_server_name")]
    ServerName(String),
    /// No thread could be started to read a file.
    #[error("reading the file of certificate authorities {0}")]
    NoThread(String, #[source] io::Error),
    /// This machine lacks something.
    #[error("TLS handshake with {0}")]
    Resources(String, #[source] io::Error),
}

impl TlsError {
    /// The word for it.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            TlsError::Certificate { .. } => Reason::TlsCertificate,
            TlsError::Handshake { .. } => Reason::TlsHandshake,
            TlsError::Authorities(_) | TlsError::ServerName(_) => Reason::AuthConfig,
            TlsError::NoThread(..) | TlsError::Resources(..) => Reason::LocalResources,
        }
    }
}

/// The TLS error inside an I/O error, as tokio-rustls wraps it.
#[must_use]
pub fn inside(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// What all handshakes of one arbiter have in common, and whom its targets trust.
#[derive(Debug)]
pub struct TlsProfiles {
    provider: Arc<CryptoProvider>,
    config: OnceCell<ClientConfig>,
    trusts: Trusts,
    /// What is said to be spoken inside (ALPN); nothing where empty.
    protocol: &'static [u8],
}

impl TlsProfiles {
    /// For HTTP. Reads nothing yet.
    #[must_use]
    pub fn new(clock: Clock) -> TlsProfiles {
        TlsProfiles::of(b"http/1.1", clock)
    }

    /// For what has no name in ALPN, as SMTP; a mail server may refuse a client that says `http/1.1`.
    #[must_use]
    pub fn unnamed(clock: Clock) -> TlsProfiles {
        TlsProfiles::of(b"", clock)
    }

    fn of(protocol: &'static [u8], clock: Clock) -> TlsProfiles {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        TlsProfiles { provider, config: OnceCell::new(), trusts: Trusts::new(clock), protocol }
    }

    /// Reads the system's authorities now, once for the whole process, so that no probe's time holds it. Where there
    /// are none, the handshakes that need them say so.
    pub fn warm(&self) {
        drop(self.trusts.of_system());
    }

    /// Whom a target with these options trusts: to be asked before connecting, because it may read a file.
    ///
    /// # Errors
    /// When there is nobody to be trusted; the sentence says what to do.
    pub async fn trust(&self, options: &TlsOptions, observer: &dyn Observer) -> Result<Option<Arc<Trust>>, TlsError> {
        match &options.ca {
            _ if options.skip_verify => Ok(None),
            Some(path) => self.trusts.of_file(path, observer).await.map(Some),
            None => self.trusts.of_system().map(Some),
        }
    }

    /// Whom a target with these options was found to trust last; reads nothing.
    #[must_use]
    pub fn trusted(&self, options: &TlsOptions) -> Option<Arc<Trust>> {
        match &options.ca {
            _ if options.skip_verify => None,
            Some(path) => self.trusts.last_of_file(path),
            None => self.trusts.of_system().ok(),
        }
    }

    /// Shakes hands over `tcp`.
    ///
    /// # Errors
    /// What the handshake or the certificate lacks; the certificate is told to `observer` in any case.
    pub async fn handshake(
        &self,
        tcp: TcpStream,
        host: url::Host<&str>,
        options: &TlsOptions,
        trust: Option<Arc<Trust>>,
        observer: &dyn Observer,
    ) -> Result<TlsStream<TcpStream>, TlsError> {
        let (server_name, shown) = server_name(host, options)?;
        // The client's last handshake message and the request are two small writes: Nagle would hold the second
        // back for the server's delayed acknowledgement. A dead socket is found by the handshake itself.
        drop(tcp.set_nodelay(true));
        observer.event(Event::TlsStarted { server_name: shown.clone() });
        let slot = Slot::default();
        let config = self.config(Recording { trust, provider: Arc::clone(&self.provider), slot: Arc::clone(&slot) })?;
        let result = TlsConnector::from(Arc::new(config)).connect(server_name, tcp).await;
        let seen = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Seen { leaf: Some(leaf), refused }) = &seen {
            observer.event(Event::Certificate {
                subject: leaf.subject.clone(),
                issuer: leaf.issuer.clone(),
                not_after: leaf.not_after,
                refused: refused.as_ref().map(|e| refusal(e, Some(leaf), &shown)),
                unverified: options.skip_verify,
            });
        }
        match result {
            Ok(stream) => {
                let (_, session) = stream.get_ref();
                observer.event(Event::TlsDone {
                    version: session
                        .protocol_version()
                        .map_or(Cow::Borrowed(""), |v| format!("{v:?}").replace("_", ".").into()),
                    cipher: session
                        .negotiated_cipher_suite()
                        .map_or(String::new(), |c| iana(&format!("{:?}", c.suite()))),
                });
                Ok(stream)
            }
            Err(e) => Err(failure(shown, &e, seen, e.raw_os_error())),
        }
    }

    /// A copy of the one configuration, with a verifier for one handshake.
    fn config(&self, verifier: Recording) -> Result<ClientConfig, TlsError> {
        let mut config = match self.config.get() {
            Some(config) => config.clone(),
            None => {
                let config = self.build()?;
                self.config.get_or_init(|| config).clone()
            }
        };
        config.dangerous().set_certificate_verifier(Arc::new(verifier));
        Ok(config)
    }

    fn build(&self) -> Result<ClientConfig, TlsError> {
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| TlsError::Authorities(format!("TLS cannot be set up: {e}")))?
            .with_root_certificates(RootCertStore::empty()) // each handshake brings its own verifier
            .with_no_client_auth();
        if !self.protocol.is_empty() {
            config.alpn_protocols = vec![self.protocol.to_vec()];
        }
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

/// rustls writes `TLS13_…` where IANA writes `TLS_…`.
fn iana(suite: &str) -> String {
    suite.replacen("TLS13_", "TLS_", 1)
}

fn server_name(host: url::Host<&str>, options: &TlsOptions) -> Result<(ServerName<'static>, String), TlsError> {
    let shown = options.server_name.clone().unwrap_or_else(|| match host {
        url::Host::Domain(name) => name.strip_suffix('.').unwrap_or(name).to_owned(),
        url::Host::Ipv4(ip) => ip.to_string(),
        url::Host::Ipv6(ip) => ip.to_string(),
    });
    match ServerName::try_from(shown.clone()) {
        Ok(name) => Ok((name, escape_controls(&shown).into_owned())),
        Err(_) => Err(TlsError::ServerName(quoted(&shown))),
    }
}

fn failure(server_name: String, error: &io::Error, seen: Option<Seen>, os: Option<i32>) -> TlsError {
    match inside(error) {
        Some(rustls::Error::InvalidCertificate(e)) => {
            let leaf = seen.and_then(|s| s.leaf);
            let why = refusal(e, leaf.as_ref(), &server_name);
            TlsError::Certificate { server_name, why }
        }
        Some(e) => TlsError::Handshake { server_name, why: trouble(e) },
        None if super::happy::is_local_resource(error) => TlsError::Resources(server_name, clone_of(error, os)),
        None => {
            let why = match error.kind() {
                io::ErrorKind::UnexpectedEof => "the server closed the connection in the handshake".to_owned(),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                    "the server reset the connection in the handshake".to_owned()
                }
                _ => words(error),
            };
            TlsError::Handshake { server_name, why }
        }
    }
}

fn clone_of(error: &io::Error, os: Option<i32>) -> io::Error {
    os.map_or_else(|| io::Error::from(error.kind()), io::Error::from_raw_os_error)
}
