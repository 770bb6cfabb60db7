//! What an agent shows on each request.

use std::sync::Arc;

use chancery_client::agent::dpop::DpopSession;
use chancery_model::entropy::Entropy;
use chancery_model::secret::Secret;
use chancery_model::time::Clock;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use url::Url;

/// What an agent shows; clones show the same.
#[derive(Clone)]
pub enum Credential {
    /// Nothing.
    Nothing,
    /// A token that works for whoever holds it.
    Bearer(Arc<Secret<String>>),
    /// A token with proof of possession of the key that it is bound to.
    Bound(Arc<BoundToken>),
}

/// A token, the key that it is bound to, and what a fresh proof needs.
pub struct BoundToken {
    /// The token.
    pub token: Secret<String>,
    /// Its key, and the nonces of the servers that have seen it.
    pub dpop: DpopSession,
    /// When each proof is made.
    pub clock: Arc<dyn Clock>,
    /// What makes each proof unique.
    pub entropy: Arc<dyn Entropy>,
}

impl Credential {
    /// The header fields for one request; each call makes a proof of its own.
    pub fn headers(&self, method: &str, url: &Url) -> HeaderMap {
        match self {
            Self::Nothing => HeaderMap::new(),
            Self::Bearer(token) => {
                let value = HeaderValue::try_from(format!("Bearer {}", token.expose()));
                // A token that cannot stand in a header field cannot be presented: the server then says so.
                value
                    .into_iter()
                    .map(|value| (AUTHORIZATION, value))
                    .collect()
            }
            Self::Bound(bound) => {
                let now = bound.clock.now();
                bound.dpop.headers(
                    method,
                    url,
                    bound.token.expose(),
                    now,
                    bound.entropy.as_ref(),
                )
            }
        }
    }

    /// Learns from an answer; says whether the same request is worth another try, because the server only wanted its
    /// nonce in the proof (RFC 9449 §9).
    pub fn learn(&self, url: &Url, status: StatusCode, headers: &HeaderMap) -> bool {
        match self {
            Self::Nothing | Self::Bearer(_) => false,
            Self::Bound(bound) => {
                let given = bound
                    .dpop
                    .remember(url, Some(bound.token.expose()), headers);
                given
                    && status == StatusCode::UNAUTHORIZED
                    && challenge(headers).contains("use_dpop_nonce")
            }
        }
    }
}

/// The challenges of an answer, in one line; empty when there are none.
pub(crate) fn challenge(headers: &HeaderMap) -> String {
    let texts = headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    texts.collect::<Vec<_>>().join(", ")
}

/// The value of a parameter of a challenge, such as `error`; `None` when it is not there.
pub(crate) fn parameter<'a>(challenge: &'a str, name: &str) -> Option<&'a str> {
    challenge.match_indices(name).find_map(|(at, _)| {
        let before = challenge[..at].chars().next_back();
        let after = challenge[at + name.len()..].strip_prefix("=\"")?;
        matches!(before, None | Some(' ' | ','))
            .then(|| after.split_once('"'))?
            .map(|(value, _)| value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_read_by_parameter() {
        let said = r#"Bearer resource_metadata="https://id.example.com/x", DPoP algs="ES256",error="invalid_token", error_description="the token is bound to a key""#;
        assert_eq!(parameter(said, "error"), Some("invalid_token"));
        assert_eq!(
            parameter(said, "error_description"),
            Some("the token is bound to a key")
        );
        assert_eq!(parameter(said, "algs"), Some("ES256"));
        assert_eq!(parameter(said, "scope"), None);
        assert_eq!(parameter("", "error"), None);
    }
}
