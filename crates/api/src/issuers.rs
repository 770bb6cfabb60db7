//! Issuers whose workloads may act as agents, and which of their workloads may act as which.

use std::collections::BTreeMap;

use chancery_model::id::{IssuerId, TrustId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Names an issuer: `POST /v1/issuers`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddIssuer {
    /// What it is called here.
    pub name: String,
    /// Its identifier, exactly as its tokens write it in `iss`.
    pub issuer: String,
    /// Whom its tokens must be for; the issuer of this authority when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Its keys, as a JWK Set; by discovery when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<serde_json::Value>,
    /// Whether its documents may be on a private network.
    #[serde(default)]
    pub private_network: bool,
}

/// An issuer, as the registry shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IssuerView {
    /// Never reused.
    pub id: IssuerId,
    /// What it is called here.
    pub name: String,
    /// Its identifier.
    pub issuer: String,
    /// Whom its tokens must be for.
    pub audience: String,
    /// `discovery` or `registered`.
    pub keys: String,
    /// Whether its documents may be on a private network.
    pub private_network: bool,
    /// When it was added, RFC 3339.
    pub created_at: String,
}

/// Lets a workload act as an agent: `POST /v1/agents/{agent}/trusts`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddTrust {
    /// The name of the issuer.
    pub issuer: String,
    /// The `sub` of its tokens, exactly.
    pub subject: String,
    /// Further claims that they must have, each a text, exactly.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, String>,
}

/// A workload that may act as an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustView {
    /// Never reused.
    pub id: TrustId,
    /// The name of the issuer.
    pub issuer: String,
    /// The `sub` of its tokens.
    pub subject: String,
    /// Further claims that they must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, String>,
    /// When it was added, RFC 3339.
    pub created_at: String,
}
