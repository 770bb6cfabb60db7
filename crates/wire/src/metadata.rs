//! What the authority and the resources behind the gateway say about themselves (RFC 8414, RFC 9728),
//! and the identifiers that these documents are found by.

use chancery_model::assurance::Acr;
use chancery_model::tool_call;
use serde::{Deserialize, Serialize};

use crate::jwk::Algorithm;
use crate::{client_assertion, client_attestation, dpop, id_token, oauth, pkce};

/// What is told of a person who signs in to a client.
const CLAIMS: [&str; 12] = [
    "iss",
    "sub",
    "aud",
    "iat",
    "exp",
    "auth_time",
    "nonce",
    "acr",
    "at_hash",
    "preferred_username",
    "email",
    "email_verified",
];

/// The metadata of the authority (RFC 8414). It names only what exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationServer {
    /// The issuer: the same text that tokens carry.
    pub issuer: String,
    /// Where people are asked.
    pub authorization_endpoint: String,
    /// Where clients push what they ask people for (RFC 9126).
    #[serde(default)]
    pub pushed_authorization_request_endpoint: String,
    /// Where devices without a browser ask for a person (RFC 8628).
    #[serde(default)]
    pub device_authorization_endpoint: String,
    /// Whether requests come by that way alone: registered agents push, public clients cannot prove who they are.
    #[serde(default)]
    pub require_pushed_authorization_requests: bool,
    /// A public client may be known by the URL of a document about it.
    #[serde(default)]
    pub client_id_metadata_document_supported: bool,
    /// Where clients register themselves, while that is open (RFC 7591).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_endpoint: Option<String>,
    /// Where tokens are issued.
    pub token_endpoint: String,
    /// Where tokens are looked up.
    pub introspection_endpoint: String,
    /// Where tokens are revoked.
    pub revocation_endpoint: String,
    /// Where the issuer's keys are.
    pub jwks_uri: String,
    /// Where a client asks who signed in (OpenID Connect Core 5.3).
    #[serde(default)]
    pub userinfo_endpoint: String,
    /// Where a client sends people to sign out (OpenID Connect RP-Initiated Logout 1.0).
    #[serde(default)]
    pub end_session_endpoint: String,
    /// `tool_call` (RFC 9396).
    #[serde(default)]
    pub authorization_details_types_supported: Vec<String>,
    /// The scopes that the authority itself knows: those by which people sign in to a client.
    #[serde(default)]
    pub scopes_supported: Vec<String>,
    /// `public`: a person has the same `sub` at every client.
    #[serde(default)]
    pub subject_types_supported: Vec<String>,
    /// The algorithm of ID tokens: that of the key that signs now.
    #[serde(default)]
    pub id_token_signing_alg_values_supported: Vec<String>,
    /// What may be asked for with `acr_values`.
    #[serde(default)]
    pub acr_values_supported: Vec<String>,
    /// What ID tokens and the userinfo endpoint tell of a person.
    #[serde(default)]
    pub claims_supported: Vec<String>,
    /// A pushed request may be signed by its client (RFC 9101).
    #[serde(default)]
    pub request_parameter_supported: bool,
    /// The algorithms of request objects.
    #[serde(default)]
    pub request_object_signing_alg_values_supported: Vec<String>,
    /// Nothing is fetched for a client (OpenID Connect Discovery 3: what is left out means true).
    #[serde(default)]
    pub request_uri_parameter_supported: bool,
    /// `code`.
    #[serde(default)]
    pub response_types_supported: Vec<String>,
    /// `query`.
    #[serde(default)]
    pub response_modes_supported: Vec<String>,
    /// `S256`.
    #[serde(default)]
    pub code_challenge_methods_supported: Vec<String>,
    /// Every answer names its issuer (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
    /// `none`, `consent` and `login`.
    #[serde(default)]
    pub prompt_values_supported: Vec<String>,
    /// By what clients ask for tokens.
    #[serde(default)]
    pub grant_types_supported: Vec<String>,
    /// `private_key_jwt`, the two methods by attestation and, where connections may be opened with a certificate, `tls_client_auth` and
    /// `self_signed_tls_client_auth`, at every endpoint; and `none` where public clients fetch tokens.
    #[serde(default)]
    pub token_endpoint_auth_methods_supported: Vec<String>,
    /// The algorithms of client assertions.
    #[serde(default)]
    pub token_endpoint_auth_signing_alg_values_supported: Vec<String>,
    /// As at the token endpoint, but `none`.
    #[serde(default)]
    pub introspection_endpoint_auth_methods_supported: Vec<String>,
    /// As at the token endpoint.
    #[serde(default)]
    pub introspection_endpoint_auth_signing_alg_values_supported: Vec<String>,
    /// The algorithm of signed answers (RFC 9701): that of the key that signs now.
    #[serde(default)]
    pub introspection_signing_alg_values_supported: Vec<String>,
    /// As at the token endpoint, but `none`.
    #[serde(default)]
    pub revocation_endpoint_auth_methods_supported: Vec<String>,
    /// As at the token endpoint.
    #[serde(default)]
    pub revocation_endpoint_auth_signing_alg_values_supported: Vec<String>,
    /// The algorithms of DPoP proofs.
    #[serde(default)]
    pub dpop_signing_alg_values_supported: Vec<String>,
    /// Where the challenges for proofs of client attestations are.
    #[serde(default)]
    pub challenge_endpoint: String,
    /// The algorithms of client attestations.
    #[serde(default)]
    pub client_attestation_signing_alg_values_supported: Vec<String>,
    /// The algorithms of their proofs.
    #[serde(default)]
    pub client_attestation_pop_signing_alg_values_supported: Vec<String>,
    /// Whether tokens may be bound to the certificate of the connection (RFC 8705 3.3).
    #[serde(default)]
    pub tls_client_certificate_bound_access_tokens: bool,
    /// The resources that tokens are issued for (RFC 9728 4).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protected_resources: Vec<String>,
}

