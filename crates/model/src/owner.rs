//! Owners: the people and teams that answer for agents (R1, R15).

use crate::id::OwnerId;
use crate::time::Timestamp;

/// A person or a team. An agent without a live owner cannot exist (IDR-03).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Never reused.
    pub id: OwnerId,
    /// Person or team, with what each knows.
    pub kind: OwnerKind,
    /// How documents name this owner: an e-mail address, or `team:` and a name. Unique.
    pub handle: OwnerHandle,
    /// When the owner was added.
    pub created_at: Timestamp,
    /// When the owner left; from then on they answer for nothing.
    pub disabled_at: Option<Timestamp>,
}

impl Owner {
    /// Whether the owner has not left.
    pub fn is_present(&self) -> bool {
        self.disabled_at.is_none()
    }

    /// Whether the owner answers for agents: a person who is present, or a team with a member who is (IDR-03).
    pub fn is_live(&self, member_is_present: impl Fn(OwnerId) -> bool) -> bool {
        self.is_present()
            && match &self.kind {
                OwnerKind::Person => true,
                OwnerKind::Team { members } => members.iter().copied().any(member_is_present),
            }
    }
}

/// What an owner is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnerKind {
    /// One human.
    Person,
    /// Several humans; a team answers only while it has a live member.
    Team {
        /// The people in the team.
        members: Vec<OwnerId>,
    },
}

/// How an identity document names an owner.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct OwnerHandle(
    // INVARIANT: lower case; either an e-mail address or `team:` and a name.
    String,
);

/// The text names no person and no team.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an owner is an e-mail address (`alice@example.com`) or a team (`team:payments`)")]
pub struct InvalidHandle;

impl OwnerHandle {
    /// Parses an e-mail address or `team:NAME`; letters are folded to lower case.
    pub fn parse(text: &str) -> Result<Self, InvalidHandle> {
        let handle = text.to_ascii_lowercase();
        let legal = |part: &str| {
            !part.is_empty()
                && part.len() <= 128
                && part.bytes().all(|byte| {
                    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._+-".contains(&byte)
                })
        };
        let well_formed = match handle.strip_prefix("team:") {
            Some(name) => legal(name),
            None => handle
                .split_once('@')
                .is_some_and(|(local, domain)| legal(local) && legal(domain)),
        };
        well_formed.then_some(Self(handle)).ok_or(InvalidHandle)
    }

    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this names a team rather than a person.
    pub fn names_team(&self) -> bool {
        self.0.starts_with("team:")
    }
}

impl std::fmt::Display for OwnerHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for OwnerHandle {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_and_teams_are_named_and_agents_are_not() {
        assert!(OwnerHandle::parse("Alice@Example.com").is_ok());
        assert!(OwnerHandle::parse("team:payments").is_ok_and(|handle| handle.names_team()));
        for bad in [
            "",
            "agt_01hzy0000000000000000000aa",
            "@example.com",
            "a@",
            "team:",
            "a b@c",
        ] {
            assert!(OwnerHandle::parse(bad).is_err(), "{bad}");
        }
    }
}
