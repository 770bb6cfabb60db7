//! Agents and their versions.

use chancery_model::client_authentication::ClientAuthenticationMetadata;
use chancery_model::digest::Digest;
use chancery_model::document::Document;
use chancery_model::id::{AgentId, OwnerId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::issuers::TrustView;
use crate::log::Receipt;

/// Registers an agent: `POST /v1/agents`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterAgent {
    /// What the agent is and may do.
    pub document: Document,
    /// The public keys that it will authenticate with, as a JWK Set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<serde_json::Value>,
    /// How it authenticates; by assertions when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<ClientAuthenticationMetadata>,
}

/// Proposes a new version: `PUT /v1/agents/{agent}` with `If-Match`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateAgent {
    /// The whole new document.
    pub document: Document,
}

/// Replaces the public keys of an agent: `PUT /v1/agents/{agent}/keys`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceKeys {
    /// The new JWK Set; tokens bound to keys that are no longer in it stop working.
    pub jwks: serde_json::Value,
}

/// Replaces where answers for an agent may be sent: `PUT /v1/agents/{agent}/redirect-uris`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceRedirects {
    /// All of them, each exactly as it will be asked for; none lets the agent act for itself alone.
    pub redirect_uris: Vec<String>,
    /// All places where people may be sent on to once they signed out, each exactly.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub post_logout_redirect_uris: Vec<String>,
}

/// Stops an agent: `POST /v1/agents/{agent}/suspend` and `…/retire`; also rejects a version.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Because {
    /// Why, in words.
    pub reason: String,
}

/// Gives an agent to another owner: `POST /v1/agents/{agent}/transfer`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferAgent {
    /// The handle of the new owner.
    pub owner: String,
}

/// Filters a list of agents: `GET /v1/agents`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentQuery {
    /// `draft`, `active`, `suspended` or `retired`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Begin after this agent id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// At most this many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// An agent, as the registry shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentView {
    /// Never reused; also the OAuth `client_id`.
    pub id: AgentId,
    /// Its name.
    pub name: String,
    /// `draft`, `active`, `suspended` or `retired`.
    pub status: String,
    /// Whether it may act now: active, not expired, with an owner who has not left.
    pub live: bool,
    /// Why it may not, when that is not its status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_live_because: Option<String>,
    /// The digest of the version in force, or of the proposed one in a draft.
    pub version: Digest,
    /// The number of that version.
    pub version_number: i64,
    /// A version that waits for a second person, by number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_version: Option<i64>,
    /// Why the pending version needs a second person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending_because: Vec<String>,
    /// Who answers for it.
    pub owner: String,
    /// The owner's id.
    pub owner_id: OwnerId,
    /// The document in force.
    pub document: Document,
    /// The compact JWS over the version in force.
    pub signature: String,
    /// The thumbprints of its keys.
    pub keys: Vec<String>,
    /// How it authenticates.
    #[serde(default)]
    pub authentication: ClientAuthenticationMetadata,
    /// Where answers may be sent when it asks people to act in their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirect_uris: Vec<String>,
    /// Where people may be sent on to once they signed out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub post_logout_redirect_uris: Vec<String>,
    /// Which workloads of other issuers may act as it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusts: Vec<TrustView>,
    /// Why it was suspended or retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was registered, RFC 3339.
    pub created_at: String,
    /// When anything of it last changed, RFC 3339.
    pub updated_at: String,
    /// When it ends by itself, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Give this in `If-Match` to change what was seen.
    pub revision: i64,
}

/// One version of an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VersionView {
    /// 1 for the first.
    pub number: i64,
    /// The digest of the canonical document: the version's name.
    pub digest: Digest,
    /// The digest of the version before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// `pending`, `in_force`, `superseded` or `rejected`.
    pub state: String,
    /// The document.
    pub document: Document,
    /// The compact JWS over digest, number and previous digest.
    pub signature: String,
    /// Who proposed it.
    pub proposed_by: String,
    /// When, RFC 3339.
    pub proposed_at: String,
    /// Who accepted or rejected it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// In what it is wider than the version before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub widens: Vec<String>,
}

/// What a stop answers: the agent as it is now and a receipt for strangers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stopped {
    /// The id of what was stopped: an agent or a token.
    pub id: String,
    /// The name of what was stopped, when it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `suspended`, `retired` or `revoked`.
    pub status: String,
    /// When the stop was committed, RFC 3339.
    pub stopped_at: String,
    /// Everything that stopped with it, in words.
    pub stopped: Vec<String>,
    /// What may still run, and until when.
    pub may_still_run: Vec<StillRunning>,
    /// The signed proof that the stop is in the record.
    pub receipt: Receipt,
}

/// Something that a stop cannot reach at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StillRunning {
    /// What it is, in words.
    pub what: String,
    /// When it ends at the latest, RFC 3339.
    pub until: String,
}
