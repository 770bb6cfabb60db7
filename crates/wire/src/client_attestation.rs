//! Client attestations (draft-ietf-oauth-attestation-based-client-auth-11): somebody whom the operator trusts says which key
//! a running copy of a client has, and the copy proves that it has it.
//!
//! The attestation is no secret and is of use until it ends. What goes with it is of use once: a proof of its own
//! ([`VerifiedAttestation::prove`]), or a DPoP proof by the same key ([`VerifiedAttestation::instance`]).

use std::time::Duration;

use chancery_model::digest::Digest;
use chancery_model::id::ClientId;
use chancery_model::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::claim::{AHEAD, BEHIND, NumericDate, present};
use crate::json;
use crate::jwk::{Algorithm, JwkError, KeySet, PrivateKey, PublicKey};
use crate::jws::{self, Unverified, signer_is_named, unreadable_is_malformed};
use crate::nonce::NonceError;
use crate::{hash, oauth};

/// The `typ` of an attestation.
pub const TYP: &str = "oauth-client-attestation+jwt";

/// The `typ` of the proof that goes with one.
pub const POP_TYP: &str = "oauth-client-attestation-pop+jwt";

/// The header field of an attestation.
pub const HEADER: &str = "oauth-client-attestation";

/// The header field of its proof.
pub const POP_HEADER: &str = "oauth-client-attestation-pop";

/// The header field of an answer that gives the challenge for the next proof (section 6.2).
pub const CHALLENGE_HEADER: &str = "oauth-client-attestation-challenge";

/// The algorithms that attesters and running copies sign with.
pub const ALGORITHMS: [Algorithm; 3] = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Ps256];

/// How long an attestation is of use at most, from when it was made.
pub const LIFETIME: Duration = Duration::from_secs(24 * 3_600);

/// How old a proof may be.
const WINDOW: Duration = Duration::from_secs(60);

/// Why an attestation or its proof was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttestationError {
    /// Not a compact JWS, or a claim of the wrong form.
    #[error("the client attestation is malformed")]
    Malformed,
    /// The algorithm is none that attesters sign with.
    #[error("the client attestation's algorithm is not allowed")]
    AlgNotAllowed,
    /// A token of another kind.
    #[error("the client attestation is a token of another kind")]
    TypMismatch,
    /// A required claim is absent.
    #[error("the client attestation lacks the claim `{0}`")]
    ClaimMissing(&'static str),
    /// Of another issuer than the attester says that it is.
    #[error("the client attestation is of another issuer")]
    WrongIssuer,
    /// No key of the attester fits.
    #[error("the client attestation names no key of the attester")]
    UnknownKey,
    /// The signature does not verify.
    #[error("the client attestation's signature does not verify")]
    BadSignature,
    /// The key in it is private, or none that is taken here.
    #[error("the key in the client attestation is refused")]
    KeyRefused,
    /// Ended, or made too long ago.
    #[error("the client attestation is not fresh enough")]
    Stale,
    /// Made in the future.
    #[error("the client attestation is not valid yet")]
    NotYetValid,
    /// The proof is not a compact JWS, or has a claim of the wrong form.
    #[error("the proof of the client attestation is malformed")]
    ProofMalformed,
    /// The proof is a token of another kind.
    #[error("the proof of the client attestation is a token of another kind")]
    ProofTypMismatch,
    /// A claim that the proof needs is absent.
    #[error("the proof of the client attestation lacks the claim `{0}`")]
    ProofClaimMissing(&'static str),
    /// The audience of the proof is not our issuer, alone.
    #[error("the proof's `aud` must be the issuer, as a string")]
    ProofWrongAudience,
    /// The proof is not signed by the key in the attestation.
    #[error("the proof is not by the key in the client attestation")]
    ProofBadSignature,
    /// The proof is too old.
    #[error("the proof of the client attestation has expired")]
    ProofExpired,
    /// The proof was made in the future.
    #[error("the proof of the client attestation is not valid yet")]
    ProofNotYetValid,
    /// The proof has no challenge of ours, or an old one.
    #[error("the proof must carry a challenge of this server")]
    UseChallenge,
}

unreadable_is_malformed!(AttestationError);
signer_is_named!(AttestationError);

impl AttestationError {
    /// A stable code for the record and for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "attestation_malformed",
            Self::AlgNotAllowed => "attestation_alg_not_allowed",
            Self::TypMismatch => "attestation_typ_mismatch",
            Self::ClaimMissing(_) => "attestation_claim_missing",
            Self::WrongIssuer => "attestation_wrong_issuer",
            Self::UnknownKey => "attestation_unknown_key",
            Self::BadSignature => "attestation_bad_signature",
            Self::KeyRefused => "attestation_key_refused",
            Self::Stale => "attestation_stale",
            Self::NotYetValid => "attestation_not_yet_valid",
            Self::ProofMalformed => "attestation_proof_malformed",
            Self::ProofTypMismatch => "attestation_proof_typ_mismatch",
            Self::ProofClaimMissing(_) => "attestation_proof_claim_missing",
            Self::ProofWrongAudience => "attestation_proof_wrong_audience",
            Self::ProofBadSignature => "attestation_proof_bad_signature",
            Self::ProofExpired => "attestation_proof_expired",
            Self::ProofNotYetValid => "attestation_proof_not_yet_valid",
            Self::UseChallenge => "use_attestation_challenge",
        }
    }

    /// What the client is told (section 7.4): how it can do better once it is known to be attested, else nothing.
    pub fn error_code(self) -> oauth::ErrorCode {
        match self {
            Self::Stale => oauth::ErrorCode::UseFreshAttestation,
            Self::UseChallenge => oauth::ErrorCode::UseAttestationChallenge,
            Self::Malformed
            | Self::AlgNotAllowed
            | Self::TypMismatch
            | Self::ClaimMissing(_)
            | Self::WrongIssuer
            | Self::UnknownKey
            | Self::BadSignature
            | Self::KeyRefused
            | Self::NotYetValid
            | Self::ProofMalformed
            | Self::ProofTypMismatch
            | Self::ProofClaimMissing(_)
            | Self::ProofWrongAudience
            | Self::ProofBadSignature
            | Self::ProofExpired
            | Self::ProofNotYetValid => oauth::ErrorCode::InvalidClient,
        }
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
    exp: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    iat: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    cnf: Option<Confirmation>,
}

