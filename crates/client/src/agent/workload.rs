//! A token for an agent whose workload another issuer vouches for (RFC 7523 2.1): no key is registered, and nothing is signed
//! but the proof.

use chancery_model::entropy::Entropy;
use chancery_model::id::ClientId;
use chancery_model::secret::Secret;
use chancery_model::time::Timestamp;
use chancery_wire::oauth::JWT_BEARER;
use url::form_urlencoded::Serializer;

use crate::address;
use crate::agent::AgentError;
use crate::agent::discovery::AuthorizationServer;
use crate::agent::dpop::DpopSession;
use crate::agent::token::{Posting, TokenResponse, understand};
use crate::transport::Transport;

/// What is asked for, as which agent, and what vouches for it.
pub struct VouchedRequest<'a> {
    /// The id of the agent.
    pub client_id: ClientId,
    /// The token of the workload's issuer.
    pub assertion: &'a Secret<String>,
    /// The resource that the token is for.
    pub resource: &'a str,
    /// The scopes, separated by spaces; all that are allowed when absent.
    pub scope: Option<&'a str>,
    /// The session whose key the token is bound to; without one, a plain bearer token is asked for.
    pub dpop: Option<&'a DpopSession>,
}

/// Asks `server` for a token; once more when it wants a nonce in the proof, and never again when it refused (the
/// assertion may be used up).
pub async fn request(
    transport: &Transport,
    server: &AuthorizationServer,
    wanted: &VouchedRequest<'_>,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<TokenResponse, AgentError> {
    let endpoint = address::parse(&server.token_endpoint)?;
    let client_id = wanted.client_id.to_string();
    let mut form = Serializer::new(String::new());
    form.append_pair("grant_type", JWT_BEARER)
        .append_pair("client_id", &client_id)
        .append_pair("assertion", wanted.assertion.expose())
        .append_pair("resource", wanted.resource);
    if let Some(scope) = wanted.scope {
        form.append_pair("scope", scope);
    }
    let form = form.finish();
    let posting = Posting {
        transport,
        endpoint: &endpoint,
        dpop: wanted.dpop,
        now,
        entropy,
    };
    let first = posting.send(form.clone()).await?;
    let answer = match wanted.dpop {
        Some(dpop) if !first.status.is_success() && dpop.wants_nonce(&first) => {
            posting.send(form).await?
        }
        Some(_) | None => first,
    };
    understand(&endpoint, &answer)
}
