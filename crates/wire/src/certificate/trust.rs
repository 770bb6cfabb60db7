//! The authorities whose certificates name clients, as the operator gave them.

use std::time::Duration;

use chancery_model::client_authentication::CertificateName;
use chancery_model::time::Timestamp;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, Error, ExpirationPolicy, KeyUsage, OwnedCertRevocationList,
    RevocationCheckDepth, RevocationOptions, RevocationOptionsBuilder, UnknownStatusPolicy,
};

use super::{CertificateError, PeerCertificate, name};

/// Whose certificates are believed, and what they revoked.
#[derive(Debug)]
pub struct ClientTrust {
    roots: Vec<TrustAnchor<'static>>,
    /// What is revoked; `None` where the operator gave no lists, so that certificates end by their time alone.
    revoked: Option<Vec<CertRevocationList<'static>>>,
}

/// What the operator gave is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTrust {
    /// No certificate, or one that cannot be that of an authority.
    #[error("not certificates of authorities, in PEM")]
    Roots,
    /// No revocation list, or one that cannot be read.
    #[error("not certificate revocation lists, in PEM")]
    Lists,
}

impl ClientTrust {
    /// Nobody's certificates are believed.
    pub fn nobody() -> Self {
        Self {
            roots: Vec::new(),
            revoked: None,
        }
    }

    /// Reads the certificates of authorities and, if given, their revocation lists, both in PEM.
    ///
    /// With lists, a certificate about which none of them speaks is refused, and a list whose time is over speaks no more
    /// (X509-04).
    pub fn of_pem(roots: &[u8], lists: Option<&[u8]>) -> Result<Self, InvalidTrust> {
        let mut anchors = Vec::new();
        for root in CertificateDer::pem_slice_iter(roots) {
            let root = root.map_err(|_| InvalidTrust::Roots)?;
            let anchor = webpki::anchor_from_trusted_cert(&root);
            anchors.push(anchor.map_err(|_| InvalidTrust::Roots)?.to_owned());
        }
        if anchors.is_empty() {
            return Err(InvalidTrust::Roots);
        }
        Ok(Self {
            roots: anchors,
            revoked: lists.map(read_lists).transpose()?,
        })
    }

    /// Requires that a trusted authority issued the certificate, for a client and with this name, that it is in its time,
    /// and that it was not revoked.
    pub fn require(
        &self,
        peer: &PeerCertificate,
        name: &CertificateName,
        now: Timestamp,
    ) -> Result<(), CertificateError> {
        let (own, others) = peer
            .0
            .chain
            .split_first()
            .ok_or(CertificateError::Malformed)?;
        let certificate = EndEntityCert::try_from(own).map_err(refused)?;
        let lists: Vec<&CertRevocationList<'_>> = self.revoked.iter().flatten().collect();
        let revocation = match &self.revoked {
            Some(_) => Some(strictly(&lists)?),
            None => None,
        };
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs().unsigned_abs()));
        certificate
            .verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                &self.roots,
                others,
                now,
                KeyUsage::client_auth(),
                revocation,
                None,
            )
            .map_err(refused)?;
        name::require(&peer.own()?, name)
    }
}

fn read_lists(lists: &[u8]) -> Result<Vec<CertRevocationList<'static>>, InvalidTrust> {
    let mut read = Vec::new();
    for list in CertificateRevocationListDer::pem_slice_iter(lists) {
        let list = list.map_err(|_| InvalidTrust::Lists)?;
        let list = OwnedCertRevocationList::from_der(&list).map_err(|_| InvalidTrust::Lists)?;
        read.push(CertRevocationList::from(list));
    }
    if read.is_empty() {
        return Err(InvalidTrust::Lists);
    }
    Ok(read)
}

/// The whole chain is looked up, what no current list speaks of is refused.
fn strictly<'a>(
    lists: &'a [&'a CertRevocationList<'a>],
) -> Result<RevocationOptions<'a>, CertificateError> {
    let options = RevocationOptionsBuilder::new(lists);
    let options = options.map_err(|_| CertificateError::RevocationUnknown)?;
    Ok(options
        .with_depth(RevocationCheckDepth::Chain)
        .with_status_policy(UnknownStatusPolicy::Deny)
        .with_expiration_policy(ExpirationPolicy::Enforce)
        .build())
}

fn refused(error: Error) -> CertificateError {
    match error {
        Error::CertExpired { .. } => CertificateError::Expired,
        Error::CertNotValidYet { .. } => CertificateError::NotYetValid,
        Error::CertRevoked => CertificateError::Revoked,
        Error::UnknownRevocationStatus
        | Error::CrlExpired { .. }
        | Error::InvalidCrlSignatureForPublicKey
        | Error::IssuerNotCrlSigner => CertificateError::RevocationUnknown,
        Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => {
            CertificateError::WrongUsage
        }
        Error::MaximumSignatureChecksExceeded
        | Error::MaximumPathBuildCallsExceeded
        | Error::MaximumPathDepthExceeded
        | Error::MaximumNameConstraintComparisonsExceeded => CertificateError::TooLong,
        Error::BadDer | Error::BadDerTime | Error::TrailingData(_) => CertificateError::Malformed,
        // Whatever else is wrong: no way leads to an authority that is trusted.
        _ => CertificateError::Untrusted,
    }
}
