//! Client assertions: how an agent authenticates at the authority (RFC 7523, `private_key_jwt`).
//!
//! Who an assertion claims to be is known before it is checked, because the key to check it with
//! depends on that; the type says so. The audience is our issuer, as a string and alone (T1, TOK-07).

use std::time::Duration;

use chancery_model::digest::Digest;
use chancery_model::id::ClientId;
use chancery_model::time::Timestamp;
use serde::Deserialize;
use serde_json::json;

use crate::claim::{AHEAD, BEHIND, NumericDate, present};
use crate::json;
use crate::jwk::{Algorithm, KeySet, PrivateKey};
use crate::jws::{self, Unverified, signer_is_named, unreadable_is_malformed};
use crate::{hash, oauth};

/// The `typ` that our own assertions have.
pub const TYP: &str = "client-authentication+jwt";

/// The value of `client_assertion_type`.
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The algorithms that agents authenticate with.
pub const ALGORITHMS: [Algorithm; 3] = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Ps256];

/// How long an assertion may live.
pub const LIFETIME: Duration = Duration::from_secs(60);

/// Why an assertion was refused. To the client every reason is `invalid_client`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AssertionError {
    /// Not a compact JWS, or a claim of the wrong form.
    #[error("the client assertion is malformed")]
    Malformed,
    /// The algorithm is none that agents authenticate with.
    #[error("the client assertion's algorithm is not allowed")]
    AlgNotAllowed,
    /// A token of another kind.
    #[error("the client assertion is a token of another kind")]
    TypMismatch,
    /// `iss` and `sub` are not one and the same client.
    #[error("the client assertion's `iss` and `sub` must both be the client's id")]
    WrongClient,
    /// The audience is not our issuer, alone.
    #[error("the client assertion's `aud` must be the issuer, as a string")]
    WrongAudience,
    /// No key of the client fits.
    #[error("the client assertion names no key of the client")]
    UnknownKey,
    /// The signature does not verify.
    #[error("the client assertion's signature does not verify")]
    BadSignature,
    /// Ended.
    #[error("the client assertion has expired")]
    Expired,
    /// Issued in the future.
    #[error("the client assertion is not valid yet")]
    NotYetValid,
    /// Ends too far ahead.
    #[error("the client assertion may live for 60 seconds")]
    TooLong,
    /// A required claim is absent.
    #[error("the client assertion lacks the claim `{0}`")]
    ClaimMissing(&'static str),
}

unreadable_is_malformed!(AssertionError);
signer_is_named!(AssertionError);

impl AssertionError {
    /// A stable code for the record and for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::AlgNotAllowed => "alg_not_allowed",
            Self::TypMismatch => "typ_mismatch",
            Self::WrongClient => "wrong_client",
            Self::WrongAudience => "wrong_audience",
            Self::UnknownKey => "unknown_key",
            Self::BadSignature => "bad_signature",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::TooLong => "lifetime_too_long",
            Self::ClaimMissing(_) => "claim_missing",
        }
    }

    /// What the client is told.
    pub fn error_code(self) -> oauth::ErrorCode {
        oauth::ErrorCode::InvalidClient
    }
}

/// Claims as they are read, each absent or valid.
#[derive(Debug, Clone, Deserialize)]
struct Raw {
    #[serde(default, deserialize_with = "present")]
    iss: Option<String>,
    #[serde(default, deserialize_with = "present")]
    sub: Option<String>,
    #[serde(default, deserialize_with = "present")]
    aud: Option<serde_json::Value>,
    #[serde(default, deserialize_with = "present")]
    exp: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    iat: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    jti: Option<String>,
}

/// An assertion that nobody has checked yet.
#[derive(Debug, Clone)]
pub struct UnverifiedAssertion<'a> {
    token: Unverified<'a>,
    raw: Raw,
    claimed: ClientId,
}

/// What the authority expects.
#[derive(Debug, Clone, Copy)]
pub struct Expect<'a> {
    /// Our issuer, compared byte by byte.
    pub issuer: &'a str,
    /// The present moment.
    pub now: Timestamp,
}

/// A client that proved who it is.
#[derive(Debug, Clone)]
pub struct VerifiedAssertion {
    client_id: ClientId,
    jti_hash: Digest,
    expires_at: Timestamp,
}

impl VerifiedAssertion {
    /// Who it is.
    pub fn client_id(&self) -> ClientId {
        self.client_id
    }

    /// Names this assertion among all that were used: it may be used once (TOK-07).
    pub fn jti_hash(&self) -> Digest {
        self.jti_hash
    }

