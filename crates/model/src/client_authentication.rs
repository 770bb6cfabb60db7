//! How a client proves who it is at the OAuth endpoints: by the one method that is registered for it, and no other.
//!
//! What is registered is written with the names that OAuth gives to the metadata of clients (RFC 7591, RFC 8705). A client
//! about which nothing was said signs assertions with its key.

use serde::{Deserialize, Serialize};

/// What is registered about how a client authenticates.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(
    try_from = "ClientAuthenticationMetadata",
    into = "ClientAuthenticationMetadata"
)]
pub struct ClientAuthentication {
    /// The one method.
    pub method: Method,
    /// Whether its access tokens are bound to the certificate of the connection that they are fetched over (RFC 8705 3).
    pub is_certificate_bound: bool,
}

/// A way of proving who a client is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Method {
    /// An assertion, signed with a key that is registered (RFC 7523).
    #[default]
    PrivateKeyJwt,
    /// A certificate with this name, of a certification authority that the operator trusts (RFC 8705 2.1).
    Certificate(CertificateName),
    /// Any certificate of a key that is registered (RFC 8705 2.2).
    OwnCertificate,
    /// What the attester of this name says about the key of a running copy, and a proof by that key
    /// (draft-ietf-oauth-attestation-based-client-auth 5.1).
    Attestation(String),
    /// The same with a DPoP proof in the place of that proof (5.2).
    AttestationWithDpop(String),
}

impl Method {
    /// The name in the metadata of clients.
    pub fn name(&self) -> &'static str {
        match self {
            Self::PrivateKeyJwt => PRIVATE_KEY_JWT,
            Self::Certificate(_) => TLS_CLIENT_AUTH,
            Self::OwnCertificate => SELF_SIGNED_TLS_CLIENT_AUTH,
            Self::Attestation(_) => ATTEST_JWT_CLIENT_AUTH,
            Self::AttestationWithDpop(_) => ATTEST_JWT_CLIENT_AUTH_DPOP,
        }
    }
}

const PRIVATE_KEY_JWT: &str = "private_key_jwt";
const TLS_CLIENT_AUTH: &str = "tls_client_auth";
const SELF_SIGNED_TLS_CLIENT_AUTH: &str = "self_signed_tls_client_auth";
const ATTEST_JWT_CLIENT_AUTH: &str = "attest_jwt_client_auth";
const ATTEST_JWT_CLIENT_AUTH_DPOP: &str = "attest_jwt_client_auth_dpop";

/// The one name that a certificate must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateName {
    /// The distinguished name of its subject, as RFC 4514 writes it.
    SubjectDn(String),
    /// A DNS name among its alternative names.
    Dns(String),
    /// A URI among them, such as a SPIFFE ID.
    Uri(String),
    /// An IP address among them.
    Ip(String),
    /// An e-mail address among them.
    Email(String),
}

/// What is registered, with the names of RFC 7591 and RFC 8705.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientAuthenticationMetadata {
    /// `private_key_jwt`, `tls_client_auth`, `self_signed_tls_client_auth`, `attest_jwt_client_auth` or
    /// `attest_jwt_client_auth_dpop`.
    pub token_endpoint_auth_method: String,
    /// For `tls_client_auth`: the distinguished name of the certificate's subject, as RFC 4514 writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_subject_dn: Option<String>,
    /// For `tls_client_auth`: a DNS name among the certificate's alternative names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_dns: Option<String>,
    /// For `tls_client_auth`: a URI among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_uri: Option<String>,
    /// For `tls_client_auth`: an IP address among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_ip: Option<String>,
    /// For `tls_client_auth`: an e-mail address among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_email: Option<String>,
    /// For the two methods by attestation: the name of the attester who vouches for its running copies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_attester: Option<String>,
    /// Whether access tokens are bound to the certificate of the connection.
    #[serde(default)]
    pub tls_client_certificate_bound_access_tokens: bool,
}

impl Default for ClientAuthenticationMetadata {
    fn default() -> Self {
        ClientAuthentication::default().into()
    }
}

/// The metadata do not say one way to authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidClientAuthentication {
    /// The method does not exist here.
    #[error(
        "`token_endpoint_auth_method` is `private_key_jwt`, `tls_client_auth`, `self_signed_tls_client_auth`, \
         `attest_jwt_client_auth` or `attest_jwt_client_auth_dpop`"
    )]
    UnknownMethod,
    /// Which certificate is not said, or in several ways.
    #[error(
        "`tls_client_auth` needs exactly one of `tls_client_auth_subject_dn`, `_san_dns`, `_san_uri`, `_san_ip` and `_san_email`"
    )]
    NotOneName,
    /// A name is for another method.
    #[error("the names of a certificate are for `tls_client_auth` alone")]
    NameOfAnotherMethod,
    /// Who vouches is not said, or of a method for which nobody does.
    #[error(
        "`client_attester` is for `attest_jwt_client_auth` and `attest_jwt_client_auth_dpop`, which need it"
    )]
    Attester,
}

impl TryFrom<ClientAuthenticationMetadata> for ClientAuthentication {
    type Error = InvalidClientAuthentication;

