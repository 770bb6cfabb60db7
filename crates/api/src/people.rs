//! How people sign in: invitations, passkeys, recovery codes, and sessions in a browser.
//!
//! The parts of a credential are base64url without padding, as `PublicKeyCredential` of WebAuthn has them as bytes.

use chancery_model::id::{PasskeyId, SessionId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The cookie that holds the session of a person. Browsers take one of this name from nobody but its own host, over a
/// protected way, for every path.
pub const SESSION_COOKIE: &str = "__Host-chancery";

/// Invites a person to enrol a passkey: `POST /v1/owners/{owner}/invitations`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InvitePerson {
    /// What the person may do: `administrator`, `approver`, `operator`, `auditor`.
    pub roles: Vec<String>,
    /// For how long the link is good, in seconds; a day when absent, a week at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<u64>,
}

/// An invitation, shown once.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Invitation {
    /// Who is invited.
    pub owner: String,
    /// Who invited: the handle of a person, or `local-administrator`.
    pub issued_by: String,
    /// What the person may do.
    pub roles: Vec<String>,
    /// The link by which the person enrols a passkey, once. It is not kept and cannot be shown again.
    pub link: String,
    /// When it ends, RFC 3339.
    pub expires_at: String,
}

/// Asks what a browser needs to make a passkey by an invitation: `POST /v1/enrolment/options`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenInvitation {
    /// The secret of the link.
    pub invitation: String,
}

/// What a browser needs to make a passkey.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EnrolmentOptions {
    /// The challenge; good for five minutes, once.
    pub challenge: String,
    /// The domain that the passkey is bound to.
    pub rp_id: String,
    /// The origin whose pages may use it.
    pub origin: String,
    /// What authenticators call the person.
    pub user_handle: String,
    /// The handle of the person.
    pub owner: String,
    /// What the person may do.
    pub roles: Vec<String>,
    /// The algorithms that are accepted, by their numbers in COSE, the preferred first.
    pub algorithms: Vec<i64>,
    /// The credentials that the person has already.
    pub exclude: Vec<String>,
}

/// A new credential, as a browser made it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCredential {
    /// Its name.
    pub id: String,
    /// `clientDataJSON`.
    pub client_data_json: String,
    /// `attestationObject`.
    pub attestation_object: String,
}

/// What a credential signed, as a browser sends it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedCredential {
    /// Its name.
    pub id: String,
    /// `clientDataJSON`.
    pub client_data_json: String,
    /// `authenticatorData`.
    pub authenticator_data: String,
    /// `signature`.
    pub signature: String,
    /// `userHandle`.
    pub user_handle: String,
}

/// Enrols the first passkey of an invited person, who is signed in by it: `POST /v1/enrolment`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptInvitation {
    /// The secret of the link.
    pub invitation: String,
    /// What the person calls the passkey.
    pub name: String,
    /// The credential.
    pub credential: NewCredential,
}

/// Enrols one more passkey of the person who is signed in: `POST /v1/passkeys`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolPasskey {
    /// What the person calls the passkey.
    pub name: String,
    /// The credential.
    pub credential: NewCredential,
}

/// Gives a passkey another name: `POST /v1/passkeys/{passkey}/rename`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RenamePasskey {
    /// What the person calls the passkey.
    pub name: String,
}

/// A passkey of a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PasskeyView {
    /// Never reused.
    pub id: PasskeyId,
    /// What its person calls it.
    pub name: String,
    /// What sessions may do that it begins.
    pub roles: Vec<String>,
    /// Who invited the person that it was enrolled for: the handle of a person, or `local-administrator`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_by: Option<String>,
    /// Whether it may be copied to other devices of the person.
    pub synced: bool,
    /// When it was enrolled, RFC 3339.
    pub created_at: String,
    /// When it was signed in with last, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<String>,
}

/// What a browser needs to sign in by a passkey.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SignInOptions {
    /// The challenge; good for five minutes, once.
    pub challenge: String,
    /// The domain that passkeys are bound to.
    pub rp_id: String,
    /// The origin whose pages may use them.
    pub origin: String,
    /// Providers that one may sign in with instead, by name, each at `/sign-in/providers/{name}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<String>,
}

/// Signs in by a passkey: `POST /v1/sign-in`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// What the passkey signed.
    pub credential: SignedCredential,
}

/// Signs in by a recovery code: `POST /v1/sign-in/recovery`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignInByCode {
    /// The code; case, spaces and hyphens do not count.
    pub code: String,
}

/// Recovery codes, shown once.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RecoveryCodes {
    /// The codes; each is good once. They are not kept and cannot be shown again.
    pub codes: Vec<String>,
}

/// What is left of a person's recovery codes: `GET /v1/recovery-codes`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RecoveryCodesLeft {
    /// How many can still be used.
    pub left: u64,
}

/// A session of a person in a browser.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionView {
    /// Never reused.
    pub id: SessionId,
    /// `passkey`, `recovery_code` or `provider`.
    pub signed_in_with: String,
    /// The passkey that began it, or that the recovery code was made with; absent when a provider did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passkey: Option<PasskeyId>,
    /// The name of the provider that began it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Whether it is the one that asks.
    pub current: bool,
    /// When it began, RFC 3339.
    pub began_at: String,
    /// When it was used last, to some minutes, RFC 3339.
    pub used_at: String,
    /// When it ends, however it is used, RFC 3339.
    pub ends_at: String,
}
