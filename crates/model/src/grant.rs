//! A grant: what one person lets one agent do in their name, until when.
//!
//! Everything that is issued on behalf of a person names the grant that it came of, and is void with it.

use std::str::FromStr;
use std::time::Duration;

use crate::digest::Digest;
use crate::id::{AgentId, GrantId, OwnerId};
use crate::scope::Scope;
use crate::time::Timestamp;
use crate::tool_call::{self, ToolCalls};

/// How long a grant lasts.
pub const LIFETIME: Duration = Duration::from_secs(30 * 86_400);

/// What the tokens of a grant are bound to, as the person was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// A key of the agent's: they may be renewed until the grant ends.
    Key,
    /// Nothing: whoever holds one can use it, so there is one, and it is short.
    Bearer,
    /// Nothing, for a client that has no key; what renews them is of use once, and the grant ends when it comes twice.
    Rotation,
}

impl Binding {
    /// As it is kept.
    pub fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Bearer => "bearer",
            Self::Rotation => "rotation",
        }
    }
}

impl FromStr for Binding {
    type Err = UnknownBinding;

    fn from_str(text: &str) -> Result<Self, UnknownBinding> {
        [Self::Key, Self::Bearer, Self::Rotation]
            .into_iter()
            .find(|binding| binding.name() == text)
            .ok_or(UnknownBinding)
    }
}

/// A text that names no binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a binding of tokens")]
pub struct UnknownBinding;

/// What a person consented to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Names it in tokens and in the record.
    pub id: GrantId,
    /// The person.
    pub subject: OwnerId,
    /// The agent that acts.
    pub agent: AgentId,
    /// What the agent was when the person consented: a wider version asks anew.
    pub version: Digest,
    /// The one resource that it is for.
    pub resource: String,
    /// The most that a token of it may name.
    pub scope: Scope,
    /// The tool calls that it is limited to; none when it is not limited in this way.
    pub calls: Option<ToolCalls>,
    /// What its tokens are bound to.
    pub binding: Binding,
    /// Where the answer went, as it was registered.
    pub redirect_uri: String,
    /// When the person consented.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// When a token was last issued of it.
    pub last_used_at: Option<Timestamp>,
    /// When it was ended before its time.
    pub revoked_at: Option<Timestamp>,
}

impl Grant {
    /// Whether it is in force at `now`.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }

    /// Where it stands, as answers name it.
    pub fn status(&self, now: Timestamp) -> &'static str {
        match self.revoked_at {
            Some(_) => "revoked",
            None if now < self.expires_at => "in_force",
            None => "ended",
        }
    }

    /// Whether the person consented to all that is asked now: to the same agent, for the same resource, with
    /// the answer to the same place, for tokens bound in the same way, and to no less scope and no fewer calls (AUTHZ-13,
    /// AUTHZ-14).
    pub fn covers(&self, asked: &Asked<'_>) -> bool {
        self.subject == asked.subject
            && self.agent == asked.agent
            && self.resource == asked.resource
            && self.redirect_uri == asked.redirect_uri
            && self.binding == asked.binding
            && asked.scope.is_within(&self.scope)
            && tool_call::is_within(asked.calls, self.calls.as_ref())
    }
}

/// What is asked of a person.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The person.
    pub subject: OwnerId,
    /// The agent that would act.
    pub agent: AgentId,
    /// The resource that it is for.
    pub resource: &'a str,
    /// What for.
    pub scope: &'a Scope,
    /// The tool calls that it would be limited to.
    pub calls: Option<&'a ToolCalls>,
    /// What its tokens would be bound to.
    pub binding: Binding,
    /// Where the answer would go, as it is registered.
    pub redirect_uri: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Grant {
        Grant {
            id: "grt_01hzy0000000000000000000aa".parse().expect("an id"),
            subject: "own_01hzy0000000000000000000aa".parse().expect("an id"),
            agent: "agt_01hzy0000000000000000000aa".parse().expect("an id"),
            version: Digest::from_bytes([5; 32]),
            resource: "https://r.example".to_owned(),
            scope: Scope::parse("read write").expect("a scope"),
            calls: None,
            binding: Binding::Key,
            redirect_uri: "https://app.example/cb".to_owned(),
            created_at: Timestamp::from_secs(10),
            expires_at: Timestamp::from_secs(20),
            last_used_at: None,
            revoked_at: None,
        }
    }

    #[test]
    fn grant_is_in_force_until_it_ends_or_is_revoked() {
        let mut grant = grant();
        assert!(grant.is_in_force(Timestamp::from_secs(19)));
        assert!(!grant.is_in_force(Timestamp::from_secs(20)));
        grant.revoked_at = Some(Timestamp::from_secs(15));
        assert!(!grant.is_in_force(Timestamp::from_secs(19)));
    }

    #[test]
    fn authz_14_grant_covers_no_more_than_what_was_consented_to() {
        let grant = grant();
        let (all, some) = (grant.scope.clone(), Scope::parse("read").expect("a scope"));
        let more = Scope::parse("admin read write").expect("a scope");
        let asked = Asked {
            subject: grant.subject,
            agent: grant.agent,
            resource: "https://r.example",
            scope: &all,
            calls: None,
            binding: Binding::Key,
            redirect_uri: "https://app.example/cb",
        };
        assert!(grant.covers(&asked));
        assert!(grant.covers(&Asked {
            scope: &some,
            ..asked
        }));
        let none = Scope::default();
        let other = "own_01hzy0000000000000000000ab".parse().expect("an id");
        let bot = "agt_01hzy0000000000000000000ab".parse().expect("an id");
        for wider in [
            Asked {
                scope: &more,
                ..asked
            },
            // No scope is whatever policies allow.
            Asked {
                scope: &none,
                ..asked
            },
            Asked {
                binding: Binding::Bearer,
                ..asked
            },
            Asked {
                resource: "https://r2.example",
                ..asked
            },
            Asked {
                redirect_uri: "https://app.example/cb2",
                ..asked
            },
            Asked {
                subject: other,
                ..asked
            },
            Asked {
                agent: bot,
                ..asked
            },
        ] {
            assert!(!grant.covers(&wider), "{wider:?}");
        }
    }
}
