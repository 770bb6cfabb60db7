//! WebAuthn Level 3: passkeys, from the side of whoever people sign in to.
//!
//! A ceremony is a challenge of ours ([`ChallengeKey`]), what the browser and the authenticator made of it
//! ([`UnverifiedRegistration`], [`UnverifiedAssertion`]), and a check that gives another type
//! ([`VerifiedRegistration`], [`VerifiedAssertion`]): nothing else says that somebody held a passkey (WAN-01). The
//! person is always verified by the authenticator, origins are compared as whole texts, and pages inside pages of
//! others are refused.
//!
//! Attestation is asked for as `none`: whatever statement comes is read, since the whole must be well formed, and
//! believed nothing of. What this module cannot know is whether a challenge was answered before:
//! [`FreshChallenge::hash`] names it, and the caller remembers it until [`FreshChallenge::expires_at`] (WAN-02).

use crate::base64url;
use crate::hash;
use crate::jwk::{self, PublicKey};
use crate::origin::{self, NotAnOrigin};

mod authenticator_data;
mod cbor;
mod challenge;
mod client_data;
mod key;

pub use self::challenge::{Ceremony, ChallengeKey, FreshChallenge, LIFETIME};
pub use self::key::ALGORITHMS;

use self::authenticator_data::AuthenticatorData;
use self::cbor::Item;
use self::client_data::{ClientData, Type};

/// The most bytes of an attestation object: a chain of certificates may be in it.
const MAX_ATTESTATION: usize = 32 * 1024;

/// The most bytes of authenticator data beside an assertion, and of a signature.
const MAX_ASSERTION: usize = 4 * 1024;

/// The most bytes of a credential's name (WebAuthn §4, credential id).
pub const MAX_CREDENTIAL_ID: usize = 1023;

/// The most bytes of a user handle (WebAuthn §5.4.3).
const MAX_USER_HANDLE: usize = 64;

/// Who a passkey is for: the domain that it is bound to, and the one origin whose pages may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelyingParty {
    // INVARIANT: both are of one issuer; `id_hash` is the hash of `id`.
    id: String,
    origin: String,
    id_hash: [u8; 32],
}

impl RelyingParty {
    /// The relying party of an authority.
    ///
    /// A passkey is bound to a name and never to an address, so an authority on loopback is `localhost` to people,
    /// at the same port.
    pub fn of_issuer(issuer: &str) -> Result<Self, NotAnOrigin> {
        let url = origin::parse_issuer(issuer)?;
        let (id, origin) = if origin::is_loopback(&url) {
            let port = url.port().map(|port| format!(":{port}"));
            let origin = format!("{}://localhost{}", url.scheme(), port.unwrap_or_default());
            ("localhost".to_owned(), origin)
        } else {
            let host = url.host_str().ok_or(NotAnOrigin)?;
            (host.to_owned(), issuer.to_owned())
        };
        let id_hash = *hash::sha256(id.as_bytes()).as_bytes();
        Ok(Self {
            id,
            origin,
            id_hash,
        })
    }

    /// The domain that passkeys are bound to.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The origin at which people sign in.
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

/// Why a registration or an assertion was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebauthnError {
    /// More bytes than the limit.
    #[error("`{0}` is too large")]
    TooLarge(&'static str),
    /// Not of the form that the standard gives it.
    #[error("`{0}` is malformed")]
    Malformed(&'static str),
    /// Made for the other kind of ceremony.
    #[error("the client data are of another ceremony")]
    TypeMismatch,
    /// The challenge is none of ours, or one for something else.
    #[error("the challenge is not one of this server's for this purpose")]
    ChallengeUnknown,
    /// The challenge is too old, or from the future.
    #[error("the challenge has expired")]
    ChallengeExpired,
    /// Made by a page of another origin.
    #[error("the client data are of another origin")]
    OriginMismatch,
    /// Made by a page inside a page of others.
    #[error("the page was inside a page of another origin")]
    CrossOrigin,
    /// The passkey is bound to another domain.
    #[error("the passkey is bound to another domain")]
    RelyingPartyMismatch,
    /// Nobody touched the authenticator.
    #[error("the authenticator saw nobody")]
    UserNotPresent,
    /// The authenticator did not verify who it was.
    #[error("the authenticator did not verify the person")]
    UserNotVerified,
    /// Backed up without being eligible for it, or eligible at one time only.
    #[error("the flags about backup contradict each other")]
    BackupInconsistent,
    /// The algorithm is none that was asked for.
    #[error("the passkey's algorithm is not allowed")]
    AlgNotAllowed,
    /// The key is malformed or weak.
    #[error("the passkey's public key is refused")]
    KeyRefused,
    /// The names of the credential differ.
    #[error("the credential is another one")]
    CredentialMismatch,
    /// The credential is another person's.
    #[error("the credential is another person's")]
    UserMismatch,
    /// The signature does not verify.
    #[error("the signature does not verify")]
    BadSignature,
    /// The counter did not grow: there may be two authenticators with this key.
    #[error("the signature counter did not grow")]
    CounterNotGrown,
}

impl WebauthnError {
    /// A stable code for the record and for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLarge(_) => "too_large",
            Self::Malformed(_) => "malformed",
            Self::TypeMismatch => "type_mismatch",
            Self::ChallengeUnknown => "challenge_unknown",
            Self::ChallengeExpired => "challenge_expired",
            Self::OriginMismatch => "origin_mismatch",
            Self::CrossOrigin => "cross_origin",
            Self::RelyingPartyMismatch => "rp_id_mismatch",
            Self::UserNotPresent => "user_not_present",
            Self::UserNotVerified => "user_not_verified",
            Self::BackupInconsistent => "backup_inconsistent",
            Self::AlgNotAllowed => "alg_not_allowed",
            Self::KeyRefused => "key_refused",
            Self::CredentialMismatch => "credential_mismatch",
            Self::UserMismatch => "user_mismatch",
            Self::BadSignature => "bad_signature",
            Self::CounterNotGrown => "counter_not_grown",
        }
    }
}

