//! A certificate verifier that remembers what it saw, also when it refuses.
//!
//! rustls tells the chain only after a handshake that held; a monitor wants to name the certificate that did not.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use super::tls_authorities::Trust;
use super::tls_text::CertificateFacts;

/// What the verifier saw of one handshake.
#[derive(Debug, Default)]
pub struct Seen {
    /// The leaf, where it could be read.
    pub leaf: Option<CertificateFacts>,
    /// Why it was not accepted.
    pub refused: Option<CertificateError>,
}

/// Where one handshake's verifier leaves what it saw.
pub type Slot = Arc<Mutex<Option<Seen>>>;

/// Verifies by `trust`, or accepts all where there is none; made for one handshake.
#[derive(Debug)]
pub struct Recording {
    /// Whom to trust; `None`: anyone.
    pub trust: Option<Arc<Trust>>,
    /// Judges the signatures, which are always checked.
    pub provider: Arc<CryptoProvider>,
    /// Where to leave what was seen.
    pub slot: Slot,
}

/// Judges a certificate that a person has named: it needs no authority and may be one itself (as `openssl req -x509`
/// makes it, which a chain's verifier refuses), but its dates and its names must hold.
fn given(
    certificate: &CertificateDer<'_>,
    facts: Option<&CertificateFacts>,
    server_name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, Error> {
    let facts = facts.ok_or(CertificateError::BadEncoding)?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX).saturating_mul(1000);
    if now < facts.not_before {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > facts.not_after {
        return Err(CertificateError::Expired.into());
    }
    verify_server_name(&ParsedCertificate::try_from(certificate)?, server_name)?;
    Ok(ServerCertVerified::assertion())
}

impl ServerCertVerifier for Recording {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let leaf = CertificateFacts::read(end_entity);
        let result = match &self.trust {
            None => Ok(ServerCertVerified::assertion()),
            Some(trust) if trust.gives(end_entity) => given(end_entity, leaf.as_ref(), server_name, now),
            Some(trust) => {
                trust.authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
        };
        let refused = match &result {
            Err(Error::InvalidCertificate(e)) => Some(e.clone()),
            _ => None,
        };
        let seen = Seen { leaf, refused };
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        result
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