/// By what clients ask for tokens.
const GRANT_TYPES: [&str; 5] = [
    "authorization_code",
    "refresh_token",
    "client_credentials",
    oauth::DEVICE_CODE,
    oauth::JWT_BEARER,
];

/// Where the endpoints of the authority are, and what they sign with.
#[derive(Debug, Clone, Copy)]
pub struct Endpoints<'a> {
    /// Where people are asked.
    pub authorization: &'a str,
    /// Where clients push what they ask people for.
    pub pushed_authorization_request: &'a str,
    /// Where devices ask for a person.
    pub device_authorization: &'a str,
    /// Where tokens are issued.
    pub token: &'a str,
    /// Where tokens are looked up.
    pub introspection: &'a str,
    /// Where tokens are revoked.
    pub revocation: &'a str,
    /// Where the challenges for proofs of client attestations are.
    pub challenge: &'a str,
    /// Where the issuer's keys are.
    pub jwks: &'a str,
    /// Where clients register themselves, while that is open.
    pub registration: Option<&'a str>,
    /// Where a client asks who signed in.
    pub userinfo: &'a str,
    /// Where people sign out.
    pub end_session: &'a str,
    /// What the issuer signs with.
    pub signing: Algorithm,
    /// What it signs ID tokens with.
    pub id_token_signing: Algorithm,
    /// Whether connections may be opened with a certificate.
    pub has_tls: bool,
}