    fn try_from(metadata: ClientAuthenticationMetadata) -> Result<Self, Self::Error> {
        let names = [
            metadata
                .tls_client_auth_subject_dn
                .map(CertificateName::SubjectDn),
            metadata.tls_client_auth_san_dns.map(CertificateName::Dns),
            metadata.tls_client_auth_san_uri.map(CertificateName::Uri),
            metadata.tls_client_auth_san_ip.map(CertificateName::Ip),
            metadata
                .tls_client_auth_san_email
                .map(CertificateName::Email),
        ];
        let mut names = names.into_iter().flatten();
        let (name, more) = (names.next(), names.next());
        let named = metadata.token_endpoint_auth_method.as_str();
        let is_attested = matches!(named, ATTEST_JWT_CLIENT_AUTH | ATTEST_JWT_CLIENT_AUTH_DPOP);
        let attester = match (is_attested, metadata.client_attester) {
            (true, Some(attester)) => attester,
            (false, None) => String::new(),
            (true, None) | (false, Some(_)) => return Err(InvalidClientAuthentication::Attester),
        };
        let method = match (named, name) {
            (TLS_CLIENT_AUTH, Some(name)) if more.is_none() => Method::Certificate(name),
            (TLS_CLIENT_AUTH, _) => return Err(InvalidClientAuthentication::NotOneName),
            (ATTEST_JWT_CLIENT_AUTH, None) => Method::Attestation(attester),
            (ATTEST_JWT_CLIENT_AUTH_DPOP, None) => Method::AttestationWithDpop(attester),
            (PRIVATE_KEY_JWT | SELF_SIGNED_TLS_CLIENT_AUTH, Some(_)) => {
                return Err(InvalidClientAuthentication::NameOfAnotherMethod);
            }
            (_, Some(_)) if is_attested => {
                return Err(InvalidClientAuthentication::NameOfAnotherMethod);
            }
            (PRIVATE_KEY_JWT, None) => Method::PrivateKeyJwt,
            (SELF_SIGNED_TLS_CLIENT_AUTH, None) => Method::OwnCertificate,
            (_, _) => return Err(InvalidClientAuthentication::UnknownMethod),
        };
        Ok(Self {
            method,
            is_certificate_bound: metadata.tls_client_certificate_bound_access_tokens,
        })
    }
}

impl From<ClientAuthentication> for ClientAuthenticationMetadata {
    fn from(registered: ClientAuthentication) -> Self {
        let mut metadata = Self {
            token_endpoint_auth_method: registered.method.name().to_owned(),
            tls_client_auth_subject_dn: None,
            tls_client_auth_san_dns: None,
            tls_client_auth_san_uri: None,
            tls_client_auth_san_ip: None,
            tls_client_auth_san_email: None,
            client_attester: None,
            tls_client_certificate_bound_access_tokens: registered.is_certificate_bound,
        };
        match registered.method {
            Method::PrivateKeyJwt | Method::OwnCertificate => {}
            Method::Attestation(attester) | Method::AttestationWithDpop(attester) => {
                metadata.client_attester = Some(attester);
            }
            Method::Certificate(name) => {
                let (member, name) = match name {
                    CertificateName::SubjectDn(name) => {
                        (&mut metadata.tls_client_auth_subject_dn, name)
                    }
                    CertificateName::Dns(name) => (&mut metadata.tls_client_auth_san_dns, name),
                    CertificateName::Uri(name) => (&mut metadata.tls_client_auth_san_uri, name),
                    CertificateName::Ip(name) => (&mut metadata.tls_client_auth_san_ip, name),
                    CertificateName::Email(name) => (&mut metadata.tls_client_auth_san_email, name),
                };
                *member = Some(name);
            }
        }
        metadata
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(metadata: &Value) -> Result<ClientAuthentication, String> {
        serde_json::from_value(metadata.clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_registered_is_written_as_it_was_read() {
        for metadata in [
            json!({"token_endpoint_auth_method": "private_key_jwt", "tls_client_certificate_bound_access_tokens": false}),
            json!({"token_endpoint_auth_method": "self_signed_tls_client_auth", "tls_client_certificate_bound_access_tokens": true}),
            json!({
                "token_endpoint_auth_method": "tls_client_auth",
                "tls_client_auth_san_uri": "spiffe://acme.example/bot",
                "tls_client_certificate_bound_access_tokens": true,
            }),
            json!({
                "token_endpoint_auth_method": "attest_jwt_client_auth",
                "client_attester": "fleet",
                "tls_client_certificate_bound_access_tokens": false,
            }),
            json!({
                "token_endpoint_auth_method": "attest_jwt_client_auth_dpop",
                "client_attester": "fleet",
                "tls_client_certificate_bound_access_tokens": false,
            }),
        ] {
            let registered = read(&metadata).expect("metadata");
            assert_eq!(serde_json::to_value(&registered).ok(), Some(metadata));
        }
        let nothing_said = ClientAuthentication::default();
        assert_eq!(nothing_said.method.name(), "private_key_jwt");
        assert!(!nothing_said.is_certificate_bound);
    }

    #[test]
    fn tok_08_one_method_and_one_name_are_registered() {
        for metadata in [
            json!({"token_endpoint_auth_method": "client_secret_basic"}),
            json!({"token_endpoint_auth_method": "none"}),
            json!({"token_endpoint_auth_method": "tls_client_auth"}),
            json!({"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "a", "tls_client_auth_san_ip": "10.0.0.1"}),
            json!({"token_endpoint_auth_method": "private_key_jwt", "tls_client_auth_san_dns": "a"}),
            json!({"token_endpoint_auth_method": "self_signed_tls_client_auth", "tls_client_auth_subject_dn": "CN=a"}),
            json!({"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "a", "more": 1}),
            json!({"token_endpoint_auth_method": "attest_jwt_client_auth"}),
            json!({"token_endpoint_auth_method": "attest_jwt_client_auth", "client_attester": "a", "tls_client_auth_san_dns": "a"}),
            json!({"token_endpoint_auth_method": "private_key_jwt", "client_attester": "a"}),
        ] {
            assert!(read(&metadata).is_err(), "{metadata}");
        }
        let one = json!({"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "a"});
        assert!(read(&one).is_ok());
    }
}
