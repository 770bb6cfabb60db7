//! What people let agents do in their names.

use chancery_model::digest::Digest;
use chancery_model::id::{AgentId, GrantId};
use chancery_model::tool_call::ToolCalls;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which grants are wanted: `GET /v1/grants`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantQuery {
    /// Of this person alone, by handle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Begin after this grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// At most this many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// What one person lets one agent do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GrantView {
    /// Names it in tokens and in the record.
    pub id: GrantId,
    /// The person.
    pub owner: String,
    /// The name of the agent.
    pub agent: String,
    /// The agent.
    pub agent_id: AgentId,
    /// What the agent was when the person consented.
    pub version: Digest,
    /// `in_force`, `revoked` or `ended`.
    pub status: String,
    /// The one resource that it is for.
    pub resource: String,
    /// The most that a token of it may name.
    pub scope: Vec<String>,
    /// The tool calls that it is limited to; absent when it is not limited in this way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_details: Option<ToolCalls>,
    /// Where the answer went.
    pub redirect_uri: String,
    /// When the person consented, RFC 3339.
    pub created_at: String,
    /// When it ends by itself, RFC 3339.
    pub expires_at: String,
    /// When a token was last issued of it, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<String>,
    /// When it was revoked, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<String>,
}
