//! Discovery: from a resource to its authorization server (RFC 9728), and from that to its endpoints (RFC 8414).

use bytes::Bytes;
use chancery_wire::json;
use http::{Request, StatusCode};
use http_body_util::Full;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::address;
use crate::agent::AgentError;
use crate::authority::not_ours;
use crate::transport::Transport;

/// What an agent needs to know of an authorization server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AuthorizationServer {
    /// Its issuer identifier.
    pub issuer: String,
    /// Where tokens are asked for.
    pub token_endpoint: String,
    /// Where people are asked.
    #[serde(default)]
    pub authorization_endpoint: Option<String>,
    /// Where what people are asked is pushed.
    #[serde(default)]
    pub pushed_authorization_request_endpoint: Option<String>,
    /// Where an agent without a browser asks for a person.
    #[serde(default)]
    pub device_authorization_endpoint: Option<String>,
    /// Where its public keys are.
    #[serde(default)]
    pub jwks_uri: Option<String>,
}

/// What an agent needs to know of a protected resource.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ProtectedResource {
    /// Its resource identifier.
    pub resource: String,
    /// The issuers whose tokens it accepts.
    #[serde(default)]
    pub authorization_servers: Vec<String>,
    /// Whether it takes no tokens but those bound to a key; not said when absent.
    #[serde(default)]
    pub dpop_bound_access_tokens_required: Option<bool>,
    /// The scopes that it knows.
    #[serde(default)]
    pub scopes_supported: Vec<String>,
}

/// The metadata of the authorization server `issuer`.
pub async fn authorization_server(
    transport: &Transport,
    issuer: &str,
) -> Result<AuthorizationServer, AgentError> {
    let url = well_known(issuer, "oauth-authorization-server")?;
    let found: AuthorizationServer = fetch(transport, &url).await?;
    // RFC 8414 §3.3: compared byte by byte, or one server could speak for another.
    if found.issuer != issuer {
        return Err(AgentError::Metadata {
            url: url.into(),
            why: format!("its issuer is `{}`, not `{issuer}`", found.issuer),
        });
    }
    address::parse(&found.token_endpoint)?;
    Ok(found)
}

/// The metadata of the protected resource `resource`.
pub async fn protected_resource(
    transport: &Transport,
    resource: &str,
) -> Result<ProtectedResource, AgentError> {
    let url = well_known(resource, "oauth-protected-resource")?;
    let found: ProtectedResource = fetch(transport, &url).await?;
    // RFC 9728 §3.3.
    if found.resource != resource {
        return Err(AgentError::Metadata {
            url: url.into(),
            why: format!("its resource is `{}`, not `{resource}`", found.resource),
        });
    }
    Ok(found)
}

/// The authorization server of `resource`: the first that the resource names.
pub async fn authorization_server_of(
    transport: &Transport,
    resource: &str,
) -> Result<AuthorizationServer, AgentError> {
    let found = protected_resource(transport, resource).await?;
    match found.authorization_servers.first() {
        Some(issuer) => authorization_server(transport, issuer).await,
        None => Err(AgentError::Metadata {
            url: resource.to_owned(),
            why: "it names no authorization server".to_owned(),
        }),
    }
}

/// The public keys of an authorization server, as a JWK Set.
pub async fn key_set(
    transport: &Transport,
    server: &AuthorizationServer,
) -> Result<serde_json::Value, AgentError> {
    let Some(uri) = &server.jwks_uri else {
        return Err(AgentError::Metadata {
            url: server.issuer.clone(),
            why: "it has no `jwks_uri`".to_owned(),
        });
    };
    fetch(transport, &address::parse(uri)?).await
}

/// Both RFCs put the well-known part between the host and the path.
fn well_known(identifier: &str, name: &str) -> Result<Url, AgentError> {
    let mut url = address::parse(identifier)?;
    let path = match url.path() {
        "/" => String::new(),
        path => path.to_owned(),
    };
    url.set_path(&format!("/.well-known/{name}{path}"));
    url.set_fragment(None);
    Ok(url)
}

async fn fetch<A: DeserializeOwned>(transport: &Transport, url: &Url) -> Result<A, AgentError> {
    let request = Request::get(url.as_str())
        .body(Full::new(Bytes::new()))
        .map_err(|error| not_ours(url, error.to_string()))?;
    let answer = transport.send(request).await?;
    if answer.status != StatusCode::OK {
        return Err(not_ours(url, format!("status {}", answer.status)).into());
    }
    json::parse_as(&answer.body, json::BODY)
        .map_err(|error| not_ours(url, error.to_string()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_well_known_part_stands_between_host_and_path() {
        let check = |identifier: &str, expected: &str| {
            let url = well_known(identifier, "oauth-protected-resource").expect("a URL");
            assert_eq!(url.as_str(), expected);
        };
        check(
            "https://id.example.com",
            "https://id.example.com/.well-known/oauth-protected-resource",
        );
        check(
            "http://127.0.0.1:7420/mcp/desk",
            "http://127.0.0.1:7420/.well-known/oauth-protected-resource/mcp/desk",
        );
    }
}
