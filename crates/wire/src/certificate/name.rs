//! The one name that is registered for a client, and whether a certificate has it.
//!
//! Names are compared whole. A certificate with a wildcard has that name and no other, and the common name of a subject
//! is a part of its distinguished name and nothing else.

use std::str::FromStr;

use chancery_model::client_authentication::CertificateName;
use url::Host;
use x509_cert::Certificate;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::RdnSequence;

use super::CertificateError;

/// The longest name that is registered, in bytes.
const LONGEST: usize = 512;

/// The text is no name that a certificate could have, in the one form that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Empty, too long, or with characters that no name has.
    #[error("the name of a certificate is 1 to 512 visible characters, without a wildcard")]
    Malformed,
    /// Not a distinguished name.
    #[error(
        "`tls_client_auth_subject_dn` is a distinguished name such as `CN=refund-bot,O=Acme,C=DE` (RFC 4514)"
    )]
    SubjectDn,
    /// Not a DNS name.
    #[error("`tls_client_auth_san_dns` is a DNS name in lower case")]
    Dns,
    /// Not a URI.
    #[error("`tls_client_auth_san_uri` is an absolute URI")]
    Uri,
    /// Not an address.
    #[error("`tls_client_auth_san_ip` is an IP address")]
    Ip,
    /// Not an e-mail address.
    #[error("`tls_client_auth_san_email` is an e-mail address")]
    Email,
}

/// Brings a name into the one form that is registered and compared.
pub fn normal(name: CertificateName) -> Result<CertificateName, InvalidName> {
    let (CertificateName::SubjectDn(text)
    | CertificateName::Dns(text)
    | CertificateName::Uri(text)
    | CertificateName::Ip(text)
    | CertificateName::Email(text)) = &name;
    let is_plain = text.chars().all(|letter| !letter.is_control()) && !text.contains('*');
    if text.trim() != text || text.is_empty() || text.len() > LONGEST || !is_plain {
        return Err(InvalidName::Malformed);
    }
    match name {
        CertificateName::SubjectDn(text) => {
            let name = RdnSequence::from_str(&text).map_err(|_| InvalidName::SubjectDn)?;
            Ok(CertificateName::SubjectDn(name.to_string()))
        }
        CertificateName::Dns(text) => match Host::parse(&text) {
            Ok(Host::Domain(domain)) if domain == text => Ok(CertificateName::Dns(text)),
            Ok(_) | Err(_) => Err(InvalidName::Dns),
        },
        CertificateName::Uri(text) => match url::Url::parse(&text) {
            Ok(_) if text.is_ascii() => Ok(CertificateName::Uri(text)),
            Ok(_) | Err(_) => Err(InvalidName::Uri),
        },
        CertificateName::Ip(text) => match host_of_ip(&text) {
            Some(Host::Ipv4(address)) => Ok(CertificateName::Ip(address.to_string())),
            Some(Host::Ipv6(address)) => Ok(CertificateName::Ip(address.to_string())),
            Some(Host::Domain(_)) | None => Err(InvalidName::Ip),
        },
        CertificateName::Email(text) => match text.split_once('@') {
            Some((local, domain)) if !local.is_empty() && !domain.is_empty() && text.is_ascii() => {
                Ok(CertificateName::Email(text))
            }
            Some(_) | None => Err(InvalidName::Email),
        },
    }
}

/// Requires that a certificate has the name.
pub(super) fn require(
    certificate: &Certificate,
    name: &CertificateName,
) -> Result<(), CertificateError> {
    let own = certificate.tbs_certificate();
    let has = match name {
        CertificateName::SubjectDn(name) => own.subject().as_ref().to_string() == *name,
        CertificateName::Dns(name) => has_alternative(certificate, |other| match other {
            GeneralName::DnsName(other) => other.as_str().eq_ignore_ascii_case(name),
            _ => false,
        })?,
        CertificateName::Uri(name) => has_alternative(certificate, |other| match other {
            GeneralName::UniformResourceIdentifier(other) => other.as_str() == name,
            _ => false,
        })?,
        CertificateName::Ip(name) => {
            let octets = match host_of_ip(name) {
                Some(Host::Ipv4(address)) => address.octets().to_vec(),
                Some(Host::Ipv6(address)) => address.octets().to_vec(),
                Some(Host::Domain(_)) | None => return Err(CertificateError::NameMismatch),
            };
            has_alternative(certificate, |other| match other {
                GeneralName::IpAddress(other) => other.as_bytes() == octets,
                _ => false,
            })?
        }
        CertificateName::Email(name) => has_alternative(certificate, |other| match other {
            GeneralName::Rfc822Name(other) => other.as_str() == name,
            _ => false,
        })?,
    };
    has.then_some(()).ok_or(CertificateError::NameMismatch)
}

fn has_alternative(
    certificate: &Certificate,
    is_it: impl Fn(&GeneralName) -> bool,
) -> Result<bool, CertificateError> {
    let names = certificate
        .tbs_certificate()
        .get_extension::<SubjectAltName>()
        .map_err(|_| CertificateError::Malformed)?;
    Ok(names.is_some_and(|(_, names)| names.0.iter().any(is_it)))
}

fn host_of_ip(text: &str) -> Option<Host> {
    let bracketed = if text.contains(':') && !text.starts_with('[') {
        format!("[{text}]")
    } else {
        text.to_owned()
    };
    Host::parse(&bracketed).ok()
}
