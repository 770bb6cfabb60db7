//! JSON Web Signatures in the compact form, the only one that exists here (JWT-12).
//!
//! The algorithm is checked against the allow-list before anything else of a token is looked at
//! (JWT-01, JWT-02). Keys never come from a header: `jku`, `x5u` and `x5c` are not read at all, and
//! `jwk` is handed on for DPoP, which compares it and does not trust it (JWT-04, JWT-05).

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use crate::claim::present;
use crate::json::{self, JsonError, Limits};
use crate::jwk::{Algorithm, KeySet, PrivateKey, PublicKey};
use crate::{base64url, jwk};

/// What a header says, after the checks that every header must pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// The algorithm; one that exists here.
    pub alg: Algorithm,
    /// The kind of token.
    pub typ: Option<String>,
    /// The name of the key; at most 256 bytes and without control characters.
    pub kid: Option<String>,
    /// A key that came with the token: trusted by nobody.
    pub jwk: Option<Value>,
}

impl Header {
    /// Whether `typ` is this media type; `application/` may stand before it, and letter case does
    /// not count (RFC 7515 4.1.9).
    pub fn typ_is(&self, typ: &str) -> bool {
        let Some(own) = self.typ.as_deref() else {
            return false;
        };
        let prefix = "application/";
        let short = match own.get(..prefix.len()) {
            Some(start) if start.eq_ignore_ascii_case(prefix) => &own[prefix.len()..],
            _ => own,
        };
        short.eq_ignore_ascii_case(typ)
    }
}

/// Why a token was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// More bytes than the limit.
    #[error("the token is too large")]
    TooLarge,
    /// Not three parts of base64url with a JSON object as header.
    #[error("not a compact JWS")]
    Malformed,
    /// The algorithm does not exist here, or is not the key's.
    #[error("the algorithm is not allowed")]
    AlgNotAllowed,
    /// The header demands an extension, and we know none.
    #[error("the header has critical members that are not understood")]
    CriticalHeader,
    /// `kid` is too long or has control characters.
    #[error("the key's name is malformed")]
    InvalidKid,
    /// The signature does not verify.
    #[error("the signature does not verify")]
    BadSignature,
}

impl From<jwk::BadSignature> for JwsError {
    fn from(_: jwk::BadSignature) -> Self {
        Self::BadSignature
    }
}

/// What the readers of tokens say of one that they cannot read: one thing, whether it is too large or of the wrong form.
macro_rules! unreadable_is_malformed {
    ($error:ident) => {
        impl From<$crate::jws::JwsError> for $error {
            fn from(error: $crate::jws::JwsError) -> Self {
                use $crate::jws::JwsError;
                match error {
                    JwsError::TooLarge
                    | JwsError::Malformed
                    | JwsError::CriticalHeader
                    | JwsError::InvalidKid => Self::Malformed,
                    JwsError::AlgNotAllowed => Self::AlgNotAllowed,
                    JwsError::BadSignature => Self::BadSignature,
                }
            }
        }

        impl From<$crate::json::JsonError> for $error {
            fn from(_: $crate::json::JsonError) -> Self {
                Self::Malformed
            }
        }
    };
}
pub(crate) use unreadable_is_malformed;

/// What they say of one that was signed by nobody who is registered.
macro_rules! signer_is_named {
    ($error:ident) => {
        impl From<$crate::jws::NotSigned> for $error {
            fn from(error: $crate::jws::NotSigned) -> Self {
                match error {
                    $crate::jws::NotSigned::UnknownKey => Self::UnknownKey,
                    $crate::jws::NotSigned::BadSignature => Self::BadSignature,
                }
            }
        }
    };
}
pub(crate) use signer_is_named;

/// Why a token was not signed by whoever should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSigned {
    /// No key fits the header: there may be a new one.
    #[error("the token names no key of its signer")]
    UnknownKey,
    /// The signature does not verify.
    #[error("the token's signature does not verify")]
    BadSignature,
}

