//! Access tokens (RFC 9068): what the authority signs, and what a resource server or the gateway
//! checks.
//!
//! A token names exactly one audience and is bound to a key by `cnf`. [`verify`] returns another
//! type than it takes; its checks run in the order of RFC 9068 section 4, and each refusal has a
//! stable code. After signing, [`review`] reads the token back before it is let go.

use std::time::Duration;

use chancery_model::digest::Digest;
use chancery_model::id::{AgentId, ClientId, GrantId, OwnerId, TokenId, names_public_client};
use chancery_model::time::Timestamp;
use chancery_model::tool_call::ToolCalls;
use serde::{Deserialize, Serialize};

use crate::certificate::PeerCertificate;
use crate::claim::{NumericDate, present};
use crate::json::{self, JsonError};
use crate::jwk::{PrivateKey, PublicKey};
use crate::jws::{self, JwsError, Unverified};
use crate::oauth::ErrorCode;

/// The `typ` of an access token.
pub const TYP: &str = "at+jwt";

/// How long after its end a token still passes, for clocks that differ.
pub const EXP_LEEWAY: Duration = Duration::from_secs(5);

/// How far ahead of ours the issuer's clock may be.
pub const IAT_LEEWAY: Duration = Duration::from_secs(10);

/// What a token says. The order of the members is the order in which they are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Claims {
    /// The authority that issued it.
    pub iss: String,
    /// On whose behalf: the agent itself, or the person who delegated to it.
    pub sub: String,
    /// The one resource that it is for.
    pub aud: String,
    /// Who fetched it: the agent itself, or the public client that it is of.
    pub client_id: String,
    /// When it was issued, in seconds since the epoch.
    pub iat: i64,
    /// When it ends, in seconds since the epoch.
    pub exp: i64,
    /// Its name.
    pub jti: TokenId,
    /// What it is for, as a list with spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The tool calls that it is limited to (RFC 9396 9.1); none when it is not limited in this way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_details: Option<ToolCalls>,
    /// The key that its holder must prove; without it, whoever holds it may use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Cnf>,
    /// When the subject signed in, where that is known, in seconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    /// How surely it was the subject who signed in, where that is known (RFC 9470 6.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// Who acts, when that is not the subject (RFC 8693).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<Act>,
    /// What the subject let the actor do, of which the token came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant_id: Option<GrantId>,
    /// Which agent, in which version, under whose answerability.
    #[serde(rename = "chancery.agent", skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentClaims>,
}

/// Who acts on behalf of the subject (RFC 8693 4.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Act {
    /// The agent.
    pub sub: String,
    /// The authority that knows it by that name.
    pub iss: String,
}

/// Whose authority an agent acts by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acting {
    /// The holder acts for itself.
    Autonomous,
    /// The agent acts for a person.
    Delegated {
        /// The person.
        subject: OwnerId,
        /// What that person let it do.
        grant: GrantId,
    },
}

/// The token names a subject, an actor and a grant that do not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token does not say on whose behalf it is")]
pub struct Muddled;

impl Claims {
    /// Whose token it is: the one answer, for whoever looks its holder up. Who acts on behalf of a person is named by
    /// `act`, since a public client is known by a name of its own; everybody else by `client_id`.
    pub fn holder(&self) -> Option<ClientId> {
        let name = self.act.as_ref().map_or(&self.client_id, |act| &act.sub);
        name.parse().ok()
    }

    /// The agent whose token it is.
    pub fn agent_id(&self) -> Option<AgentId> {
        match self.holder()? {
            ClientId::Agent(id) => Some(id),
            ClientId::Resource(_) => None,
        }
    }

    /// Whose authority the holder acts by. A token that says half of it is for nobody.
    pub fn acting(&self) -> Result<Acting, Muddled> {
        match (&self.act, self.grant_id) {
            (None, None) if self.sub == self.client_id => Ok(Acting::Autonomous),
            (Some(act), Some(grant)) if self.is_of_client(act) && act.iss == self.iss => {
                let subject = self.sub.parse().map_err(|_| Muddled)?;
                Ok(Acting::Delegated { subject, grant })
            }
            (None | Some(_), None | Some(_)) => Err(Muddled),
        }
    }

