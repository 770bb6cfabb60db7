//! One attempt to sign in with a provider: all that its answer must fit, sealed in a cookie of the browser that began it.
//!
//! Nothing is kept for it here, so strangers may begin as often as they like. Another browser has no such cookie, and one
//! that somebody made up does not open; so an answer counts only where the question was asked (login CSRF, fixation).

use axum::http::HeaderMap;
use chancery_model::digest::Digest;
use chancery_model::id::{OwnerId, ProviderId, SessionId};
use chancery_model::time::Timestamp;
use chancery_wire::{base64url, hash, json, seal};
use serde::{Deserialize, Serialize};

use crate::cookie;
use crate::issuers::ATTEMPT;
use crate::state::Authority;

/// What a sealed attempt is bound to.
const AAD: &str = "provider_attempt";

/// An attempt.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attempt {
    /// With which provider.
    pub(crate) provider: ProviderId,
    /// What the answer must repeat.
    pub(crate) state: String,
    /// What the ID token must repeat.
    pub(crate) nonce: String,
    /// The secret that the code is bound to.
    pub(crate) verifier: String,
    /// When it was begun.
    pub(crate) began_at: Timestamp,
    /// Whether the person must sign in there anew.
    pub(crate) is_fresh: bool,
    /// Where the person goes on: a path of ours.
    pub(crate) next: Option<String>,
    /// Whose link it makes, when it is not to sign in: that of a person in a session which a passkey began just now.
    pub(crate) links: Option<InSession>,
    /// The session of this browser that it takes the place of.
    pub(crate) before: Option<InSession>,
}

/// A person in a session.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InSession {
    /// The person.
    pub(crate) owner: OwnerId,
    /// The session.
    pub(crate) session: SessionId,
}

impl Attempt {
    /// A new attempt.
    pub(crate) fn begin(authority: &Authority, provider: ProviderId, now: Timestamp) -> Self {
        let secret = || {
            let mut random = [0; 32];
            authority.entropy.fill(&mut random);
            base64url::encode(&random)
        };
        Self {
            provider,
            state: secret(),
            nonce: secret(),
            verifier: secret(),
            began_at: now,
            is_fresh: false,
            next: None,
            links: None,
            before: None,
        }
    }

    /// What goes into the cookie.
    pub(crate) fn seal(&self, authority: &Authority) -> Option<String> {
        let text = serde_json::to_vec(self).ok()?;
        let entropy = &*authority.entropy;
        Some(seal::seal(&authority.master, AAD, &text, entropy))
    }

    /// The attempt of this browser with a provider, if it is not over and `state` is its own.
    pub(crate) fn open(
        authority: &Authority,
        headers: &HeaderMap,
        provider: ProviderId,
        state: &str,
        now: Timestamp,
    ) -> Option<Self> {
        let sealed = cookie::attempt(headers)?;
        let text = seal::open(&authority.master, AAD, sealed).ok()?;
        let attempt: Self = json::parse_as(text.expose(), json::TOKEN).ok()?;
        let is_own = hash::equal(attempt.state.as_bytes(), state.as_bytes());
        let is_open = attempt.began_at <= now && now < attempt.expires_at();
        (is_own && is_open && attempt.provider == provider).then_some(attempt)
    }

    /// When it is over.
    pub(crate) fn expires_at(&self) -> Timestamp {
        self.began_at.after(ATTEMPT)
    }

    /// Names it among all that were used: it may be used once.
    pub(crate) fn use_hash(&self) -> Digest {
        hash::sha256_for("provider_attempt", &[&self.state])
    }
}
