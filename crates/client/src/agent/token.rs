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
    /// What the next one is fetched with, when it is on behalf of a person.
    pub refresh_token: Option<Secret<String>>,
}

#[derive(Deserialize)]
struct RawResponse {
    access_token: String,
    token_type: String,
    #[serde(default)]
    expires_in: Option<u64>,
    #[serde(default)]
    scope: Option<String>,
    #[serde(default)]
    refresh_token: Option<String>,
}

#[derive(Deserialize)]
struct RawRefusal {
    error: String,
    #[serde(default)]
    error_description: String,
}

/// A client with the server that it speaks to.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// What requests go out with.
    pub transport: &'a Transport,
    /// The authorization server.
    pub server: &'a AuthorizationServer,
    /// The id of the client.
    pub client_id: ClientId,
    /// The key that it is registered with.
    pub key: &'a PrivateKey,
    /// The session whose key is proved with each request.
    pub dpop: Option<&'a DpopSession>,
    /// The present moment.
    pub now: Timestamp,
    /// Randomness.
    pub entropy: &'a dyn Entropy,
}

impl Caller<'_> {
    /// The same, with requests that prove no key.
    pub(super) fn without_proof(self) -> Self {
        Self { dpop: None, ..self }
    }

    /// Sends a form as this client; once more when the server wants a nonce in the proof.
    pub(super) async fn send(
        &self,
        endpoint: &Url,
        form: &[(&str, &str)],
    ) -> Result<Answer, AgentError> {
        let first = self.send_once(endpoint, form).await?;
        match self.dpop {
            Some(dpop) if !first.status.is_success() && dpop.wants_nonce(&first) => {
                self.send_once(endpoint, form).await
            }
            Some(_) | None => Ok(first),
        }
    }

    async fn send_once(&self, endpoint: &Url, form: &[(&str, &str)]) -> Result<Answer, AgentError> {
        // Each attempt has an assertion of its own: a `jti` is good once.
        let assertion = client_assertion::sign(
            self.client_id,
            &self.server.issuer,
            &fresh(self.entropy),
            self.now,
            self.key,
        );
        let mut body = Serializer::new(String::new());
        body.extend_pairs(form)
            .append_pair("client_assertion_type", client_assertion::ASSERTION_TYPE)
            .append_pair("client_assertion", &assertion);
        let posting = Posting {
            transport: self.transport,
            endpoint,
            dpop: self.dpop,
            now: self.now,
            entropy: self.entropy,
        };
        posting.send(body.finish()).await
    }
}

/// How a form is sent to an endpoint.
pub(super) struct Posting<'a> {
    pub(super) transport: &'a Transport,
    pub(super) endpoint: &'a Url,
    pub(super) dpop: Option<&'a DpopSession>,
    pub(super) now: Timestamp,
    pub(super) entropy: &'a dyn Entropy,
}

impl Posting<'_> {
    /// Sends `form` with a proof, when there is a session, and keeps the nonce that comes back.
    pub(super) async fn send(&self, form: String) -> Result<Answer, AgentError> {
        let endpoint = self.endpoint;
        let mut request = Request::post(endpoint.as_str())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(dpop) = self.dpop {
            let proof = dpop.proof("POST", endpoint, None, self.now, self.entropy);
            request = request.header("DPoP", proof);
        }
        let request = request
            .body(Full::new(Bytes::from(form)))
            .map_err(|error| not_ours(endpoint, error.to_string()))?;
        let answer = self.transport.send(request).await?;
        if let Some(dpop) = self.dpop {
            dpop.remember(endpoint, None, &answer.headers);
        }
        Ok(answer)
    }
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
    let caller = Caller {
        transport,
        server,
        client_id: wanted.client_id,
        key: wanted.key,
        dpop: wanted.dpop,
        now,
        entropy,
    };
    let mut form = vec![
        ("grant_type", "client_credentials"),
        ("resource", wanted.resource),
    ];
    form.extend(wanted.scope.map(|scope| ("scope", scope)));
    let answer = caller.send(&endpoint, &form).await?;
    understand(&endpoint, &answer)
}

pub(super) fn understand(endpoint: &Url, answer: &Answer) -> Result<TokenResponse, AgentError> {
    if answer.status == StatusCode::OK {
        let raw: RawResponse = json::parse_as(&answer.body, json::BODY)
            .map_err(|error| not_ours(endpoint, error.to_string()))?;
        return Ok(TokenResponse {
            access_token: Secret::new(raw.access_token),
            token_type: raw.token_type,
            expires_in: raw.expires_in,
            scope: raw.scope,
            refresh_token: raw.refresh_token.map(Secret::new),
        });
    }
    Err(refused(endpoint, answer))
}

/// What a refusal says.
pub(super) fn refused(endpoint: &Url, answer: &Answer) -> AgentError {
    match json::parse_as::<RawRefusal>(&answer.body, json::BODY) {
        Ok(raw) => AgentError::Refused {
            status: answer.status.as_u16(),
            error: raw.error,
            description: raw.error_description,
        },
        Err(_) => not_ours(
            endpoint,
            format!("status {} without an OAuth error", answer.status),
        )
        .into(),
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
