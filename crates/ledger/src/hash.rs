//! SHA-256 with the domain separation of RFC 6962 §2.1, and the text forms of a hash.

use std::fmt;

use aws_lc_rs::digest::{Context, Digest, SHA256, digest};

use crate::text;

/// The length of a hash in bytes.
pub const HASH_BYTES: usize = 32;

/// The length of a hash in hex characters.
pub const HASH_HEX: usize = 2 * HASH_BYTES;

// RFC 6962 §2.1: the two prefixes keep an entry from being taken for an interior node.
const LEAF_PREFIX: u8 = 0;
const NODE_PREFIX: u8 = 1;

// Entries up to this length are hashed in one call over a stack buffer, which spares an allocation.
const SHORT_ENTRY: usize = 1024;

/// A SHA-256 hash: a leaf, an interior node or a root of the tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; HASH_BYTES]);

/// The text is not the one canonical spelling of a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseHashError {
    /// Not 64 lower-case hex digits.
    #[error("a hash is 64 lower-case hex digits")]
    Hex,
    /// Not the padded standard base64 of 32 bytes.
    #[error("a hash is the padded standard base64 of 32 bytes")]
    Base64,
}

/// Hashes an entry into a leaf of the tree.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    if entry.len() > SHORT_ENTRY {
        let mut context = Context::new(&SHA256);
        context.update(&[LEAF_PREFIX]);
        context.update(entry);
        return Hash::from_digest(&context.finish());
    }
    let mut input = [LEAF_PREFIX; 1 + SHORT_ENTRY];
    input[1..=entry.len()].copy_from_slice(entry);
    Hash::from_digest(&digest(&SHA256, &input[..=entry.len()]))
}

/// Hashes two neighbouring subtree roots into the root above them.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut input = [NODE_PREFIX; 1 + 2 * HASH_BYTES];
    input[1..=HASH_BYTES].copy_from_slice(&left.0);
    input[1 + HASH_BYTES..].copy_from_slice(&right.0);
    Hash::from_digest(&digest(&SHA256, &input))
}

/// The root of the tree that holds nothing: the hash of no bytes.
pub fn empty_root() -> Hash {
    Hash::from_digest(&digest(&SHA256, &[]))
}

impl Hash {
    /// Takes 32 bytes as a hash.
    pub const fn from_bytes(bytes: [u8; HASH_BYTES]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }

    /// Prints 64 lower-case hex digits.
    pub fn to_hex(&self) -> String {
        hex_text(std::slice::from_ref(self))
    }

    /// Parses 64 lower-case hex digits.
    pub fn from_hex(text: &str) -> Result<Self, ParseHashError> {
        Self::from_hex_digits(text.as_bytes())
    }

    /// Prints the padded standard base64 that C2SP texts use.
    pub fn to_base64(&self) -> String {
        text::base64(&self.0)
    }

    /// Parses padded standard base64.
    pub fn from_base64(text: &str) -> Result<Self, ParseHashError> {
        let bytes = text::parse_base64(text).ok_or(ParseHashError::Base64)?;
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| ParseHashError::Base64)
    }

    pub(crate) fn from_hex_digits(digits: &[u8]) -> Result<Self, ParseHashError> {
        let (pairs, []) = digits.as_chunks::<2>() else {
            return Err(ParseHashError::Hex);
        };
        if pairs.len() != HASH_BYTES {
            return Err(ParseHashError::Hex);
        }
        let mut bytes = [0; HASH_BYTES];
        let mut seen = 0;
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            let (high, low) = (
                DIGIT_VALUES[usize::from(*high)],
                DIGIT_VALUES[usize::from(*low)],
            );
            seen |= high | low;
            *byte = high << 4 | (low & 0x0f);
        }
        if seen == NOT_A_DIGIT {
            Err(ParseHashError::Hex)
        } else {
            Ok(Self(bytes))
        }
    }

    fn from_digest(digest: &Digest) -> Self {
        let mut bytes = [0; HASH_BYTES];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }
}

/// Prints `hashes` one after the other, 64 lower-case hex digits each.
pub(crate) fn hex_text(hashes: &[Hash]) -> String {
    let mut digits = vec![0; hashes.len() * HASH_HEX];
    let (pairs, _) = digits.as_chunks_mut::<2>();
    for (pair, byte) in pairs.iter_mut().zip(hashes.iter().flat_map(|hash| hash.0)) {
        *pair = [
            DIGITS[usize::from(byte >> 4)],
            DIGITS[usize::from(byte & 0x0f)],
        ];
    }
    // Every byte written above comes from DIGITS, which is ASCII, and there are exactly two for each byte of a hash.
    String::from_utf8(digits).expect("hex digits are ascii")
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

// All ones: `or`-ing it with any digit value leaves it, so that one test after the loop finds every bad digit.
const NOT_A_DIGIT: u8 = 0xff;

const DIGIT_VALUES: [u8; 256] = {
    let mut values = [NOT_A_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        values[DIGITS[value as usize] as usize] = value;
        value += 1;
    }
    values
};

/// Prints hex, for people who debug.
impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

/// Prints base64, as C2SP texts do.
impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_base64())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hashes_are_those_of_certificate_transparency() {
        let check = |hash: Hash, expected: &str| assert_eq!(hash.to_hex(), expected);
        check(
            empty_root(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        );
        check(
            leaf_hash(b""),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        );
        check(
            leaf_hash(&[0]),
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        );
        check(
            node_hash(&leaf_hash(b""), &leaf_hash(&[0])),
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        );
    }

    #[test]
    fn short_and_long_entries_hash_alike() {
        for length in [SHORT_ENTRY - 1, SHORT_ENTRY, SHORT_ENTRY + 1, 70_000] {
            let entry: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let prefixed = [&[LEAF_PREFIX], entry.as_slice()].concat();
            assert_eq!(
                leaf_hash(&entry),
                Hash::from_digest(&digest(&SHA256, &prefixed)),
                "{length}"
            );
        }
    }

    #[test]
    fn hex_has_one_spelling() {
        let hex = empty_root().to_hex();
        for other in [
            hex.to_uppercase(),
            hex[1..].into(),
            format!("{hex}0"),
            format!("g{}", &hex[1..]),
            String::new(),
        ] {
            assert_eq!(Hash::from_hex(&other), Err(ParseHashError::Hex), "{other}");
        }
    }

    proptest! {
        #[test]
        fn printing_then_parsing_is_identity(bytes: [u8; 32]) {
            let hash = Hash::from_bytes(bytes);
            prop_assert_eq!(Hash::from_hex(&hash.to_hex()), Ok(hash));
            prop_assert_eq!(Hash::from_base64(&hash.to_base64()), Ok(hash));
        }

        #[test]
        fn any_text_parses_or_is_refused(text: String) {
            let _ = Hash::from_hex(&text);
            let _ = Hash::from_base64(&text);
        }

        #[test]
        fn a_single_wrong_digit_is_refused(bytes: [u8; 32], at in 0..64usize, digit: u8) {
            prop_assume!(!DIGITS.contains(&digit));
            let mut digits = Hash::from_bytes(bytes).to_hex().into_bytes();
            digits[at] = digit;
            prop_assert_eq!(Hash::from_hex_digits(&digits), Err(ParseHashError::Hex));
        }
    }
}