    /// Whether the client is the actor, or a public one; whether the actor is of that client, the
    /// registry knows.
    fn is_of_client(&self, act: &Act) -> bool {
        let is_foreign = || names_public_client(&self.client_id);
        act.sub == self.client_id || act.sub.parse::<AgentId>().is_ok() && is_foreign()
    }
}

/// The confirmation of RFC 7800: what the holder of a token must prove to hold, all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cnf {
    /// The thumbprint of a key, which a DPoP proof must be of (RFC 9449 6.1).
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub jkt: Option<String>,
    /// The SHA-256 of a certificate, which the connection must have been opened with (RFC 8705 3.1).
    #[serde(
        default,
        rename = "x5t#S256",
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub x5t: Option<String>,
}

impl Cnf {
    /// What was proved, if anything was.
    pub fn of(jkt: Option<&str>, x5t: Option<&str>) -> Option<Self> {
        (jkt.is_some() || x5t.is_some()).then(|| Self {
            jkt: jkt.map(str::to_owned),
            x5t: x5t.map(str::to_owned),
        })
    }

    /// A confirmation that confirms nothing known here is not one: the token would pass as unbound.
    fn require_any(self) -> Result<Self, TokenError> {
        match (&self.jkt, &self.x5t) {
            (None, None) => Err(TokenError::Malformed),
            (Some(_), _) | (_, Some(_)) => Ok(self),
        }
    }
}

/// What a token says about the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentClaims {
    /// The agent, when the subject is somebody else.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub id: Option<AgentId>,
    /// The running copy.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub instance: Option<String>,
    /// The digest of the identity document in force.
    pub version: Digest,
    /// The agent's last stop as the issuer knew it: once there is a later one, the token is void.
    pub epoch: i64,
    /// The person or team that answers for the agent.
    pub owner: String,
    /// The agent's name.
    pub name: String,
    /// The model that it thinks with.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub model: Option<String>,
}

/// Claims as they are read, each absent or valid.
#[derive(Deserialize)]
struct Raw {
    #[serde(default, deserialize_with = "present")]
    iss: Option<String>,
    #[serde(default, deserialize_with = "present")]
    sub: Option<String>,
    #[serde(default, deserialize_with = "present")]
    aud: Option<String>,
    #[serde(default, deserialize_with = "present")]
    client_id: Option<String>,
    #[serde(default, deserialize_with = "present")]
    iat: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    exp: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    jti: Option<TokenId>,
    #[serde(default, deserialize_with = "present")]
    scope: Option<String>,
    #[serde(default, deserialize_with = "present")]
    authorization_details: Option<ToolCalls>,
    #[serde(default, deserialize_with = "present")]
    cnf: Option<Cnf>,
    #[serde(default, deserialize_with = "present")]
    auth_time: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    acr: Option<String>,
    #[serde(default, deserialize_with = "present")]
    act: Option<Act>,
    #[serde(default, deserialize_with = "present")]
    grant_id: Option<GrantId>,
    #[serde(default, rename = "chancery.agent", deserialize_with = "present")]
    agent: Option<AgentClaims>,
}

/// Why a token was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// More bytes than a token may have.
    #[error("the token is too large")]
    TooLarge,
    /// Not a compact JWS, or a claim of the wrong form.
    #[error("the token is malformed")]
    Malformed,
    /// The algorithm does not exist here, or is not the key's.
    #[error("the token's algorithm is not allowed")]
    AlgNotAllowed,
    /// Not an access token.
    #[error("the token is of another kind")]
    TypMismatch,
    /// Signed by a key that the issuer does not have.
    #[error("the token names no known key")]
    UnknownKey,
    /// The signature does not verify.
    #[error("the token's signature does not verify")]
    BadSignature,
    /// Another issuer.
    #[error("the token is from another issuer")]
    WrongIssuer,
    /// For another resource.
    #[error("the token is for another audience")]
    WrongAudience,
    /// Ended.
    #[error("the token has expired")]
    Expired,
    /// Issued in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// A required claim is absent.
    #[error("the token lacks the claim `{0}`")]
    ClaimMissing(&'static str),
    /// Bound to a certificate, and the connection was opened without one.
    #[error("the token is bound to a certificate, and the connection has none")]
    CertificateMissing,
    /// Bound to another certificate than the connection was opened with.
    #[error("the token is bound to another certificate")]
    CertificateMismatch,
}

