//! What another issuer says of itself: its discovery document and its keys (OpenID Connect Discovery 1.0, RFC 8414).
//!
//! An issuer is named by an administrator, and all that is read here was written by it: it can lose itself the trust that
//! it was given and gain none. A document is believed only if it names exactly the issuer that it was looked up for.

use serde::Deserialize;
use url::Url;

use crate::claim::present;
use crate::json::{self, JsonError, Limits};
use crate::jwk::Algorithm;
use crate::origin;

mod keys;

pub use self::keys::IssuerKeys;
pub use crate::jws::NotSigned;

/// How large the documents of an issuer may be. Sets of keys with certificates in them are the largest.
pub const DOCUMENT: Limits = Limits {
    bytes: 64 * 1024,
    depth: 16,
};

/// How long the name of an issuer may be.
const LONGEST: usize = 512;

/// The text names no issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an issuer is an `https` URL as its own documents write it, without a user, a query and a fragment; \
     `http` is for loopback, while the authority is there itself"
)]
pub struct InvalidIssuer;

/// Parses the identifier of an issuer (OpenID Connect Discovery 1.0 §3). It is kept as it was written: issuers are compared
/// as texts. With `is_development`, one on this machine may be reached over `http`.
pub fn parse(text: &str, is_development: bool) -> Result<Url, InvalidIssuer> {
    let url = Url::parse(text).map_err(|_| InvalidIssuer)?;
    let is_protected = match url.scheme() {
        "https" => true,
        "http" => is_development && origin::is_loopback(&url),
        _ => false,
    };
    let is_plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    // Only what the parser would write itself, up to the slash that stands for no path.
    let is_canonical = url.as_str() == text || url.as_str().strip_suffix('/') == Some(text);
    if is_protected && is_plain && is_canonical && text.len() <= LONGEST {
        Ok(url)
    } else {
        Err(InvalidIssuer)
    }
}

/// Where an issuer describes itself (OpenID Connect Discovery 1.0 §4.1).
pub fn discovery_url(issuer: &str) -> String {
    let issuer = issuer.strip_suffix('/').unwrap_or(issuer);
    format!("{issuer}/.well-known/openid-configuration")
}

/// Why a document of an issuer is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDocument {
    /// Not the JSON that it should be.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// It describes another issuer than the one that it was looked up for (RFC 8414 §3.3).
    #[error("the document is that of another issuer")]
    AnotherIssuer,
    /// A member is no text that it may be.
    #[error("`{0}` is not what it may be")]
    Member(&'static str),
    /// Two keys of one name (JWKS-01).
    #[error("two different keys have one `kid`")]
    DuplicateKid,
    /// A private or a secret key among those for everybody.
    #[error("the set of keys holds one that is not public")]
    PrivateKey,
}

/// How we may authenticate at a token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// By a secret in the `Authorization` header.
    SecretBasic,
    /// By a secret in the form.
    SecretPost,
    /// By a signed assertion.
    PrivateKeyJwt,
}

/// What an issuer says of itself, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerMetadata {
    /// The issuer, exactly as it was asked for.
    pub issuer: String,
    /// Where its keys are.
    pub jwks_uri: String,
    /// Where browsers are sent to sign in; an issuer of workloads has none.
    pub authorization_endpoint: Option<String>,
    /// Where codes are redeemed; an issuer of workloads has none.
    pub token_endpoint: Option<String>,
    /// Where it says more of a person than in its tokens.
    pub userinfo_endpoint: Option<String>,
    /// Whether every answer to a browser names the issuer (RFC 9207).
    pub promises_iss: bool,
    /// The algorithms of its ID tokens, of those that exist here.
    pub algorithms: Vec<Algorithm>,
    /// How clients may authenticate at its token endpoint, of the ways that we know.
    pub client_authentication: Vec<ClientAuthentication>,
    /// The scopes that it says it knows; `None` when it says nothing.
    pub scopes: Option<Vec<String>>,
}

/// Members as they are read. What is not here is not looked at.
#[derive(Deserialize)]
struct Raw {
    issuer: String,
    jwks_uri: String,
    #[serde(default, deserialize_with = "present")]
    authorization_endpoint: Option<String>,
    #[serde(default, deserialize_with = "present")]
    token_endpoint: Option<String>,
    #[serde(default, deserialize_with = "present")]
    userinfo_endpoint: Option<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    #[serde(default, deserialize_with = "present")]
    id_token_signing_alg_values_supported: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    scopes_supported: Option<Vec<String>>,
}

impl IssuerMetadata {
    /// Reads the discovery document of `issuer`.
    pub fn of_document(bytes: &[u8], issuer: &str) -> Result<Self, InvalidDocument> {
        let raw: Raw = json::parse_as(bytes, DOCUMENT)?;
        // RFC 8414 §3.3: identical, by simple comparison of texts.
        if raw.issuer != issuer {
            return Err(InvalidDocument::AnotherIssuer);
        }
        let endpoints = [
            ("jwks_uri", Some(&raw.jwks_uri)),
            (
                "authorization_endpoint",
                raw.authorization_endpoint.as_ref(),
            ),
            ("token_endpoint", raw.token_endpoint.as_ref()),
            ("userinfo_endpoint", raw.userinfo_endpoint.as_ref()),
        ];
        for (name, endpoint) in endpoints {
            if endpoint.is_some_and(|endpoint| !is_endpoint(endpoint)) {
                return Err(InvalidDocument::Member(name));
            }
        }
        // OpenID Connect Discovery 1.0 §3: RS256 must be among them, and is what everybody has who lists none.
        let algorithms = match &raw.id_token_signing_alg_values_supported {
            Some(names) => names
                .iter()
                .filter_map(|name| Algorithm::from_name(name))
                .collect(),
            None => vec![Algorithm::Rs256],
        };
        let client_authentication = match &raw.token_endpoint_auth_methods_supported {
            Some(names) => names
                .iter()
                .filter_map(|name| ClientAuthentication::from_name(name))
                .collect(),
            // RFC 8414 §2: what it is when nothing is said.
            None => vec![ClientAuthentication::SecretBasic],
        };
        Ok(Self {
            issuer: raw.issuer,
            jwks_uri: raw.jwks_uri,
            authorization_endpoint: raw.authorization_endpoint,
            token_endpoint: raw.token_endpoint,
            userinfo_endpoint: raw.userinfo_endpoint,
            promises_iss: raw.authorization_response_iss_parameter_supported,
            algorithms,
            client_authentication,
            scopes: raw.scopes_supported,
        })
    }
}

impl ClientAuthentication {
    fn from_name(name: &str) -> Option<Self> {
        match name {
            "client_secret_basic" => Some(Self::SecretBasic),
            "client_secret_post" => Some(Self::SecretPost),
            "private_key_jwt" => Some(Self::PrivateKeyJwt),
            _ => None,
        }
    }
}

/// Whether a text may be an endpoint: a URL over `http` or `https` without a user and a fragment. Where it may lead is for
/// whoever goes there.
fn is_endpoint(text: &str) -> bool {
    text.len() <= 2_048
        && Url::parse(text).is_ok_and(|url| {
            matches!(url.scheme(), "https" | "http")
                && url.username().is_empty()
                && url.password().is_none()
                && url.fragment().is_none()
        })
}

#[cfg(test)]
mod tests;
