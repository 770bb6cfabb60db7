//! What the endpoints remember: access tokens and headers of proofs that verified before.
//!
//! Only the checking of a signature is spared. Whether the key that signed a token is still ours, whether
//! the token has ended, and whether its chain is live, is asked every time it is used (REV-03).

use std::sync::Arc;

use axum::body::Bytes;
use chancery_gateway::snapshot::Snapshot;
use chancery_model::digest::Digest;
use chancery_model::id::ClientId;
use chancery_model::time::Timestamp;
use chancery_wire::access_token::{self, Expect, TokenError, VerifiedAccessToken};
use chancery_wire::dpop::{self, DpopError, ProofKey, VerifiedProof};
use chancery_wire::hash;
use chancery_wire::oauth::Introspection;
use moka::sync::Cache;

/// How many tokens are remembered; about 2 KB each.
const TOKENS: u64 = 10_000;
/// How many headers of proofs are remembered, and the longest that is: one with a key and nothing else is shorter.
const PROOF_KEYS: u64 = 4_096;
const LONGEST_HEADER: usize = 1_024;

/// What was verified before.
pub(crate) struct Memory {
    // By the hash of the exact text: the text itself is a credential, and is not kept.
    tokens: Cache<Digest, Arc<Known>>,
    proof_keys: Cache<String, ProofKey>,
}

/// A token that verified, with what is derived from it once.
pub(crate) struct Known {
    /// The token.
    pub token: VerifiedAccessToken,
    /// Whose it is; `None` when it is nobody's who could be registered here.
    pub client: Option<ClientId>,
    /// What introspection says of it while it is in force.
    pub answer: Bytes,
}

impl Memory {
    /// Nothing remembered yet.
    pub(crate) fn new() -> Self {
        Self {
            tokens: Cache::new(TOKENS),
            proof_keys: Cache::new(PROOF_KEYS),
        }
    }

    /// Verifies a token, or finds that its exact text was verified before by a key that still verifies;
    /// its time is checked either way.
    pub(crate) fn verify(
        &self,
        snapshot: &Snapshot,
        token: &str,
        now: Timestamp,
    ) -> Result<Arc<Known>, TokenError> {
        let name = hash::sha256(token.as_bytes());
        let known = self.tokens.get(&name).filter(|known| {
            let keys = &snapshot.token_keys;
            known.token.is_still_signed(&snapshot.issuer, keys)
        });
        if let Some(known) = known {
            return in_time(known, now);
        }
        let expect = Expect {
            issuer: &snapshot.issuer,
            audience: None,
            now,
        };
        let token = access_token::verify(token, &snapshot.token_keys, &expect)?;
        let answer = answer(&Introspection::Active(token.claims()));
        let known = Arc::new(Known {
            client: token.claims().holder(),
            answer,
            token,
        });
        self.tokens.insert(name, Arc::clone(&known));
        in_time(known, now)
    }

    /// Checks a proof; a header that came before is not parsed again.
    pub(crate) fn prove(
        &self,
        proof: &str,
        expect: &dpop::Expect<'_>,
    ) -> Result<VerifiedProof, DpopError> {
        let mut is_known = false;
        let proof = dpop::verify_with(proof, expect, |header| {
            let known = self.proof_keys.get(header);
            is_known = known.is_some();
            known
        })?;
        if !is_known {
            let key = proof.key();
            if key.header().len() <= LONGEST_HEADER {
                self.proof_keys.insert(key.header().to_owned(), key.clone());
            }
        }
        Ok(proof)
    }
}

/// Our own tokens have no leeway at our own endpoints, remembered or not.
fn in_time(known: Arc<Known>, now: Timestamp) -> Result<Arc<Known>, TokenError> {
    if known.token.expires_at() > now {
        Ok(known)
    } else {
        Err(TokenError::Expired)
    }
}

/// The body of an answer to a question about a token.
pub(crate) fn answer(says: &Introspection<'_>) -> Bytes {
    // Claims are strings, integers and JSON values: nothing that JSON cannot write.
    Bytes::from(serde_json::to_vec(says).expect("claims are JSON"))
}