impl From<jwk::BadSignature> for WebauthnError {
    fn from(_: jwk::BadSignature) -> Self {
        Self::BadSignature
    }
}

/// What a browser sends after it made a passkey, each part as base64url.
#[derive(Debug, Clone, Copy)]
pub struct RegistrationResponse<'a> {
    /// The credential's name.
    pub id: &'a str,
    /// What the browser says the ceremony was.
    pub client_data_json: &'a str,
    /// What the authenticator made.
    pub attestation_object: &'a str,
}

/// What a browser sends after a passkey signed, each part as base64url.
#[derive(Debug, Clone, Copy)]
pub struct AssertionResponse<'a> {
    /// The credential's name.
    pub id: &'a str,
    /// What the browser says the ceremony was.
    pub client_data_json: &'a str,
    /// What the authenticator says.
    pub authenticator_data: &'a str,
    /// Its signature over both.
    pub signature: &'a str,
    /// Whose the credential is, as the authenticator was told when it made it.
    pub user_handle: &'a str,
}

/// A new passkey that nobody has checked yet.
#[derive(Debug, Clone)]
pub struct UnverifiedRegistration {
    credential_id: Vec<u8>,
    client_data: ClientData,
    authenticator_data: AuthenticatorData,
}

/// A new passkey, made by an authenticator that verified its person, in answer to a challenge of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRegistration {
    credential_id: String,
    key: PublicKey,
    counter: u32,
    is_backup_eligible: bool,
}

impl VerifiedRegistration {
    /// The credential's name as base64url.
    pub fn credential_id(&self) -> &str {
        &self.credential_id
    }

    /// What it signs with.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// How often the authenticator says that it signed.
    pub fn counter(&self) -> u32 {
        self.counter
    }

    /// Whether the passkey may be copied to other devices of the person.
    pub fn is_backup_eligible(&self) -> bool {
        self.is_backup_eligible
    }
}

impl UnverifiedRegistration {
    /// Takes what a browser sent apart, without trusting any of it.
    pub fn parse(response: &RegistrationResponse<'_>) -> Result<Self, WebauthnError> {
        let credential_id = bytes(response.id, "id", MAX_CREDENTIAL_ID)?;
        let client_data = ClientData::parse(response.client_data_json)?;
        let name = "attestation_object";
        let object = bytes(response.attestation_object, name, MAX_ATTESTATION)?;
        let authenticator_data = attested(&object).ok_or(WebauthnError::Malformed(name))?;
        Ok(Self {
            credential_id,
            client_data,
            authenticator_data: AuthenticatorData::parse(authenticator_data)?,
        })
    }

    /// The challenge that it claims to answer, for looking whether it is ours.
    pub fn untrusted_challenge(&self) -> &[u8] {
        &self.client_data.challenge
    }

    /// Checks the answer to `challenge` (WebAuthn §7.1).
    pub fn verify(
        self,
        party: &RelyingParty,
        challenge: &FreshChallenge,
    ) -> Result<VerifiedRegistration, WebauthnError> {
        self.client_data.check(Type::Create, party, challenge)?;
        self.authenticator_data.check(party)?;
        let is_backup_eligible = self.authenticator_data.is_backup_eligible();
        let counter = self.authenticator_data.counter;
        let attested = self.authenticator_data.attested;
        let credential = attested.ok_or(WebauthnError::Malformed("authenticator_data"))?;
        if credential.id != self.credential_id {
            return Err(WebauthnError::CredentialMismatch);
        }
        Ok(VerifiedRegistration {
            credential_id: base64url::encode(&credential.id),
            key: credential.key?,
            counter,
            is_backup_eligible,
        })
    }
}

