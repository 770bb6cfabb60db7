//! ID tokens (OpenID Connect Core 1.0 §2, §3.1.3.7).

use std::time::Duration;

use chancery_model::time::Timestamp;
use serde_json::{Map, Value};

use super::{
    OpenIdError, audience, claims, date, require_audience, require_name, require_typ, text,
};
use crate::claim::{AHEAD, BEHIND};
use crate::hash;
use crate::jws::Verified;

/// How old a token may be that answers a browser which was sent there just now.
const OLDEST: Duration = Duration::from_secs(600);

/// What was asked, and of whom.
#[derive(Debug, Clone, Copy)]
pub struct Expect<'a> {
    /// The provider, compared byte by byte.
    pub issuer: &'a str,
    /// What the provider calls us.
    pub client_id: &'a str,
    /// What this browser was sent there with.
    pub nonce: &'a str,
    /// The access token that came with it.
    pub access_token: Option<&'a str>,
    /// When a new sign-in was asked for, where one was.
    pub signed_in_since: Option<Timestamp>,
    /// The present moment.
    pub now: Timestamp,
}

/// Who signed in with a provider, as it says.
#[derive(Debug, Clone)]
pub struct IdToken {
    subject: String,
    auth_time: Option<Timestamp>,
    session: Option<String>,
    claims: Map<String, Value>,
}

impl IdToken {
    /// Checks what a provider signed.
    pub fn of(token: &Verified, expect: &Expect<'_>) -> Result<Self, OpenIdError> {
        // Any other kind of token of the same provider is none (JWT-13).
        require_typ(token, "JWT")?;
        let claims = claims(token)?;
        let missing = OpenIdError::ClaimMissing;
        if text(&claims, "iss")?.ok_or(missing("iss"))? != expect.issuer {
            return Err(OpenIdError::WrongIssuer);
        }
        let audience = audience(&claims)?;
        require_audience(&audience, text(&claims, "azp")?, expect.client_id)?;
        let exp = date(&claims, "exp")?.ok_or(missing("exp"))?;
        let iat = date(&claims, "iat")?.ok_or(missing("iat"))?;
        if exp.after(BEHIND) <= expect.now || iat.after(OLDEST) <= expect.now {
            return Err(OpenIdError::Expired);
        }
        let nbf = date(&claims, "nbf")?.unwrap_or(iat);
        if iat.max(nbf) > expect.now.after(AHEAD) {
            return Err(OpenIdError::NotYetValid);
        }
        let nonce = text(&claims, "nonce")?.ok_or(missing("nonce"))?;
        if !hash::equal(nonce.as_bytes(), expect.nonce.as_bytes()) {
            return Err(OpenIdError::NonceMismatch);
        }
        let auth_time = date(&claims, "auth_time")?;
        if let Some(since) = expect.signed_in_since {
            let at = auth_time.ok_or(OpenIdError::AuthTimeMissing)?;
            // Whole seconds, by another clock.
            if at.after(AHEAD) < since {
                return Err(OpenIdError::SignedInBefore);
            }
        }
        if let (Some(hash), Some(token_beside)) = (text(&claims, "at_hash")?, expect.access_token) {
            let alg = token.header().alg;
            let own = hash::left_half_base64url(alg, token_beside.as_bytes());
            if !hash::equal(hash.as_bytes(), own.as_bytes()) {
                return Err(OpenIdError::AccessTokenMismatch);
            }
        }
        let subject = text(&claims, "sub")?.ok_or(missing("sub"))?;
        require_name(subject)?;
        let session = text(&claims, "sid")?;
        session.map(require_name).transpose()?;
        Ok(Self {
            subject: subject.to_owned(),
            // A provider whose clock is ahead makes no sign-in newer than now.
            auth_time: auth_time.map(|at| at.min(expect.now)),
            session: session.map(str::to_owned),
            claims,
        })
    }

    /// What the provider calls the person: never another one's, and never to be taken for that of another provider.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// When the person signed in there, as far as it says.
    pub fn auth_time(&self) -> Option<Timestamp> {
        self.auth_time
    }

    /// What the provider calls the session in which the person is there.
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// All that it says of the person.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }
}
