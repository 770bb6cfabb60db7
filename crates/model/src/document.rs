//! The identity document: what an agent is and may do, as its owner declares it (R3).
//!
//! The digest of the canonical document is the agent's version. Members that the authority decides
//! (id, status, version, times, signature) are not part of it and are refused on the way in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::owner::OwnerHandle;
use crate::time::Timestamp;

/// The value of `schema` in every document of this shape.
pub const SCHEMA: &str = "chancery/agent-identity/1";

/// The platform of an agent that a person's MCP client became; only consent makes one, and it stays one.
pub const CLIENT_PLATFORM: &str = "mcp_client";

/// An identity document, version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The shape of this document; `chancery/agent-identity/1` when absent.
    #[serde(default = "known_schema")]
    pub schema: String,
    /// Unique among the agents that are not retired.
    pub name: AgentName,
    /// What the agent is for, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The person or team that answers for the agent.
    pub owner: OwnerHandle,
    /// The team that runs it, when that is not the owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// What it is built with: `langchain`, `copilot_studio`, `bedrock`, `custom`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The model that it thinks with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Model>,
    /// Where it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosting: Option<Hosting>,
    /// How much it does without a person.
    #[serde(default)]
    pub autonomy_level: AutonomyLevel,
    /// What it can do, each with its risk.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Capability>,
    /// Which data it reaches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data_access: Vec<DataAccess>,
    /// Which tools it may use, on which MCP server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolGrant>,
    /// What needs a person, and who that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub human_oversight: Option<HumanOversight>,
    /// Systems it is connected to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connected_systems: Vec<String>,
    /// Digests of what the agent is made of; a change of any is a new version (N4).
    #[serde(default, skip_serializing_if = "Integrity::is_empty")]
    pub integrity: Integrity,
    /// When the identity ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime>,
}

fn known_schema() -> String {
    SCHEMA.to_owned()
}

/// The name of an agent: 1 to 64 of `a-z`, `0-9`, `-`, `_` and `.`, beginning with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct AgentName(
    // INVARIANT: matches `[a-z0-9][a-z0-9._-]{0,63}`, and is not the text form of an agent id.
    #[schemars(regex(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$"))] String,
);

/// The text is not a legal name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to 64 of `a-z`, `0-9`, `.`, `_`, `-`, and begins with a letter or digit")]
pub struct InvalidName;

/// Whether `text` is a legal name of an agent, an MCP server or a policy.
pub fn is_legal_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= 64
        && text.bytes().next().is_some_and(plain)
        && text
            .bytes()
            .all(|byte| plain(byte) || b"._-".contains(&byte))
}

impl AgentName {
    /// Parses a name; a name that reads as an agent id is refused, so that `show` is never ambiguous.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let reads_as_id = text.parse::<crate::id::AgentId>().is_ok();
        (is_legal_name(text) && !reads_as_id)
            .then(|| Self(text.to_owned()))
            .ok_or(InvalidName)
    }

    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for AgentName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for AgentName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// A language model, by provider, name and version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Who serves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Its name.
    pub name: String,
    /// Its exact version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Where an agent runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hosting {
    /// Cloud, cluster or machine.
    pub provider: String,
    /// Region or site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// `production`, `staging`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

/// How much an agent does without a person; each level includes those before it.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum AutonomyLevel {
    /// Acts only when a person asks for the step.
    Assisted,
    /// Acts alone under a person's eye.
    #[default]
    Supervised,
    /// Acts alone.
    Autonomous,
}

/// How bad the misuse of a capability would be.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Easily undone.
    Low,
    /// Costs something to undo.
    Medium,
    /// Hurts.
    High,
    /// Cannot be undone, or endangers people or the organisation.
    Critical,
}

/// How sensitive data is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Classification {
    /// Anyone may see it.
    Public,
    /// For the organisation.
    Internal,
    /// For those who need it.
    Confidential,
    /// For named people only.
    Restricted,
}

/// Something that the agent can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Capability {
    /// A short name, such as `refunds.issue`.
    pub name: String,
    /// How bad its misuse would be.
    pub risk: Risk,
}

/// What may be done with data.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Look.
    Read,
    /// Change.
    Write,
    /// Remove.
    Delete,
}

/// Data that the agent reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataAccess {
    /// Which data: a name or a URI.
    pub resource: String,
    /// What may be done with it.
    pub access: Vec<Access>,
    /// How sensitive it is.
    pub classification: Classification,
}

