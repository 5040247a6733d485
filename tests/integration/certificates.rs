//! Certificates for tests, made on the spot: an authority, and what it signs or does not.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use skypunch::model::time::UtcMs;

/// An authority with its file.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
    pub dir: tempfile::TempDir,
}

/// A certificate with its key.
pub struct Identity {
    pub certificate: rcgen::Certificate,
    pub key: KeyPair,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let dir = tempfile::tempdir().unwrap();
        // As a certificate of an authority is: for everybody.
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::write(dir.path().join("ca.pem"), certificate.pem()).unwrap();
        Authority { issuer: Issuer::new(params, key), certificate, dir }
    }

    /// The PEM file to be trusted.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Signs a certificate for these names, valid until the given year.
    pub fn sign(&self, names: &[&str], until: i32) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params(names, until).signed_by(&key, &self.issuer).unwrap();
        Identity { certificate, key }
    }

    /// Signs a certificate for these names, valid until then.
    pub fn sign_until(&self, names: &[&str], until: UtcMs) -> Identity {
        let since_1970 = Duration::from_millis(until.0.unsigned_abs());
        let mut params = params(names, 2040);
        params.not_after = (SystemTime::UNIX_EPOCH + since_1970).into();
        let key = KeyPair::generate().unwrap();
        Identity { certificate: params.signed_by(&key, &self.issuer).unwrap(), key }
    }

    /// Demands a client certificate of this authority.
    pub fn demand_client(
        &self,
        identity: &Identity,
        version: &'static rustls::SupportedProtocolVersion,
    ) -> ServerConfig {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()
            .unwrap();
        ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(identity.chain(), identity.private())
            .unwrap()
    }
}

/// A certificate that signs itself and is no authority.
pub fn self_signed(names: &[&str]) -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate = params(names, 2090).self_signed(&key).unwrap();
    Identity { certificate, key }
}

/// A certificate of 127.0.0.1 that signs itself, with this text as its subject.
pub fn with_subject(subject: &str) -> Identity {
    let key = KeyPair::generate().unwrap();
    let mut params = params(&["127.0.0.1"], 2090);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject);
    let certificate = params.self_signed(&key).unwrap();
    Identity { certificate, key }
}

/// A certificate that signs itself and says that it is an authority, as `openssl req -x509` makes it.
pub fn self_signed_authority(names: &[&str], until: i32) -> Identity {
    let key = KeyPair::generate().unwrap();
    let mut params = params(names, until);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    Identity { certificate, key }
}

fn params(names: &[&str], until: i32) -> CertificateParams {
    let mut params = CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, names.first().copied().unwrap_or("nobody"));
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    params
}

impl Identity {
    /// Adds the certificate to the authority's file, and so to what is trusted.
    pub fn add_to(&self, authority: &Authority) {
        let text = std::fs::read_to_string(authority.file()).unwrap() + &self.certificate.pem();
        std::fs::write(authority.file(), text).unwrap();
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.certificate.der().clone()]
    }

    fn private(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }

    /// A server that shows this certificate.
    pub fn server(&self) -> ServerConfig {
        self.server_with_chain(0)
    }

    /// A server that shows this certificate, and behind it copies of it until there are so many bytes.
    pub fn server_with_chain(&self, bytes: usize) -> ServerConfig {
        let copies = bytes.div_ceil(self.certificate.der().len());
        let chain = self.chain().into_iter().cycle().take(1 + copies).collect();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, self.private())
            .unwrap()
    }
}
