//! JSON Web Keys: parsed once into keys that are ready, and refused with a reason when weak.
//!
//! A key fixes its algorithm (JWT-02): nothing that arrives with a message can choose another.
//! Symmetric keys do not exist here, so no public key can ever be taken for one. [`PublicKey`]
//! comes from a public JWK only, [`PrivateKey`] signs, [`KeySet`] is what a party registers.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
};
use serde_json::{Map, Value, json};

use crate::{base64url, hash};

mod ed25519;
mod private;
mod rsa;
mod set;
mod spki;

pub use self::private::PrivateKey;
pub use self::set::KeySet;

/// The signature algorithms that exist here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256: the default.
    Es256,
    /// Ed25519.
    EdDsa,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PKCS1-v1_5 with SHA-256: verified for old peers, never made.
    Rs256,
}

impl Algorithm {
    /// The name in `alg`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Ps256 => "PS256",
            Self::Rs256 => "RS256",
        }
    }

    /// The algorithm of a name; RFC 9864's `Ed25519` is the same as `EdDSA`. Anything else,
    /// `none` and the HMACs above all, does not exist.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "ES256" => Some(Self::Es256),
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            "PS256" => Some(Self::Ps256),
            "RS256" => Some(Self::Rs256),
            _ => None,
        }
    }
}

/// Why a key or a set of keys was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwkError {
    /// Not a JSON object with the members that its kind needs.
    #[error("not a well-formed JWK: `{0}` is missing or malformed")]
    Malformed(&'static str),
    /// A symmetric key where a public key belongs.
    #[error("a symmetric key is not a public key")]
    Symmetric,
    /// A private key where a public key belongs.
    #[error("the JWK holds a private member")]
    Private,
    /// A kind, curve or algorithm that does not exist here.
    #[error("keys are EC P-256, OKP Ed25519, or RSA; algorithms are ES256, EdDSA, PS256 and RS256")]
    Unsupported,
    /// `alg` names an algorithm of another kind of key.
    #[error("`alg` does not fit the key")]
    AlgorithmMismatch,
    /// `alg` is none that this key may be for here.
    #[error("the key's algorithm is not allowed here")]
    AlgorithmNotAllowed,
    /// An RSA key serves two algorithms, and must say which.
    #[error("an RSA key must name its `alg`: PS256 or RS256")]
    AlgorithmMissing,
    /// The key is not for signatures.
    #[error("the key's `use` or `key_ops` is not that of a signature key")]
    WrongUse,
    /// Not a point on the curve, or one of small order.
    #[error("the public key is not a usable point of its curve")]
    InvalidPoint,
    /// The modulus is too small or too large.
    #[error("an RSA key has 2048 to 4096 bits")]
    RsaSize,
    /// The public exponent is small, even or huge.
    #[error("an RSA key has an odd public exponent from 65537 to 2^32")]
    RsaExponent,
    /// The modulus has the form of a known defect.
    #[error("the RSA modulus is known to be weak")]
    RsaWeak,
    /// The private part does not belong to the public part.
    #[error("the private part does not belong to the public part")]
    Inconsistent,
    /// No key, or too many.
    #[error("a key set has 1 to 16 keys")]
    SetSize,
    /// Two keys of one name (JWKS-01).
    #[error("two keys have one `kid`")]
    DuplicateKid,
    /// The key source failed.
    #[error("the key could not be made")]
    Generation,
}

/// The signature is not one of this key over this message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

/// A public key, checked and ready to verify. Cloning is cheap.
#[derive(Clone)]
pub struct PublicKey(Arc<Parsed>);

struct Parsed {
    algorithm: Algorithm,
    key: ParsedPublicKey,
    // INVARIANT: the required members, each in its only text.
    material: Material,
    thumbprint: String,
}

enum Material {
    Ec { x: String, y: String },
    Okp { x: String },
    Rsa { n: String, e: String },
}

/// Members that only a private or a symmetric key has.
const SECRETS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

