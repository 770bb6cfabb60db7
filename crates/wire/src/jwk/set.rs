//! Sets of public keys, as a party registers or publishes them.

use serde_json::{Value, json};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Algorithm, JwkError, PublicKey};
use crate::{certificate, json, jws};

/// The most keys of one party.
const MOST_KEYS: usize = 16;

/// 1 to 16 public keys, each with a name of its own.
#[derive(Debug, Clone)]
pub struct KeySet {
    // INVARIANT: 1 to 16 entries; no two share a name.
    keys: Vec<(String, PublicKey)>,
}

impl KeySet {
    /// Parses `{"keys": […]}`; one bad key refuses the set. A key without `kid` is named by its
    /// thumbprint.
    pub fn parse(set: &Value) -> Result<Self, JwkError> {
        let Some(Value::Array(jwks)) = set.get("keys") else {
            return Err(JwkError::Malformed("keys"));
        };
        if !(1..=MOST_KEYS).contains(&jwks.len()) {
            return Err(JwkError::SetSize);
        }
        let mut keys: Vec<(String, PublicKey)> = Vec::with_capacity(jwks.len());
        for jwk in jwks {
            let key = PublicKey::from_jwk(jwk)?;
            check_certificates(jwk, &key)?;
            let kid = match jwk.get("kid") {
                None => key.thumbprint().to_owned(),
                Some(Value::String(kid)) if jws::is_legal_kid(kid) => kid.clone(),
                Some(_) => return Err(JwkError::Malformed("kid")),
            };
            if keys.iter().any(|(known, _)| *known == kid) {
                return Err(JwkError::DuplicateKid);
            }
            keys.push((kid, key));
        }
        Ok(Self { keys })
    }

    /// The same set, when every key is for one of these algorithms: a key that no endpoint accepts is
    /// refused when it is registered, not when it is first used (CRY-04).
    pub fn restricted_to(self, algorithms: &[Algorithm]) -> Result<Self, JwkError> {
        if self
            .keys()
            .any(|key| !algorithms.contains(&key.algorithm()))
        {
            return Err(JwkError::AlgorithmNotAllowed);
        }
        Ok(self)
    }

    /// A set of our own keys, each named by its thumbprint.
    pub fn of_keys(keys: impl IntoIterator<Item = PublicKey>) -> Result<Self, JwkError> {
        let jwks: Vec<Value> = keys.into_iter().map(|key| key.to_jwk()).collect();
        Self::parse(&json!({ "keys": jwks }))
    }

    /// The keys that a header with this `kid` and `alg` may mean: one at most when it has a `kid`.
    pub fn find<'a>(
        &'a self,
        kid: Option<&'a str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &'a PublicKey> {
        self.keys
            .iter()
            .filter(move |(own, _)| kid.is_none_or(|kid| kid == own))
            .map(|(_, key)| key)
            .filter(move |key| key.algorithm() == algorithm)
    }

    /// All keys, in their order.
    pub fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.keys.iter().map(|(_, key)| key)
    }

    /// The set as JSON, with the members that we know and nothing else.
    pub fn to_json(&self) -> Value {
        let jwks: Vec<Value> = (self.keys.iter())
            .map(|(kid, key)| {
                let mut jwk = key.to_jwk();
                jwk["kid"] = kid.as_str().into();
                jwk
            })
            .collect();
        json!({ "keys": jwks })
    }

    /// The set as canonical JSON text: equal sets in equal order have equal texts.
    pub fn to_canonical_json(&self) -> String {
        // Only integers beyond 2^53 have no canonical form, and a JWK has no numbers.
        json::canonical(&self.to_json()).expect("a key set is I-JSON")
    }
}

/// A certificate that is registered with a key must be of that key (RFC 7517 4.7); it is the key that counts.
fn check_certificates(jwk: &Value, key: &PublicKey) -> Result<(), JwkError> {
    let refused = JwkError::Malformed("x5c");
    let own = match jwk.get("x5c") {
        None => return Ok(()),
        Some(Value::Array(chain)) => chain.first().and_then(Value::as_str).ok_or(refused)?,
        Some(_) => return Err(refused),
    };
    let own = STANDARD.decode(own).map_err(|_| refused)?;
    let certified = certificate::public_key(&own).map_err(|_| refused)?;
    if certified.thumbprint() == key.thumbprint() {
        Ok(())
    } else {
        Err(refused)
    }
}
