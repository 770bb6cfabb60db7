//! Providers that people sign in with, and whom they know.

use chancery_model::id::ProviderId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Adds a provider: `POST /v1/providers`. It is looked up before it is added.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddProvider {
    /// How commands, paths and links name it: 1 to 40 lower-case letters, digits and hyphens.
    pub name: String,
    /// Its issuer identifier, exactly as its discovery document writes it.
    pub issuer: String,
    /// What it calls us.
    pub client_id: String,
    /// The secret that it gave us; this, or a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// A private JWK (ES256 or EdDSA) whose public half it knows; this, or a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_jwk: Option<Value>,
    /// The claim that is the handle of a person; `preferred_username`, or else a verified `email`, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle_claim: Option<String>,
    /// The domains of handles that may sign in; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_domains: Vec<String>,
    /// What the provider must say of whoever signs in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require_claims: Vec<ClaimRule>,
    /// Whether somebody who is not known becomes a person at their first sign-in.
    #[serde(default)]
    pub join: bool,
    /// Whether the provider may be on a private network.
    #[serde(default)]
    pub private_network: bool,
}

/// What a provider must say of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimRule {
    /// The claim.
    pub name: String,
    /// What it is, or one of the texts in it.
    pub value: String,
}

/// A provider. What we prove ourselves with there is never shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProviderView {
    /// Never reused.
    pub id: ProviderId,
    /// How commands, paths and links name it.
    pub name: String,
    /// Its issuer identifier.
    pub issuer: String,
    /// What it calls us.
    pub client_id: String,
    /// How we authenticate there: `client_secret` or `private_key_jwt`.
    pub method: String,
    /// The public half of our key, to be registered there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_jwk: Option<Value>,
    /// The redirect URI to be registered there.
    pub redirect_uri: String,
    /// The back-channel logout URI to be registered there.
    pub logout_uri: String,
    /// The claim that is the handle of a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle_claim: Option<String>,
    /// The domains of handles that may sign in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_domains: Vec<String>,
    /// What it must say of whoever signs in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require_claims: Vec<ClaimRule>,
    /// Whether somebody who is not known becomes a person at their first sign-in.
    pub join: bool,
    /// Whether it may be on a private network.
    pub private_network: bool,
    /// How many people it has a name for.
    pub people: i64,
    /// How many of them it could not be asked about when it was last tried.
    pub unanswered: i64,
    /// Who added it: the handle of a person, or `local-administrator`.
    pub added_by: String,
    /// When it was added, RFC 3339.
    pub created_at: String,
}

/// Lets a person sign in with a provider: `POST /v1/owners/{owner}/links`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkPerson {
    /// The name of the provider.
    pub provider: String,
    /// What it calls the person (`sub`).
    pub subject: String,
}

/// Begins to link oneself: `POST /v1/links`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkOwn {
    /// The name of the provider.
    pub provider: String,
}

/// Where the browser goes to sign in with the provider, and be linked when it comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkStarted {
    /// The address.
    pub location: String,
}

/// A person, as an issuer knows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkView {
    /// The handle of the person.
    pub owner: String,
    /// The name of the provider; absent while there is none of that issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The issuer.
    pub issuer: String,
    /// What it calls the person.
    pub subject: String,
    /// The handle that it says they have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_as: Option<String>,
    /// Whether it can be asked whether the person is still there.
    pub can_be_asked: bool,
    /// How often in a row it gave no answer.
    pub unanswered: i64,
    /// When it last said that the person is there, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vouched_at: Option<String>,
    /// When it said that the person is not there any more, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_at: Option<String>,
    /// When it was made, RFC 3339.
    pub created_at: String,
}