/// The parts of a token, as they were sent.
#[derive(Clone, Copy)]
pub(crate) struct Segments<'a> {
    /// The first part.
    pub(crate) header: &'a str,
    payload: &'a str,
    signing_input: &'a str,
    signature: &'a str,
}

impl<'a> Segments<'a> {
    /// Takes a token apart, without looking at any of it.
    pub(crate) fn split(token: &'a str, limits: Limits) -> Result<Self, JwsError> {
        if token.len() > limits.bytes {
            return Err(JwsError::TooLarge);
        }
        let (signing_input, signature) = token.rsplit_once('.').ok_or(JwsError::Malformed)?;
        let (header, payload) = signing_input.split_once('.').ok_or(JwsError::Malformed)?;
        Ok(Self {
            header,
            payload,
            signing_input,
            signature,
        })
    }

    /// What the signature is over, and the signature.
    pub(crate) fn body(self) -> Result<Body<'a>, JwsError> {
        Ok(Body {
            payload: base64url::decode(self.payload).map_err(|_| JwsError::Malformed)?,
            signing_input: self.signing_input,
            signature: base64url::decode(self.signature).map_err(|_| JwsError::Malformed)?,
        })
    }
}

/// All of a token but what its header says.
#[derive(Clone)]
pub(crate) struct Body<'a> {
    payload: Vec<u8>,
    signing_input: &'a str,
    signature: Vec<u8>,
}

impl Body<'_> {
    /// What the token claims.
    pub(crate) fn untrusted_claims<T: DeserializeOwned>(
        &self,
        limits: Limits,
    ) -> Result<T, JsonError> {
        json::parse_object_as(&self.payload, limits)
    }

    /// Checks the signature; `alg` is the header's and must be the key's own.
    pub(crate) fn check(&self, alg: Algorithm, key: &PublicKey) -> Result<(), JwsError> {
        if alg != key.algorithm() {
            return Err(JwsError::AlgNotAllowed);
        }
        Ok(key.verify(self.signing_input.as_bytes(), &self.signature)?)
    }
}

/// A token whose signature nobody has checked yet.
#[derive(Clone)]
pub struct Unverified<'a> {
    header: Header,
    header_segment: &'a str,
    body: Body<'a>,
}

/// What a token said, under a signature that was checked.
#[derive(Clone)]
pub struct Verified {
    header: Header,
    payload: Vec<u8>,
}

/// Header members as they are read. What is not here is not looked at.
#[derive(Deserialize)]
struct Raw {
    alg: String,
    #[serde(default, deserialize_with = "present")]
    typ: Option<String>,
    #[serde(default, deserialize_with = "present")]
    kid: Option<String>,
    #[serde(default, deserialize_with = "present")]
    jwk: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    crit: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    b64: Option<IgnoredAny>,
}

/// Whether a text may name a key (JWT-06).
pub fn is_legal_kid(kid: &str) -> bool {
    (1..=256).contains(&kid.len()) && !kid.chars().any(char::is_control)
}

/// Reads a header and makes the checks that every header must pass.
pub(crate) fn parse_header(segment: &str, limits: Limits) -> Result<Header, JwsError> {
    let bytes = base64url::decode(segment).map_err(|_| JwsError::Malformed)?;
    let raw: Raw = json::parse_object_as(&bytes, limits).map_err(|error| match error {
        JsonError::TooLarge => JwsError::TooLarge,
        JsonError::TooDeep
        | JsonError::DuplicateMember
        | JsonError::NotJson
        | JsonError::NotIJson
        | JsonError::Shape(_) => JwsError::Malformed,
    })?;
    let alg = Algorithm::from_name(&raw.alg).ok_or(JwsError::AlgNotAllowed)?;
    // RFC 7515 4.1.11: `crit` must be understood; an empty one is an error as well. RFC 7797 makes
    // `b64` critical.
    if raw.crit.is_some() || raw.b64.is_some() {
        return Err(JwsError::CriticalHeader);
    }
    if raw.kid.as_deref().is_some_and(|kid| !is_legal_kid(kid)) {
        return Err(JwsError::InvalidKid);
    }
    Ok(Header {
        alg,
        typ: raw.typ,
        kid: raw.kid,
        jwk: raw.jwk,
    })
}

