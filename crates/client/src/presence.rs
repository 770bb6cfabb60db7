//! Whether what answers on this machine is the authority whose data folder we may read.
//!
//! A process that is killed leaves its address behind, and whoever listens at that port next would be sent the
//! credential of the folder. So a process makes a key at its start and leaves it beside its address; before it is given
//! anything, it answers a nonce under that key. The key is known to those who may read the folder, and to nobody who
//! only took over the port. The answer is for one address, so passing the question on to the process that has the key
//! is of no use at another.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use chancery_model::entropy::Entropy;
use chancery_model::secret::Secret;
use chancery_wire::{base64url, hash, json};
use http::{Request, StatusCode};
use http_body_util::Full;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::address;
use crate::error::ClientError;
use crate::transport::Transport;

/// Where an authority answers: `GET` with `?nonce=` and 32 bytes as base64url.
pub const PATH: &str = "/.well-known/chancery/presence";

/// Keeps these MACs apart from all others (CRY-03).
const PURPOSE: &str = "chancery presence 1";

/// What a process answers with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The HMAC-SHA-256 of the nonce and the process's address under the process's key, as base64url.
    pub proof: String,
}

/// A question that nobody could foretell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nonce([u8; 32]);

/// The key of one process, made at its start.
#[derive(Debug)]
pub struct PresenceKey(Secret<[u8; 32]>);

/// The text is not 32 bytes as base64url.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 32 bytes as base64url")]
pub struct NotThirtyTwoBytes;

impl Nonce {
    /// A new nonce.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; 32];
        entropy.fill(&mut bytes);
        Self(bytes)
    }

    /// Reads a nonce as it stands in a query.
    pub fn parse(text: &str) -> Result<Self, NotThirtyTwoBytes> {
        Ok(Self(*thirty_two_bytes(text)?.expose()))
    }
}

impl PresenceKey {
    /// A new key.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut bytes = Secret::new([0; 32]);
        entropy.fill(bytes.expose_mut());
        Self(bytes)
    }

    /// Reads a key as it stands in a data folder.
    pub fn parse(text: &str) -> Result<Self, NotThirtyTwoBytes> {
        thirty_two_bytes(text).map(Self)
    }

    /// The key as it stands in a data folder.
    pub fn to_text(&self) -> Secret<String> {
        Secret::new(base64url::encode(self.0.expose()))
    }

    /// Answers `nonce` for the process that listens at `address`.
    pub fn prove(&self, nonce: &Nonce, address: SocketAddr) -> Proof {
        let asked = [base64url::encode(&nonce.0), address.to_string()];
        let asked = hash::sha256_for(PURPOSE, &[&asked[0], &asked[1]]);
        let mac = hash::hmac_sha256(self.0.expose(), asked.as_bytes());
        Proof {
            proof: base64url::encode(&mac),
        }
    }

    /// Asks what answers at `base` to prove that it is the process with this key. It is told nothing but `nonce`.
    ///
    /// Refused with [`ClientError::Unproven`] when it does not, and when `base` is no address of this machine.
    pub async fn challenge(
        &self,
        transport: &Transport,
        base: &Url,
        nonce: &Nonce,
    ) -> Result<(), ClientError> {
        let unproven = || ClientError::Unproven {
            url: base.origin().ascii_serialization(),
        };
        let expected = self.prove(nonce, loopback(base).ok_or_else(unproven)?);
        let mut url = address::join(base, &[])?;
        url.set_path(PATH);
        url.set_query(Some(&format!("nonce={}", base64url::encode(&nonce.0))));
        let request = Request::get(url.as_str()).body(Full::new(Bytes::new()));
        let answer = transport.send(request.map_err(|_| unproven())?).await?;
        if answer.status != StatusCode::OK {
            return Err(unproven());
        }
        let proof: Proof = json::parse_as(&answer.body, json::BODY).map_err(|_| unproven())?;
        if hash::equal(proof.proof.as_bytes(), expected.proof.as_bytes()) {
            Ok(())
        } else {
            Err(unproven())
        }
    }
}

/// The address that `base` names by number; a name may mean two addresses, and another process may have the second.
fn loopback(base: &Url) -> Option<SocketAddr> {
    let ip = match base.host()? {
        Host::Ipv4(ip) => IpAddr::V4(ip),
        Host::Ipv6(ip) => IpAddr::V6(ip),
        Host::Domain(_) => return None,
    };
    let port = base.port_or_known_default()?;
    ip.is_loopback().then(|| SocketAddr::new(ip, port))
}

fn thirty_two_bytes(text: &str) -> Result<Secret<[u8; 32]>, NotThirtyTwoBytes> {
    if text.len() != base64url::encoded_len(32) {
        return Err(NotThirtyTwoBytes);
    }
    let bytes = Secret::new(base64url::decode(text).map_err(|_| NotThirtyTwoBytes)?);
    let bytes = bytes.expose().as_slice().try_into();
    bytes.map(Secret::new).map_err(|_| NotThirtyTwoBytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Filled(u8);

    impl Entropy for Filled {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    fn at(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    #[test]
    fn a_proof_is_for_one_key_one_nonce_and_one_address() {
        let (key, nonce) = (
            PresenceKey::generate(&Filled(1)),
            Nonce::generate(&Filled(2)),
        );
        let proof = key.prove(&nonce, at(7420));
        assert_eq!(proof, key.prove(&nonce, at(7420)));
        assert_ne!(
            proof,
            PresenceKey::generate(&Filled(3)).prove(&nonce, at(7420))
        );
        assert_ne!(proof, key.prove(&Nonce::generate(&Filled(3)), at(7420)));
        assert_ne!(proof, key.prove(&nonce, at(7421)));
        assert_ne!(
            proof,
            key.prove(&nonce, "[::1]:7420".parse().expect("an address"))
        );
    }

    #[test]
    fn only_an_address_of_this_machine_by_number_can_be_proved() {
        let named = |url: &str| loopback(&Url::parse(url).expect("a URL"));
        assert_eq!(named("http://127.0.0.1:7420"), Some(at(7420)));
        assert_eq!(named("http://127.0.0.1"), Some(at(80)));
        assert!(named("http://[::1]:7420").is_some());
        for url in [
            "http://localhost:7420",
            "https://id.example.com",
            "http://10.0.0.1:7420",
        ] {
            assert_eq!(named(url), None, "{url}");
        }
    }

    proptest! {
        #[test]
        fn a_key_that_is_written_is_read_back(bytes: [u8; 32]) {
            let key = PresenceKey(Secret::new(bytes));
            let read = PresenceKey::parse(key.to_text().expose());
            prop_assert_eq!(read.map(|read| *read.0.expose()), Ok(bytes));
        }

        #[test]
        fn what_is_not_32_bytes_is_no_nonce(text in "[A-Za-z0-9_=+/-]{0,64}") {
            let expected = base64url::decode(&text).is_ok_and(|bytes| bytes.len() == 32);
            prop_assert_eq!(Nonce::parse(&text).is_ok(), expected);
        }
    }
}
