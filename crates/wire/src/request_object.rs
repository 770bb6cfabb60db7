//! Request objects: what a client asks for, signed by it (RFC 9101, with the times of FAPI 2.0 Message Signing 5.3).
//!
//! What it says takes the place of the parameters beside it. It is for one authorization server, for an hour at most, and of a
//! kind of its own, so that nothing else that a client signs is one (RFC 9101 10.8).

use std::time::Duration;

use chancery_model::time::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::claim::{AHEAD, BEHIND, NumericDate, is_alone, present};
use crate::client_assertion::ALGORITHMS;
use crate::json;
use crate::jwk::KeySet;
use crate::jws::{Unverified, signer_is_named, unreadable_is_malformed};
use crate::oauth::{Form, OAuthError};

/// The `typ` of a request object.
pub const TYP: &str = "oauth-authz-req+jwt";

/// How long one may live, and how long ago that may have begun.
const LIFETIME: Duration = Duration::from_secs(3_600);

/// The claims that are about the object, and no parameters.
const ABOUT_ITSELF: [&str; 6] = ["iss", "aud", "exp", "nbf", "iat", "jti"];

/// What cannot be in one: whoever is named by `sub` could be taken for a client that authenticates (RFC 9101 10.8), an object
/// holds no other (RFC 9101 4), and who authenticates does so beside it.
const FOREIGN: [&str; 6] = [
    "sub",
    "request",
    "request_uri",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
];

/// Why a request object was refused. To the client every reason is `invalid_request_object`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestObjectError {
    /// Not a compact JWS, or a claim of the wrong form.
    #[error("the request object is malformed")]
    Malformed,
    /// The algorithm is none that clients sign with.
    #[error("the request object's algorithm is not allowed")]
    AlgNotAllowed,
    /// A token of another kind.
    #[error("the request object's `typ` must be `oauth-authz-req+jwt`")]
    TypMismatch,
    /// Not by this client, or not for it.
    #[error("the request object's `iss` and `client_id` must be the client's id")]
    WrongClient,
    /// Not for us.
    #[error("the request object's `aud` must be the issuer")]
    WrongAudience,
    /// No key of the client fits.
    #[error("the request object names no key of the client")]
    UnknownKey,
    /// The signature does not verify.
    #[error("the request object's signature does not verify")]
    BadSignature,
    /// Ended, or began too long ago.
    #[error("the request object has expired")]
    Expired,
    /// Begins in the future.
    #[error("the request object is not valid yet")]
    NotYetValid,
    /// Lives for too long.
    #[error("the request object may live for an hour")]
    TooLong,
    /// A required claim is absent.
    #[error("the request object lacks the claim `{0}`")]
    ClaimMissing(&'static str),
    /// It has what cannot be in one.
    #[error("the request object has what belongs beside it or nowhere")]
    Foreign,
}

unreadable_is_malformed!(RequestObjectError);
signer_is_named!(RequestObjectError);

impl RequestObjectError {
    /// A stable code for the record and for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "request_object_malformed",
            Self::AlgNotAllowed => "request_object_alg_not_allowed",
            Self::TypMismatch => "request_object_typ_mismatch",
            Self::WrongClient => "request_object_wrong_client",
            Self::WrongAudience => "request_object_wrong_audience",
            Self::UnknownKey => "request_object_unknown_key",
            Self::BadSignature => "request_object_bad_signature",
            Self::Expired => "request_object_expired",
            Self::NotYetValid => "request_object_not_yet_valid",
            Self::TooLong => "request_object_lifetime_too_long",
            Self::ClaimMissing(_) => "request_object_claim_missing",
            Self::Foreign => "request_object_foreign_member",
        }
    }

    /// What the client is told.
    pub fn description(self) -> &'static str {
        match self {
            Self::Malformed => "the request object is not well-formed",
            Self::AlgNotAllowed => {
                "the request object is signed with an algorithm that is not taken"
            }
            Self::TypMismatch => "the `typ` of a request object is `oauth-authz-req+jwt`",
            Self::WrongClient => "`iss` and `client_id` of the request object are the client's id",
            Self::WrongAudience => "`aud` of the request object is the issuer",
            Self::UnknownKey | Self::BadSignature => {
                "the request object is not signed by a key that is registered for the client"
            }
            Self::Expired => "the request object has ended",
            Self::NotYetValid => "the request object is not valid yet",
            Self::TooLong => "a request object lives for an hour at most, from `nbf` to `exp`",
            Self::ClaimMissing(_) => {
                "a request object has `iss`, `aud`, `client_id`, `nbf` and `exp`"
            }
            Self::Foreign => "the request object has what belongs beside it or nowhere",
        }
    }
}

