//! Hashes, MACs and comparisons that take the same time whatever they find.

use aws_lc_rs::{constant_time, digest, hmac};
use chancery_model::digest::Digest;

use crate::base64url;
use crate::jwk::Algorithm;

/// The SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> Digest {
    finish(digest::digest(&digest::SHA256, bytes))
}

/// The SHA-256 of `bytes` as base64url: the form of `ath`, `jkt` and `kid`.
pub fn sha256_base64url(bytes: &[u8]) -> String {
    base64url::encode(sha256(bytes).as_bytes())
}

/// The left half of a hash as base64url: the form of `at_hash`, with SHA-512 for Ed25519 and SHA-256 for everything else.
pub(crate) fn left_half_base64url(algorithm: Algorithm, bytes: &[u8]) -> String {
    let hash = match algorithm {
        Algorithm::EdDsa => digest::digest(&digest::SHA512, bytes),
        Algorithm::Es256 | Algorithm::Ps256 | Algorithm::Rs256 => {
            digest::digest(&digest::SHA256, bytes)
        }
    };
    let hash = hash.as_ref();
    base64url::encode(&hash[..hash.len() / 2])
}

/// The SHA-256 of several texts for one purpose.
///
/// Every text goes in with its length, so that no two lists of texts, and no two purposes, hash the
/// same bytes.
pub fn sha256_for(purpose: &str, texts: &[&str]) -> Digest {
    let mut context = digest::Context::new(&digest::SHA256);
    for text in std::iter::once(&purpose).chain(texts) {
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text.as_bytes());
    }
    finish(context.finish())
}

fn finish(hash: digest::Digest) -> Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hash.as_ref());
    Digest::from_bytes(bytes)
}

/// The HMAC-SHA-256 of `message` under `key`.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(tag.as_ref());
    bytes
}

/// Whether two byte strings are equal, in a time that depends on their lengths only (CRY-01).
pub fn equal(left: &[u8], right: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(left, right).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        assert_eq!(
            sha256(b"abc").to_string(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        // RFC 4231, test case 2.
        let tag = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(
            Digest::from_bytes(tag).to_string(),
            "sha256:5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn texts_do_not_run_into_each_other() {
        let split = sha256_for("p", &["ab", "c"]);
        assert_ne!(split, sha256_for("p", &["a", "bc"]));
        assert_ne!(split, sha256_for("q", &["ab", "c"]));
        assert_eq!(split, sha256_for("p", &["ab", "c"]));
    }

    #[test]
    fn equality_is_equality() {
        assert!(equal(b"same", b"same"));
        assert!(!equal(b"same", b"sama"));
        assert!(!equal(b"same", b"sam"));
    }
}
