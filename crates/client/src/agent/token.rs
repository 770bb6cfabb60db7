//! The token request: `client_credentials` with `private_key_jwt` and DPoP (RFC 6749, 7523, 8707, 9449).

use bytes::Bytes;
use chancery_model::entropy::Entropy;
use chancery_model::id::ClientId;
use chancery_model::secret::Secret;
use chancery_model::time::Timestamp;
use chancery_wire::jwk::PrivateKey;
use chancery_wire::{base64url, client_assertion, json};
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use http_body_util::Full;
use serde::Deserialize;
use url::Url;
use url::form_urlencoded::Serializer;

use crate::address;
use crate::agent::AgentError;
use crate::agent::discovery::AuthorizationServer;
use crate::agent::dpop::DpopSession;
use crate::authority::not_ours;
use crate::transport::{Answer, Transport};

/// What is asked for, and by whom.
pub struct TokenRequest<'a> {
    /// The id of the agent or of the resource server, which is its `client_id`.
    pub client_id: ClientId,
    /// The key that it is registered with.
    pub key: &'a PrivateKey,
    /// The resource that the token is for.
    pub resource: &'a str,
    /// The scopes, separated by spaces; all that are allowed when absent.
    pub scope: Option<&'a str>,
    /// The session whose key the token is bound to; without one, a plain bearer token is asked for.
    pub dpop: Option<&'a DpopSession>,
}

/// What the authorization server gave.
#[derive(Debug)]
pub struct TokenResponse {
    /// The token.
    pub access_token: Secret<String>,
    /// `DPoP` or `Bearer`.
    pub token_type: String,
    /// For how many seconds it is good.
    pub expires_in: Option<u64>,
    /// What it allows, when that is not exactly what was asked for.
    pub scope: Option<String>,
}

#[derive(Deserialize)]
struct RawResponse {
    access_token: String,
    token_type: String,
    #[serde(default)]
    expires_in: Option<u64>,
    #[serde(default)]
    scope: Option<String>,
}

#[derive(Deserialize)]
struct RawRefusal {
    error: String,
    #[serde(default)]
    error_description: String,
}

/// Asks `server` for a token; once more when it wants a nonce in the proof.
pub async fn request(
    transport: &Transport,
    server: &AuthorizationServer,
    wanted: &TokenRequest<'_>,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<TokenResponse, AgentError> {
    let endpoint = address::parse(&server.token_endpoint)?;
    let first = send(transport, server, &endpoint, wanted, now, entropy).await?;
    let answer = match wanted.dpop {
        Some(dpop) if first.status != StatusCode::OK && dpop.wants_nonce(&first) => {
            send(transport, server, &endpoint, wanted, now, entropy).await?
        }
        Some(_) | None => first,
    };
    understand(&endpoint, &answer)
}

async fn send(
    transport: &Transport,
    server: &AuthorizationServer,
    endpoint: &Url,
    wanted: &TokenRequest<'_>,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Answer, AgentError> {
    // Each attempt has an assertion of its own: a `jti` is good once.
    let assertion = client_assertion::sign(
        wanted.client_id,
        &server.issuer,
        &fresh(entropy),
        now,
        wanted.key,
    );
    let mut form = Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials")
        .append_pair("client_assertion_type", client_assertion::ASSERTION_TYPE)
        .append_pair("client_assertion", &assertion)
        .append_pair("resource", wanted.resource);
    if let Some(scope) = wanted.scope {
        form.append_pair("scope", scope);
    }
    let mut request =
        Request::post(endpoint.as_str()).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    if let Some(dpop) = wanted.dpop {
        request = request.header("DPoP", dpop.proof("POST", endpoint, None, now, entropy));
    }
    let request = request
        .body(Full::new(Bytes::from(form.finish())))
        .map_err(|error| not_ours(endpoint, error.to_string()))?;
    let answer = transport.send(request).await?;
    if let Some(dpop) = wanted.dpop {
        dpop.remember(endpoint, None, &answer.headers);
    }
    Ok(answer)
}

fn understand(endpoint: &Url, answer: &Answer) -> Result<TokenResponse, AgentError> {
    if answer.status == StatusCode::OK {
        let raw: RawResponse = json::parse_as(&answer.body, json::BODY)
            .map_err(|error| not_ours(endpoint, error.to_string()))?;
        return Ok(TokenResponse {
            access_token: Secret::new(raw.access_token),
            token_type: raw.token_type,
            expires_in: raw.expires_in,
            scope: raw.scope,
        });
    }
    match json::parse_as::<RawRefusal>(&answer.body, json::BODY) {
        Ok(raw) => Err(AgentError::Refused {
            status: answer.status.as_u16(),
            error: raw.error,
            description: raw.error_description,
        }),
        Err(_) => Err(not_ours(
            endpoint,
            format!("status {} without an OAuth error", answer.status),
        )
        .into()),
    }
}

/// A `jti` that nobody used before: 128 random bits.
pub(super) fn fresh(entropy: &dyn Entropy) -> String {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes);
    base64url::encode(&bytes)
}

#[cfg(test)]
mod tests;
