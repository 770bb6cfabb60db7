//! The forms, headers and errors of OAuth 2.1 as they are on the wire.
//!
//! Nothing here repeats what a caller sent: descriptions of errors are fixed texts of ours (TOK-11),
//! and challenges are quoted so that no value can end its quotes.

use std::fmt;

use chancery_model::tool_call::ToolCalls;
use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::access_token::{Claims, Cnf};
use crate::jwk::Algorithm;

mod form;

pub use self::form::{FORM_LIMIT, Form};

/// The grant type by which a device fetches what a person answered (RFC 8628 3.4).
pub const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// The grant type by which a workload that another issuer vouches for gets a token (RFC 7523 2.1).
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// The error codes of the RFCs, unaltered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// RFC 6749.
    InvalidRequest,
    /// RFC 6749.
    InvalidClient,
    /// RFC 6749.
    UnauthorizedClient,
    /// RFC 6749.
    UnsupportedGrantType,
    /// RFC 6749.
    InvalidGrant,
    /// RFC 6749.
    InvalidScope,
    /// RFC 8707.
    InvalidTarget,
    /// RFC 6749.
    AccessDenied,
    /// RFC 9449.
    InvalidDpopProof,
    /// RFC 9449.
    UseDpopNonce,
    /// draft-ietf-oauth-attestation-based-client-auth.
    UseAttestationChallenge,
    /// draft-ietf-oauth-attestation-based-client-auth.
    UseFreshAttestation,
    /// RFC 6750.
    InvalidToken,
    /// RFC 6750.
    InsufficientScope,
    /// draft-ietf-oauth-rar-metadata-and-error-remediation.
    InsufficientAuthorization,
    /// RFC 9470.
    InsufficientUserAuthentication,
    /// RFC 6749.
    UnsupportedResponseType,
    /// RFC 9101.
    InvalidRequestObject,
    /// RFC 9101.
    RequestNotSupported,
    /// OpenID Connect Core.
    LoginRequired,
    /// OpenID Connect Core.
    ConsentRequired,
    /// OpenID Connect Core Unmet Authentication Requirements.
    UnmetAuthenticationRequirements,
    /// RFC 9396.
    InvalidAuthorizationDetails,
    /// RFC 7591.
    InvalidRedirectUri,
    /// RFC 7591.
    InvalidClientMetadata,
    /// RFC 7591.
    InvalidSoftwareStatement,
    /// RFC 8628.
    AuthorizationPending,
    /// RFC 8628.
    SlowDown,
    /// RFC 8628.
    ExpiredToken,
    /// RFC 6749.
    ServerError,
    /// RFC 6749.
    TemporarilyUnavailable,
}

impl ErrorCode {
    /// The string of the RFC.
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::AccessDenied => "access_denied",
            Self::InvalidDpopProof => "invalid_dpop_proof",
            Self::UseDpopNonce => "use_dpop_nonce",
            Self::UseAttestationChallenge => "use_attestation_challenge",
            Self::UseFreshAttestation => "use_fresh_attestation",
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
            Self::InsufficientAuthorization => "insufficient_authorization",
            Self::InsufficientUserAuthentication => "insufficient_user_authentication",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidRequestObject => "invalid_request_object",
            Self::RequestNotSupported => "request_not_supported",
            Self::LoginRequired => "login_required",
            Self::ConsentRequired => "consent_required",
            Self::UnmetAuthenticationRequirements => "unmet_authentication_requirements",
            Self::InvalidAuthorizationDetails => "invalid_authorization_details",
            Self::InvalidRedirectUri => "invalid_redirect_uri",
            Self::InvalidClientMetadata => "invalid_client_metadata",
            Self::InvalidSoftwareStatement => "invalid_software_statement",
            Self::AuthorizationPending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::ExpiredToken => "expired_token",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }

    /// The HTTP status at an endpoint of the authority, such as the token endpoint.
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidClient | Self::InvalidToken | Self::InsufficientUserAuthentication => 401,
            Self::InsufficientScope | Self::InsufficientAuthorization => 403,
            Self::ServerError => 500,
            Self::TemporarilyUnavailable => 503,
            Self::InvalidRequest
            | Self::UnauthorizedClient
            | Self::UnsupportedGrantType
            | Self::InvalidGrant
            | Self::InvalidScope
            | Self::UnsupportedResponseType
            | Self::InvalidRequestObject
            | Self::RequestNotSupported
            | Self::LoginRequired
            | Self::ConsentRequired
            | Self::UnmetAuthenticationRequirements
            | Self::InvalidAuthorizationDetails
            | Self::InvalidRedirectUri
            | Self::InvalidClientMetadata
            | Self::InvalidSoftwareStatement
            | Self::InvalidTarget
            | Self::AccessDenied
            | Self::AuthorizationPending
            | Self::SlowDown
            | Self::ExpiredToken
            | Self::InvalidDpopProof
            | Self::UseDpopNonce
            | Self::UseAttestationChallenge
            | Self::UseFreshAttestation => 400,
        }
    }
}

