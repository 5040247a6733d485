//! TLS: profiles made once per set of options, and the handshake with every fact about it.
//!
//! Resumption is off: a resumed session skips the verification of the certificate, and a monitor would not see it
//! expire. A given CA file is looked at on each use and read again when it has changed.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::SystemTime;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Observer;
use super::dial::words;
use super::tls_text::{refusal, trouble};
use super::tls_verify::{Recording, Seen, Slot};
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
            TlsError::Resources(..) => Reason::LocalResources,
        }
    }
}

/// The TLS error inside an I/O error, as tokio-rustls wraps it.
#[must_use]
pub fn inside(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

struct Profile {
    config: ClientConfig,
    verifier: Option<Arc<dyn ServerCertVerifier>>,
    /// Modification time and length of the CA file that it was made from.
    made_from: Option<(SystemTime, u64)>,
}

/// What decides a profile: the CA file, and whether verification is off.
type Key = (Option<String>, bool);

/// The profiles of one arbiter, by what decides them.
pub struct TlsProfiles {
    provider: Arc<CryptoProvider>,
    profiles: RefCell<HashMap<Key, Arc<Profile>>>,
}

impl std::fmt::Debug for TlsProfiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsProfiles").field("profiles", &self.profiles.borrow().len()).finish()
    }
}

impl Default for TlsProfiles {
    fn default() -> Self {
        TlsProfiles::new()
    }
}

impl TlsProfiles {
    /// No profile yet: each is made at its first use.
    #[must_use]
    pub fn new() -> TlsProfiles {
        TlsProfiles { provider: Arc::new(rustls::crypto::ring::default_provider()), profiles: RefCell::default() }
    }

    /// Reads the system's authorities now, once for the whole process, so that no probe's time holds it. Where there
    /// are none, the handshakes that need them say so.
    pub fn warm(&self) {
        drop(system_authorities());
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
        observer: &dyn Observer,
    ) -> Result<TlsStream<TcpStream>, TlsError> {
        let (server_name, shown) = server_name(host, options)?;
        let profile = self.profile(options)?;
        // The client's last handshake message and the request are two small writes: Nagle would hold the second
        // back for the server's delayed acknowledgement. A dead socket is found by the handshake itself.
        drop(tcp.set_nodelay(true));
        observer.event(Event::TlsStarted { server_name: shown.clone() });
        let slot = Slot::default();
        let mut config = profile.config.clone();
        config.dangerous().set_certificate_verifier(Arc::new(Recording {
            inner: profile.verifier.clone(),
            provider: Arc::clone(&self.provider),
            slot: Arc::clone(&slot),
        }));
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
                    version: session.protocol_version().map_or(String::new(), |v| format!("{v:?}").replace("_", ".")),
                    cipher: session
                        .negotiated_cipher_suite()
                        .map_or(String::new(), |c| iana(&format!("{:?}", c.suite()))),
                });
                Ok(stream)
            }
            Err(e) => Err(failure(shown, &e, seen, e.raw_os_error())),
        }
    }

    fn profile(&self, options: &TlsOptions) -> Result<Arc<Profile>, TlsError> {
        let key = (options.ca.clone(), options.skip_verify);
        let made_from = match &options.ca {
            Some(path) if !options.skip_verify => Some(file_state(path)?),
            _ => None,
        };
        if let Some(profile) = self.profiles.borrow().get(&key)
            && profile.made_from == made_from
        {
            return Ok(Arc::clone(profile));
        }
        let profile = Arc::new(self.build(options, made_from)?);
        self.profiles.borrow_mut().insert(key, Arc::clone(&profile));
        Ok(profile)
    }

    fn build(&self, options: &TlsOptions, made_from: Option<(SystemTime, u64)>) -> Result<Profile, TlsError> {
        let verifier: Option<Arc<dyn ServerCertVerifier>> = if options.skip_verify {
            None
        } else {
            let roots = match &options.ca {
                Some(path) => Arc::new(read_authorities(path)?),
                None => system_authorities()?,
            };
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&self.provider))
                .build()
                .map_err(|e| TlsError::Authorities(format!("the certificate authorities cannot be used: {e}")))?;
            Some(verifier)
        };
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| TlsError::Authorities(format!("TLS cannot be set up: {e}")))?
            .with_root_certificates(RootCertStore::empty()) // each handshake brings its own verifier
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::disabled();
        Ok(Profile { config, verifier, made_from })
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

fn file_state(path: &str) -> Result<(SystemTime, u64), TlsError> {
    let meta = std::fs::metadata(Path::new(path)).map_err(|e| unreadable(path, &words(&e)))?;
    Ok((meta.modified().unwrap_or(SystemTime::UNIX_EPOCH), meta.len()))
}

fn unreadable(path: &str, why: &str) -> TlsError {
    TlsError::Authorities(format!(
        "the file of certificate authorities {} cannot be used: {why}; write the path of a readable PEM file into tls_ca",
        quoted(path)
    ))
}

fn read_authorities(path: &str) -> Result<RootCertStore, TlsError> {
    let text = std::fs::read(path).map_err(|e| unreadable(path, &words(&e)))?;
    let mut roots = RootCertStore::empty();
    for cert in CertificateDer::pem_slice_iter(&text) {
        let cert = cert.map_err(|e| unreadable(path, &escape_controls(&e.to_string())))?;
        roots.add(cert).map_err(|e| unreadable(path, &escape_controls(&e.to_string())))?;
    }
    if roots.is_empty() { Err(unreadable(path, "it holds no certificate")) } else { Ok(roots) }
}

/// The system's authorities, read once for the whole process.
fn system_authorities() -> Result<Arc<RootCertStore>, TlsError> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    });
    if roots.is_empty() {
        return Err(TlsError::Authorities(
            "this machine has no certificate authorities: install ca-certificates, or name a PEM file in tls_ca".into(),
        ));
    }
    Ok(Arc::clone(roots))
}
