//! MCP clients that registered themselves.

use chancery_model::id::RegisteredClientId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Lets clients register themselves for a while: `POST /v1/clients/open`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenRegistration {
    /// For how many seconds, at most 7 days; 0 closes it.
    pub seconds: u64,
}

/// Whether clients may register themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RegistrationView {
    /// Whether they may now.
    pub is_open: bool,
    /// Until when, RFC 3339; in the past when they may not.
    pub until: String,
}

/// Which clients are wanted: `GET /v1/clients`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientQuery {
    /// Begin after this client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// At most this many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A client that registered itself. Nothing that it says is verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClientView {
    /// Never reused; also its OAuth `client_id`.
    pub id: RegisteredClientId,
    /// The name that it gives itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where answers to it may go.
    pub redirect_uris: Vec<String>,
    /// When it registered itself, RFC 3339.
    pub created_at: String,
    /// When a person first let it act, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<String>,
    /// When it is forgotten unless somebody uses it, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<String>,
}