/// An error as the endpoints answer it: `{"error", "error_description"}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}: {description}", .code.name())]
pub struct OAuthError {
    /// The code of the RFC.
    pub code: ErrorCode,
    /// One sentence of ours, never input.
    pub description: &'static str,
}

impl OAuthError {
    /// An error with its sentence.
    pub const fn new(code: ErrorCode, description: &'static str) -> Self {
        Self { code, description }
    }
}

impl Serialize for OAuthError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_struct("OAuthError", 2)?;
        members.serialize_field("error", self.code.name())?;
        members.serialize_field("error_description", self.description)?;
        members.end()
    }
}

/// The answer of the token endpoint.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub struct TokenResponse {
    /// The token.
    pub access_token: String,
    /// How it is to be presented.
    pub token_type: TokenType,
    /// For how many seconds.
    pub expires_in: u64,
    /// What it is for, when that is not what was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The tool calls that it is limited to, as they were granted (RFC 9396 7).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_details: Option<ToolCalls>,
    /// What the next token is fetched with, when the first was on behalf of a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// Who signed in, when the client asked for that (OpenID Connect Core 3.1.3.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
}

/// The answer of the endpoint for pushed authorization requests (RFC 9126 2.2).
#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub struct PushedResponse {
    /// What the person's browser is sent to the authorization endpoint with.
    pub request_uri: String,
    /// For how many seconds.
    pub expires_in: u64,
}

/// The answer of the challenge endpoint (draft-ietf-oauth-attestation-based-client-auth 6.3).
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct ChallengeResponse {
    /// What the next proofs carry.
    pub attestation_challenge: String,
}

/// The answer to a device that asks for a person (RFC 8628 3.2).
#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub struct DeviceResponse {
    /// What the device asks the token endpoint with.
    pub device_code: String,
    /// What the person enters.
    pub user_code: String,
    /// Where they enter it.
    pub verification_uri: String,
    /// The same with the code in it.
    pub verification_uri_complete: String,
    /// For how many seconds.
    pub expires_in: u64,
    /// How many seconds to wait between two questions.
    pub interval: u64,
}

/// The answer to a client that registered itself (RFC 7591 3.2.1): what is registered, which may be less than it asked.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct RegistrationResponse {
    /// What the client is known by.
    pub client_id: String,
    /// When it was registered, in seconds since the epoch.
    pub client_id_issued_at: i64,
    /// The name that it gave itself, as it is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// Where answers to it may go.
    pub redirect_uris: Vec<String>,
    /// `authorization_code` and `refresh_token`.
    pub grant_types: Vec<String>,
    /// `code`.
    pub response_types: Vec<String>,
    /// `none`.
    pub token_endpoint_auth_method: String,
}

impl RegistrationResponse {
    /// The answer about a public client.
    pub fn new(
        client_id: String,
        issued_at: i64,
        client_name: Option<String>,
        redirect_uris: Vec<String>,
    ) -> Self {
        Self {
            client_id,
            client_id_issued_at: issued_at,
            client_name,
            redirect_uris,
            grant_types: ["authorization_code", "refresh_token"]
                .map(str::to_owned)
                .into(),
            response_types: vec!["code".to_owned()],
            token_endpoint_auth_method: "none".to_owned(),
        }
    }
}

impl fmt::Debug for TokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenResponse")
            .field("token_type", &self.token_type)
            .field("expires_in", &self.expires_in)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// How a token is to be presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum TokenType {
    /// With a proof of the key that it is bound to.
    DPoP,
    /// By itself.
    Bearer,
}

impl TokenType {
    /// How a token with this confirmation is presented: one that is bound to a certificate alone comes by itself, over a
    /// connection with that certificate (RFC 8705 3).
    pub fn of(cnf: Option<&Cnf>) -> Self {
        match cnf.and_then(|cnf| cnf.jkt.as_ref()) {
            Some(_) => Self::DPoP,
            None => Self::Bearer,
        }
    }
}

/// The answer of the introspection endpoint (RFC 7662).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Introspection<'a> {
    /// Unknown, ended, revoked, or not for the one who asks: all the same to them.
    Inactive,
    /// In force.
    Active(&'a Claims),
}

impl Serialize for Introspection<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        struct Active<'a> {
            active: bool,
            token_type: TokenType,
            #[serde(flatten)]
            claims: &'a Claims,
        }
        match self {
            Self::Inactive => {
                let mut members = serializer.serialize_struct("Introspection", 1)?;
                members.serialize_field("active", &false)?;
                members.end()
            }
            Self::Active(claims) => Active {
                active: true,
                token_type: TokenType::of(claims.cnf.as_ref()),
                claims,
            }
            .serialize(serializer),
        }
    }
}