impl<'a> Unverified<'a> {
    /// Takes a token apart, without trusting any of it.
    pub fn parse(token: &'a str, limits: Limits) -> Result<Self, JwsError> {
        let segments = Segments::split(token, limits)?;
        Ok(Self {
            header: parse_header(segments.header, limits)?,
            header_segment: segments.header,
            body: segments.body()?,
        })
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The header as it was sent.
    pub fn header_segment(&self) -> &'a str {
        self.header_segment
    }

    /// What the token claims, for choosing a key and for refusing early. Not to be acted on.
    pub fn untrusted_claims<T: DeserializeOwned>(&self, limits: Limits) -> Result<T, JsonError> {
        self.body.untrusted_claims(limits)
    }

    /// Checks the signature; the algorithm must be the key's own.
    pub fn verify(self, key: &PublicKey) -> Result<Verified, JwsError> {
        self.check(key)?;
        Ok(Verified {
            header: self.header,
            payload: self.body.payload,
        })
    }

    /// Checks that one of these keys signed the token; without a `kid` any of at most sixteen may have.
    pub(crate) fn check_by(&self, keys: &KeySet) -> Result<(), NotSigned> {
        let header = &self.header;
        let mut candidates = keys.find(header.kid.as_deref(), header.alg).peekable();
        candidates.peek().ok_or(NotSigned::UnknownKey)?;
        match candidates.any(|key| self.check(key).is_ok()) {
            true => Ok(()),
            false => Err(NotSigned::BadSignature),
        }
    }

    /// Checks the signature of a token that several keys could have signed.
    pub(crate) fn check(&self, key: &PublicKey) -> Result<(), JwsError> {
        self.body.check(self.header.alg, key)
    }
}

impl fmt::Debug for Unverified<'_> {
    /// The header only: the rest could be used as it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unverified")
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

impl Verified {
    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What was signed.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The claims that were signed.
    pub fn claims<T: DeserializeOwned>(&self, limits: Limits) -> Result<T, JsonError> {
        json::parse_object_as(&self.payload, limits)
    }
}

/// Signs `claims` as a token of the kind `typ`; the header names the key by its thumbprint.
pub fn sign(key: &PrivateKey, typ: &str, claims: &[u8]) -> String {
    let kid = Value::from(key.public().thumbprint());
    compact(key, typ, "kid", &kid, claims)
}

/// Signs `claims` as a token of the kind `typ`; the header carries the public key, as DPoP wants it.
pub fn sign_with_jwk(key: &PrivateKey, typ: &str, claims: &[u8]) -> String {
    compact(key, typ, "jwk", &key.public().bare_jwk(), claims)
}

fn compact(key: &PrivateKey, typ: &str, member: &str, value: &Value, claims: &[u8]) -> String {
    let alg = key.public().algorithm().name();
    let typ = Value::from(typ);
    let header = format!(r#"{{"typ":{typ},"alg":"{alg}","{member}":{value}}}"#);
    let lengths = [header.len(), claims.len(), SIGNATURE_LENGTH].map(base64url::encoded_len);
    let mut token = String::with_capacity(lengths.iter().sum::<usize>() + 2);
    base64url::encode_onto(header.as_bytes(), &mut token);
    token.push('.');
    base64url::encode_onto(claims, &mut token);
    let signature = key.signature(token.as_bytes());
    token.push('.');
    base64url::encode_onto(signature.as_ref(), &mut token);
    token
}

/// Of both algorithms that we sign with.
const SIGNATURE_LENGTH: usize = 64;

#[cfg(test)]
mod tests;
