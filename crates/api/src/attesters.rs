//! Those who vouch for running copies of clients (attestation-based client authentication).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Adds an attester: `POST /v1/attesters`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddAttester {
    /// What agents name it by: 1 to 64 of lower-case letters, digits and `-`.
    pub name: String,
    /// What its attestations must carry as `iss`; not looked at when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The public keys that it signs with, as a JWK Set.
    pub jwks: serde_json::Value,
}

/// An attester, as the registry shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttesterView {
    /// Its name.
    pub name: String,
    /// What its attestations must carry as `iss`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The thumbprints of its keys.
    pub keys: Vec<String>,
    /// When it was added, RFC 3339.
    pub created_at: String,
}
