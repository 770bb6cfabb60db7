//! Server nonces without state: a time under a MAC (DPOP-06, DOS-06).
//!
//! Nothing is remembered for a caller who has not authenticated. Every purpose has a key of its own,
//! so the nonce of one endpoint is worthless at another (CRY-03).

use std::time::Duration;

use chancery_model::secret::Secret;
use chancery_model::time::Timestamp;

use crate::{base64url, hash};

/// The bytes of the MAC that a nonce carries: 128 bits.
const MAC_LENGTH: usize = 16;

/// How far ahead the clock of another node may be that issued a nonce.
const AHEAD: Duration = Duration::from_secs(10);

/// Issues and checks the nonces of one purpose.
#[derive(Debug)]
pub struct NonceKey {
    key: Secret<[u8; 32]>,
}

/// Why a nonce was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NonceError {
    /// Not one of ours for this purpose.
    #[error("the nonce is not one of this server's")]
    Unknown,
    /// Too old, or from the future.
    #[error("the nonce has expired")]
    Expired,
}

impl NonceKey {
    /// Derives the key of one purpose from a secret.
    pub fn new(secret: &Secret<[u8; 32]>, purpose: &str) -> Self {
        let label = hash::sha256_for("nonce", &[purpose]);
        let key = hash::hmac_sha256(secret.expose(), label.as_bytes());
        Self {
            key: Secret::new(key),
        }
    }

    /// The nonce of this second.
    pub fn issue(&self, now: Timestamp) -> String {
        let time = now.as_secs().to_be_bytes();
        base64url::encode(&[&time[..], &self.mac(time)].concat())
    }

    /// Checks that `nonce` was issued here for this purpose, at most `max_age` ago.
    pub fn check(&self, nonce: &str, now: Timestamp, max_age: Duration) -> Result<(), NonceError> {
        let length = size_of::<i64>() + MAC_LENGTH;
        if nonce.len() != base64url::encoded_len(length) {
            return Err(NonceError::Unknown);
        }
        let bytes = base64url::decode(nonce).map_err(|_| NonceError::Unknown)?;
        let (&time, mac) = bytes.split_first_chunk().ok_or(NonceError::Unknown)?;
        if !hash::equal(mac, &self.mac(time)) {
            return Err(NonceError::Unknown);
        }
        let issued_at = Timestamp::from_secs(i64::from_be_bytes(time));
        if issued_at > now.after(AHEAD) || issued_at.after(max_age) < now {
            return Err(NonceError::Expired);
        }
        Ok(())
    }

    fn mac(&self, time: [u8; 8]) -> [u8; MAC_LENGTH] {
        let mac = hash::hmac_sha256(self.key.expose(), &time);
        let mut short = [0; MAC_LENGTH];
        short.copy_from_slice(&mac[..MAC_LENGTH]);
        short
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn key(purpose: &str) -> NonceKey {
        NonceKey::new(&Secret::new([7; 32]), purpose)
    }

    #[test]
    fn dpop_06_a_nonce_serves_one_purpose_for_its_time() {
        let now = Timestamp::from_secs(1_000_000);
        let token = key("token endpoint");
        let nonce = token.issue(now);
        assert_eq!(token.check(&nonce, now, MINUTE), Ok(()));
        assert_eq!(token.check(&nonce, now.after(MINUTE), MINUTE), Ok(()));
        let late = now.after(MINUTE + Duration::from_secs(1));
        assert_eq!(token.check(&nonce, late, MINUTE), Err(NonceError::Expired));
        let early = now.before(Duration::from_secs(11));
        assert_eq!(token.check(&nonce, early, MINUTE), Err(NonceError::Expired));
        let other = NonceKey::new(&Secret::new([8; 32]), "token endpoint");
        assert_eq!(other.check(&nonce, now, MINUTE), Err(NonceError::Unknown));
    }

    #[test]
    fn cry_03_a_nonce_of_another_purpose_is_unknown() {
        let now = Timestamp::from_secs(1_000_000);
        let nonce = key("gateway").issue(now);
        assert_eq!(key("gateway").check(&nonce, now, MINUTE), Ok(()));
        assert_eq!(
            key("token endpoint").check(&nonce, now, MINUTE),
            Err(NonceError::Unknown)
        );
    }

    #[test]
    fn every_changed_letter_makes_it_unknown() {
        let now = Timestamp::from_secs(1_000_000);
        let key = key("p");
        let nonce = key.issue(now);
        for place in 0..nonce.len() {
            for letter in ["A", "B", "=", "."] {
                let mut changed = nonce.clone();
                changed.replace_range(place..=place, letter);
                if changed != nonce {
                    assert_eq!(key.check(&changed, now, MINUTE), Err(NonceError::Unknown));
                }
            }
        }
        for bad in ["", "AAAA", &"A".repeat(10_000)] {
            assert_eq!(key.check(bad, now, MINUTE), Err(NonceError::Unknown));
        }
    }
}
