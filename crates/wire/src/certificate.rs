//! Certificates (X.509, RFC 5280): what the peer of a connection showed, and by what a client is known by it (RFC 8705).
//!
//! A handshake proves that the peer has the key of its certificate, and nothing about who that is: [`PeerCertificate`] says
//! no more. [`trust::ClientTrust`] follows the chain to an authority that the operator trusts and holds the one name that
//! is registered; [`PeerCertificate::require_key`] holds the key alone.

use std::sync::Arc;
use std::time::Duration;

use chancery_model::time::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use crate::hash;
use crate::jwk::{KeySet, PublicKey};

pub mod name;
pub mod trust;

/// The most certificates that a peer may show, its own among them.
pub const MOST: usize = 8;

/// Why a certificate was refused. To the client every reason is `invalid_client`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// No certificate, or one that cannot be read.
    #[error("the certificate cannot be read")]
    Malformed,
    /// More certificates than anybody needs, or no end to looking for a way through them.
    #[error("the chain of certificates is too long")]
    TooLong,
    /// Its time has not come.
    #[error("the certificate is not valid yet")]
    NotYetValid,
    /// Its time is over.
    #[error("the certificate has expired")]
    Expired,
    /// No way leads to an authority that is trusted.
    #[error("the certificate is not of an authority that is trusted")]
    Untrusted,
    /// It was revoked.
    #[error("the certificate was revoked")]
    Revoked,
    /// Whether it was revoked is not known: no list of its authority, or none that is current.
    #[error("whether the certificate was revoked is not known")]
    RevocationUnknown,
    /// It is not for clients.
    #[error("the certificate is not for authenticating a client")]
    WrongUsage,
    /// It has not the name that is registered.
    #[error("the certificate has another name")]
    NameMismatch,
    /// Its key is none that is registered.
    #[error("the certificate is of another key")]
    KeyMismatch,
}

impl CertificateError {
    /// A stable code for the record and for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "certificate_malformed",
            Self::TooLong => "certificate_chain_too_long",
            Self::NotYetValid => "certificate_not_yet_valid",
            Self::Expired => "certificate_expired",
            Self::Untrusted => "certificate_untrusted",
            Self::Revoked => "certificate_revoked",
            Self::RevocationUnknown => "certificate_revocation_unknown",
            Self::WrongUsage => "certificate_wrong_usage",
            Self::NameMismatch => "certificate_name_mismatch",
            Self::KeyMismatch => "certificate_key_mismatch",
        }
    }
}

/// The certificates that the peer of a connection showed, of the first of which it proved to have the key. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct PeerCertificate(Arc<Shown>);

#[derive(Debug)]
struct Shown {
    // INVARIANT: 1 to `MOST`.
    chain: Vec<CertificateDer<'static>>,
    thumbprint: String,
}

impl PeerCertificate {
    /// The chain of a handshake that ended well, in DER and with the peer's own certificate first. Only who saw that
    /// handshake may say this; no header ever does (X509-02).
    pub fn of_handshake(
        chain: impl IntoIterator<Item = Vec<u8>>,
    ) -> Result<Self, CertificateError> {
        let chain: Vec<_> = (chain.into_iter().map(CertificateDer::from))
            .take(MOST + 1)
            .collect();
        if chain.len() > MOST {
            return Err(CertificateError::TooLong);
        }
        let own = chain.first().ok_or(CertificateError::Malformed)?;
        let thumbprint = hash::sha256_base64url(own);
        Ok(Self(Arc::new(Shown { chain, thumbprint })))
    }

    /// The SHA-256 of the certificate as base64url: `x5t#S256` (RFC 8705 3.1).
    pub fn thumbprint(&self) -> &str {
        &self.0.thumbprint
    }

    /// Requires that the certificate is of one of these keys, and in its time. Who issued it does not count (RFC 8705 2.2).
    pub fn require_key(&self, keys: &KeySet, now: Timestamp) -> Result<(), CertificateError> {
        let own = self.own()?;
        require_time(&own, now)?;
        let key = key_of(&own)?;
        let mut registered = keys.keys();
        // By what a key is, whatever algorithm it is registered for.
        if registered.any(|registered| registered.thumbprint() == key.thumbprint()) {
            Ok(())
        } else {
            Err(CertificateError::KeyMismatch)
        }
    }

    fn own(&self) -> Result<Certificate, CertificateError> {
        let own = self.0.chain.first().ok_or(CertificateError::Malformed)?;
        read(own)
    }
}

/// When a certificate is in force, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// From then on.
    pub from: Timestamp,
    /// Until then.
    pub until: Timestamp,
}

/// When the certificate in DER is in force.
pub fn validity(certificate: &[u8]) -> Result<Validity, CertificateError> {
    Ok(validity_of(&read(certificate)?))
}

/// Whether the certificate in DER is one of a server with this name, which may be a domain or an address.
pub fn is_of_server(certificate: &[u8], name: &str) -> bool {
    let certificate = CertificateDer::from(certificate);
    let Ok(read) = webpki::EndEntityCert::try_from(&certificate) else {
        return false;
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let name = rustls_pki_types::ServerName::try_from(name);
    name.is_ok_and(|name| read.verify_is_valid_for_subject_name(&name).is_ok())
}

/// The certificates of a text in PEM, each in DER.
pub fn of_pem(text: &[u8]) -> Result<Vec<Vec<u8>>, CertificateError> {
    let read = CertificateDer::pem_slice_iter(text)
        .map(|one| one.map(|one| one.to_vec()))
        .collect::<Result<Vec<_>, _>>();
    let read = read.map_err(|_| CertificateError::Malformed)?;
    if read.is_empty() {
        return Err(CertificateError::Malformed);
    }
    Ok(read)
}

/// The key of the certificate in DER.
pub fn public_key(certificate: &[u8]) -> Result<PublicKey, CertificateError> {
    key_of(&read(certificate)?)
}

fn read(der: &[u8]) -> Result<Certificate, CertificateError> {
    Certificate::from_der(der).map_err(|_| CertificateError::Malformed)
}

fn key_of(certificate: &Certificate) -> Result<PublicKey, CertificateError> {
    let key = certificate.tbs_certificate().subject_public_key_info();
    PublicKey::from_spki(key).map_err(|_| CertificateError::KeyMismatch)
}

fn validity_of(certificate: &Certificate) -> Validity {
    let validity = certificate.tbs_certificate().validity();
    let at = |time: x509_cert::time::Time| Timestamp::from_micros(0).after(time.to_unix_duration());
    Validity {
        from: at(validity.not_before),
        // The last second counts whole.
        until: at(validity.not_after).after(Duration::from_secs(1)),
    }
}

fn require_time(certificate: &Certificate, now: Timestamp) -> Result<(), CertificateError> {
    let Validity { from, until } = validity_of(certificate);
    if now < from {
        return Err(CertificateError::NotYetValid);
    }
    if until <= now {
        return Err(CertificateError::Expired);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
