//! Proof Key for Code Exchange (RFC 7636), by `S256` alone.

use crate::{base64url, hash};

/// The one method; `plain` does not exist here (AUTHZ-04).
pub const METHOD: &str = "S256";

/// The text is no challenge by `S256`, or no verifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not of the form of RFC 7636")]
pub struct Malformed;

/// What a code is bound to: the hash of a secret that its client keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge(String);

impl Challenge {
    /// Parses a challenge: the text of the 32 bytes of a hash.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let bytes = base64url::decode(text).map_err(|_| Malformed)?;
        if bytes.len() == 32 {
            Ok(Self(text.to_owned()))
        } else {
            Err(Malformed)
        }
    }

    /// The challenge of a verifier.
    pub fn of(verifier: &Verifier<'_>) -> Self {
        Self(hash::sha256_base64url(verifier.0.as_bytes()))
    }

    /// Whether `verifier` is the secret that this is the hash of, in a time that tells nothing (AUTHZ-06).
    pub fn is_of(&self, verifier: &Verifier<'_>) -> bool {
        hash::equal(Self::of(verifier).0.as_bytes(), self.0.as_bytes())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The secret of a client, as it comes with the code.
#[derive(Clone, Copy)]
pub struct Verifier<'a>(&'a str);

impl<'a> Verifier<'a> {
    /// Parses a verifier: 43 to 128 unreserved characters (RFC 7636 4.1).
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if (43..=128).contains(&text.len()) && text.bytes().all(is_unreserved) {
            Ok(Self(text))
        } else {
            Err(Malformed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answer_of_rfc_7636() {
        let verifier =
            Verifier::parse("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").expect("legal");
        let challenge = Challenge::of(&verifier);
        assert_eq!(
            challenge.as_str(),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
        assert!(challenge.is_of(&verifier));
    }

    #[test]
    fn authz_06_verifier_has_the_grammar_of_the_standard() {
        let legal = "a".repeat(43);
        assert!(Verifier::parse(&legal).is_ok());
        assert!(Verifier::parse(&"~._-".repeat(32)).is_ok());
        for bad in [
            "a".repeat(42),
            "a".repeat(129),
            format!("{}%", &legal[1..]),
            format!("{} ", &legal[1..]),
            format!("{}\0", &legal[1..]),
            format!("{}é", &legal[2..]),
            String::new(),
        ] {
            assert!(Verifier::parse(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn authz_05_challenge_itself_is_not_its_verifier() {
        let secret = "v".repeat(50);
        let challenge = Challenge::of(&Verifier::parse(&secret).expect("legal"));
        let text = challenge.as_str().to_owned();
        assert!(!challenge.is_of(&Verifier::parse(&text).expect("of the same grammar")));
        assert!(Challenge::parse(&text).is_ok());
        assert!(Challenge::parse(&text[1..]).is_err());
        assert!(Challenge::parse(&format!("{text}=")).is_err());
    }
}
