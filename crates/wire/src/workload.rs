//! Tokens by which another issuer vouches for a workload (RFC 7523 3): those of a pipeline, of a pod, of a job.
//!
//! The issuer signs them for whoever runs there, for an audience that is asked for. Its keys are looked up outside; what is
//! left, once they verified, is checked here.

use std::time::Duration;

use chancery_model::digest::Digest;
use chancery_model::time::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::claim::{AHEAD, BEHIND, NumericDate, is_alone, present};
use crate::hash;
use crate::json::{self, JsonError};
use crate::jwk::Algorithm;
use crate::jws::{JwsError, Unverified, Verified};

/// The algorithms of other issuers that are taken. Most of them sign with RS256 and nothing else.
const ALGORITHMS: [Algorithm; 4] = [
    Algorithm::Rs256,
    Algorithm::Ps256,
    Algorithm::Es256,
    Algorithm::EdDsa,
];

/// How long a token may live.
pub const LIFETIME: Duration = Duration::from_secs(3_600);

/// The longest subject, and the longest name of a token, in bytes.
const LONGEST: usize = 512;

/// Why a token vouches for nobody here. To the client every reason is `invalid_grant`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadError {
    /// Not a compact JWS, or a claim of the wrong form.
    #[error("the assertion is malformed")]
    Malformed,
    /// The algorithm is none that is taken.
    #[error("the assertion's algorithm is not allowed")]
    AlgNotAllowed,
    /// A token of another kind.
    #[error("the assertion is a token of another kind")]
    TypMismatch,
    /// It is for somebody else, or for others too.
    #[error("the assertion's `aud` must be what was agreed on, alone")]
    WrongAudience,
    /// Ended.
    #[error("the assertion has expired")]
    Expired,
    /// Issued in the future.
    #[error("the assertion is not valid yet")]
    NotYetValid,
    /// Lives for too long.
    #[error("the assertion may live for an hour")]
    TooLong,
    /// A required claim is absent.
    #[error("the assertion lacks the claim `{0}`")]
    ClaimMissing(&'static str),
}

impl WorkloadError {
    /// A stable code for the record.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::AlgNotAllowed => "alg_not_allowed",
            Self::TypMismatch => "typ_mismatch",
            Self::WrongAudience => "wrong_audience",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::TooLong => "lifetime_too_long",
            Self::ClaimMissing(_) => "claim_missing",
        }
    }
}

impl From<JwsError> for WorkloadError {
    fn from(error: JwsError) -> Self {
        match error {
            JwsError::AlgNotAllowed => Self::AlgNotAllowed,
            JwsError::TooLarge
            | JwsError::Malformed
            | JwsError::CriticalHeader
            | JwsError::InvalidKid
            | JwsError::BadSignature => Self::Malformed,
        }
    }
}

impl From<JsonError> for WorkloadError {
    fn from(_: JsonError) -> Self {
        Self::Malformed
    }
}

/// A token that nobody has checked yet.
#[derive(Debug, Clone)]
pub struct UnverifiedWorkload<'a> {
    token: Unverified<'a>,
    issuer: String,
}

impl<'a> UnverifiedWorkload<'a> {
    /// Takes a token apart, without trusting any of it.
    pub fn parse(text: &'a str) -> Result<Self, WorkloadError> {
        #[derive(Deserialize)]
        struct Claimed {
            #[serde(default, deserialize_with = "present")]
            iss: Option<String>,
        }
        let token = Unverified::parse(text, json::TOKEN)?;
        if !ALGORITHMS.contains(&token.header().alg) {
            return Err(WorkloadError::AlgNotAllowed);
        }
        // RFC 8725 3.11: what says that it is of another kind is not this one (JWT-13).
        if token.header().typ.is_some() && !token.header().typ_is("JWT") {
            return Err(WorkloadError::TypMismatch);
        }
        let claimed: Claimed = token.untrusted_claims(json::TOKEN)?;
        let issuer = claimed.iss.ok_or(WorkloadError::ClaimMissing("iss"))?;
        Ok(Self { token, issuer })
    }

