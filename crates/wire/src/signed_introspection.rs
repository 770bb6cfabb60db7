//! A signed answer to an introspection (RFC 9701): a resource server can keep it as evidence of what it was told, and whoever
//! carries it there cannot change it.
//!
//! Everything about the token is inside one claim, and `sub` and `exp` are not at the top, so that it passes for no token.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::jwk::PrivateKey;
use crate::jws;

/// The kind of JWT.
pub const TYP: &str = "token-introspection+jwt";
/// What a resource server accepts when it wants one.
pub const MEDIA_TYPE: &str = "application/token-introspection+jwt";

/// The claims of a signed answer (RFC 9701 5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who tells.
    pub iss: String,
    /// Who asked: the `client_id` of the resource server.
    pub aud: String,
    /// When, in seconds.
    pub iat: i64,
    /// What RFC 7662 answers.
    pub token_introspection: Value,
}

/// Signs an answer with a key of the issuer.
pub fn sign(key: &PrivateKey, claims: &Claims) -> String {
    // Serialising to memory fails only for maps with keys that are not texts; there are none.
    let claims = serde_json::to_vec(claims).expect("an answer has only text keys");
    jws::sign(key, TYP, &claims)
}

/// Whether an `Accept` header wants a signed answer: it names the media type, and does not give it the weight of nothing.
pub fn is_wanted(accept: &str) -> bool {
    let wants = |range: &str| {
        let mut parts = range.split(';').map(str::trim);
        let names_it = (parts.next()).is_some_and(|name| name.eq_ignore_ascii_case(MEDIA_TYPE));
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        let is_nothing = weight.is_some_and(|weight| weight.parse::<f32>().is_ok_and(|q| q <= 0.0));
        names_it && !is_nothing
    };
    accept.split(',').any(wants)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_answer_is_wanted_by_whoever_names_it() {
        for wanted in [
            "application/token-introspection+jwt",
            "Application/Token-Introspection+JWT",
            "application/json;q=0.5, application/token-introspection+jwt",
            "application/token-introspection+jwt ; q=0.9, */*",
        ] {
            assert!(is_wanted(wanted), "{wanted}");
        }
        for other in [
            "",
            "*/*",
            "application/*",
            "application/json",
            "application/token-introspection+jwt;q=0",
            "application/token-introspection+jwt; q=0.0",
            "text/application/token-introspection+jwt",
        ] {
            assert!(!is_wanted(other), "{other}");
        }
    }
}