impl PublicKey {
    /// Parses a public JWK.
    pub fn from_jwk(jwk: &Value) -> Result<Self, JwkError> {
        Self::parse(jwk, None)
    }

    /// Parses a public JWK that stands beside an `alg`, as in the header of a DPoP proof.
    pub fn from_jwk_for(jwk: &Value, algorithm: Algorithm) -> Result<Self, JwkError> {
        Self::parse(jwk, Some(algorithm))
    }

    fn parse(jwk: &Value, beside: Option<Algorithm>) -> Result<Self, JwkError> {
        let members = jwk.as_object().ok_or(JwkError::Malformed("kty"))?;
        let kind = text(members, "kty")?;
        if kind == "oct" {
            return Err(JwkError::Symmetric);
        }
        if SECRETS.iter().any(|name| members.contains_key(*name)) {
            return Err(JwkError::Private);
        }
        Self::of_members(members, beside, "verify")
    }

    fn of_members(
        members: &Map<String, Value>,
        beside: Option<Algorithm>,
        operation: &str,
    ) -> Result<Self, JwkError> {
        check_use(members, operation)?;
        let declared = match (optional_text(members, "alg")?, beside) {
            (Some(name), beside) => {
                let own = Algorithm::from_name(name).ok_or(JwkError::Unsupported)?;
                if beside.is_some_and(|beside| beside != own) {
                    return Err(JwkError::AlgorithmMismatch);
                }
                Some(own)
            }
            (None, beside) => beside,
        };
        let fits = |own: Algorithm| match declared {
            None => Ok(own),
            Some(declared) if declared == own => Ok(own),
            Some(_) => Err(JwkError::AlgorithmMismatch),
        };
        match text(members, "kty")? {
            "EC" => {
                if text(members, "crv")? != "P-256" {
                    return Err(JwkError::Unsupported);
                }
                let algorithm = fits(Algorithm::Es256)?;
                let (x, y) = (coordinate(members, "x")?, coordinate(members, "y")?);
                Self::ec(algorithm, &x, &y)
            }
            "OKP" => {
                if text(members, "crv")? != "Ed25519" {
                    return Err(JwkError::Unsupported);
                }
                Self::okp(fits(Algorithm::EdDsa)?, &coordinate(members, "x")?)
            }
            "RSA" => {
                let algorithm = match declared {
                    Some(algorithm @ (Algorithm::Ps256 | Algorithm::Rs256)) => algorithm,
                    Some(Algorithm::Es256 | Algorithm::EdDsa) => {
                        return Err(JwkError::AlgorithmMismatch);
                    }
                    None => return Err(JwkError::AlgorithmMissing),
                };
                Self::rsa(algorithm, &bytes(members, "n")?, &bytes(members, "e")?)
            }
            _ => Err(JwkError::Unsupported),
        }
    }