impl AuthorizationServer {
    /// The metadata of an authority that issues to clients with keys, for themselves or on behalf of people.
    pub fn new(issuer: &str, endpoints: Endpoints<'_>, resources: Vec<String>) -> Self {
        let by_certificate: &[&str] = match endpoints.has_tls {
            true => &["tls_client_auth", "self_signed_tls_client_auth"],
            false => &[],
        };
        let by_attestation = ["attest_jwt_client_auth", "attest_jwt_client_auth_dpop"];
        let methods = ["private_key_jwt"].iter().chain(by_certificate);
        let methods = methods.chain(&by_attestation);
        let methods: Vec<String> = methods.map(|&method| method.to_owned()).collect();
        let algorithms = names(&client_assertion::ALGORITHMS);
        Self {
            issuer: issuer.to_owned(),
            authorization_endpoint: endpoints.authorization.to_owned(),
            pushed_authorization_request_endpoint: endpoints
                .pushed_authorization_request
                .to_owned(),
            device_authorization_endpoint: endpoints.device_authorization.to_owned(),
            require_pushed_authorization_requests: false,
            client_id_metadata_document_supported: true,
            registration_endpoint: endpoints.registration.map(str::to_owned),
            token_endpoint: endpoints.token.to_owned(),
            introspection_endpoint: endpoints.introspection.to_owned(),
            revocation_endpoint: endpoints.revocation.to_owned(),
            jwks_uri: endpoints.jwks.to_owned(),
            userinfo_endpoint: endpoints.userinfo.to_owned(),
            end_session_endpoint: endpoints.end_session.to_owned(),
            authorization_details_types_supported: vec![tool_call::TYPE.to_owned()],
            scopes_supported: id_token::SCOPES.map(str::to_owned).into(),
            subject_types_supported: vec!["public".to_owned()],
            id_token_signing_alg_values_supported: names(&[endpoints.id_token_signing]),
            acr_values_supported: Acr::ALL.map(|acr| acr.name().to_owned()).into(),
            claims_supported: CLAIMS.map(str::to_owned).into(),
            request_parameter_supported: true,
            request_object_signing_alg_values_supported: algorithms.clone(),
            request_uri_parameter_supported: false,
            response_types_supported: vec!["code".to_owned()],
            response_modes_supported: vec!["query".to_owned()],
            code_challenge_methods_supported: vec![pkce::METHOD.to_owned()],
            authorization_response_iss_parameter_supported: true,
            prompt_values_supported: ["none", "consent", "login"].map(str::to_owned).into(),
            grant_types_supported: GRANT_TYPES.map(str::to_owned).into(),
            token_endpoint_auth_methods_supported: [&methods[..], &["none".to_owned()]].concat(),
            token_endpoint_auth_signing_alg_values_supported: algorithms.clone(),
            introspection_endpoint_auth_methods_supported: methods.clone(),
            introspection_endpoint_auth_signing_alg_values_supported: algorithms.clone(),
            introspection_signing_alg_values_supported: names(&[endpoints.signing]),
            revocation_endpoint_auth_methods_supported: methods,
            revocation_endpoint_auth_signing_alg_values_supported: algorithms,
            dpop_signing_alg_values_supported: names(&dpop::ALGORITHMS),
            challenge_endpoint: endpoints.challenge.to_owned(),
            client_attestation_signing_alg_values_supported: names(&client_attestation::ALGORITHMS),
            client_attestation_pop_signing_alg_values_supported: names(
                &client_attestation::ALGORITHMS,
            ),
            tls_client_certificate_bound_access_tokens: endpoints.has_tls,
            protected_resources: resources,
        }
    }
}

fn names(algorithms: &[Algorithm]) -> Vec<String> {
    algorithms.iter().map(|alg| alg.name().to_owned()).collect()
}