    /// Until when its name must be remembered: from then on it would be refused by its time.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

impl<'a> UnverifiedAssertion<'a> {
    /// Takes an assertion apart, without trusting any of it.
    pub fn parse(assertion: &'a str) -> Result<Self, AssertionError> {
        let token = Unverified::parse(assertion, json::TOKEN)?;
        if !ALGORITHMS.contains(&token.header().alg) {
            return Err(AssertionError::AlgNotAllowed);
        }
        // rfc7523bis: without `typ` it may still be one; any other kind of token is none (JWT-13).
        let is_plain = token.header().typ.is_none() || token.header().typ_is("JWT");
        if !is_plain && !token.header().typ_is(TYP) {
            return Err(AssertionError::TypMismatch);
        }
        let raw: Raw = token.untrusted_claims(json::TOKEN)?;
        let sub = raw
            .sub
            .as_deref()
            .ok_or(AssertionError::ClaimMissing("sub"))?;
        let iss = raw
            .iss
            .as_deref()
            .ok_or(AssertionError::ClaimMissing("iss"))?;
        if iss != sub {
            return Err(AssertionError::WrongClient);
        }
        let claimed = sub.parse().map_err(|_| AssertionError::WrongClient)?;
        Ok(Self {
            token,
            raw,
            claimed,
        })
    }

    /// Who the assertion claims to be: good for looking up the keys to check it with, and nothing else.
    pub fn claimed_client_id(&self) -> ClientId {
        self.claimed
    }

    /// Checks the assertion against the keys of the client that it claims to be.
    pub fn verify(
        self,
        keys: &KeySet,
        expect: &Expect<'_>,
    ) -> Result<VerifiedAssertion, AssertionError> {
        let missing = AssertionError::ClaimMissing;
        let audience = self.raw.aud.ok_or(missing("aud"))?;
        if audience.as_str() != Some(expect.issuer) {
            return Err(AssertionError::WrongAudience);
        }
        let jti = self.raw.jti.ok_or(missing("jti"))?;
        if !(1..=256).contains(&jti.len()) || jti.chars().any(char::is_control) {
            return Err(AssertionError::Malformed);
        }
        let exp = Timestamp::from_secs(self.raw.exp.ok_or(missing("exp"))?.0);
        let end = check_times(exp, self.raw.iat, self.raw.nbf, expect.now)?;

        self.token.check_by(keys)?;
        let client_id = self.claimed;
        Ok(VerifiedAssertion {
            client_id,
            jti_hash: hash::sha256_for("client_assertion", &[&client_id.to_string(), &jti]),
            expires_at: end.after(BEHIND),
        })
    }
}

/// Checks the times of an assertion, and gives the end that counts.
///
/// Common clients set `exp` minutes ahead. What counts is the earlier of `exp` and a minute after `iat`, so
/// no assertion is of use for longer than that; without `iat`, `exp` itself must be within the minute.
fn check_times(
    exp: Timestamp,
    iat: Option<NumericDate>,
    nbf: Option<NumericDate>,
    now: Timestamp,
) -> Result<Timestamp, AssertionError> {
    let [iat, nbf] = [iat, nbf].map(|start| start.map(|start| Timestamp::from_secs(start.0)));
    let end = match iat {
        Some(iat) => exp.min(iat.after(LIFETIME)),
        None => exp,
    };
    if end.after(BEHIND) <= now {
        return Err(AssertionError::Expired);
    }
    if iat
        .into_iter()
        .chain(nbf)
        .any(|start| start > now.after(AHEAD))
    {
        return Err(AssertionError::NotYetValid);
    }
    if iat.into_iter().chain(nbf).any(|start| start > exp) {
        return Err(AssertionError::Malformed);
    }
    if end > now.after(LIFETIME + AHEAD) {
        return Err(AssertionError::TooLong);
    }
    Ok(end)
}

/// Makes the assertion by which `client_id` authenticates at `issuer`; `jti` must be fresh.
pub fn sign(
    client_id: impl Into<ClientId>,
    issuer: &str,
    jti: &str,
    now: Timestamp,
    key: &PrivateKey,
) -> String {
    sign_as(&client_id.into().to_string(), issuer, jti, now, key)
}

/// The same for a client of somebody else's authorization server, which names its clients as it likes.
pub fn sign_as(
    client_id: &str,
    issuer: &str,
    jti: &str,
    now: Timestamp,
    key: &PrivateKey,
) -> String {
    let claims = json!({
        "iss": client_id,
        "sub": client_id,
        "aud": issuer,
        "iat": now.as_secs(),
        "exp": now.after(LIFETIME).as_secs(),
        "jti": jti,
    });
    jws::sign(key, TYP, claims.to_string().as_bytes())
}

#[cfg(test)]
mod tests;