    fn ec(algorithm: Algorithm, x: &[u8; 32], y: &[u8; 32]) -> Result<Self, JwkError> {
        // SEC 1 2.3.4: an uncompressed point; the library refuses one that is not on the curve.
        let point = [&[4][..], x, y].concat();
        let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point)
            .map_err(|_| JwkError::InvalidPoint)?;
        let (x, y) = (base64url::encode(x), base64url::encode(y));
        Ok(Self::with(algorithm, key, Material::Ec { x, y }))
    }

    fn okp(algorithm: Algorithm, x: &[u8; 32]) -> Result<Self, JwkError> {
        if !ed25519::is_usable(x) {
            return Err(JwkError::InvalidPoint);
        }
        let key = ParsedPublicKey::new(&ED25519, x).map_err(|_| JwkError::InvalidPoint)?;
        let x = base64url::encode(x);
        Ok(Self::with(algorithm, key, Material::Okp { x }))
    }

    fn rsa(algorithm: Algorithm, n: &[u8], e: &[u8]) -> Result<Self, JwkError> {
        rsa::check(n, e)?;
        let padding = match algorithm {
            Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
            Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            Algorithm::Es256 | Algorithm::EdDsa => return Err(JwkError::AlgorithmMismatch),
        };
        let key = RsaPublicKeyComponents { n, e }
            .to_parsed_public_key(padding)
            .map_err(|_| JwkError::RsaWeak)?;
        let (n, e) = (base64url::encode(n), base64url::encode(e));
        Ok(Self::with(algorithm, key, Material::Rsa { n, e }))
    }

    fn with(algorithm: Algorithm, key: ParsedPublicKey, material: Material) -> Self {
        // RFC 7638 3: the required members in lexicographic order, without white space. All of the
        // values are base64url, so nothing needs an escape.
        let canonical = match &material {
            Material::Ec { x, y } => {
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#)
            }
            Material::Okp { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#),
            Material::Rsa { n, e } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
        };
        let thumbprint = hash::sha256_base64url(canonical.as_bytes());
        Self(Arc::new(Parsed {
            algorithm,
            key,
            material,
            thumbprint,
        }))
    }

    /// The public JWK, named by its thumbprint.
    pub fn to_jwk(&self) -> Value {
        let mut jwk = self.bare_jwk();
        jwk["kid"] = self.thumbprint().into();
        jwk["alg"] = self.algorithm().name().into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// The public JWK with its required members only, as the header of a DPoP proof carries it.
    pub fn bare_jwk(&self) -> Value {
        match &self.0.material {
            Material::Ec { x, y } => json!({"kty": "EC", "crv": "P-256", "x": x, "y": y}),
            Material::Okp { x } => json!({"kty": "OKP", "crv": "Ed25519", "x": x}),
            Material::Rsa { n, e } => json!({"kty": "RSA", "n": n, "e": e}),
        }
    }

    /// The RFC 7638 thumbprint: the key's name (`kid`, `jkt`).
    pub fn thumbprint(&self) -> &str {
        &self.0.thumbprint
    }

    /// The one algorithm that this key is for.
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm
    }

    /// Checks that `signature` is one of this key over `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        self.0
            .key
            .verify_sig(message, signature)
            .map_err(|_| BadSignature)
    }

    /// The same for signatures as WebAuthn has them: one of ECDSA is in DER (§6.5.5).
    pub(crate) fn verify_der(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let Material::Ec { x, y } = &self.0.material else {
            return self.verify(message, signature);
        };
        // INVARIANT: the coordinates of a key are base64url.
        let side = |text| base64url::decode(text).map_err(|_| BadSignature);
        let point = [&[4][..], &side(x)?, &side(y)?].concat();
        let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).map_err(|_| BadSignature)?;
        key.verify_sig(message, signature).map_err(|_| BadSignature)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.algorithm().name(), self.thumbprint())
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.algorithm() == other.algorithm() && self.thumbprint() == other.thumbprint()
    }
}

impl Eq for PublicKey {}

fn text<'a>(members: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, JwkError> {
    optional_text(members, name)?.ok_or(JwkError::Malformed(name))
}

fn optional_text<'a>(
    members: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'a str>, JwkError> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(JwkError::Malformed(name)),
    }
}

fn bytes(members: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, JwkError> {
    base64url::decode(text(members, name)?).map_err(|_| JwkError::Malformed(name))
}

/// RFC 7518 6.2.1.2, RFC 8037 2: a coordinate has the full length of the field.
fn coordinate(members: &Map<String, Value>, name: &'static str) -> Result<[u8; 32], JwkError> {
    bytes(members, name)?
        .try_into()
        .map_err(|_| JwkError::Malformed(name))
}

fn check_use(members: &Map<String, Value>, operation: &str) -> Result<(), JwkError> {
    if optional_text(members, "use")?.is_some_and(|used| used != "sig") {
        return Err(JwkError::WrongUse);
    }
    match members.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(operations)) if operations.iter().any(|one| one == operation) => Ok(()),
        Some(Value::Array(_)) => Err(JwkError::WrongUse),
        Some(_) => Err(JwkError::Malformed("key_ops")),
    }
}

#[cfg(test)]
mod tests;
