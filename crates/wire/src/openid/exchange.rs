//! What goes to the token endpoint of a provider, and what comes back (OpenID Connect Core 1.0 §3.1.3, §12).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chancery_model::secret::Secret;
use serde::Deserialize;
use zeroize::Zeroize;

use super::OpenIdError;
use crate::claim::present;
use crate::issuer::DOCUMENT;
use crate::json;

/// The longest token of a provider that is taken.
const LONGEST: usize = 16 * 1024;

/// The value of `Authorization` by which a client shows its secret (RFC 6749 §2.3.1).
pub fn basic(client_id: &str, client_secret: &str) -> Secret<String> {
    let escaped =
        |text: &str| -> String { url::form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let mut pair = format!("{}:{}", escaped(client_id), escaped(client_secret));
    let value = format!("Basic {}", STANDARD.encode(&pair));
    pair.zeroize();
    Secret::new(value)
}

/// What a code or a refresh token was exchanged for.
pub struct TokenAnswer {
    /// Who signed in; a refresh may leave it out.
    pub id_token: Option<String>,
    /// What more can be asked with.
    pub access_token: Option<Secret<String>>,
    /// What can be asked with later.
    pub refresh_token: Option<Secret<String>>,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default, deserialize_with = "present")]
    id_token: Option<String>,
    #[serde(default, deserialize_with = "present")]
    access_token: Option<String>,
    #[serde(default, deserialize_with = "present")]
    refresh_token: Option<String>,
}

impl TokenAnswer {
    /// Reads a successful answer.
    pub fn of_document(bytes: &[u8]) -> Result<Self, OpenIdError> {
        let raw: Raw = json::parse_object_as(bytes, DOCUMENT)?;
        let tokens = [&raw.id_token, &raw.access_token, &raw.refresh_token];
        let is_legal = |token: &String| {
            (1..=LONGEST).contains(&token.len())
                && token.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if !tokens.into_iter().flatten().all(is_legal) {
            return Err(OpenIdError::Malformed);
        }
        Ok(Self {
            id_token: raw.id_token,
            access_token: raw.access_token.map(Secret::new),
            refresh_token: raw.refresh_token.map(Secret::new),
        })
    }
}

/// Whether a refusal says that a code or a refresh token is of no use any more, and nothing else (RFC 6749 §5.2).
pub fn is_invalid_grant(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Refused {
        error: String,
    }
    let refused: Result<Refused, _> = json::parse_object_as(bytes, DOCUMENT);
    refused.is_ok_and(|refused| refused.error == "invalid_grant")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_of_a_client_is_escaped_before_it_is_joined() {
        let value = basic("a b", "c:d%");
        assert_eq!(
            value.expose(),
            &format!("Basic {}", STANDARD.encode("a+b:c%3Ad%25"))
        );
    }

    #[test]
    fn answer_is_read_strictly() {
        let read = |text: &str| TokenAnswer::of_document(text.as_bytes()).is_ok();
        assert!(read(
            r#"{"id_token": "a.b.c", "access_token": "x", "token_type": "Bearer"}"#
        ));
        for text in [
            r#"{"id_token": null}"#,
            r#"{"id_token": ""}"#,
            r#"{"id_token": "a b"}"#,
            r#"{"id_token": "a", "id_token": "b"}"#,
            r#"{"refresh_token": 7}"#,
            "[]",
            "",
        ] {
            assert!(!read(text), "{text}");
        }
    }

    #[test]
    fn only_a_definite_refusal_is_one() {
        assert!(is_invalid_grant(
            br#"{"error": "invalid_grant", "error_description": "gone"}"#
        ));
        for text in [
            r#"{"error": "invalid_client"}"#,
            r#"{"error": "temporarily_unavailable"}"#,
            r#"{"error": ["invalid_grant"]}"#,
            r#"{"error_description": "invalid_grant"}"#,
            "invalid_grant",
            "",
        ] {
            assert!(!is_invalid_grant(text.as_bytes()), "{text}");
        }
    }
}
