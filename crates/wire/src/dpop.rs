//! DPoP (RFC 9449): proof that the sender of a request holds the key that a token is bound to.
//!
//! [`verify`] makes the checks of section 4.3, the cheap ones first and the signature last. What
//! this module cannot know is whether a proof was used before: [`VerifiedProof::jti_hash`] names
//! the proof, and the caller remembers it until [`VerifiedProof::expires_at`] (DPOP-03).

use std::sync::Arc;
use std::time::Duration;

use chancery_model::digest::Digest;
use chancery_model::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::claim::{NumericDate, present};
use crate::hash;
use crate::json;
use crate::jwk::{Algorithm, JwkError, PrivateKey, PublicKey};
use crate::jws::{self, Segments, unreadable_is_malformed};
use crate::nonce::NonceError;
use crate::oauth::ErrorCode;

mod htu;

/// The `typ` of a proof.
pub const TYP: &str = "dpop+jwt";

/// The algorithms that proofs may have.
pub const ALGORITHMS: [Algorithm; 3] = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Ps256];

/// How far the `iat` of a proof may be from now.
pub const WINDOW: Duration = Duration::from_secs(60);

/// What a verifier expects of a proof.
#[derive(Clone, Copy)]
pub struct Expect<'a> {
    /// The method of the request.
    pub method: &'a str,
    /// The URL of the request as the outside knows it: from configuration, never from a header that
    /// the sender could have written (T2).
    pub url: &'a str,
    /// The present moment.
    pub now: Timestamp,
    /// How far `iat` may be from now, to either side; see [`WINDOW`].
    pub window: Duration,
    /// The access token that came with the proof, as it was sent.
    pub access_token: Option<&'a str>,
    /// The thumbprint of the key that the access token, or whatever else, is bound to.
    pub bound_jkt: Option<&'a str>,
    /// Whether a nonce of ours must be in it.
    pub nonce: NonceRule<'a>,
}

/// Whether a proof must carry a nonce.
#[derive(Clone, Copy)]
pub enum NonceRule<'a> {
    /// No nonces are given out here; one that is there is not looked at.
    NotRequired,
    /// Every proof must carry a nonce that this accepts.
    Required(&'a dyn Fn(&str) -> Result<(), NonceError>),
}

/// Why a proof was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DpopError {
    /// Not a compact JWS, or a claim of the wrong form.
    #[error("the DPoP proof is malformed")]
    Malformed,
    /// The algorithm is none that proofs may have.
    #[error("the DPoP proof's algorithm is not allowed")]
    AlgNotAllowed,
    /// Not a proof.
    #[error("the DPoP proof is a token of another kind")]
    TypMismatch,
    /// No key came with it, or one that is refused.
    #[error("the DPoP proof's `jwk` is missing or refused")]
    KeyRefused,
    /// The signature does not verify.
    #[error("the DPoP proof's signature does not verify")]
    BadSignature,
    /// A required claim is absent.
    #[error("the DPoP proof lacks the claim `{0}`")]
    ClaimMissing(&'static str),
    /// For another method.
    #[error("the DPoP proof is for another method")]
    MethodMismatch,
    /// For another URL.
    #[error("the DPoP proof is for another URL")]
    UrlMismatch,
    /// Too old, or ended.
    #[error("the DPoP proof is too old")]
    Expired,
    /// From the future.
    #[error("the DPoP proof is not valid yet")]
    NotYetValid,
    /// `ath` is not the hash of the access token.
    #[error("the DPoP proof is for another access token")]
    TokenMismatch,
    /// The access token is bound to another key.
    #[error("the access token is bound to another key")]
    KeyMismatch,
    /// A fresh nonce of ours must be in it: the answer carries one.
    #[error("the DPoP proof needs a fresh nonce of this server")]
    UseNonce,
}

unreadable_is_malformed!(DpopError);