/// The authenticator data in an attestation object; `None` when it is not one.
fn attested(object: &[u8]) -> Option<&[u8]> {
    let (Item::Map(members), []) = cbor::read(object)? else {
        return None;
    };
    // §6.5.4: three members, named by texts. The statement is read and believed nothing of.
    let named = |name| cbor::named(&members, name);
    let (Item::Text(_), Item::Map(_) | Item::List(_)) = (named("fmt")?, named("attStmt")?) else {
        return None;
    };
    match named("authData")? {
        Item::Bytes(data) if members.len() == 3 => Some(data),
        _ => None,
    }
}

/// A passkey that is known.
#[derive(Debug, Clone, Copy)]
pub struct KnownCredential<'a> {
    /// Its name as base64url.
    pub id: &'a str,
    /// What it signs with.
    pub key: &'a PublicKey,
    /// The counter that it came with last.
    pub counter: u32,
    /// Whether it was eligible for backup when it was made.
    pub is_backup_eligible: bool,
    /// What its person is called towards authenticators.
    pub user_handle: &'a [u8],
}

/// What a passkey signed, which nobody has checked yet.
#[derive(Debug, Clone)]
pub struct UnverifiedAssertion {
    credential_id: Vec<u8>,
    user_handle: Vec<u8>,
    client_data: ClientData,
    authenticator_data: AuthenticatorData,
    signed: Vec<u8>,
    signature: Vec<u8>,
}

/// Somebody held the passkey and was verified by it, in answer to a challenge of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedAssertion {
    counter: u32,
}

impl VerifiedAssertion {
    /// The counter to remember.
    pub fn counter(&self) -> u32 {
        self.counter
    }
}

impl UnverifiedAssertion {
    /// Takes what a browser sent apart, without trusting any of it.
    pub fn parse(response: &AssertionResponse<'_>) -> Result<Self, WebauthnError> {
        let credential_id = bytes(response.id, "id", MAX_CREDENTIAL_ID)?;
        let user_handle = bytes(response.user_handle, "user_handle", MAX_USER_HANDLE)?;
        let client_data = ClientData::parse(response.client_data_json)?;
        let name = "authenticator_data";
        let mut signed = bytes(response.authenticator_data, name, MAX_ASSERTION)?;
        let signature = bytes(response.signature, "signature", MAX_ASSERTION)?;
        let authenticator_data = AuthenticatorData::parse(&signed)?;
        // §6.3.3: the signature is over the authenticator data and the hash of the client data.
        signed.extend_from_slice(&client_data.hash);
        Ok(Self {
            credential_id,
            user_handle,
            client_data,
            authenticator_data,
            signed,
            signature,
        })
    }

    /// The challenge that it claims to answer, for looking whether it is ours.
    pub fn untrusted_challenge(&self) -> &[u8] {
        &self.client_data.challenge
    }

    /// The name of the credential that it claims to be of, as base64url, for finding the credential.
    pub fn untrusted_credential_id(&self) -> String {
        base64url::encode(&self.credential_id)
    }

    /// Checks the answer of `known` to `challenge` (WebAuthn §7.2).
    pub fn verify(
        &self,
        party: &RelyingParty,
        challenge: &FreshChallenge,
        known: &KnownCredential<'_>,
    ) -> Result<VerifiedAssertion, WebauthnError> {
        self.client_data.check(Type::Get, party, challenge)?;
        self.authenticator_data.check(party)?;
        // §6.1: only a new credential comes with its key.
        if self.authenticator_data.attested.is_some() {
            return Err(WebauthnError::Malformed("authenticator_data"));
        }
        if self.untrusted_credential_id() != known.id {
            return Err(WebauthnError::CredentialMismatch);
        }
        if self.user_handle != known.user_handle {
            return Err(WebauthnError::UserMismatch);
        }
        if self.authenticator_data.is_backup_eligible() != known.is_backup_eligible {
            return Err(WebauthnError::BackupInconsistent);
        }
        known.key.verify_der(&self.signed, &self.signature)?;
        let counter = self.authenticator_data.counter;
        let counts = counter > 0 || known.counter > 0;
        if counts && counter <= known.counter {
            return Err(WebauthnError::CounterNotGrown);
        }
        Ok(VerifiedAssertion { counter })
    }
}

/// The bytes of a part; its size is looked at before anything is decoded.
fn bytes(text: &str, name: &'static str, most: usize) -> Result<Vec<u8>, WebauthnError> {
    if text.len() > base64url::encoded_len(most) {
        return Err(WebauthnError::TooLarge(name));
    }
    let bytes = base64url::decode(text).map_err(|_| WebauthnError::Malformed(name))?;
    if bytes.is_empty() {
        return Err(WebauthnError::Malformed(name));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
