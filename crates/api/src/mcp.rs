//! MCP servers behind the gateway.

use chancery_model::digest::Digest;
use chancery_model::id::ResourceId;
use chancery_model::mcp::Upstream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Puts an MCP server behind the gateway: `POST /v1/mcp`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddMcpServer {
    /// The last segment of its path, `/mcp/{name}`.
    pub name: String,
    /// How the gateway reaches it.
    pub upstream: Upstream,
    /// Accept plain bearer tokens for this many seconds: an explicit, recorded exception.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_bearer: Option<u64>,
    /// How long ago at most a person may have signed in on whose behalf it is called, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_auth_age: Option<u64>,
    /// How surely the person must have signed in: `phr`, by a passkey.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// Accept tools whose definitions carry high-severity findings (hidden text and the like).
    #[serde(default)]
    pub accept_findings: bool,
}

/// An MCP server, as the registry shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct McpServerView {
    /// Never reused.
    pub id: ResourceId,
    /// Its name.
    pub name: String,
    /// Where clients reach it: also the resource to ask tokens for.
    pub url: String,
    /// How the gateway reaches it.
    pub upstream: Upstream,
    /// Until when plain bearer tokens are accepted, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_until: Option<String>,
    /// How long ago at most a person may have signed in on whose behalf it is called, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_auth_age: Option<u64>,
    /// How surely the person must have signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// The accepted tools.
    pub tools: Vec<ToolView>,
    /// What was found in the definitions that a person should look at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
    /// When it was added, RFC 3339.
    pub created_at: String,
}

/// An accepted tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToolView {
    /// Its name on its server.
    pub name: String,
    /// What it says that it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The digest of the accepted definition.
    pub digest: Digest,
}