impl DpopError {
    /// A stable code for the record and for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::AlgNotAllowed => "alg_not_allowed",
            Self::TypMismatch => "typ_mismatch",
            Self::KeyRefused => "key_refused",
            Self::BadSignature => "bad_signature",
            Self::ClaimMissing(_) => "claim_missing",
            Self::MethodMismatch => "htm_mismatch",
            Self::UrlMismatch => "htu_mismatch",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::TokenMismatch => "ath_mismatch",
            Self::KeyMismatch => "jkt_mismatch",
            Self::UseNonce => "use_dpop_nonce",
        }
    }

    /// What the caller is told.
    pub fn error_code(self) -> ErrorCode {
        match self {
            Self::UseNonce => ErrorCode::UseDpopNonce,
            Self::KeyMismatch => ErrorCode::InvalidToken,
            Self::Malformed
            | Self::AlgNotAllowed
            | Self::TypMismatch
            | Self::KeyRefused
            | Self::BadSignature
            | Self::ClaimMissing(_)
            | Self::MethodMismatch
            | Self::UrlMismatch
            | Self::Expired
            | Self::NotYetValid
            | Self::TokenMismatch => ErrorCode::InvalidDpopProof,
        }
    }
}

impl From<JwkError> for DpopError {
    fn from(_: JwkError) -> Self {
        Self::KeyRefused
    }
}

/// Claims as they are read, each absent or valid.
#[derive(Deserialize)]
struct Raw {
    #[serde(default, deserialize_with = "present")]
    jti: Option<String>,
    #[serde(default, deserialize_with = "present")]
    htm: Option<String>,
    #[serde(default, deserialize_with = "present")]
    htu: Option<String>,
    #[serde(default, deserialize_with = "present")]
    iat: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    exp: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    ath: Option<String>,
    #[serde(default, deserialize_with = "present")]
    nonce: Option<String>,
}

/// The checked header of a proof: a sender's proofs all have the same one, so it can be kept and
/// need not be parsed and checked again.
#[derive(Debug, Clone)]
pub struct ProofKey {
    // INVARIANT: `key` is the `jwk` of this header, which passed every check of a header.
    header: Arc<str>,
    key: PublicKey,
}

impl ProofKey {
    /// The header as it was sent: what a cache looks it up by.
    pub fn header(&self) -> &str {
        &self.header
    }

    /// The sender's key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    fn parse(segment: &str) -> Result<Self, DpopError> {
        let header = jws::parse_header(segment, json::TOKEN)?;
        if !header.typ_is(TYP) {
            return Err(DpopError::TypMismatch);
        }
        if !ALGORITHMS.contains(&header.alg) {
            return Err(DpopError::AlgNotAllowed);
        }
        let jwk = header.jwk.as_ref().ok_or(DpopError::KeyRefused)?;
        Ok(Self {
            header: segment.into(),
            key: PublicKey::from_jwk_for(jwk, header.alg)?,
        })
    }
}

/// A proof that was checked, but may have been used before.
#[derive(Debug, Clone)]
pub struct VerifiedProof {
    key: ProofKey,
    jti_hash: Digest,
    expires_at: Timestamp,
}

impl VerifiedProof {
    /// The thumbprint of the key that the sender holds.
    pub fn jkt(&self) -> &str {
        self.key.key.thumbprint()
    }

    /// The key that the sender holds, with the header that it came in, for a cache.
    pub fn key(&self) -> &ProofKey {
        &self.key
    }

    /// Names this proof among all that were used: it may be used once.
    pub fn jti_hash(&self) -> Digest {
        self.jti_hash
    }

