//! The spellings that every C2SP text shares: canonical decimals and strict base64.

use std::fmt::Display;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Parses an ASCII decimal without sign or leading zeros.
pub(crate) fn parse_decimal<N: FromStr + Display>(text: &str) -> Option<N> {
    let number: N = text.parse().ok()?;
    // Printing again is the whole definition of canonical: it refuses `+1`, `007` and the like.
    (number.to_string() == text).then_some(number)
}

/// Encodes `bytes` in the standard alphabet with padding (RFC 4648 §4).
pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Decodes padded standard base64; refuses white space, missing padding and stray trailing bits.
pub(crate) fn parse_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Whether `text` is free of the control characters that a note may not carry, line feeds aside.
pub(crate) fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| byte >= 0x20 || byte == b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_spelling_of_a_number_is_accepted() {
        assert_eq!(parse_decimal::<u64>("0"), Some(0));
        assert_eq!(parse_decimal::<u64>("18446744073709551615"), Some(u64::MAX));
        for other in [
            "",
            "+1",
            "-0",
            "00",
            "01",
            " 1",
            "1 ",
            "1\n",
            "0x1",
            "1_000",
            "18446744073709551616",
        ] {
            assert_eq!(parse_decimal::<u64>(other), None, "{other:?}");
        }
    }

    #[test]
    fn only_one_spelling_of_bytes_is_accepted() {
        assert_eq!(parse_base64("AAE="), Some(vec![0, 1]));
        for other in ["AAE", "AAF=", "AAE=\n", " AAE=", "AA-_", "A"] {
            assert_eq!(parse_base64(other), None, "{other:?}");
        }
    }
}
