//! A certificate verifier that remembers what it saw, also when it refuses.
//!
//! rustls tells the chain only after a handshake that held; a monitor wants to name the certificate that did not.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

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

/// Verifies as `inner` does, or accepts all where there is none; made for one handshake.
#[derive(Debug)]
pub struct Recording {
    /// Judges the chain; `None`: accept any.
    pub inner: Option<Arc<dyn ServerCertVerifier>>,
    /// Judges the signatures, which are always checked.
    pub provider: Arc<CryptoProvider>,
    /// Where to leave what was seen.
    pub slot: Slot,
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
        let result = match &self.inner {
            Some(inner) => inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now),
            None => Ok(ServerCertVerified::assertion()),
        };
        let refused = match &result {
            Err(Error::InvalidCertificate(e)) => Some(e.clone()),
            _ => None,
        };
        let seen = Seen { leaf: CertificateFacts::read(end_entity), refused };
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
