//! Client data (WebAuthn §5.8.1): what the browser says the ceremony was.

use serde::Deserialize;

use super::{FreshChallenge, RelyingParty, WebauthnError};
use crate::claim::present;
use crate::json::{self, Limits};
use crate::{base64url, hash};

/// Client data have a few short members, and room for those of the future.
const LIMITS: Limits = Limits {
    bytes: 4 * 1024,
    depth: 8,
};

/// The two ceremonies, as browsers name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Create,
    Get,
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Self::Create => "webauthn.create",
            Self::Get => "webauthn.get",
        }
    }
}

/// What the browser says, and the hash that the authenticator signs.
#[derive(Debug, Clone)]
pub(super) struct ClientData {
    kind: String,
    origin: String,
    is_cross_origin: bool,
    pub(super) challenge: Vec<u8>,
    pub(super) hash: [u8; 32],
}

/// Members as they are read; others may come with later levels of the standard and mean nothing here.
#[derive(Deserialize)]
struct Raw {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(default, rename = "crossOrigin", deserialize_with = "present")]
    cross_origin: Option<bool>,
    #[serde(default, rename = "topOrigin", deserialize_with = "present")]
    top_origin: Option<String>,
}

impl ClientData {
    /// Parses the base64url text of the JSON.
    pub(super) fn parse(text: &str) -> Result<Self, WebauthnError> {
        const NAME: &str = "client_data_json";
        let bytes = super::bytes(text, NAME, LIMITS.bytes)?;
        let malformed = WebauthnError::Malformed(NAME);
        let raw: Raw = json::parse_as(&bytes, LIMITS).map_err(|_| malformed)?;
        Ok(Self {
            challenge: base64url::decode(&raw.challenge).map_err(|_| malformed)?,
            kind: raw.r#type,
            origin: raw.origin,
            is_cross_origin: raw.cross_origin == Some(true) || raw.top_origin.is_some(),
            hash: *hash::sha256(&bytes).as_bytes(),
        })
    }

    /// Checks that the ceremony was this one, on our own page, in answer to `challenge`.
    pub(super) fn check(
        &self,
        expected: Type,
        party: &RelyingParty,
        challenge: &FreshChallenge,
    ) -> Result<(), WebauthnError> {
        if self.kind != expected.name() {
            return Err(WebauthnError::TypeMismatch);
        }
        if !hash::equal(&self.challenge, challenge.bytes()) {
            return Err(WebauthnError::ChallengeUnknown);
        }
        if self.origin != party.origin {
            return Err(WebauthnError::OriginMismatch);
        }
        if self.is_cross_origin {
            return Err(WebauthnError::CrossOrigin);
        }
        Ok(())
    }
}