    /// Until when its name must be remembered: from then on it would be refused by its time.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

/// Checks the one value of the `DPoP` header.
pub fn verify(proof: &str, expect: &Expect<'_>) -> Result<VerifiedProof, DpopError> {
    verify_with(proof, expect, |_| None)
}

/// Checks the one value of the `DPoP` header; `known` may find the proof's header among those that were
/// checked before, which spares parsing it and the key in it.
pub fn verify_with(
    proof: &str,
    expect: &Expect<'_>,
    known: impl FnOnce(&str) -> Option<ProofKey>,
) -> Result<VerifiedProof, DpopError> {
    let segments = Segments::split(proof, json::TOKEN)?;
    let key = match known(segments.header) {
        Some(key) if *key.header == *segments.header => key,
        Some(_) | None => ProofKey::parse(segments.header)?,
    };
    let body = segments.body()?;
    let raw: Raw = body.untrusted_claims(json::TOKEN)?;
    let (jti, issued_at) = check_claims(raw, expect)?;
    if expect
        .bound_jkt
        .is_some_and(|jkt| jkt != key.key.thumbprint())
    {
        return Err(DpopError::KeyMismatch);
    }
    // INVARIANT of a proof key: the header's algorithm is the key's.
    body.check(key.key.algorithm(), &key.key)?;
    Ok(VerifiedProof {
        jti_hash: hash::sha256_for("dpop", &[key.key.thumbprint(), &jti]),
        key,
        // One second more than its window: `iat` has whole seconds.
        expires_at: issued_at.after(expect.window + Duration::from_secs(1)),
    })
}

fn check_claims(raw: Raw, expect: &Expect<'_>) -> Result<(String, Timestamp), DpopError> {
    let missing = DpopError::ClaimMissing;
    let jti = raw.jti.ok_or(missing("jti"))?;
    if !(1..=256).contains(&jti.len()) {
        return Err(DpopError::Malformed);
    }
    if raw.htm.ok_or(missing("htm"))? != expect.method {
        return Err(DpopError::MethodMismatch);
    }
    if !htu::same(&raw.htu.ok_or(missing("htu"))?, expect.url) {
        return Err(DpopError::UrlMismatch);
    }
    let issued_at = Timestamp::from_secs(raw.iat.ok_or(missing("iat"))?.0);
    if let NonceRule::Required(accepts) = expect.nonce {
        let nonce = raw.nonce.as_deref().ok_or(DpopError::UseNonce)?;
        accepts(nonce).map_err(|_| DpopError::UseNonce)?;
    }
    // A proof of this second is as good as one of its last microsecond.
    let newest = issued_at.after(Duration::from_secs(1));
    let ended = |end: NumericDate| Timestamp::from_secs(end.0) <= expect.now;
    if newest.after(expect.window) <= expect.now || raw.exp.is_some_and(ended) {
        return Err(DpopError::Expired);
    }
    let horizon = expect.now.after(expect.window);
    let starts = |start: NumericDate| Timestamp::from_secs(start.0) > horizon;
    if issued_at > horizon || raw.nbf.is_some_and(starts) {
        return Err(DpopError::NotYetValid);
    }
    if let Some(token) = expect.access_token {
        let ath = raw.ath.ok_or(missing("ath"))?;
        if ath != hash::sha256_base64url(token.as_bytes()) {
            return Err(DpopError::TokenMismatch);
        }
    }
    Ok((jti, issued_at))
}

/// What a client puts into a proof.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The method of the request.
    pub method: &'a str,
    /// The URL of the request; query and fragment are left out of the proof.
    pub url: &'a str,
    /// A fresh name for the proof, of at least 96 random bits.
    pub jti: &'a str,
    /// The present moment.
    pub now: Timestamp,
    /// The last nonce that this server gave.
    pub nonce: Option<&'a str>,
    /// The access token that goes with the request.
    pub access_token: Option<&'a str>,
}

/// Makes the proof that goes with a request.
pub fn proof(key: &PrivateKey, request: &Request<'_>) -> String {
    let end = request.url.find(['?', '#']).unwrap_or(request.url.len());
    let mut claims = json!({
        "jti": request.jti,
        "htm": request.method,
        "htu": &request.url[..end],
        "iat": request.now.as_secs(),
    });
    if let Some(nonce) = request.nonce {
        claims["nonce"] = Value::from(nonce);
    }
    if let Some(token) = request.access_token {
        claims["ath"] = Value::from(hash::sha256_base64url(token.as_bytes()));
    }
    jws::sign_with_jwk(key, TYP, claims.to_string().as_bytes())
}

#[cfg(test)]
mod tests;
