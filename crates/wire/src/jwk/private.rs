//! Private keys: they sign, and they leave only as secrets.

use std::fmt;

use aws_lc_rs::encoding::AsBigEndian;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, Signature,
};
use chancery_model::secret::Secret;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{Algorithm, JwkError, PublicKey, bytes};
use crate::base64url;

/// A private key of ours: ES256 or EdDSA.
pub struct PrivateKey {
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl PrivateKey {
    /// Makes a new key from the random source of the crypto library.
    pub fn generate(algorithm: Algorithm) -> Result<Self, JwkError> {
        let pair = match algorithm {
            Algorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                .map(Pair::Ec)
                .map_err(|_| JwkError::Generation)?,
            Algorithm::EdDsa => Ed25519KeyPair::generate()
                .map(Pair::Ed)
                .map_err(|_| JwkError::Generation)?,
            Algorithm::Ps256 | Algorithm::Rs256 => return Err(JwkError::Unsupported),
        };
        Self::of_pair(pair)
    }

    fn of_pair(pair: Pair) -> Result<Self, JwkError> {
        let public = match &pair {
            Pair::Ec(pair) => {
                let point: &[u8; 65] = (pair.public_key().as_ref().try_into())
                    .map_err(|_| JwkError::Malformed("x"))?;
                let (x, y) = point[1..].split_at(32);
                let side = |bytes: &[u8]| bytes.try_into().map_err(|_| JwkError::Malformed("x"));
                PublicKey::ec(Algorithm::Es256, &side(x)?, &side(y)?)?
            }
            Pair::Ed(pair) => {
                let x = (pair.public_key().as_ref().try_into())
                    .map_err(|_| JwkError::Malformed("x"))?;
                PublicKey::okp(Algorithm::EdDsa, x)?
            }
        };
        Ok(Self { pair, public })
    }

    /// Parses a private JWK; its public part must be that of its private part.
    pub fn from_jwk(jwk: &Value) -> Result<Self, JwkError> {
        let members = jwk.as_object().ok_or(JwkError::Malformed("kty"))?;
        let public = PublicKey::of_members(members, None, "sign")?;
        let d = Zeroizing::new(bytes(members, "d")?);
        let x = bytes(members, "x")?;
        let pair = match public.algorithm() {
            Algorithm::Es256 => {
                let point = [&[4][..], &x, &bytes(members, "y")?].concat();
                let alg = &ECDSA_P256_SHA256_FIXED_SIGNING;
                EcdsaKeyPair::from_private_key_and_public_key(alg, &d, &point).map(Pair::Ec)
            }
            Algorithm::EdDsa => Ed25519KeyPair::from_seed_and_public_key(&d, &x).map(Pair::Ed),
            Algorithm::Ps256 | Algorithm::Rs256 => return Err(JwkError::Unsupported),
        };
        let pair = pair.map_err(|_| JwkError::Inconsistent)?;
        Ok(Self { pair, public })
    }

    /// The private JWK.
    pub fn to_jwk(&self) -> Secret<String> {
        let d = match &self.pair {
            Pair::Ec(pair) => pair
                .private_key()
                .as_be_bytes()
                .map(|key| Zeroizing::new(base64url::encode(key.as_ref()))),
            Pair::Ed(pair) => pair
                .seed()
                .and_then(|seed| seed.as_be_bytes())
                .map(|seed| Zeroizing::new(base64url::encode(seed.as_ref()))),
        };
        // The library can refuse this only for a key without a private part, and this one has one.
        let d = d.expect("a key pair has a private part");
        let public = self.public.to_jwk().to_string();
        let members = public.trim_end_matches('}');
        // Room for all of it from the start: a string that grows leaves its content behind.
        let mut jwk = String::with_capacity(members.len() + d.len() + 8);
        for part in [members, r#","d":""#, d.as_str(), r#""}"#] {
            jwk.push_str(part);
        }
        Secret::new(jwk)
    }

    /// The key as PKCS#8.
    pub fn to_pkcs8(&self) -> Secret<Vec<u8>> {
        let document = match &self.pair {
            Pair::Ec(pair) => pair.to_pkcs8v1(),
            Pair::Ed(pair) => pair.to_pkcs8v1(),
        };
        // As above: only a key without a private part has no such form.
        let document = document.expect("a key pair has a private part");
        Secret::new(document.as_ref().to_vec())
    }

    /// Parses PKCS#8.
    pub fn from_pkcs8(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, JwkError> {
        let pair = match algorithm {
            Algorithm::Es256 => {
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map(Pair::Ec)
            }
            Algorithm::EdDsa => Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map(Pair::Ed),
            Algorithm::Ps256 | Algorithm::Rs256 => return Err(JwkError::Unsupported),
        };
        Self::of_pair(pair.map_err(|_| JwkError::Malformed("pkcs8"))?)
    }

    /// The public part.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs `message`; an ES256 signature is r and s, 32 bytes each.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.signature(message).as_ref().to_vec()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a signature asks for a random source by its type, and the library uses its own"
    )]
    pub(crate) fn signature(&self, message: &[u8]) -> Signature {
        match &self.pair {
            // The library hashes and signs messages of every length; it can fail only where it
            // cannot allocate or seed itself, where nothing of ours could go on either.
            Pair::Ec(pair) => pair
                .sign(&SystemRandom::new(), message)
                .expect("a P-256 key signs every message"),
            Pair::Ed(pair) => pair.sign(message),
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "private key of {:?}", self.public)
    }
}
