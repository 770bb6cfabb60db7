//! Wrapping of secrets at rest: AES-256-GCM under the master key.
//!
//! The associated data says what the secret is and where it belongs (table, column, row), so that a
//! wrapped key that is moved to another place does not open there.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use chancery_model::entropy::Entropy;
use chancery_model::secret::Secret;
use zeroize::Zeroize;

use crate::{base64url, hash};

/// The first byte of a wrapped secret: how it was wrapped.
const VERSION: u8 = 1;

/// Why a wrapped secret did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not something that this program wrapped.
    #[error("the wrapped secret is malformed")]
    Malformed,
    /// Another master key, another place, or changed.
    #[error("the wrapped secret does not open with this master key in this place")]
    Refused,
}

/// Wraps `plaintext` for the place that `aad` names.
pub fn seal(
    master: &Secret<[u8; 32]>,
    aad: &str,
    plaintext: &[u8],
    entropy: &dyn Entropy,
) -> String {
    let mut nonce = [0; NONCE_LEN];
    entropy.fill(&mut nonce);
    let mut text = plaintext.to_vec();
    // AES-GCM takes messages of up to 64 GiB, and a secret that is read into memory is none.
    let tag = key(master)
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(aad.as_bytes()),
            &mut text,
        )
        .expect("a secret is shorter than 64 GiB");
    base64url::encode(&[&[VERSION][..], &nonce, &text, tag.as_ref()].concat())
}

/// Opens what was wrapped for the place that `aad` names.
pub fn open(
    master: &Secret<[u8; 32]>,
    aad: &str,
    sealed: &str,
) -> Result<Secret<Vec<u8>>, SealError> {
    let bytes = base64url::decode(sealed).map_err(|_| SealError::Malformed)?;
    let Some((&VERSION, rest)) = bytes.split_first() else {
        return Err(SealError::Malformed);
    };
    let (&nonce, text) = rest.split_first_chunk().ok_or(SealError::Malformed)?;
    let mut text = text.to_vec();
    let opened = key(master)
        .open_in_place(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(aad.as_bytes()),
            &mut text,
        )
        .map(|plaintext| Secret::new(plaintext.to_vec()));
    text.zeroize();
    opened.map_err(|_| SealError::Refused)
}

/// The master key serves several purposes, each with a key of its own (CRY-03).
fn key(master: &Secret<[u8; 32]>) -> LessSafeKey {
    let mut bytes = hash::hmac_sha256(master.expose(), b"chancery seal 1");
    // The key has the 32 bytes that AES-256 takes.
    let key = UnboundKey::new(&AES_256_GCM, &bytes).expect("32 bytes are an AES-256 key");
    bytes.zeroize();
    LessSafeKey::new(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Fixed(u8);

    impl Entropy for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    fn master(byte: u8) -> Secret<[u8; 32]> {
        Secret::new([byte; 32])
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens_in_its_place_only(text: Vec<u8>, place: u8, bit in 0usize..4096) {
            let sealed = seal(&master(1), "key/1", &text, &Fixed(place));
            let opened = open(&master(1), "key/1", &sealed).expect("opens");
            prop_assert_eq!(opened.expose(), &text);
            prop_assert_eq!(open(&master(1), "key/2", &sealed).err(), Some(SealError::Refused));
            prop_assert_eq!(open(&master(2), "key/1", &sealed).err(), Some(SealError::Refused));
            let mut bytes = base64url::decode(&sealed).expect("base64url");
            let bit = bit % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(open(&master(1), "key/1", &base64url::encode(&bytes)).is_err());
        }

        #[test]
        fn any_text_is_refused_without_panic(text in "\\PC{0,80}") {
            prop_assert!(open(&master(1), "key/1", &text).is_err());
        }
    }
}
