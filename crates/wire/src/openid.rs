//! Tokens by which an OpenID provider says who signed in with it, and who signed out.
//!
//! Both are made of [`Verified`]: what the provider signed with a key of its own. What is in them is checked here.

use chancery_model::time::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::claim::NumericDate;
use crate::json::{self, JsonError};
use crate::jws::Verified;

pub mod exchange;
pub mod id_token;
pub mod logout_token;

/// Why a token of a provider was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenIdError {
    /// A claim of the wrong form.
    #[error("the token is malformed")]
    Malformed,
    /// A token of another kind.
    #[error("the token is of another kind")]
    TypMismatch,
    /// A required claim is absent.
    #[error("the token lacks the claim `{0}`")]
    ClaimMissing(&'static str),
    /// By another issuer.
    #[error("the token's `iss` is another issuer")]
    WrongIssuer,
    /// For another client.
    #[error("the token is for another client")]
    WrongAudience,
    /// Ended.
    #[error("the token has expired")]
    Expired,
    /// Issued in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Not an answer to what this browser asked.
    #[error("the token's `nonce` is another")]
    NonceMismatch,
    /// It does not say when the person signed in, though that was asked.
    #[error("the token does not say when the person signed in")]
    AuthTimeMissing,
    /// The person signed in before it was asked.
    #[error("the person did not sign in anew")]
    SignedInBefore,
    /// The access token beside it is another.
    #[error("the token belongs to another access token")]
    AccessTokenMismatch,
}

impl OpenIdError {
    /// A stable code for the record and for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TypMismatch => "typ_mismatch",
            Self::ClaimMissing(_) => "claim_missing",
            Self::WrongIssuer => "wrong_issuer",
            Self::WrongAudience => "wrong_audience",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::NonceMismatch => "nonce_mismatch",
            Self::AuthTimeMissing => "auth_time_missing",
            Self::SignedInBefore => "signed_in_before",
            Self::AccessTokenMismatch => "access_token_mismatch",
        }
    }
}

impl From<JsonError> for OpenIdError {
    fn from(_: JsonError) -> Self {
        Self::Malformed
    }
}

/// Requires that a token is of the kind `typ`, as it says; one that does not say may be.
fn require_typ(token: &Verified, typ: &str) -> Result<(), OpenIdError> {
    let header = token.header();
    let is_plain = header.typ.is_none() || header.typ_is("JWT");
    if is_plain || header.typ_is(typ) {
        Ok(())
    } else {
        Err(OpenIdError::TypMismatch)
    }
}

/// Requires that the audience is `client_id`. Where others stand beside it, `azp` must say that the token was made for us;
/// where `azp` stands, it must say so anyway (OpenID Connect Core 1.0 §3.1.3.7, FED-01).
fn require_audience(
    audience: &Audience,
    azp: Option<&str>,
    client_id: &str,
) -> Result<(), OpenIdError> {
    let (is_among, is_alone) = match audience {
        Audience::One(one) => (one == client_id, true),
        Audience::Many(many) => (many.iter().any(|one| one == client_id), many.len() == 1),
    };
    let is_for_us = match azp {
        Some(azp) => azp == client_id,
        None => is_alone,
    };
    if is_among && is_for_us {
        Ok(())
    } else {
        Err(OpenIdError::WrongAudience)
    }
}

/// `aud`: a text, or a list of texts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// How long a text may be that a provider calls a person or a session by (OpenID Connect Core 1.0 §2).
const LONGEST_NAME: usize = 255;

/// Requires that a text may stand for a person or a session.
fn require_name(name: &str) -> Result<(), OpenIdError> {
    let is_legal = (1..=LONGEST_NAME).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_graphic() || byte == b' ');
    is_legal.then_some(()).ok_or(OpenIdError::Malformed)
}

/// All claims of a token.
fn claims(token: &Verified) -> Result<Map<String, Value>, OpenIdError> {
    Ok(token.claims(json::TOKEN)?)
}

/// A claim that may be absent but, when present, must be a text.
fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, OpenIdError> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(OpenIdError::Malformed),
    }
}

/// A claim that may be absent but, when present, must be a date.
fn date(claims: &Map<String, Value>, name: &str) -> Result<Option<Timestamp>, OpenIdError> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let date = NumericDate::deserialize(value).map_err(|_| OpenIdError::Malformed)?;
    Ok(Some(Timestamp::from_secs(date.0)))
}

/// The audience, which is required.
fn audience(claims: &Map<String, Value>) -> Result<Audience, OpenIdError> {
    let value = claims.get("aud").ok_or(OpenIdError::ClaimMissing("aud"))?;
    Audience::deserialize(value).map_err(|_| OpenIdError::Malformed)
}

#[cfg(test)]
mod tests;
