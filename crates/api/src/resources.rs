//! Resource servers: those for whom tokens are made, and who may introspect.

use chancery_model::client_authentication::ClientAuthenticationMetadata;
use chancery_model::id::ResourceId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Registers a resource server: `POST /v1/resources`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterResource {
    /// Its resource identifier (RFC 8707): an absolute URL without fragment.
    pub url: String,
    /// The public keys that it introspects with, as a JWK Set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<serde_json::Value>,
    /// How it authenticates; by assertions when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<ClientAuthenticationMetadata>,
    /// Accept plain bearer tokens for this many seconds: an explicit, recorded exception.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_bearer: Option<u64>,
}

/// A resource server, as the registry shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceView {
    /// Never reused; also its OAuth `client_id`.
    pub id: ResourceId,
    /// Its resource identifier.
    pub url: String,
    /// The thumbprints of its keys.
    pub keys: Vec<String>,
    /// How it authenticates.
    #[serde(default)]
    pub authentication: ClientAuthenticationMetadata,
    /// Until when plain bearer tokens are issued for it, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_until: Option<String>,
    /// When it was registered, RFC 3339.
    pub created_at: String,
}
