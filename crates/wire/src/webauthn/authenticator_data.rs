//! Authenticator data (WebAuthn §6.1): what the authenticator itself says, under its signature.

use super::cbor::{self, Item};
use super::{MAX_CREDENTIAL_ID, RelyingParty, WebauthnError, key};
use crate::hash;
use crate::jwk::PublicKey;

/// The flags, by their bits.
const PRESENT: u8 = 1;
const VERIFIED: u8 = 1 << 2;
const BACKUP_ELIGIBLE: u8 = 1 << 3;
const BACKED_UP: u8 = 1 << 4;
const ATTESTED: u8 = 1 << 6;
const EXTENSIONS: u8 = 1 << 7;

/// What the authenticator says, taken apart.
#[derive(Debug, Clone)]
pub(super) struct AuthenticatorData {
    rp_id_hash: [u8; 32],
    flags: u8,
    pub(super) counter: u32,
    pub(super) attested: Option<AttestedCredential>,
}

/// A credential that the authenticator made.
#[derive(Debug, Clone)]
pub(super) struct AttestedCredential {
    pub(super) id: Vec<u8>,
    /// A key that is refused is told after everything else was looked at.
    pub(super) key: Result<PublicKey, WebauthnError>,
}

impl AuthenticatorData {
    /// Takes it apart; nothing may be left over.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, WebauthnError> {
        Self::read(bytes).ok_or(WebauthnError::Malformed("authenticator_data"))
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (rp_id_hash, rest) = bytes.split_first_chunk::<32>()?;
        let (&flags, rest) = rest.split_first()?;
        let (counter, mut rest) = rest.split_first_chunk::<4>()?;
        let mut attested = None;
        if flags & ATTESTED != 0 {
            let (credential, after) = AttestedCredential::read(rest)?;
            (attested, rest) = (Some(credential), after);
        }
        if flags & EXTENSIONS != 0 {
            let (Item::Map(_), after) = cbor::read(rest)? else {
                return None;
            };
            rest = after;
        }
        rest.is_empty().then_some(Self {
            rp_id_hash: *rp_id_hash,
            flags,
            counter: u32::from_be_bytes(*counter),
            attested,
        })
    }

    #[cfg(test)]
    pub(super) fn flags(&self) -> u8 {
        self.flags
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether the credential may be copied to other devices.
    pub(super) fn is_backup_eligible(&self) -> bool {
        self.has(BACKUP_ELIGIBLE)
    }

    /// Checks what holds for both ceremonies (§7.1 and §7.2): the domain, the person, the flags about backup.
    pub(super) fn check(&self, party: &RelyingParty) -> Result<(), WebauthnError> {
        if !hash::equal(&self.rp_id_hash, &party.id_hash) {
            return Err(WebauthnError::RelyingPartyMismatch);
        }
        if !self.has(PRESENT) {
            return Err(WebauthnError::UserNotPresent);
        }
        if !self.has(VERIFIED) {
            return Err(WebauthnError::UserNotVerified);
        }
        if self.has(BACKED_UP) && !self.is_backup_eligible() {
            return Err(WebauthnError::BackupInconsistent);
        }
        Ok(())
    }
}

impl AttestedCredential {
    /// Reads the credential, and what follows it (§6.5.1).
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        // The model of the authenticator is not looked at: nothing attests it.
        let (_aaguid, rest) = bytes.split_first_chunk::<16>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        if !(1..=MAX_CREDENTIAL_ID).contains(&length) {
            return None;
        }
        let (id, rest) = rest.split_at_checked(length)?;
        let (Item::Map(members), rest) = cbor::read(rest)? else {
            return None;
        };
        let (id, key) = (id.to_vec(), key::parse(&members));
        Some((Self { id, key }, rest))
    }
}
