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
use chancery_model::id::EventId;
use chancery_model::time::Timestamp;

use crate::authenticate::Held;
use crate::noise::Source;
use crate::snapshot::{KnownAgent, KnownServer, Snapshot};

/// What is known of a request so far.
#[derive(Clone, Default)]
pub(crate) struct Case {
    pub(crate) remote: Option<IpAddr>,
    pub(crate) server: Option<Arc<KnownServer>>,
    pub(crate) method: Option<&'static str>,
    pub(crate) tool: Option<Arc<str>>,
    pub(crate) args_digest: Option<Digest>,
    /// Whose token came.
    pub(crate) agent: Option<Arc<KnownAgent>>,
    /// Whether the agent proved to be the caller.
    pub(crate) is_recognised: bool,
    pub(crate) held: Option<Arc<Held>>,
    pub(crate) decision: Option<Arc<DecisionFacts>>,
    pub(crate) traceparent: Option<Arc<str>>,
}

impl Case {
    /// Notes a token that is of no use now, and whose it is as far as that is known.
    pub(crate) fn suspect(&mut self, snapshot: &Snapshot, held: &Arc<Held>) {
        self.agent = snapshot.holder(held.token.claims()).cloned();
        self.held = Some(Arc::clone(held));
    }

    /// Notes which token came, and whose it is; whether its owner sent it is not yet known.
    pub(crate) fn came_with(&mut self, agent: &Arc<KnownAgent>, held: &Arc<Held>) {
        self.agent = Some(Arc::clone(agent));
        self.held = Some(Arc::clone(held));
    }

    /// The agent that proved to be the caller.
    fn caller(&self) -> Option<&Arc<KnownAgent>> {
        self.agent.as_ref().filter(|_| self.is_recognised)
    }

    /// Notes how it was decided.
    pub(crate) fn decided(&mut self, decision: &Decision) {
        self.decision = Some(Arc::new(DecisionFacts::from(decision)));
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
        mut facts: BTreeMap<String, String>,
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
        let claims = self.held.as_ref().map(|held| held.token.claims());
        // The agent acts for itself unless the token names another subject.
        let subject =
            claims.filter(|claims| claims.act.is_some() || claims.sub != claims.client_id);
        if let Some(grant) = claims.and_then(|claims| claims.grant_id) {
            facts.insert("grant".to_owned(), grant.to_string());
        }
        Event {
            actor,
            agent: self.agent.as_ref().map(|agent| agent.recorded.clone()),
            at: now,
            call: self.server.as_ref().map(|server| CallFacts {
                action: self.method.unwrap_or_default().to_owned(),
                args_digest: self.args_digest,
                resource: server.resource.clone(),
                tool: self.tool.as_deref().map(str::to_owned),
            }),
            decision: self.decision.as_deref().cloned(),
            facts,
            id: EventId::generate(now, entropy),
            kind,
            outcome: outcome.to_owned(),
            reason: None,
            subject: subject.map(|claims| claims.sub.clone()),
            token: claims.map(|claims| TokenFacts {
                audience: claims.aud.clone(),
                expires_at: claims.exp,
                jkt: claims.cnf.as_ref().and_then(|cnf| cnf.jkt.clone()),
                jti: claims.jti,
                x5t: claims.cnf.as_ref().and_then(|cnf| cnf.x5t.clone()),
            }),
            traceparent: self.traceparent.as_deref().map(str::to_owned),
        }
    }
}