#[derive(Debug, Clone, Deserialize)]
struct Confirmation {
    jwk: Value,
}

/// The claims of a proof, as they are read.
#[derive(Debug, Clone, Deserialize)]
struct RawProof {
    #[serde(default, deserialize_with = "present")]
    aud: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    jti: Option<String>,
    #[serde(default, deserialize_with = "present")]
    iat: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    challenge: Option<String>,
}

/// An attestation that nobody has checked yet.
#[derive(Debug, Clone)]
pub struct UnverifiedAttestation<'a> {
    token: Unverified<'a>,
    raw: Raw,
    claimed: ClientId,
}

/// What is expected of an attestation.
#[derive(Debug, Clone, Copy)]
pub struct Expect<'a> {
    /// The attester's name for itself, where one is registered; an attestation must then carry it.
    pub issuer: Option<&'a str>,
    /// The present moment.
    pub now: Timestamp,
}

/// What is expected of its proof.
#[derive(Clone, Copy)]
pub struct ExpectProof<'a> {
    /// Our issuer, compared byte by byte.
    pub issuer: &'a str,
    /// The present moment.
    pub now: Timestamp,
    /// Accepts the challenges that were given out here.
    pub challenge: &'a dyn Fn(&str) -> Result<(), NonceError>,
}

/// What a trusted attester says: that a running copy of a client has this key.
#[derive(Debug, Clone)]
pub struct VerifiedAttestation {
    client_id: ClientId,
    instance: PublicKey,
}

/// A proof that was made by the key in an attestation, for us and now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedProof {
    /// Names this proof among all that were used: it may be used once.
    pub jti_hash: Digest,
    /// Until when its name must be remembered: from then on it would be refused by its time.
    pub expires_at: Timestamp,
}

impl<'a> UnverifiedAttestation<'a> {
    /// Takes an attestation apart, without trusting any of it.
    pub fn parse(attestation: &'a str) -> Result<Self, AttestationError> {
        let token = Unverified::parse(attestation, json::TOKEN)?;
        if !ALGORITHMS.contains(&token.header().alg) {
            return Err(AttestationError::AlgNotAllowed);
        }
        if !token.header().typ_is(TYP) {
            return Err(AttestationError::TypMismatch);
        }
        let raw: Raw = token.untrusted_claims(json::TOKEN)?;
        let sub = raw.sub.as_deref();
        let sub = sub.ok_or(AttestationError::ClaimMissing("sub"))?;
        let claimed = sub.parse().map_err(|_| AttestationError::Malformed)?;
        Ok(Self {
            token,
            raw,
            claimed,
        })
    }

    /// Whose copy it claims to be about: good for looking up the attester, and nothing else.
    pub fn claimed_client_id(&self) -> ClientId {
        self.claimed
    }