/// The metadata of a protected resource (RFC 9728).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectedResource {
    /// The resource: the same text that tokens carry as their audience.
    pub resource: String,
    /// Who issues tokens for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorization_servers: Vec<String>,
    /// The scopes that it knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes_supported: Vec<String>,
    /// The types of authorization details that it holds calls to (RFC 9728 2).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorization_details_types_supported: Vec<String>,
    /// How a bearer token may come: in the header.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bearer_methods_supported: Vec<String>,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_name: Option<String>,
    /// The algorithms of DPoP proofs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dpop_signing_alg_values_supported: Vec<String>,
    /// Whether it takes tokens only with a proof, or bound to the certificate of the connection.
    #[serde(default)]
    pub dpop_bound_access_tokens_required: bool,
    /// Whether it takes tokens that are bound to the certificate of the connection (RFC 9728 2).
    #[serde(default, skip_serializing_if = "is_false")]
    pub tls_client_certificate_bound_access_tokens: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl ProtectedResource {
    /// The metadata of a resource with one issuer; `bound` when it takes no plain bearer tokens.
    pub fn new(resource: &str, issuer: &str, scopes: Vec<String>, bound: bool) -> Self {
        Self {
            resource: resource.to_owned(),
            authorization_servers: vec![issuer.to_owned()],
            scopes_supported: scopes,
            authorization_details_types_supported: vec![tool_call::TYPE.to_owned()],
            bearer_methods_supported: vec!["header".to_owned()],
            resource_name: None,
            dpop_signing_alg_values_supported: names(&dpop::ALGORITHMS),
            dpop_bound_access_tokens_required: bound,
            tls_client_certificate_bound_access_tokens: false,
        }
    }

    /// The same of a resource at which connections may be opened with a certificate.
    pub fn with_certificates(self, has_tls: bool) -> Self {
        Self {
            tls_client_certificate_bound_access_tokens: has_tls,
            ..self
        }
    }
}

/// The well-known documents that are found by inserting a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WellKnown {
    /// RFC 8414.
    AuthorizationServer,
    /// RFC 9728.
    ProtectedResource,
    /// AuthZEN 1.0.
    AuthZen,
}

impl WellKnown {
    /// The path that is inserted.
    pub fn path(self) -> &'static str {
        match self {
            Self::AuthorizationServer => "/.well-known/oauth-authorization-server",
            Self::ProtectedResource => "/.well-known/oauth-protected-resource",
            Self::AuthZen => "/.well-known/authzen-configuration",
        }
    }
}

/// The URL of the document about `url`: the well-known path between its host and its path.
pub fn well_known(kind: WellKnown, url: &str) -> Result<String, InvalidResource> {
    let after_scheme = url.find("://").ok_or(InvalidResource)? + 3;
    let rest = &url[after_scheme..];
    if rest.contains('#') {
        return Err(InvalidResource);
    }
    let host_end = after_scheme + rest.find(['/', '?']).unwrap_or(rest.len());
    let (origin, path) = url.split_at(host_end);
    // RFC 8414 3.1: a slash that ends at the host is removed first.
    let path = if path == "/" { "" } else { path };
    Ok(format!("{origin}{}{path}", kind.path()))
}

/// The longest resource identifier: it is in every token and every event about one.
const LONGEST_RESOURCE: usize = 2_048;

/// The text is no resource identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a resource is an absolute http or https URL, scheme and host in lower case, without user, \
     fragment and default port"
)]
pub struct InvalidResource;

