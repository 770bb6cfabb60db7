//! The signing keys in use: one per purpose signs, those in overlap verify.

use std::sync::Arc;

use chancery_ledger::note::NoteSigner;
use chancery_model::secret::Secret;
use chancery_model::time::Timestamp;
use chancery_store::signing_keys::SigningKey;
use chancery_wire::jwk::{Algorithm, PrivateKey, PublicKey};
use chancery_wire::{base64url, seal};

use crate::error::Error;

/// The keys of one moment; swapped as a whole after a rotation.
pub struct KeyRing {
    /// Signs access tokens, and what a resource server is told about one.
    pub access_token: Arc<PrivateKey>,
    /// Signs ID tokens.
    pub id_token: Arc<PrivateKey>,
    /// Signs versions of identity documents.
    pub document: Arc<PrivateKey>,
    /// Signs checkpoints of the log.
    pub log: Arc<NoteSigner>,
    /// Every key that verifies, with its purpose.
    pub verifying: Vec<VerifyingKey>,
}

/// A key that verifies.
#[derive(Clone)]
pub struct VerifyingKey {
    /// What it signs or signed.
    pub purpose: Purpose,
    /// The key.
    pub key: PublicKey,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it verifies; `None` while it signs.
    pub verifies_until: Option<Timestamp>,
}

/// What a key signs. A key has one purpose (CRY-03).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Access tokens, and what a resource server is told about one.
    AccessToken,
    /// Who signed in, for a client that signs people in.
    IdToken,
    /// Versions of identity documents.
    Document,
    /// Checkpoints of the log.
    Log,
}

impl Purpose {
    /// The name in rows and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::IdToken => "id_token",
            Self::Document => "document",
            Self::Log => "log",
        }
    }

    /// The purpose of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::AccessToken, Self::IdToken, Self::Document, Self::Log]
            .into_iter()
            .find(|known| known.name() == name)
    }
}

impl KeyRing {
    /// Opens the keys of the database; a private key that `previous` holds already is not opened again.
    pub fn load(
        rows: &[SigningKey],
        log_origin: &str,
        master: &Secret<[u8; 32]>,
        previous: Option<&Self>,
    ) -> Result<Self, Error> {
        let active = |purpose: Purpose| {
            let mut signing = rows.iter().filter(|row| row.verifies_until.is_none());
            signing
                .find(|row| row.purpose == purpose.name())
                .ok_or(Error::Broken)
        };
        let signer = |purpose: Purpose, held: Option<&Arc<PrivateKey>>| {
            let row = active(purpose)?;
            match held.filter(|key| key.public().thumbprint() == row.kid) {
                Some(key) => Ok(Arc::clone(key)),
                None => {
                    let private = open(row, master)?;
                    let algorithm = Algorithm::from_name(&row.alg).ok_or(Error::Broken)?;
                    PrivateKey::from_pkcs8(algorithm, private.expose())
                        .map(Arc::new)
                        .map_err(|_| Error::Broken)
                }
            }
        };
        let log = match previous {
            Some(ring) => Arc::clone(&ring.log),
            None => {
                let seed = open(active(Purpose::Log)?, master)?;
                let seed = seed
                    .expose()
                    .as_slice()
                    .try_into()
                    .map_err(|_| Error::Broken)?;
                Arc::new(NoteSigner::from_seed(log_origin, seed).map_err(|_| Error::Broken)?)
            }
        };
        Ok(Self {
            access_token: signer(
                Purpose::AccessToken,
                previous.map(|ring| &ring.access_token),
            )?,
            id_token: signer(Purpose::IdToken, previous.map(|ring| &ring.id_token))?,
            document: signer(Purpose::Document, previous.map(|ring| &ring.document))?,
            log,
            // A later program may have keys for more purposes than this one knows.
            verifying: rows
                .iter()
                .filter_map(|row| Some((row, Purpose::from_name(&row.purpose)?)))
                .map(|(row, purpose)| verifying_key(row, purpose, master, previous))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The keys that verify for one purpose at `now`.
    pub fn verifying(&self, purpose: Purpose, now: Timestamp) -> impl Iterator<Item = &PublicKey> {
        self.verifying
            .iter()
            .filter(move |known| {
                known.purpose == purpose && known.verifies_until.is_none_or(|until| until > now)
            })
            .map(|known| &known.key)
    }
}

/// The public half of a row, taken from the private one that our master key opens: the column beside it
/// proves nothing, since whoever can write to the database could have put it there.
fn verifying_key(
    row: &SigningKey,
    purpose: Purpose,
    master: &Secret<[u8; 32]>,
    previous: Option<&KeyRing>,
) -> Result<VerifyingKey, Error> {
    let held = previous.and_then(|ring| {
        let mut known = ring.verifying.iter();
        known.find(|known| known.purpose == purpose && known.key.thumbprint() == row.kid)
    });
    let key = match held {
        Some(known) => known.key.clone(),
        None => public_half(row, purpose, master)?,
    };
    if key.thumbprint() != row.kid {
        tracing::error!(key.id = %row.kid, "a signing key is not the one that its row names");
        return Err(Error::Broken);
    }
    Ok(VerifyingKey {
        purpose,
        key,
        created_at: row.created_at,
        verifies_until: row.verifies_until,
    })
}

fn public_half(
    row: &SigningKey,
    purpose: Purpose,
    master: &Secret<[u8; 32]>,
) -> Result<PublicKey, Error> {
    let private = open(row, master)?;
    match purpose {
        Purpose::AccessToken | Purpose::IdToken | Purpose::Document => {
            let algorithm = Algorithm::from_name(&row.alg).ok_or(Error::Broken)?;
            let key = PrivateKey::from_pkcs8(algorithm, private.expose());
            key.map(|key| key.public().clone())
                .map_err(|_| Error::Broken)
        }
        Purpose::Log => {
            let seed = private
                .expose()
                .as_slice()
                .try_into()
                .map_err(|_| Error::Broken)?;
            // The name has no part in the key.
            let signer = NoteSigner::from_seed("log", seed).map_err(|_| Error::Broken)?;
            log_public(&signer)
        }
    }
}

/// The log's public key as a JWK key.
pub(crate) fn log_public(signer: &NoteSigner) -> Result<PublicKey, Error> {
    let x = base64url::encode(signer.verifier().public_key());
    let jwk = serde_json::json!({"kty": "OKP", "crv": "Ed25519", "x": x});
    PublicKey::from_jwk(&jwk).map_err(|_| Error::Broken)
}

/// Opens a key at rest; refused when the master key, the id or the purpose differ.
fn open(row: &SigningKey, master: &Secret<[u8; 32]>) -> Result<Secret<Vec<u8>>, Error> {
    let purpose = Purpose::from_name(&row.purpose).ok_or(Error::Broken)?;
    seal::open(master, &aad(purpose, &row.kid), &row.sealed).map_err(|_| {
        tracing::error!(key.id = %row.kid, "a signing key does not open with this master key");
        Error::Broken
    })
}

/// What a wrapped key is bound to: it opens for this purpose and under this id alone.
pub(crate) fn aad(purpose: Purpose, kid: &str) -> String {
    format!("signing_key/{}/{kid}", purpose.name())
}
