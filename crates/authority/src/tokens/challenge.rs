//! Challenges for the proofs of client attestations, given to whoever asks; nothing is remembered of it.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
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
    refusal::with_nonce(&authority, now, Json(challenge))
}