impl TokenError {
    /// A stable code for the record and for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::AlgNotAllowed => "alg_not_allowed",
            Self::TypMismatch => "typ_mismatch",
            Self::UnknownKey => "unknown_key",
            Self::BadSignature => "bad_signature",
            Self::WrongIssuer => "wrong_issuer",
            Self::WrongAudience => "wrong_audience",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::ClaimMissing(_) => "claim_missing",
            Self::CertificateMissing => "certificate_missing",
            Self::CertificateMismatch => "certificate_mismatch",
        }
    }

    /// What the caller is told: the same for every reason (RFC 6750 3.1).
    pub fn error_code(self) -> ErrorCode {
        ErrorCode::InvalidToken
    }
}

impl From<JwsError> for TokenError {
    fn from(error: JwsError) -> Self {
        match error {
            JwsError::TooLarge => Self::TooLarge,
            JwsError::Malformed | JwsError::CriticalHeader | JwsError::InvalidKid => {
                Self::Malformed
            }
            JwsError::AlgNotAllowed => Self::AlgNotAllowed,
            JwsError::BadSignature => Self::BadSignature,
        }
    }
}

impl From<JsonError> for TokenError {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::TooLarge => Self::TooLarge,
            JsonError::TooDeep
            | JsonError::DuplicateMember
            | JsonError::NotJson
            | JsonError::NotIJson
            | JsonError::Shape(_) => Self::Malformed,
        }
    }
}

/// Signs `claims`; equal claims give equal bytes under the signature.
pub fn sign(claims: &Claims, key: &PrivateKey) -> String {
    // Claims are strings, integers and JSON values: nothing that JSON cannot write.
    let claims = serde_json::to_vec(claims).expect("claims are JSON");
    jws::sign(key, TYP, &claims)
}

/// What was signed is not what should have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signed token does not say what it should")]
pub struct ReviewFailed;

/// Reads back what was signed and compares it with what should have been, before it is let go.
/// Does not check the signature.
pub fn review(token: &str, claims: &Claims) -> Result<(), ReviewFailed> {
    let unverified = Unverified::parse(token, json::TOKEN).map_err(|_| ReviewFailed)?;
    let raw: Raw = unverified
        .untrusted_claims(json::TOKEN)
        .map_err(|_| ReviewFailed)?;
    let says = raw.into_claims().map_err(|_| ReviewFailed)?;
    if !unverified.header().typ_is(TYP) || says != *claims {
        return Err(ReviewFailed);
    }
    Ok(())
}

/// What a verifier expects.
#[derive(Debug, Clone, Copy)]
pub struct Expect<'a> {
    /// The issuer, compared byte by byte (JWT-19).
    pub issuer: &'a str,
    /// The resource that asks, compared byte by byte (JWT-17). `None` is for the issuer alone, which
    /// introspects and revokes tokens for every audience: a resource server always has one (JWT-18).
    pub audience: Option<&'a str>,
    /// The present moment.
    pub now: Timestamp,
}

/// A token that was checked: from the issuer, for the audience, in its time.
#[derive(Debug, Clone)]
pub struct VerifiedAccessToken {
    claims: Claims,
    signed_by: PublicKey,
}

impl VerifiedAccessToken {
    /// What it says.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Takes what it says.
    pub fn into_claims(self) -> Claims {
        self.claims
    }

    /// Whether what was verified before would verify again by `issuer` and `keys`: what is remembered of a
    /// token stands only as long as the key that signed it.
    pub fn is_still_signed(&self, issuer: &str, keys: &[PublicKey]) -> bool {
        self.claims.iss == issuer && keys.contains(&self.signed_by)
    }

