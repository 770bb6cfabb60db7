//! Making keys: the private part leaves memory only wrapped, bound to its id and purpose.

use chancery_ledger::note::NoteSigner;
use chancery_model::entropy::Entropy;
use chancery_model::secret::Secret;
use chancery_model::time::Timestamp;
use chancery_store::signing_keys::SigningKey;
use chancery_wire::jwk::{Algorithm, PrivateKey, PublicKey};
use chancery_wire::{json, seal};

use crate::error::Error;
use crate::keyring::{Purpose, aad, log_public};

/// A new key with its row; the row holds the private part wrapped.
pub fn signing_key(
    purpose: Purpose,
    algorithm: Algorithm,
    master: &Secret<[u8; 32]>,
    entropy: &dyn Entropy,
    now: Timestamp,
) -> Result<(PrivateKey, SigningKey), Error> {
    let key = PrivateKey::generate(algorithm).map_err(|_| Error::Broken)?;
    let private = key.to_pkcs8();
    let row = row(
        purpose,
        key.public(),
        private.expose(),
        master,
        entropy,
        now,
    )?;
    Ok((key, row))
}

fn row(
    purpose: Purpose,
    public: &PublicKey,
    private: &[u8],
    master: &Secret<[u8; 32]>,
    entropy: &dyn Entropy,
    now: Timestamp,
) -> Result<SigningKey, Error> {
    let kid = public.thumbprint().to_owned();
    Ok(SigningKey {
        sealed: seal::seal(master, &aad(purpose, &kid), private, entropy),
        kid,
        purpose: purpose.name().to_owned(),
        alg: public.algorithm().name().to_owned(),
        public_jwk: json::canonical(&public.to_jwk()).map_err(|_| Error::Broken)?,
        created_at: now,
        verifies_until: None,
    })
}

/// A new key for the log, an Ed25519 seed, with its row.
pub fn log_key(
    origin: &str,
    master: &Secret<[u8; 32]>,
    entropy: &dyn Entropy,
    now: Timestamp,
) -> Result<(NoteSigner, SigningKey), Error> {
    let mut seed = Secret::new([0; 32]);
    entropy.fill(seed.expose_mut());
    let signer = NoteSigner::from_seed(origin, seed.expose()).map_err(|_| Error::Broken)?;
    let public = log_public(&signer)?;
    let row = row(Purpose::Log, &public, seed.expose(), master, entropy, now)?;
    Ok((signer, row))
}
