//! Identifiers: every kind of thing has its own type, so that one cannot stand in for another.
//!
//! The text form is a prefix and 26 characters of Crockford base 32 (`agt_01J…`): 48 bits of
//! milliseconds, then 80 random bits. Ids are never reused.

use std::fmt;
use std::str::FromStr;

use crate::entropy::Entropy;
use crate::time::Timestamp;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LENGTH: usize = 26;

/// Why a text is not an identifier of the kind that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an identifier of the form `{prefix}_` and 26 characters")]
pub struct InvalidId {
    /// The prefix that was expected.
    pub prefix: &'static str,
}

/// Three letters and an underscore.
const PREFIX: usize = 4;

/// The text form, on the stack: an event names many ids, and each is printed for every entry of the record.
struct Text([u8; PREFIX + LENGTH]);

impl Text {
    fn of(prefix: &'static str, value: u128) -> Self {
        let mut text = [b'_'; PREFIX + LENGTH];
        text[..prefix.len()].copy_from_slice(prefix.as_bytes());
        // Thirteen digits of five bits fit a machine word, with the odd bits in the first half.
        let (high, low) = ((value >> 65) as u64, value as u64);
        let middle = (value >> 60) as usize & 31;
        for (place, slot) in text[PREFIX..].iter_mut().enumerate() {
            let digit = match place {
                0..13 => (high >> (5 * (12 - place))) as usize & 31,
                13 => middle,
                _ => (low >> (5 * (LENGTH - 1 - place))) as usize & 31,
            };
            *slot = ALPHABET[digit];
        }
        Self(text)
    }

    fn as_str(&self) -> &str {
        // INVARIANT: the prefixes and the alphabet are ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

fn decode(text: &str) -> Option<u128> {
    // The first character carries three bits only; a larger one would not fit 128 bits.
    if text.len() != LENGTH || text.as_bytes()[0] > b'7' {
        return None;
    }
    text.bytes().try_fold(0, |value: u128, byte| {
        let digit = ALPHABET.iter().position(|&letter| letter == byte)?;
        Some((value << 5) | digit as u128)
    })
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, schemars::JsonSchema)]
        #[schemars(with = "String", extend("pattern" = concat!("^", $prefix, "_[0-7][0-9a-hjkmnp-tv-z]{25}$")))]
        pub struct $name(u128);

        impl $name {
            /// The prefix of the text form.
            pub const PREFIX: &'static str = $prefix;

            /// Makes a new identifier that sorts by `now`.
            pub fn generate(now: Timestamp, entropy: &dyn Entropy) -> Self {
                let mut random = [0; 16];
                entropy.fill(&mut random[6..]);
                let millis = (now.as_micros() / 1_000) as u128 & 0xffff_ffff_ffff;
                Self((millis << 80) | u128::from_be_bytes(random))
            }

            /// When it was made, to the millisecond.
            pub fn made_at(self) -> Timestamp {
                Timestamp::from_micros((self.0 >> 80) as i64 * 1_000)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(Text::of($prefix, self.0).as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(decode)
                    .map(Self)
                    .ok_or(InvalidId { prefix: $prefix })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(Text::of($prefix, self.0).as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// A registered agent; also its OAuth `client_id`.
    AgentId = "agt";
    /// A person or a team that answers for agents.
    OwnerId = "own";
    /// A resource server that may introspect, or an MCP server behind the gateway.
    ResourceId = "rsc";
    /// A policy text under version control of the authority.
    PolicyId = "pol";
    /// One decision of the decision point.
    DecisionId = "dec";
    /// One entry of the record.
    EventId = "evt";
    /// One access token (`jti`).
    TokenId = "tok";
    /// What one person lets one agent do in their name.
    GrantId = "grt";
    /// A client that registered itself; also its OAuth `client_id`.
    RegisteredClientId = "cli";
    /// One request to our HTTP surface, for correlation.
    RequestId = "req";
    /// A session of a person in a browser.
    SessionId = "ses";
    /// A passkey of a person.
    PasskeyId = "pky";
    /// An issuer of workload tokens that an administrator named.
    IssuerId = "iss";
    /// A workload that may act as an agent.
    TrustId = "trs";
    /// An OpenID provider that people sign in with.
    ProviderId = "prv";
}

/// Who authenticates at the OAuth endpoints; the `client_id` is the id itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClientId {
    /// An agent.
    Agent(AgentId),
    /// A resource server.
    Resource(ResourceId),
}

impl From<AgentId> for ClientId {
    fn from(id: AgentId) -> Self {
        Self::Agent(id)
    }
}

impl From<ResourceId> for ClientId {
    fn from(id: ResourceId) -> Self {
        Self::Resource(id)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent(id) => id.fmt(f),
            Self::Resource(id) => id.fmt(f),
        }
    }
}

/// Whether a text has the form of the name of a public client, which proves nothing by it: the URL of a document about
/// the client, or an id that was given when the client registered itself.
pub fn names_public_client(text: &str) -> bool {
    let is_url = text.starts_with("https://") || text.starts_with("http://");
    is_url || text.parse::<RegisteredClientId>().is_ok()
}

impl FromStr for ClientId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let agent = text.parse().map(Self::Agent);
        agent.or_else(|not_agent| text.parse().map(Self::Resource).map_err(|_| not_agent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn printed_then_parsed_is_the_same(value: u128) {
            let id = AgentId(value);
            prop_assert_eq!(id.to_string().parse::<AgentId>(), Ok(id));
        }

        #[test]
        fn any_text_is_parsed_or_refused_without_panic(text in ".{0,40}") {
            if let Ok(id) = text.parse::<AgentId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }

    #[test]
    fn another_kind_of_id_is_refused() {
        let text = OwnerId(7).to_string();
        assert!(text.parse::<AgentId>().is_err());
    }
}
