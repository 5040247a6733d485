//! What is known of a certificate, and TLS trouble in words for people; pure.

use rustls::pki_types::CertificateDer;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::model::text::{escape_controls, shorten, utc_seconds};

/// Longest subject or issuer that is kept.
const MAX_NAME: usize = 200;

/// What is kept of the certificate that the server sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Subject, free of control characters.
    pub subject: String,
    /// Issuer, free of control characters.
    pub issuer: String,
    /// `notBefore`, milliseconds UTC.
    pub not_before: i64,
    /// `notAfter`, milliseconds UTC.
    pub not_after: i64,
}

impl CertificateFacts {
    /// Reads a certificate; `None` when it is none.
    #[must_use]
    pub fn read(der: &CertificateDer<'_>) -> Option<CertificateFacts> {
        let (_, cert) = X509Certificate::from_der(der).ok()?;
        let text = |name: String| escape_controls(&shorten(&name, MAX_NAME)).into_owned();
        Some(CertificateFacts {
            subject: text(cert.subject().to_string()),
            issuer: text(cert.issuer().to_string()),
            not_before: cert.validity().not_before.timestamp().saturating_mul(1000),
            not_after: cert.validity().not_after.timestamp().saturating_mul(1000),
        })
    }

    fn self_signed(&self) -> bool {
        self.subject == self.issuer
    }
}

/// Why a certificate was refused, in words.
#[must_use]
pub fn refusal(error: &CertificateError, facts: Option<&CertificateFacts>, server_name: &str) -> String {
    let when =
        |ms: fn(&CertificateFacts) -> i64| facts.map_or(String::new(), |f| format!(" {} UTC", utc_seconds(ms(f))));
    let self_signed = facts.is_some_and(CertificateFacts::self_signed);
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("the certificate expired{}", when(|f| f.not_after))
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("the certificate is not valid before{}", when(|f| f.not_before))
        }
        CertificateError::NotValidForName => format!("the certificate is not for {server_name}"),
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<String> = presented
                .iter()
                .take(5)
                .map(|n| {
                    let n = n.strip_prefix("DnsName(\"").and_then(|n| n.strip_suffix("\")")).unwrap_or(n);
                    escape_controls(&shorten(n, 100)).into_owned()
                })
                .collect();
            let more = match presented.len() - names.len() {
                0 => String::new(),
                n => format!(" and {n} more"),
            };
            match names.len() {
                0 => format!("the certificate is not for {server_name}: it holds no name at all"),
                _ => format!("the certificate is not for {server_name}, only for {}{more}", names.join(", ")),
            }
        }
        // One that says it is an authority is not refused for its unknown issuer, but for that.
        CertificateError::Other(_) | CertificateError::UnknownIssuer if self_signed => {
            "the certificate is self-signed (give it as tls_ca to trust it)".to_owned()
        }
        CertificateError::Other(e) if e.to_string().contains("CaUsedAsEndEntity") => {
            "the certificate is an authority's, not a server's (give it as tls_ca to trust it)".to_owned()
        }
        CertificateError::UnknownIssuer => match facts {
            Some(f) => format!("no trusted authority has issued the certificate (its issuer: {})", f.issuer),
            None => "no trusted authority has issued the certificate".to_owned(),
        },
        CertificateError::BadEncoding => "the certificate cannot be read".to_owned(),
        CertificateError::BadSignature => "the certificate's signature is wrong".to_owned(),
        CertificateError::Revoked => "the certificate was revoked".to_owned(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the certificate is not meant for servers".to_owned()
        }
        other => escape_controls(&shorten(&other.to_string(), MAX_NAME)).into_owned(),
    }
}

/// What a TLS error other than a refused certificate says, in words.
#[must_use]
pub fn trouble(error: &Error) -> String {
    match error {
        Error::AlertReceived(alert) => alert_words(*alert),
        Error::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge) => {
            "the server's certificates, or another message of its handshake, are longer than 64 KiB, which is the most \
             that is read"
                .to_owned()
        }
        Error::InvalidMessage(_) => "the answer is not TLS".to_owned(),
        Error::PeerIncompatible(why) => format!("the server's TLS does not fit ours ({why:?})"),
        Error::PeerMisbehaved(why) => format!("the server breaks the TLS protocol ({why:?})"),
        Error::NoCertificatesPresented => "the server sent no certificate".to_owned(),
        Error::NoApplicationProtocol => "the server does not speak HTTP/1.1".to_owned(),
        other => escape_controls(&shorten(&other.to_string(), MAX_NAME)).into_owned(),
    }
}

fn alert_words(alert: AlertDescription) -> String {
    let hint = match alert {
        AlertDescription::CertificateRequired => ": it wants a client certificate",
        AlertDescription::NoApplicationProtocol => ": it does not speak HTTP/1.1",
        AlertDescription::ProtocolVersion => ": no TLS version in common",
        AlertDescription::HandshakeFailure => ": no cipher in common, or it wants a client certificate",
        AlertDescription::UnrecognisedName => ": it does not know the server name that was sent",
        _ => "",
    };
    format!("the server sent the TLS alert {alert:?}{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn self_signed_is_said_so_and_names_are_listed() {
        let facts = CertificateFacts {
            subject: "CN=a".into(),
            issuer: "CN=a".into(),
            not_before: 0,
            not_after: 1_373_523_474_000,
        };
        assert_eq!(
            refusal(&CertificateError::UnknownIssuer, Some(&facts), "a"),
            "the certificate is self-signed (give it as tls_ca to trust it)"
        );
        assert_eq!(
            refusal(&CertificateError::Expired, Some(&facts), "a"),
            "the certificate expired 2013-07-11 06:17:54 UTC"
        );
        let other = CertificateFacts { issuer: "CN=b".into(), ..facts };
        assert!(refusal(&CertificateError::UnknownIssuer, Some(&other), "a").contains("CN=b"));
        let error = CertificateError::NotValidForNameContext {
            expected: "good.test".try_into().unwrap(),
            presented: vec!["DnsName(\"other.test\")".into()],
        };
        assert_eq!(
            refusal(&error, Some(&other), "good.test"),
            "the certificate is not for good.test, only for other.test"
        );
    }
}
