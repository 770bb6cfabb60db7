//! Challenges without state: a time and randomness under a MAC that says what they are for (WAN-02, WAN-05).
//!
//! Nothing is remembered for somebody who asks for a challenge and never answers. What was answered is remembered by
//! the caller until it has ended.

use std::time::Duration;

use chancery_model::digest::Digest;
use chancery_model::entropy::Entropy;
use chancery_model::secret::Secret;
use chancery_model::time::Timestamp;

use super::WebauthnError;
use crate::{base64url, hash};

/// How long a challenge may be answered.
pub const LIFETIME: Duration = Duration::from_secs(5 * 60);

/// How far ahead the clock of another node may be that issued a challenge.
const AHEAD: Duration = Duration::from_secs(10);

const RANDOM: usize = 16;
const MAC: usize = 16;

/// What a challenge is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ceremony<'a> {
    /// Signing in with any passkey.
    SignIn,
    /// Enrolling a passkey by the session or the invitation of this name.
    Enrol(&'a str),
}

impl Ceremony<'_> {
    fn digest(self) -> Digest {
        match self {
            Self::SignIn => hash::sha256_for("webauthn sign in", &[]),
            Self::Enrol(by) => hash::sha256_for("webauthn enrol", &[by]),
        }
    }
}

/// Issues challenges and knows its own again; all processes of an authority share it.
#[derive(Debug)]
pub struct ChallengeKey {
    key: Secret<[u8; 32]>,
}

/// A challenge of ours that is not too old, for what it was issued for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreshChallenge {
    bytes: Vec<u8>,
    expires_at: Timestamp,
}

impl FreshChallenge {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Names the challenge, so that it is answered once.
    pub fn hash(&self) -> Digest {
        hash::sha256(&self.bytes)
    }

    /// When it ends anyway.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// A challenge that somebody else's vectors were made with.
    #[cfg(test)]
    pub(super) fn of_vectors(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            expires_at: Timestamp::from_secs(0),
        }
    }
}

impl ChallengeKey {
    /// Derives the key from the master key, for this alone (CRY-03).
    pub fn new(master: &Secret<[u8; 32]>) -> Self {
        let key = hash::hmac_sha256(master.expose(), b"chancery webauthn challenge 1");
        Self {
            key: Secret::new(key),
        }
    }

    /// A new challenge for `ceremony`, as base64url.
    pub fn issue(&self, ceremony: Ceremony<'_>, now: Timestamp, entropy: &dyn Entropy) -> String {
        let mut random = [0; RANDOM];
        entropy.fill(&mut random);
        let time = now.as_secs().to_be_bytes();
        let mac = self.mac(ceremony, time, &random);
        base64url::encode(&[&time[..], &random, &mac].concat())
    }

    /// Checks that `challenge` is one of ours for `ceremony` and not too old.
    pub fn check(
        &self,
        challenge: &[u8],
        ceremony: Ceremony<'_>,
        now: Timestamp,
    ) -> Result<FreshChallenge, WebauthnError> {
        let parts = challenge.split_first_chunk::<8>();
        let (time, rest) = parts.ok_or(WebauthnError::ChallengeUnknown)?;
        let parts = rest.split_first_chunk::<RANDOM>();
        let (random, mac) = parts.ok_or(WebauthnError::ChallengeUnknown)?;
        if !hash::equal(mac, &self.mac(ceremony, *time, random)) {
            return Err(WebauthnError::ChallengeUnknown);
        }
        let issued_at = Timestamp::from_secs(i64::from_be_bytes(*time));
        let expires_at = issued_at.after(LIFETIME);
        if issued_at > now.after(AHEAD) || expires_at < now {
            return Err(WebauthnError::ChallengeExpired);
        }
        Ok(FreshChallenge {
            bytes: challenge.to_vec(),
            expires_at,
        })
    }

    fn mac(&self, ceremony: Ceremony<'_>, time: [u8; 8], random: &[u8; RANDOM]) -> [u8; MAC] {
        let message = [ceremony.digest().as_bytes(), &time[..], random].concat();
        let mac = hash::hmac_sha256(self.key.expose(), &message);
        let mut short = [0; MAC];
        short.copy_from_slice(&mac[..MAC]);
        short
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Counting(std::sync::atomic::AtomicU8);

    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        }
    }

    fn now() -> Timestamp {
        Timestamp::from_secs(1_800_000_000)
    }

    fn key(byte: u8) -> ChallengeKey {
        ChallengeKey::new(&Secret::new([byte; 32]))
    }

    #[test]
    fn wan_02_a_challenge_is_ours_fresh_and_of_its_own_each_time() {
        let entropy = Counting(0.into());
        let key_of_ours = key(1);
        let one = key_of_ours.issue(Ceremony::SignIn, now(), &entropy);
        let two = key_of_ours.issue(Ceremony::SignIn, now(), &entropy);
        assert_ne!(one, two);
        let one = base64url::decode(&one).expect("base64url");
        let at = |now| key_of_ours.check(&one, Ceremony::SignIn, now).map(drop);
        assert_eq!(at(now()), Ok(()));
        assert_eq!(at(now().after(LIFETIME)), Ok(()));
        let second = Duration::from_secs(1);
        assert_eq!(
            at(now().after(LIFETIME + second)),
            Err(WebauthnError::ChallengeExpired)
        );
        assert_eq!(
            at(now().before(AHEAD + second)),
            Err(WebauthnError::ChallengeExpired)
        );
        let other = key(2).check(&one, Ceremony::SignIn, now());
        assert_eq!(other, Err(WebauthnError::ChallengeUnknown));
    }

    #[test]
    fn wan_05_a_challenge_serves_what_it_was_issued_for() {
        let entropy = Counting(0.into());
        let key = key(1);
        let ceremonies = [Ceremony::SignIn, Ceremony::Enrol("a"), Ceremony::Enrol("b")];
        for issued in ceremonies {
            let challenge = key.issue(issued, now(), &entropy);
            let challenge = base64url::decode(&challenge).expect("base64url");
            for asked in ceremonies {
                let found = key.check(&challenge, asked, now()).is_ok();
                assert_eq!(found, issued == asked, "{issued:?} {asked:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_without_panic(bytes: Vec<u8>) {
            prop_assert!(key(1).check(&bytes, Ceremony::SignIn, now()).is_err());
        }
    }
}
