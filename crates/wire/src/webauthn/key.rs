//! The public key of a credential: a COSE key (RFC 9053) that becomes a key of ours, with all checks of those.

use serde_json::{Value, json};

use super::WebauthnError;
use super::cbor::{self, Item};
use crate::base64url;
use crate::jwk::{Algorithm, PublicKey};

/// The algorithms that passkeys may have, by their numbers in COSE, the preferred first.
pub const ALGORITHMS: [(i64, Algorithm); 3] = [
    (-7, Algorithm::Es256),
    (-8, Algorithm::EdDsa),
    (-257, Algorithm::Rs256),
];

// RFC 9052 §7.1, RFC 9053 §7, RFC 8230 §4.
const KIND: i64 = 1;
const ALGORITHM: i64 = 3;
const CURVE: i64 = -1;
const X: i64 = -2;
const Y: i64 = -3;
const MODULUS: i64 = -1;
const EXPONENT: i64 = -2;
const OKP: i64 = 1;
const EC2: i64 = 2;
const RSA: i64 = 3;
const P256: i64 = 1;
const ED25519: i64 = 6;

/// The key of a COSE map.
///
/// WebAuthn §6.5.1: it names its algorithm and has no other optional member, so there is one way to write each.
pub(super) fn parse(members: &[(Item<'_>, Item<'_>)]) -> Result<PublicKey, WebauthnError> {
    let number = |label| match cbor::numbered(members, label) {
        Some(Item::Int(int)) => Ok(*int),
        _ => Err(WebauthnError::KeyRefused),
    };
    let text = |label| match cbor::numbered(members, label) {
        Some(Item::Bytes(bytes)) => Ok(base64url::encode(bytes)),
        _ => Err(WebauthnError::KeyRefused),
    };
    let alg = number(ALGORITHM)?;
    let known = ALGORITHMS.iter().find(|(own, _)| *own == alg);
    let (_, algorithm) = *known.ok_or(WebauthnError::AlgNotAllowed)?;
    let (jwk, length): (Value, usize) = match (algorithm, number(KIND)?) {
        (Algorithm::Es256, EC2) if number(CURVE)? == P256 => (
            json!({"kty": "EC", "crv": "P-256", "x": text(X)?, "y": text(Y)?}),
            5,
        ),
        (Algorithm::EdDsa, OKP) if number(CURVE)? == ED25519 => {
            (json!({"kty": "OKP", "crv": "Ed25519", "x": text(X)?}), 4)
        }
        (Algorithm::Rs256, RSA) => (
            json!({"kty": "RSA", "n": text(MODULUS)?, "e": text(EXPONENT)?}),
            4,
        ),
        _ => return Err(WebauthnError::KeyRefused),
    };
    if members.len() != length {
        return Err(WebauthnError::KeyRefused);
    }
    PublicKey::from_jwk_for(&jwk, algorithm).map_err(|_| WebauthnError::KeyRefused)
}