/// What may be done with a tool.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ToolPermission {
    /// See it in lists.
    List,
    /// Call it (and see it).
    Call,
}

/// A tool that the agent may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolGrant {
    /// The name of the MCP server behind the gateway.
    pub server: String,
    /// The name of the tool on that server; `*` is every tool of it.
    pub tool: String,
    /// What may be done with it; `call` when absent.
    #[serde(default = "call")]
    pub permissions: Vec<ToolPermission>,
}

impl ToolGrant {
    /// Whether it lets the agent call `tool` of `server`.
    pub fn lets_call(&self, server: &str, tool: &str) -> bool {
        (self.tool == tool && self.server == server && self.is_of_calls())
            || self.lets_call_all(server)
    }

    /// Whether it lets the agent call every tool of `server`, those of later days too.
    pub fn lets_call_all(&self, server: &str) -> bool {
        self.tool == "*" && self.server == server && self.is_of_calls()
    }

    /// Whether it is of calls, and not of seeing a tool alone.
    pub fn is_of_calls(&self) -> bool {
        self.permissions.contains(&ToolPermission::Call)
    }
}

fn call() -> Vec<ToolPermission> {
    vec![ToolPermission::Call]
}

/// What needs a person, and who that is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HumanOversight {
    /// Capabilities or tools that need a person's approval.
    pub required_for: Vec<String>,
    /// Who approves.
    pub approvers: Vec<OwnerHandle>,
}

/// Digests of the parts that make the agent behave as it does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Integrity {
    /// Of its source or build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Digest>,
    /// Of its configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<Digest>,
    /// Of the container or machine image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Digest>,
    /// Of the system prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<Digest>,
    /// Of its skills, together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skills: Option<Digest>,
}

