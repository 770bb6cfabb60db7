//! The agent and its life cycle: draft → active → suspended → retired.
//!
//! A transition takes the agent and returns it in its new state, or says why that edge does not
//! exist. [`Agent::live`] is the one test of whether an agent may act; its answer is evidence that
//! issuing and enforcing ask for.

use crate::author::Author;
use crate::client_authentication::ClientAuthentication;
use crate::digest::Digest;
use crate::document::AgentName;
use crate::id::{AgentId, OwnerId};
use crate::reason::Reason;
use crate::time::Timestamp;
use crate::version::{Version, VersionState};

/// A registered agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Never reused; also the OAuth `client_id`.
    pub id: AgentId,
    /// Unique among the agents that are not retired.
    pub name: AgentName,
    /// Who answers for it.
    pub owner_id: OwnerId,
    /// Where it stands in its life.
    pub state: AgentState,
    /// The version in force: its number and digest; `None` only in a draft.
    pub version: Option<(i64, Digest)>,
    /// The public keys that it authenticates with, as a canonical JWK Set.
    pub jwks: Option<String>,
    /// How it authenticates.
    pub authentication: ClientAuthentication,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When anything of it last changed.
    pub updated_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// Who registered it.
    pub registered_by: Author,
    /// Grows with every change; an update names the revision that it was made from (IDR-07).
    pub revision: i64,
}

/// Where an agent stands in its life, and what is known there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentState {
    /// Registered, waiting for a second person.
    Draft,
    /// May act.
    Active,
    /// May not act until resumed.
    Suspended {
        /// Since when.
        at: Timestamp,
        /// Why, in words.
        reason: Reason,
    },
    /// Will never act again.
    Retired {
        /// Since when.
        at: Timestamp,
        /// Why, in words.
        reason: Reason,
    },
}

impl AgentState {
    /// The name that documents, answers and rows use.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Active => "active",
            Self::Suspended { .. } => "suspended",
            Self::Retired { .. } => "retired",
        }
    }
}

/// The life cycle has no such edge (IDR-09).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} that is {from} cannot be {to}")]
pub struct IllegalTransition {
    /// Whose life cycle: `an agent` or `a version`.
    pub what: &'static str,
    /// The state that it is in.
    pub from: &'static str,
    /// The state that was asked for.
    pub to: &'static str,
}

/// Why an agent may not act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotLive {
    /// It is not active.
    #[error("the agent is {0}")]
    State(&'static str),
    /// Its identity has ended.
    #[error("the agent's identity has expired")]
    Expired,
    /// Nobody answers for it.
    #[error("the agent has no live owner")]
    Orphan,
}

impl Agent {
    /// Whether this agent acts by `version`. A draft has none to act by, and is described by the one proposed.
    pub fn is_described_by(&self, version: &Version) -> bool {
        let Some(named) = self.version else {
            return true;
        };
        let is_in_force = matches!(version.state, VersionState::InForce { .. });
        is_in_force && named == (version.number, version.digest)
    }

    /// Draft → active: the second person has accepted it.
    pub fn activate(self, now: Timestamp) -> Result<Self, IllegalTransition> {
        match self.state {
            AgentState::Draft => Ok(self.moved(AgentState::Active, now)),
            AgentState::Active | AgentState::Suspended { .. } | AgentState::Retired { .. } => {
                Err(self.no_edge("activated"))
            }
        }
    }

    /// Active → suspended: stops at once, can come back.
    pub fn suspend(self, now: Timestamp, reason: Reason) -> Result<Self, IllegalTransition> {
        match self.state {
            AgentState::Active => Ok(self.moved(AgentState::Suspended { at: now, reason }, now)),
            AgentState::Draft | AgentState::Suspended { .. } | AgentState::Retired { .. } => {
                Err(self.no_edge("suspended"))
            }
        }
    }

    /// Suspended → active.
    pub fn resume(self, now: Timestamp) -> Result<Self, IllegalTransition> {
        match self.state {
            AgentState::Suspended { .. } => Ok(self.moved(AgentState::Active, now)),
            AgentState::Draft | AgentState::Active | AgentState::Retired { .. } => {
                Err(self.no_edge("resumed"))
            }
        }
    }

