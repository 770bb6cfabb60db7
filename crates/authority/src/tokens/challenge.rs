//! Challenges for the proofs of client attestations, given to whoever asks; nothing is remembered of it.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use chancery_wire::oauth::ChallengeResponse;

use crate::state::Authority;
use crate::tokens::refusal;

/// How old a challenge may be.
pub(crate) const AGE: Duration = Duration::from_secs(300);

/// `POST /oauth/challenge` (draft-ietf-oauth-attestation-based-client-auth 6.3); a DPoP nonce comes with it.
pub async fn give(State(authority): State<Arc<Authority>>) -> Response {
    let now = authority.clock.now();
    let challenge = ChallengeResponse {
        attestation_challenge: authority.attestation_challenges.issue(now),
    };
    let mut response = Json(challenge).into_response();
    let headers = response.headers_mut();
    refusal::no_store(headers);
    if let Ok(nonce) = HeaderValue::from_str(&authority.nonces.issue(now)) {
        headers.insert("DPoP-Nonce", nonce);
    }
    response
}
