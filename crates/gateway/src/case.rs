//! What is known of a request so far, and the events that are written about it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use chancery_model::decision::Decision;
use chancery_model::digest::Digest;
use chancery_model::entropy::Entropy;
use chancery_model::event::{
    Actor, ActorKind, CallFacts, DecisionFacts, Event, EventKind, TokenFacts,
};
use chancery_model::id::{AgentId, EventId};
use chancery_model::time::Timestamp;
use chancery_wire::access_token::VerifiedAccessToken;

use crate::noise::Source;
use crate::snapshot::{KnownAgent, KnownServer, Snapshot};

/// What is known of a request so far.
#[derive(Clone, Default)]
pub(crate) struct Case {
    pub(crate) remote: Option<IpAddr>,
    pub(crate) server: Option<Arc<KnownServer>>,
    pub(crate) method: Option<String>,
    pub(crate) tool: Option<String>,
    pub(crate) args_digest: Option<Digest>,
    /// Whose token came.
    pub(crate) agent: Option<Arc<KnownAgent>>,
    /// Whether the agent proved to be the caller.
    pub(crate) is_recognised: bool,
    pub(crate) subject: Option<String>,
    pub(crate) token: Option<TokenFacts>,
    pub(crate) decision: Option<DecisionFacts>,
    pub(crate) traceparent: Option<String>,
}

impl Case {
    /// Notes which token came, and whose it is; whether its owner sent it is not yet known.
    pub(crate) fn suspect(&mut self, snapshot: &Snapshot, token: &VerifiedAccessToken) {
        let claims = token.claims();
        let id = claims.client_id.parse().ok();
        self.agent = id.and_then(|id: AgentId| snapshot.agents.get(&id).cloned());
        self.subject = (claims.sub != claims.client_id).then(|| claims.sub.clone());
        self.token = Some(TokenFacts {
            audience: claims.aud.clone(),
            expires_at: claims.exp,
            jkt: token.bound_jkt().map(str::to_owned),
            jti: claims.jti,
        });
    }

    /// The agent that proved to be the caller.
    fn caller(&self) -> Option<&Arc<KnownAgent>> {
        self.agent.as_ref().filter(|_| self.is_recognised)
    }

    /// Notes how it was decided.
    pub(crate) fn decided(&mut self, decision: &Decision) {
        self.decision = Some(DecisionFacts::from(decision));
    }

    /// Where the request came from.
    pub(crate) fn source(&self) -> Source {
        match self.caller() {
            Some(agent) => Source::Agent(agent.agent.id),
            None => Source::Stranger(self.remote),
        }
    }

    /// An event about the request.
    pub(crate) fn event(
        &self,
        kind: EventKind,
        outcome: &str,
        facts: BTreeMap<String, String>,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Event {
        let actor = match self.caller() {
            Some(agent) => Actor {
                id: agent.agent.id.to_string(),
                kind: ActorKind::Agent,
            },
            None => Actor {
                id: String::new(),
                kind: ActorKind::Unknown,
            },
        };
        let resource = self.server.as_ref().map(|server| server.resource.clone());
        Event {
            actor,
            agent: self.agent.as_ref().map(|agent| agent.recorded.clone()),
            at: now,
            call: resource.map(|resource| CallFacts {
                action: self.method.clone().unwrap_or_default(),
                args_digest: self.args_digest,
                resource,
                tool: self.tool.clone(),
            }),
            decision: self.decision.clone(),
            facts,
            id: EventId::generate(now, entropy),
            kind,
            outcome: outcome.to_owned(),
            reason: None,
            subject: self.subject.clone(),
            token: self.token.clone(),
            traceparent: self.traceparent.clone(),
        }
    }
}
