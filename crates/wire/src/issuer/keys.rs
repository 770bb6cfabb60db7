//! The keys of an issuer, as it publishes them for everybody.
//!
//! Unlike a set that somebody registers with us, it holds keys that are not for us: for encryption, on other curves, too
//! weak. Such a key is passed over, and what it signed is refused.

use serde_json::Value;

use super::{DOCUMENT, InvalidDocument};
use crate::json;
use crate::jwk::{Algorithm, JwkError, PublicKey};
use crate::jws::{self, NotSigned, Unverified, Verified};

/// The most keys of one issuer that are looked at.
const MOST_KEYS: usize = 64;

/// The keys of an issuer that are of use here.
#[derive(Debug, Clone, Default)]
pub struct IssuerKeys {
    // INVARIANT: no two different keys share a name and an algorithm.
    keys: Vec<(Option<String>, PublicKey)>,
}

impl IssuerKeys {
    /// Reads a JWK set of at most 64 keys.
    pub fn of_document(bytes: &[u8]) -> Result<Self, InvalidDocument> {
        let document = json::parse(bytes, DOCUMENT)?;
        let Some(Value::Array(jwks)) = document.get("keys") else {
            return Err(InvalidDocument::Member("keys"));
        };
        if jwks.len() > MOST_KEYS {
            return Err(InvalidDocument::Member("keys"));
        }
        let mut all = Self::default();
        for jwk in jwks {
            all.add(jwk)?;
        }
        Ok(all)
    }

    fn add(&mut self, jwk: &Value) -> Result<(), InvalidDocument> {
        let kid = match jwk.get("kid") {
            None => None,
            Some(Value::String(kid)) if jws::is_legal_kid(kid) => Some(kid.clone()),
            Some(_) => return Err(InvalidDocument::Member("kid")),
        };
        let mut keys = Vec::new();
        match PublicKey::from_jwk(jwk) {
            Ok(key) => keys.push(key),
            // Some issuers leave `alg` out (RFC 7517 §4.4). Then the header says which of the two it is, and both verify
            // with this key alone.
            Err(JwkError::AlgorithmMissing) => {
                let both = [Algorithm::Rs256, Algorithm::Ps256];
                let key = |alg| PublicKey::from_jwk_for(jwk, alg).ok();
                keys.extend(both.into_iter().filter_map(key));
            }
            Err(JwkError::Private | JwkError::Symmetric) => {
                return Err(InvalidDocument::PrivateKey);
            }
            Err(
                JwkError::Malformed(_)
                | JwkError::Unsupported
                | JwkError::AlgorithmMismatch
                | JwkError::AlgorithmNotAllowed
                | JwkError::WrongUse
                | JwkError::InvalidPoint
                | JwkError::RsaSize
                | JwkError::RsaExponent
                | JwkError::RsaWeak
                | JwkError::Inconsistent
                | JwkError::SetSize
                | JwkError::DuplicateKid
                | JwkError::Generation,
            ) => {}
        }
        for key in keys {
            let mut known = self.keys.iter().filter(|(own, _)| *own == kid);
            if kid.is_some() && known.any(|(_, own)| own.thumbprint() != key.thumbprint()) {
                return Err(InvalidDocument::DuplicateKid);
            }
            self.keys.push((kid.clone(), key));
        }
        Ok(())
    }

    /// The keys that a header with this `kid` and `alg` may mean.
    pub(super) fn find(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &PublicKey> {
        self.keys
            .iter()
            .filter(move |(own, _)| kid.is_none() || own.as_deref() == kid)
            .map(|(_, key)| key)
            .filter(move |key| key.algorithm() == algorithm)
    }

    /// Whether none of its keys is of use here.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// What one of the keys signed as `token`; which algorithms may, its reader has decided before.
    pub fn verify(&self, token: &Unverified<'_>) -> Result<Verified, NotSigned> {
        let header = token.header();
        let mut is_named = false;
        // Without a `kid` any of the few may have signed.
        for key in self.find(header.kid.as_deref(), header.alg) {
            if let Ok(verified) = token.clone().verify(key) {
                return Ok(verified);
            }
            is_named = header.kid.is_some();
        }
        // Nobody can tell whether a token that names no key is by one that is not known yet.
        Err(match is_named {
            true => NotSigned::BadSignature,
            false => NotSigned::UnknownKey,
        })
    }
}
