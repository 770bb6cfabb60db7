//! MCP servers behind the gateway, and the definitions of their tools that a person accepted.

use std::time::Duration;

use crate::assurance::Acr;
use crate::digest::Digest;
use crate::id::ResourceId;
use crate::time::Timestamp;

/// An MCP server behind the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpServer {
    /// Never reused.
    pub id: ResourceId,
    /// The last segment of its path at the gateway, `/mcp/{name}`.
    pub name: String,
    /// How the gateway reaches it.
    pub upstream: Upstream,
    /// Until when plain bearer tokens are accepted; an explicit, recorded exception.
    pub bearer_until: Option<Timestamp>,
    /// How a person must have signed in on whose behalf it is called.
    pub sign_in: SignIn,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was removed.
    pub removed_at: Option<Timestamp>,
    /// Grows with every change.
    pub revision: i64,
    /// The tools that were accepted, by name.
    pub tools: Vec<ToolPin>,
}

/// How recently and how surely a person must have signed in for a call in their name; nothing is required when nothing is
/// said (RFC 9470).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SignIn {
    /// How long ago at most.
    pub max_age: Option<Duration>,
    /// How surely.
    pub acr: Option<Acr>,
}

impl SignIn {
    /// Whether a sign-in at `auth_time` of this class is enough at `now`; one of which nothing is known is none.
    pub fn is_met(self, auth_time: Option<Timestamp>, acr: Option<&str>, now: Timestamp) -> bool {
        let is_recent = self
            .max_age
            .is_none_or(|age| auth_time.is_some_and(|at| at >= now.before(age)));
        is_recent && self.acr.is_none_or(|wanted| acr == Some(wanted.name()))
    }
}

/// How the gateway reaches an MCP server.
#[derive(
    Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Upstream {
    /// Streamable HTTP at a URL.
    Http {
        /// The endpoint.
        url: String,
    },
    /// A process of ours that speaks on its standard streams. Never a shell (MCP-11).
    Stdio {
        /// The program.
        command: String,
        /// Its arguments, each passed as it is.
        args: Vec<String>,
    },
}

/// A tool as it was accepted: calls are checked against this, whatever the server says today (MCP-03).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolPin {
    /// The name on its server.
    pub name: String,
    /// The digest of the canonical definition.
    pub digest: Digest,
    /// The canonical definition, JSON.
    pub definition: String,
    /// When it was accepted.
    pub accepted_at: Timestamp,
}

/// Whether `name` is a tool name within the charset of MCP: 1 to 128 of letters, digits, `_`, `-`, `.`.
pub fn is_legal_tool_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}
