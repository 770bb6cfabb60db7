//! DPoP as the holder of a key lives it: a proof for every request, and the nonces that servers hand out.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chancery_model::entropy::Entropy;
use chancery_model::time::Timestamp;
use chancery_wire::jwk::PrivateKey;
use chancery_wire::{dpop, json};
use http::{HeaderMap, HeaderValue};
use serde::Deserialize;
use url::Url;

use crate::agent::token::fresh;
use crate::transport::Answer;

/// A key, and the latest nonce of each server that it was shown to.
///
/// Shared freely between calls: the nonces stand behind a lock that is never held across a wait.
pub struct DpopSession {
    key: PrivateKey,
    nonces: Mutex<HashMap<Place, String>>,
}

/// RFC 9449 §8 and §9: the nonces of an authorization server and of a resource are apart, even on one host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    origin: String,
    with_token: bool,
}

impl Place {
    fn of(url: &Url, token: Option<&str>) -> Self {
        Self {
            origin: url.origin().ascii_serialization(),
            with_token: token.is_some(),
        }
    }
}

impl DpopSession {
    /// A session of `key`.
    pub fn new(key: PrivateKey) -> Self {
        Self {
            key,
            nonces: Mutex::default(),
        }
    }

    /// The thumbprint that tokens of this session are bound to.
    pub fn thumbprint(&self) -> &str {
        self.key.public().thumbprint()
    }

    /// The value of the `DPoP` field for one request; with `token` when the request carries one.
    pub fn proof(
        &self,
        method: &str,
        url: &Url,
        token: Option<&str>,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> String {
        let nonce = self.lock().get(&Place::of(url, token)).cloned();
        dpop::proof(
            &self.key,
            &dpop::Request {
                method,
                url: url.as_str(),
                jti: &fresh(entropy),
                now,
                nonce: nonce.as_deref(),
                access_token: token,
            },
        )
    }

    /// The header fields that make a request to a resource a proven one: `Authorization` and `DPoP`.
    pub fn headers(
        &self,
        method: &str,
        url: &Url,
        token: &str,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> HeaderMap {
        let proof = self.proof(method, url, Some(token), now, entropy);
        let mut headers = HeaderMap::new();
        for (name, text) in [("authorization", format!("DPoP {token}")), ("dpop", proof)] {
            // A token that cannot stand in a header field cannot be presented: the server then says so.
            if let Ok(mut value) = HeaderValue::try_from(text) {
                value.set_sensitive(true);
                headers.insert(name, value);
            }
        }
        headers
    }

    /// Keeps the nonce of an answer to a request to `url` that carried `token`; says whether there was one.
    pub fn remember(&self, url: &Url, token: Option<&str>, headers: &HeaderMap) -> bool {
        let mut given = headers.get_all("dpop-nonce").iter();
        let (Some(nonce), None) = (given.next(), given.next()) else {
            return false;
        };
        let Ok(nonce) = nonce.to_str() else {
            return false;
        };
        self.lock().insert(Place::of(url, token), nonce.to_owned());
        true
    }

    /// Whether a token endpoint refused only because the proof lacked its nonce.
    pub(super) fn wants_nonce(&self, answer: &Answer) -> bool {
        #[derive(Deserialize)]
        struct Refusal {
            error: String,
        }
        answer.headers.contains_key("dpop-nonce")
            && json::parse_as::<Refusal>(&answer.body, json::BODY)
                .is_ok_and(|refusal| refusal.error == "use_dpop_nonce")
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Place, String>> {
        // The map is whole at every moment, so a panic elsewhere leaves nothing half done.
        self.nonces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