impl Integrity {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A moment as an RFC 3339 text in UTC with seconds, such as `2027-01-31T00:00:00Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(with = "String", extend("format" = "date-time"))]
pub struct DateTime(pub Timestamp);

impl std::fmt::Display for DateTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A moment outside the calendar is shown as its nearest end.
        let secs = self.0.as_secs();
        let end = if secs < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        };
        let moment = jiff::Timestamp::from_second(secs).unwrap_or(end);
        write!(f, "{moment:.0}")
    }
}

impl Serialize for DateTime {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DateTime {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let moment: jiff::Timestamp = text.parse().map_err(|_| {
            serde::de::Error::custom("expected a time such as `2027-01-31T00:00:00Z`")
        })?;
        Ok(Self(Timestamp::from_secs(moment.as_second())))
    }
}

/// A limit of the document that its types do not express.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDocument {
    /// Written for a shape that this authority does not know.
    #[error("`schema` must be `{SCHEMA}`")]
    UnknownSchema,
    /// A text is too long.
    #[error("`{0}` is longer than {1} characters")]
    TooLong(&'static str, usize),
    /// A list is too long.
    #[error("`{0}` has more than {1} entries")]
    TooMany(&'static str, usize),
    /// The same thing is listed twice.
    #[error("`{0}` names `{1}` twice")]
    Twice(&'static str, String),
    /// A name in a list is not legal.
    #[error("`{0}` is not a legal name in `{1}`")]
    IllegalName(String, &'static str),
    /// The identity would be over before it began.
    #[error("`expires_at` is not in the future")]
    Expired,
}

/// Most entries that any list of a document may have.
pub const MAX_ENTRIES: usize = 500;

impl Document {
    /// The published JSON Schema (2020-12) of the document.
    pub fn json_schema() -> serde_json::Value {
        schemars::schema_for!(Document).to_value()
    }

    /// Whether it lets the agent call `tool` of the MCP server `server`.
    pub fn lets_call(&self, server: &str, tool: &str) -> bool {
        self.tools.iter().any(|grant| grant.lets_call(server, tool))
    }

    /// Whether it lets the agent call every tool of the MCP server `server`, those of later days too.
    pub fn lets_call_all(&self, server: &str) -> bool {
        self.tools.iter().any(|grant| grant.lets_call_all(server))
    }

    /// Checks what the types do not: limits, duplicates, legal names and a future end.
    pub fn check(&self, now: Timestamp) -> Result<(), InvalidDocument> {
        if self.schema != SCHEMA {
            return Err(InvalidDocument::UnknownSchema);
        }
        if self.description.len() > 2_000 {
            return Err(InvalidDocument::TooLong("description", 2_000));
        }
        if self.expires_at.is_some_and(|end| end.0 <= now) {
            return Err(InvalidDocument::Expired);
        }
        check_list(
            "capabilities",
            self.capabilities.iter().map(|entry| entry.name.clone()),
        )?;
        check_list(
            "data_access",
            self.data_access.iter().map(|entry| entry.resource.clone()),
        )?;
        check_list("connected_systems", self.connected_systems.iter().cloned())?;
        check_list(
            "tools",
            self.tools
                .iter()
                .map(|grant| format!("{}/{}", grant.server, grant.tool)),
        )?;
        for grant in &self.tools {
            if !is_legal_name(&grant.server) {
                return Err(InvalidDocument::IllegalName(
                    grant.server.clone(),
                    "tools.server",
                ));
            }
            if grant.tool != "*" && !crate::mcp::is_legal_tool_name(&grant.tool) {
                return Err(InvalidDocument::IllegalName(
                    grant.tool.clone(),
                    "tools.tool",
                ));
            }
        }
        Ok(())
    }

    /// Whether it is of an agent that a person's MCP client became.
    pub fn is_of_client(&self) -> bool {
        self.platform.as_deref() == Some(CLIENT_PLATFORM)
    }

    /// The highest risk among the capabilities; `None` when there are none.
    pub fn highest_risk(&self) -> Option<Risk> {
        self.capabilities
            .iter()
            .map(|capability| capability.risk)
            .max()
    }
}

fn check_list(
    list: &'static str,
    keys: impl Iterator<Item = String>,
) -> Result<(), InvalidDocument> {
    let mut seen = std::collections::BTreeSet::new();
    for key in keys {
        if key.len() > 256 {
            return Err(InvalidDocument::TooLong(list, 256));
        }
        if seen.len() == MAX_ENTRIES {
            return Err(InvalidDocument::TooMany(list, MAX_ENTRIES));
        }
        if let Some(twice) = seen.replace(key) {
            return Err(InvalidDocument::Twice(list, twice));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: serde_json::Value) -> Result<Document, String> {
        serde_json::from_value(json).map_err(|error| error.to_string())
    }

    #[test]
    fn the_published_schema_is_that_of_the_type() {
        let published_schema = include_str!("../../../schemas/agent-identity-1.json");
        let published: serde_json::Value = serde_json::from_str(published_schema).expect("JSON");
        assert_eq!(published, Document::json_schema());
    }

    #[test]
    fn a_name_and_an_owner_are_enough() {
        let document = parse(serde_json::json!({"name": "bot", "owner": "alice@example.com"}));
        assert!(document.is_ok_and(|document| document.check(Timestamp::from_secs(0)).is_ok()));
    }

    #[test]
    fn a_document_lets_call_what_it_grants_calls_of_on_that_server_alone() {
        let document = parse(serde_json::json!({
            "name": "bot", "owner": "alice@example.com",
            "tools": [
                {"server": "desk", "tool": "get_order"},
                {"server": "desk", "tool": "issue_refund", "permissions": ["list"]},
                {"server": "time", "tool": "*"},
                {"server": "mail", "tool": "*", "permissions": ["list"]},
            ],
        }))
        .expect("a document");
        for (server, tool, expected) in [
            ("desk", "get_order", true),
            ("desk", "issue_refund", false),
            ("desk", "*", false),
            ("time", "get_order", true),
            ("mail", "get_order", false),
            ("Desk", "get_order", false),
        ] {
            let lets = document.lets_call(server, tool);
            assert_eq!(lets, expected, "{server} {tool}");
        }
        let all = ["desk", "time", "mail"].map(|server| document.lets_call_all(server));
        assert_eq!(all, [false, true, false]);
    }

    #[test]
    fn idr_05_members_that_the_authority_decides_are_refused() {
        for member in [
            "id",
            "status",
            "version",
            "created_at",
            "updated_at",
            "signature",
            "approved_by",
            "tenant_id",
            "risk_level",
        ] {
            let mut json = serde_json::json!({"name": "bot", "owner": "alice@example.com"});
            json[member] = "x".into();
            let refused = parse(json).expect_err(member);
            assert!(refused.contains(member), "{refused}");
        }
    }

    #[test]
    fn a_tool_listed_twice_is_refused() {
        let tool = serde_json::json!({"server": "desk", "tool": "refund"});
        let document = parse(serde_json::json!(
            {"name": "bot", "owner": "alice@example.com", "tools": [tool, tool]}
        ))
        .expect("well-formed");
        let refused = document.check(Timestamp::from_secs(0));
        assert_eq!(
            refused,
            Err(InvalidDocument::Twice("tools", "desk/refund".to_owned()))
        );
    }
}