/// What a request brought in its `Authorization` header.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Credential<'a> {
    /// `Bearer` and a token.
    Bearer(&'a str),
    /// `DPoP` and a token.
    Dpop(&'a str),
    /// `Basic` and a name with a password, encoded.
    Basic(&'a str),
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bearer(_) => "Bearer [secret]",
            Self::Dpop(_) => "DPoP [secret]",
            Self::Basic(_) => "Basic [secret]",
        })
    }
}

/// The `Authorization` header is not one scheme, one space and one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the `Authorization` header must be one scheme and one token")]
pub struct InvalidAuthorization;

/// Parses the one value of the `Authorization` header (MCP-02).
pub fn authorization_header(value: &str) -> Result<Credential<'_>, InvalidAuthorization> {
    let (scheme, token) = value.split_once(' ').ok_or(InvalidAuthorization)?;
    if !is_token68(token) {
        return Err(InvalidAuthorization);
    }
    // RFC 9110 11.1: letter case of the scheme does not count.
    if scheme.eq_ignore_ascii_case("Bearer") {
        Ok(Credential::Bearer(token))
    } else if scheme.eq_ignore_ascii_case("DPoP") {
        Ok(Credential::Dpop(token))
    } else if scheme.eq_ignore_ascii_case("Basic") {
        Ok(Credential::Basic(token))
    } else {
        Err(InvalidAuthorization)
    }
}

/// RFC 9110 11.2.
fn is_token68(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    // Without a branch for each byte, because tokens are long.
    let is_other = |byte: u8| (byte == b'+') | (byte == b'_') | (byte == b'~');
    let is_legal =
        |byte: u8| byte.is_ascii_alphanumeric() | matches!(byte, b'-'..=b'/') | is_other(byte);
    !body.is_empty() && body.bytes().fold(true, |all, byte| all & is_legal(byte))
}

/// The schemes of challenges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// RFC 6750.
    Bearer,
    /// RFC 9449; its challenges name the algorithms of proofs.
    Dpop,
}

/// One challenge of a `WWW-Authenticate` header; its text is [`Display`](fmt::Display).
#[derive(Debug, Clone)]
pub struct Challenge<'a> {
    /// The scheme.
    pub scheme: Scheme,
    /// What was wrong; nothing when no credentials came at all (RFC 6750 3.1).
    pub error: Option<OAuthError>,
    /// The scopes that would do.
    pub scope: Option<&'a str>,
    /// Where the resource describes itself (RFC 9728).
    pub resource_metadata: Option<&'a str>,
    /// What else would do, by the names of other standards.
    pub more: &'a [(&'static str, String)],
}

impl<'a> Challenge<'a> {
    /// A challenge that says nothing but its scheme.
    pub fn new(scheme: Scheme) -> Self {
        Self {
            scheme,
            error: None,
            scope: None,
            resource_metadata: None,
            more: &[],
        }
    }

    /// Says what was wrong.
    pub fn error(self, error: OAuthError) -> Self {
        Self {
            error: Some(error),
            ..self
        }
    }

    /// Says which scopes would do.
    pub fn scope(self, scope: &'a str) -> Self {
        Self {
            scope: Some(scope),
            ..self
        }
    }

    /// Says what else would do.
    pub fn more(self, more: &'a [(&'static str, String)]) -> Self {
        Self { more, ..self }
    }

    /// Says where the resource describes itself.
    pub fn resource_metadata(self, url: &'a str) -> Self {
        Self {
            resource_metadata: Some(url),
            ..self
        }
    }
}

impl fmt::Display for Challenge<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Bearer => "Bearer",
            Scheme::Dpop => "DPoP",
        };
        f.write_str(scheme)?;
        let algs = crate::dpop::ALGORITHMS.map(Algorithm::name).join(" ");
        let parameters = [
            ("error", self.error.map(|error| error.code.name())),
            (
                "error_description",
                self.error.map(|error| error.description),
            ),
            ("scope", self.scope),
            ("resource_metadata", self.resource_metadata),
            ("algs", (self.scheme == Scheme::Dpop).then_some(&*algs)),
        ];
        let more = self
            .more
            .iter()
            .map(|(name, value)| (*name, Some(&**value)));
        let mut separator = " ";
        for (name, value) in parameters.into_iter().chain(more) {
            let Some(value) = value else { continue };
            write!(f, "{separator}{name}=\"")?;
            // RFC 6749 5.2 and RFC 9110 5.6.4: what could end the quotes or the line is left out.
            let legal = |letter: &char| matches!(letter, ' '..='~') && !"\"\\".contains(*letter);
            value
                .chars()
                .filter(legal)
                .try_for_each(|letter| fmt::Write::write_char(f, letter))?;
            f.write_str("\"")?;
            separator = ", ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