    /// Anything but retired → retired, for good.
    pub fn retire(self, now: Timestamp, reason: Reason) -> Result<Self, IllegalTransition> {
        match self.state {
            AgentState::Draft | AgentState::Active | AgentState::Suspended { .. } => {
                Ok(self.moved(AgentState::Retired { at: now, reason }, now))
            }
            AgentState::Retired { .. } => Err(self.no_edge("retired")),
        }
    }

    /// Any living state → the same state under another owner.
    pub fn transfer(mut self, now: Timestamp, to: OwnerId) -> Result<Self, IllegalTransition> {
        match self.state {
            AgentState::Draft | AgentState::Active | AgentState::Suspended { .. } => {
                self.owner_id = to;
                self.updated_at = now;
                Ok(self)
            }
            AgentState::Retired { .. } => Err(self.no_edge("transferred")),
        }
    }

    /// Whether the agent may act at `now`: active, not expired, with an owner who is live (SI-1).
    pub fn live(&self, now: Timestamp, owner_is_live: bool) -> Result<(), NotLive> {
        match self.state {
            AgentState::Active => {}
            AgentState::Draft | AgentState::Suspended { .. } | AgentState::Retired { .. } => {
                return Err(NotLive::State(self.state.name()));
            }
        }
        if self.expires_at.is_some_and(|end| end <= now) {
            return Err(NotLive::Expired);
        }
        if !owner_is_live {
            return Err(NotLive::Orphan);
        }
        Ok(())
    }

    fn moved(mut self, state: AgentState, now: Timestamp) -> Self {
        self.state = state;
        self.updated_at = now;
        self
    }

    fn no_edge(&self, to: &'static str) -> IllegalTransition {
        IllegalTransition {
            what: "an agent",
            from: self.state.name(),
            to,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(state: AgentState) -> Agent {
        let id = "agt_01hzy0000000000000000000aa".parse().expect("an id");
        let owner_id = "own_01hzy0000000000000000000aa".parse().expect("an id");
        let at = Timestamp::from_secs(0);
        Agent {
            id,
            name: AgentName::parse("bot").expect("a name"),
            owner_id,
            state,
            version: None,
            jwks: None,
            authentication: ClientAuthentication::default(),
            created_at: at,
            updated_at: at,
            expires_at: None,
            registered_by: Author::LocalAdministrator,
            revision: 1,
        }
    }

    fn states() -> [AgentState; 4] {
        let at = Timestamp::from_secs(1);
        let reason = Reason::parse("test").expect("a reason");
        [
            AgentState::Draft,
            AgentState::Active,
            AgentState::Suspended {
                at,
                reason: reason.clone(),
            },
            AgentState::Retired { at, reason },
        ]
    }

    #[test]
    fn idr_09_only_the_defined_edges_exist() {
        let now = Timestamp::from_secs(2);
        let reason = Reason::parse("test").expect("a reason");
        let edges = states().map(|state| {
            let from = state.name();
            let agent = agent(state);
            let name = |moved: Result<Agent, _>| moved.map_or("-", |agent| agent.state.name());
            (
                from,
                name(agent.clone().activate(now)),
                name(agent.clone().suspend(now, reason.clone())),
                name(agent.clone().resume(now)),
                name(agent.retire(now, reason.clone())),
            )
        });
        assert_eq!(
            edges,
            [
                ("draft", "active", "-", "-", "retired"),
                ("active", "-", "suspended", "-", "retired"),
                ("suspended", "-", "-", "active", "retired"),
                ("retired", "-", "-", "-", "-"),
            ]
        );
    }

    #[test]
    fn only_an_active_unexpired_agent_with_a_live_owner_is_live() {
        let now = Timestamp::from_secs(10);
        for state in states() {
            let active = state == AgentState::Active;
            assert_eq!(agent(state).live(now, true).is_ok(), active);
        }
        let mut expiring = agent(AgentState::Active);
        assert_eq!(expiring.live(now, false), Err(NotLive::Orphan));
        expiring.expires_at = Some(now);
        assert_eq!(expiring.live(now, true), Err(NotLive::Expired));
    }
}