    /// Who claims to vouch: good for looking up the keys to check it with, and nothing else.
    pub fn claimed_issuer(&self) -> &str {
        &self.issuer
    }

    /// What is to be checked with those keys.
    pub fn token(&self) -> &Unverified<'a> {
        &self.token
    }
}

/// What the authority expects.
#[derive(Debug, Clone, Copy)]
pub struct Expect<'a> {
    /// The issuer whose keys verified, compared byte by byte.
    pub issuer: &'a str,
    /// The one audience.
    pub audience: &'a str,
    /// The present moment.
    pub now: Timestamp,
}

/// A workload that its issuer vouches for, at present and to us.
#[derive(Debug, Clone)]
pub struct VerifiedWorkload {
    subject: String,
    claims: Map<String, Value>,
    hash: Digest,
    expires_at: Timestamp,
}

impl VerifiedWorkload {
    /// Which workload of its issuer.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The value of a claim that is a text; anything else is as if it were not there.
    pub fn claim(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }

    /// Names this token among all that came.
    pub fn hash(&self) -> Digest {
        self.hash
    }

    /// Until when its name must be remembered: from then on it would be refused by its time.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

/// Claims as they are read, each absent or valid.
#[derive(Deserialize)]
struct Raw {
    #[serde(default, deserialize_with = "present")]
    iss: Option<String>,
    #[serde(default, deserialize_with = "present")]
    sub: Option<String>,
    #[serde(default, deserialize_with = "present")]
    aud: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    exp: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    iat: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    jti: Option<String>,
}

/// Checks what an issuer signed. `verified` is the evidence that it did.
pub fn check(verified: &Verified, expect: &Expect<'_>) -> Result<VerifiedWorkload, WorkloadError> {
    let missing = WorkloadError::ClaimMissing;
    let claims: Map<String, Value> = verified.claims(json::TOKEN)?;
    let raw: Raw = verified.claims(json::TOKEN)?;
    // What was believed before the keys were looked up is said under their signature too.
    if raw.iss.as_deref() != Some(expect.issuer) {
        return Err(WorkloadError::Malformed);
    }
    if !is_alone(&raw.aud.ok_or(missing("aud"))?, expect.audience) {
        return Err(WorkloadError::WrongAudience);
    }
    let subject = raw.sub.ok_or(missing("sub"))?;
    for text in [Some(&subject), raw.jti.as_ref()].into_iter().flatten() {
        if !(1..=LONGEST).contains(&text.len()) || text.chars().any(char::is_control) {
            return Err(WorkloadError::Malformed);
        }
    }
    let exp = Timestamp::from_secs(raw.exp.ok_or(missing("exp"))?.0);
    let iat = Timestamp::from_secs(raw.iat.ok_or(missing("iat"))?.0);
    let nbf = raw.nbf.map(|nbf| Timestamp::from_secs(nbf.0));
    check_times(exp, iat, nbf, expect.now)?;
    // A token without a name is named by all that it says; its signature may have several forms.
    let hash = match &raw.jti {
        Some(jti) => hash::sha256_for("workload jti", &[expect.issuer, jti]),
        None => {
            let said = hash::sha256(verified.payload()).to_string();
            hash::sha256_for("workload claims", &[expect.issuer, &said])
        }
    };
    Ok(VerifiedWorkload {
        subject,
        claims,
        hash,
        expires_at: exp.after(BEHIND),
    })
}

fn check_times(
    exp: Timestamp,
    iat: Timestamp,
    nbf: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), WorkloadError> {
    if exp.after(BEHIND) <= now {
        return Err(WorkloadError::Expired);
    }
    let begins = [Some(iat), nbf].into_iter().flatten();
    if begins.clone().any(|begin| begin > now.after(AHEAD)) {
        return Err(WorkloadError::NotYetValid);
    }
    if begins.clone().any(|begin| begin > exp) {
        return Err(WorkloadError::Malformed);
    }
    if exp > iat.after(LIFETIME) {
        return Err(WorkloadError::TooLong);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