    /// Checks the attestation against the keys of the attester.
    pub fn verify(
        self,
        keys: &KeySet,
        expect: &Expect<'_>,
    ) -> Result<VerifiedAttestation, AttestationError> {
        let missing = AttestationError::ClaimMissing;
        self.token.check_by(keys)?;
        if expect.issuer.is_some() && self.raw.iss.as_deref() != expect.issuer {
            return Err(AttestationError::WrongIssuer);
        }
        let at = |date: NumericDate| Timestamp::from_secs(date.0);
        let exp = at(self.raw.exp.ok_or(missing("exp"))?);
        let starts = [self.raw.iat, self.raw.nbf];
        let horizon = expect.now.after(AHEAD);
        if starts
            .into_iter()
            .flatten()
            .any(|start| at(start) > horizon)
        {
            return Err(AttestationError::NotYetValid);
        }
        // One that does not say when it was made must end soon.
        let is_long = self.raw.iat.is_none() && exp > expect.now.after(LIFETIME);
        let end = match self.raw.iat {
            Some(iat) => exp.min(at(iat).after(LIFETIME)),
            None => exp,
        };
        if is_long || end.after(BEHIND) <= expect.now {
            return Err(AttestationError::Stale);
        }
        let jwk = self.raw.cnf.ok_or(missing("cnf"))?.jwk;
        Ok(VerifiedAttestation {
            client_id: self.claimed,
            instance: instance_key(&jwk).map_err(|_| AttestationError::KeyRefused)?,
        })
    }
}

/// An RSA key need not say what it is for: here there is one thing.
fn instance_key(jwk: &Value) -> Result<PublicKey, JwkError> {
    let key = match PublicKey::from_jwk(jwk) {
        Err(JwkError::AlgorithmMissing) => PublicKey::from_jwk_for(jwk, Algorithm::Ps256)?,
        parsed => parsed?,
    };
    if ALGORITHMS.contains(&key.algorithm()) {
        Ok(key)
    } else {
        Err(JwkError::AlgorithmNotAllowed)
    }
}

impl VerifiedAttestation {
    /// The client of which it is about a copy.
    pub fn client_id(&self) -> ClientId {
        self.client_id
    }

    /// The thumbprint of the key that the copy has: its name.
    pub fn instance(&self) -> &str {
        self.instance.thumbprint()
    }

    /// Checks the proof that came with the attestation (section 7.2).
    pub fn prove(
        &self,
        proof: &str,
        expect: &ExpectProof<'_>,
    ) -> Result<VerifiedProof, AttestationError> {
        let missing = AttestationError::ProofClaimMissing;
        let malformed = |_: jws::JwsError| AttestationError::ProofMalformed;
        let token = Unverified::parse(proof, json::TOKEN).map_err(malformed)?;
        if !token.header().typ_is(POP_TYP) {
            return Err(AttestationError::ProofTypMismatch);
        }
        token
            .check(&self.instance)
            .map_err(|_| AttestationError::ProofBadSignature)?;
        let raw: RawProof = token
            .untrusted_claims(json::TOKEN)
            .map_err(|_| AttestationError::ProofMalformed)?;
        let audience = raw.aud.ok_or(missing("aud"))?;
        if audience.as_str() != Some(expect.issuer) {
            return Err(AttestationError::ProofWrongAudience);
        }
        let jti = raw.jti.ok_or(missing("jti"))?;
        if !(1..=256).contains(&jti.len()) || jti.chars().any(char::is_control) {
            return Err(AttestationError::ProofMalformed);
        }
        // Its time is looked at before anybody remembers it (section 10.7).
        let iat = Timestamp::from_secs(raw.iat.ok_or(missing("iat"))?.0);
        let expires_at = iat.after(WINDOW + BEHIND);
        if expires_at <= expect.now {
            return Err(AttestationError::ProofExpired);
        }
        if iat > expect.now.after(AHEAD) {
            return Err(AttestationError::ProofNotYetValid);
        }
        let challenge = raw.challenge.ok_or(AttestationError::UseChallenge)?;
        (expect.challenge)(&challenge).map_err(|_| AttestationError::UseChallenge)?;
        Ok(VerifiedProof {
            jti_hash: hash::sha256_for("client_attestation_pop", &[self.instance(), &jti]),
            expires_at,
        })
    }
}

/// The attestation by which `attester` says that a copy of `client` has `instance`.
pub fn attest(
    client: impl Into<ClientId>,
    issuer: &str,
    instance: &PublicKey,
    now: Timestamp,
    lifetime: Duration,
    attester: &PrivateKey,
) -> String {
    let client: ClientId = client.into();
    let claims = json!({
        "iss": issuer,
        "sub": client.to_string(),
        "iat": now.as_secs(),
        "exp": now.after(lifetime).as_secs(),
        "cnf": {"jwk": instance.bare_jwk()},
    });
    jws::sign(attester, TYP, claims.to_string().as_bytes())
}

/// The proof that a copy makes for `audience`; `jti` must be fresh.
pub fn proof(
    audience: &str,
    jti: &str,
    challenge: Option<&str>,
    now: Timestamp,
    instance: &PrivateKey,
) -> String {
    let mut claims = json!({"aud": audience, "jti": jti, "iat": now.as_secs()});
    if let Some(challenge) = challenge {
        claims["challenge"] = challenge.into();
    }
    jws::sign(instance, POP_TYP, claims.to_string().as_bytes())
}

#[cfg(test)]
mod tests;