/// Checks that `text` is a resource identifier in the one form that we compare by (RFC 8707 2).
///
/// Audiences are compared byte by byte, so a text that a URL parser would print differently (another
/// case, a default port, dots, tabs) is refused here rather than changed.
pub fn resource_uri(text: &str) -> Result<&str, InvalidResource> {
    if text.len() > LONGEST_RESOURCE {
        return Err(InvalidResource);
    }
    let url = url::Url::parse(text).map_err(|_| InvalidResource)?;
    let has_user = !url.username().is_empty() || url.password().is_some();
    let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
    let printed = url.as_str();
    // The parser prints a slash behind a bare host; both forms are in use, and differ.
    let same = printed == text || printed.strip_suffix('/') == Some(text) && url.path() == "/";
    if !is_web || has_user || url.fragment().is_some() || !same {
        return Err(InvalidResource);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_paths_are_inserted() {
        let server = |url| well_known(WellKnown::AuthorizationServer, url);
        let expected = "https://h.example/.well-known/oauth-authorization-server";
        assert_eq!(server("https://h.example").as_deref(), Ok(expected));
        assert_eq!(server("https://h.example/").as_deref(), Ok(expected));
        assert_eq!(server("https://h.example/t"), Ok(format!("{expected}/t")));
        assert_eq!(server("https://h.example/t/"), Ok(format!("{expected}/t/")));
        assert_eq!(
            well_known(WellKnown::ProtectedResource, "http://[::1]:80/mcp/a?b"),
            Ok("http://[::1]:80/.well-known/oauth-protected-resource/mcp/a?b".to_owned())
        );
        assert!(server("h.example").is_err());
        assert!(server("https://h.example/#f").is_err());
    }

    #[test]
    fn resources_have_one_form() {
        for good in [
            "https://r.example",
            "https://r.example/",
            "https://r.example/mcp",
            "https://r.example/mcp/",
            "http://127.0.0.1:7420/mcp/desk",
            "https://r.example:8443/a?b=c",
        ] {
            assert_eq!(resource_uri(good), Ok(good));
        }
        for bad in [
            "",
            "r.example",
            "/mcp",
            "HTTPS://r.example",
            "https://R.example",
            "https://r.example:443/",
            "https://r.example/#f",
            "https://r.example/#",
            "https://u@r.example/",
            "https://@r.example/",
            "https://r.example/a/../b",
            "https://r.example/a b",
            " https://r.example",
            "https:r.example",
            "https://r.example\\a",
            "urn:example:r",
            "ftp://r.example/",
            "javascript:alert(1)",
        ] {
            assert_eq!(resource_uri(bad), Err(InvalidResource), "{bad}");
        }
    }

    #[test]
    fn metadata_names_only_what_exists() {
        let endpoints = Endpoints {
            authorization: "https://as.example/oauth/authorize",
            pushed_authorization_request: "https://as.example/oauth/par",
            device_authorization: "https://as.example/oauth/device_authorization",
            token: "https://as.example/oauth/token",
            introspection: "https://as.example/oauth/introspect",
            revocation: "https://as.example/oauth/revoke",
            challenge: "https://as.example/oauth/challenge",
            jwks: "https://as.example/oauth/jwks",
            registration: None,
            userinfo: "https://as.example/oauth/userinfo",
            end_session: "https://as.example/oauth/logout",
            signing: Algorithm::Es256,
            id_token_signing: Algorithm::Es256,
            has_tls: true,
        };
        let server = AuthorizationServer::new("https://as.example", endpoints, vec![]);
        let json = serde_json::to_value(&server).expect("JSON");
        assert_eq!(
            json["response_types_supported"],
            serde_json::json!(["code"])
        );
        // Only one method of PKCE exists (AUTHZ-04).
        assert_eq!(
            json["code_challenge_methods_supported"],
            serde_json::json!(["S256"])
        );
        assert_eq!(json["client_id_metadata_document_supported"], true);
        assert_eq!(json.get("registration_endpoint"), None);
        assert_eq!(json["tls_client_certificate_bound_access_tokens"], true);
        let without = Endpoints {
            has_tls: false,
            ..endpoints
        };
        let without = AuthorizationServer::new("https://as.example", without, vec![]);
        let methods = [
            "private_key_jwt",
            "attest_jwt_client_auth",
            "attest_jwt_client_auth_dpop",
            "none",
        ];
        assert_eq!(without.token_endpoint_auth_methods_supported, methods);
        assert!(!without.tls_client_certificate_bound_access_tokens);
        assert_eq!(json["authorization_response_iss_parameter_supported"], true);
        assert_eq!(
            json["authorization_details_types_supported"],
            serde_json::json!(["tool_call"])
        );
        assert_eq!(json["request_uri_parameter_supported"], false);
        assert_eq!(
            json["authorization_endpoint"],
            "https://as.example/oauth/authorize"
        );
        let again: AuthorizationServer = serde_json::from_value(json).expect("the same");
        assert_eq!(again, server);
    }
}
