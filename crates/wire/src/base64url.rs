//! base64url without padding, strictly: every byte string has exactly one text (JWT-16).
//!
//! Padding, white space, the letters of plain base64 and non-zero trailing bits are refused, so that
//! the hash of a token is the hash of the only text of that token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The text is not base64url, or not the one text of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not base64url without padding")]
pub struct NotBase64Url;

/// The text of `bytes`.
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Appends the text of `bytes` to `text`.
pub fn encode_onto(bytes: &[u8], text: &mut String) {
    URL_SAFE_NO_PAD.encode_string(bytes, text);
}

/// How long the text of `length` bytes is.
pub const fn encoded_len(length: usize) -> usize {
    (length * 4).div_ceil(3)
}

/// The bytes of `text`.
pub fn decode(text: &str) -> Result<Vec<u8>, NotBase64Url> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| NotBase64Url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn jwt_16_only_one_text_of_the_bytes_is_accepted() {
        assert_eq!(decode("-_8"), Ok(vec![0xfb, 0xff]));
        for bad in [
            "-_8=", "+/8", "-_9", "-_8 ", " -_8", "-\n_8", "-%5F8", "A", "-_8.", "-_8\0",
        ] {
            assert_eq!(decode(bad), Err(NotBase64Url), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn printed_then_parsed_is_the_same(bytes: Vec<u8>) {
            let text = encode(&bytes);
            prop_assert_eq!(text.len(), encoded_len(bytes.len()));
            prop_assert_eq!(decode(&text), Ok(bytes));
        }

        #[test]
        fn parsed_then_printed_is_the_same(text in "[A-Za-z0-9_-]{0,12}") {
            if let Ok(bytes) = decode(&text) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
