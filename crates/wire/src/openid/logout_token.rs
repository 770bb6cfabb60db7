//! Logout tokens (OpenID Connect Back-Channel Logout 1.0 §2.4, §2.6).

use std::time::Duration;

use chancery_model::digest::Digest;
use chancery_model::time::Timestamp;

use super::{
    OpenIdError, audience, claims, date, require_audience, require_name, require_typ, text,
};
use crate::claim::AHEAD;
use crate::hash;
use crate::jws::Verified;

/// The kind of token that these say they are.
pub const TYP: &str = "logout+jwt";
/// The member of `events` that makes a token one of these.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// How old a token may be, whatever its end: its name is remembered for as long.
const LIFETIME: Duration = Duration::from_secs(300);

/// Whom a token is expected from, and for whom.
#[derive(Debug, Clone, Copy)]
pub struct Expect<'a> {
    /// The provider, compared byte by byte.
    pub issuer: &'a str,
    /// What the provider calls us.
    pub client_id: &'a str,
    /// The present moment.
    pub now: Timestamp,
}

/// Who signed out at a provider, as it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogoutToken {
    /// What the provider calls the person; there is at least one of this and the next.
    pub subject: Option<String>,
    /// What the provider calls the session that ended.
    pub session: Option<String>,
    /// Names this token among all that were used: it may be used once.
    pub jti_hash: Digest,
    /// Until when its name must be remembered: from then on it would be refused by its time.
    pub expires_at: Timestamp,
}

impl LogoutToken {
    /// Checks what a provider signed.
    pub fn of(token: &Verified, expect: &Expect<'_>) -> Result<Self, OpenIdError> {
        require_typ(token, TYP)?;
        let claims = claims(token)?;
        let missing = OpenIdError::ClaimMissing;
        if text(&claims, "iss")?.ok_or(missing("iss"))? != expect.issuer {
            return Err(OpenIdError::WrongIssuer);
        }
        require_audience(&audience(&claims)?, None, expect.client_id)?;
        let exp = date(&claims, "exp")?.ok_or(missing("exp"))?;
        let iat = date(&claims, "iat")?.ok_or(missing("iat"))?;
        let end = exp.min(iat.after(LIFETIME)).after(AHEAD);
        if end <= expect.now {
            return Err(OpenIdError::Expired);
        }
        if iat > expect.now.after(AHEAD) {
            return Err(OpenIdError::NotYetValid);
        }
        // An ID token has no such member, so none passes for one of these; and one of these must not pass for an ID token.
        let events = claims.get("events").ok_or(missing("events"))?;
        if !events.get(EVENT).is_some_and(serde_json::Value::is_object) {
            return Err(OpenIdError::TypMismatch);
        }
        if claims.contains_key("nonce") {
            return Err(OpenIdError::TypMismatch);
        }
        let jti = text(&claims, "jti")?.ok_or(missing("jti"))?;
        require_name(jti)?;
        let (subject, session) = (text(&claims, "sub")?, text(&claims, "sid")?);
        for name in subject.iter().chain(&session) {
            require_name(name)?;
        }
        if subject.or(session).is_none() {
            return Err(missing("sub"));
        }
        Ok(Self {
            subject: subject.map(str::to_owned),
            session: session.map(str::to_owned),
            jti_hash: hash::sha256_for("logout_token", &[expect.issuer, jti]),
            expires_at: end,
        })
    }
}