    /// The thumbprint of the key that the holder must prove; the token decides whether it is bound,
    /// never the scheme that it came with (DPOP-01).
    pub fn bound_jkt(&self) -> Option<&str> {
        self.claims.cnf.as_ref()?.jkt.as_deref()
    }

    /// Whether the holder must prove anything beside having the token.
    pub fn is_bound(&self) -> bool {
        self.claims.cnf.is_some()
    }

    /// Requires that the connection was opened with the certificate that the token is bound to, if it is bound to one
    /// (RFC 8705 3): the one rule, wherever a token is taken.
    pub fn require_certificate(&self, peer: Option<&PeerCertificate>) -> Result<(), TokenError> {
        let bound = self.claims.cnf.as_ref().and_then(|cnf| cnf.x5t.as_deref());
        match (bound, peer) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(TokenError::CertificateMissing),
            (Some(bound), Some(peer)) if bound == peer.thumbprint() => Ok(()),
            (Some(_), Some(_)) => Err(TokenError::CertificateMismatch),
        }
    }

    /// When it ends.
    pub fn expires_at(&self) -> Timestamp {
        Timestamp::from_secs(self.claims.exp)
    }

    /// The scopes that it carries.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.claims
            .scope
            .as_deref()
            .unwrap_or("")
            .split_ascii_whitespace()
    }
}

/// Checks a token against the keys of its issuer.
pub fn verify(
    token: &str,
    keys: &[PublicKey],
    expect: &Expect<'_>,
) -> Result<VerifiedAccessToken, TokenError> {
    let unverified = Unverified::parse(token, json::TOKEN)?;
    // RFC 9068 4, in its order.
    if !unverified.header().typ_is(TYP) {
        return Err(TokenError::TypMismatch);
    }
    let raw: Raw = unverified.untrusted_claims(json::TOKEN)?;
    if raw.iss.as_deref().ok_or(TokenError::ClaimMissing("iss"))? != expect.issuer {
        return Err(TokenError::WrongIssuer);
    }
    let audience = raw.aud.as_deref().ok_or(TokenError::ClaimMissing("aud"))?;
    if expect.audience.is_some_and(|own| own != audience) {
        return Err(TokenError::WrongAudience);
    }
    let kid = unverified.header().kid.as_deref();
    let key = keys
        .iter()
        .find(|key| kid == Some(key.thumbprint()))
        .ok_or(TokenError::UnknownKey)?;
    unverified.verify(key)?;
    let not_before = raw.nbf;
    let claims = raw.into_claims()?;
    if Timestamp::from_secs(claims.exp).after(EXP_LEEWAY) <= expect.now {
        return Err(TokenError::Expired);
    }
    let horizon = expect.now.after(IAT_LEEWAY);
    let starts = [Some(NumericDate(claims.iat)), not_before];
    if starts
        .iter()
        .flatten()
        .any(|start| Timestamp::from_secs(start.0) > horizon)
    {
        return Err(TokenError::NotYetValid);
    }
    Ok(VerifiedAccessToken {
        claims,
        signed_by: key.clone(),
    })
}

impl Raw {
    fn into_claims(self) -> Result<Claims, TokenError> {
        let missing = TokenError::ClaimMissing;
        Ok(Claims {
            iss: self.iss.ok_or(missing("iss"))?,
            sub: self.sub.ok_or(missing("sub"))?,
            aud: self.aud.ok_or(missing("aud"))?,
            client_id: self.client_id.ok_or(missing("client_id"))?,
            iat: self.iat.ok_or(missing("iat"))?.0,
            exp: self.exp.ok_or(missing("exp"))?.0,
            jti: self.jti.ok_or(missing("jti"))?,
            scope: self.scope,
            authorization_details: self.authorization_details,
            cnf: self.cnf.map(Cnf::require_any).transpose()?,
            auth_time: self.auth_time.map(|at| at.0),
            acr: self.acr,
            act: self.act,
            grant_id: self.grant_id,
            agent: self.agent,
        })
    }
}

#[cfg(test)]
mod tests;