impl From<OAuthError> for RequestObjectError {
    fn from(_: OAuthError) -> Self {
        Self::Malformed
    }
}

/// What the authority expects.
#[derive(Debug, Clone, Copy)]
pub struct Expect<'a> {
    /// The client that authenticated beside it.
    pub client: &'a str,
    /// Our issuer, compared byte by byte.
    pub issuer: &'a str,
    /// The present moment.
    pub now: Timestamp,
}

/// What an object says of itself and of its client, each absent or valid.
#[derive(Deserialize)]
struct Raw {
    #[serde(default, deserialize_with = "present")]
    iss: Option<String>,
    #[serde(default, deserialize_with = "present")]
    client_id: Option<String>,
    #[serde(default, deserialize_with = "present")]
    aud: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    exp: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    iat: Option<NumericDate>,
}

/// The parameters that a client signed, after everything about the object was checked.
pub fn read(
    object: &str,
    keys: &KeySet,
    expect: &Expect<'_>,
) -> Result<Form<'static>, RequestObjectError> {
    let token = Unverified::parse(object, json::TOKEN)?;
    let header = token.header();
    if !ALGORITHMS.contains(&header.alg) {
        return Err(RequestObjectError::AlgNotAllowed);
    }
    if !header.typ_is(TYP) {
        return Err(RequestObjectError::TypMismatch);
    }
    token.check_by(keys)?;
    let raw: Raw = token.untrusted_claims(json::TOKEN)?;
    require_claims(&raw, expect)?;
    let members: Map<String, Value> = token.untrusted_claims(json::TOKEN)?;
    if FOREIGN.iter().any(|name| members.contains_key(*name)) {
        return Err(RequestObjectError::Foreign);
    }
    parameters(members)
}

/// Holds what the object says of itself against what is expected.
fn require_claims(raw: &Raw, expect: &Expect<'_>) -> Result<(), RequestObjectError> {
    let missing = RequestObjectError::ClaimMissing;
    let iss = raw.iss.as_deref().ok_or(missing("iss"))?;
    let client = raw.client_id.as_deref().ok_or(missing("client_id"))?;
    if iss != expect.client || client != expect.client {
        return Err(RequestObjectError::WrongClient);
    }
    let audience = raw.aud.as_ref().ok_or(missing("aud"))?;
    if !is_alone(audience, expect.issuer) {
        return Err(RequestObjectError::WrongAudience);
    }
    let at = |date: Option<NumericDate>| date.map(|date| Timestamp::from_secs(date.0));
    let end = at(raw.exp).ok_or(missing("exp"))?;
    let start = at(raw.nbf).ok_or(missing("nbf"))?;
    let now = expect.now;
    if end.after(BEHIND) <= now || start.after(LIFETIME) <= now {
        return Err(RequestObjectError::Expired);
    }
    if start > now.after(AHEAD) || at(raw.iat).is_some_and(|made| made > now.after(AHEAD)) {
        return Err(RequestObjectError::NotYetValid);
    }
    if start > end {
        return Err(RequestObjectError::Malformed);
    }
    if end > start.after(LIFETIME) {
        return Err(RequestObjectError::TooLong);
    }
    Ok(())
}

/// The members that are parameters, as the texts that a form would have.
fn parameters(members: Map<String, Value>) -> Result<Form<'static>, RequestObjectError> {
    let mut pairs = Vec::with_capacity(members.len());
    for (name, value) in members {
        if ABOUT_ITSELF.contains(&&*name) {
            continue;
        }
        let text = match value {
            Value::String(text) => text,
            // RFC 8707 2 lets `resource` be a list here; a token of ours has one audience.
            Value::Array(mut all) if name == "resource" && all.len() == 1 => match all.pop() {
                Some(Value::String(text)) => text,
                Some(_) | None => return Err(RequestObjectError::Malformed),
            },
            Value::Null => return Err(RequestObjectError::Malformed),
            value => value.to_string(),
        };
        pairs.push((name, text));
    }
    Ok(Form::of_pairs(pairs)?)
}

#[cfg(test)]
mod tests;
