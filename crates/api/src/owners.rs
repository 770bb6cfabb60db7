//! Owners: people and teams, and the logins of people.

use chancery_model::id::{OwnerId, SessionId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Adds an owner: `POST /v1/owners`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddOwner {
    /// An e-mail address, or `team:` and a name.
    pub handle: String,
    /// The handles of a team's members.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
}

/// Gives a person a login: `POST /v1/owners/{owner}/logins`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssueLogin {
    /// What the person may do: `administrator`, `approver`, `operator`, `auditor`.
    pub roles: Vec<String>,
    /// For how long, in seconds; 30 days when absent, 90 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<u64>,
}

/// A login, shown once.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Login {
    /// How the record names it: the beginning of the hash that is kept of it.
    pub name: String,
    /// Whose it is.
    pub owner: String,
    /// Who had it made: the handle of a person, or `local-administrator`.
    pub issued_by: String,
    /// What it may do.
    pub roles: Vec<String>,
    /// The secret: give it as `CHANCERY_TOKEN`. It is not kept and cannot be shown again.
    pub token: String,
    /// When it ends, RFC 3339.
    pub expires_at: String,
}

/// An owner, as the registry shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OwnerView {
    /// Never reused.
    pub id: OwnerId,
    /// How documents name it.
    pub handle: String,
    /// `person` or `team`.
    pub kind: String,
    /// The handles of a team's members.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
    /// `active` or `disabled`.
    pub status: String,
    /// When it was added, RFC 3339.
    pub created_at: String,
}

/// Who the caller is: `GET /v1/whoami`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WhoAmI {
    /// `local_administrator`, `human`, `agent` or `resource`.
    pub kind: String,
    /// The id within its kind.
    pub id: String,
    /// Who had the login of a person made: the handle of a person, or `local-administrator`; absent when not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_by: Option<String>,
    /// The roles of a person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// How the caller signed in: `credential` of the data folder, `login`, `passkey`, `recovery_code` or `provider`. Whoever signed in
    /// by a recovery code may only enrol a passkey. Authorities from before passkeys do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_in_with: Option<String>,
    /// The session, for a person in a browser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
}
