//! Signing keys.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A signing key, without its private part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KeyView {
    /// Its RFC 7638 thumbprint.
    pub kid: String,
    /// What it signs: `access_token`, `id_token`, `document` or `log`.
    pub purpose: String,
    /// `ES256` or `EdDSA`.
    pub alg: String,
    /// `active` or `verifying`.
    pub status: String,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// Until when it still verifies, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifies_until: Option<String>,
}

/// Rotates a key: `POST /v1/keys/rotate`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateKey {
    /// `access_token`, `id_token` or `document`.
    pub purpose: String,
    /// The old key stops verifying at once, and with it everything that it signed: for a key that leaked.
    #[serde(default)]
    pub withdraw: bool,
}
