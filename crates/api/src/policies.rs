//! Policies: texts, what they would decide, and why.

use chancery_model::id::PolicyId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Adds or replaces a policy text: `PUT /v1/policies/{name}`; checks one: `POST /v1/policies/check`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyText {
    /// Cedar: policies, or a schema fragment for an organisation's own types.
    pub text: String,
    /// What the text is.
    #[serde(default)]
    pub kind: PolicyKind,
    /// For a check: the name under which it would come into force, in place of the text that has it now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What a text holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyKind {
    /// Cedar policies.
    #[default]
    Policies,
    /// A Cedar schema fragment.
    Schema,
}

/// A policy text in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyView {
    /// Names this text for good.
    pub id: PolicyId,
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: PolicyKind,
    /// The text.
    pub text: String,
    /// Whether it came with the program.
    pub shipped: bool,
    /// When it was added, RFC 3339.
    pub created_at: String,
}

/// What a check found: `POST /v1/policies/check`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckReport {
    /// Whether the text could come into force beside those that are.
    pub ok: bool,
    /// What is wrong with it, each with its place and a hint.
    pub problems: Vec<String>,
}

/// Asks what would be decided, without doing or recording it: `POST /v1/policies/explain`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainCall {
    /// The agent, by name or id.
    pub agent: String,
    /// The MCP server.
    pub server: String,
    /// The tool.
    pub tool: String,
    /// The arguments.
    #[serde(default)]
    pub arguments: serde_json::Map<String, serde_json::Value>,
    /// Whether the call would be sender-constrained; yes when absent.
    #[serde(default = "yes")]
    pub sender_constrained: bool,
}

fn yes() -> bool {
    true
}
