//! Events as the program writes them, for measuring what recording costs.

use chancery_model::decision::{Effect, ReasonCode};
use chancery_model::digest::Digest;
use chancery_model::entropy::Entropy;
use chancery_model::event::{
    Actor, ActorKind, AgentFacts, DecisionFacts, Event, EventKind, TokenFacts,
};
use chancery_model::id::{AgentId, DecisionId, EventId, OwnerId, TokenId};
use chancery_model::time::Timestamp;

/// The event of an issuance, with the members of a real one.
pub(crate) fn issuance(now: Timestamp, entropy: &dyn Entropy) -> Event {
    let agent = AgentId::generate(Timestamp::from_secs(1_700_000_000), &Same);
    Event {
        actor: Actor {
            id: agent.to_string(),
            kind: ActorKind::Agent,
        },
        agent: Some(AgentFacts {
            id: agent,
            model: None,
            name: "bench-agent".to_owned(),
            owner: OwnerId::generate(now, &Same),
            version: Some(Digest::from_bytes([7; 32])),
        }),
        at: now,
        call: None,
        decision: Some(DecisionFacts {
            code: ReasonCode::PolicyPermits,
            effect: Effect::Permit,
            id: DecisionId::generate(now, entropy),
            policies: vec!["active-agent-has-tokens".to_owned()],
            reason: "permitted by policy active-agent-has-tokens".to_owned(),
            snapshot: 7,
        }),
        facts: Default::default(),
        id: EventId::generate(now, entropy),
        kind: EventKind::TokenIssued,
        outcome: "ok".to_owned(),
        reason: None,
        subject: None,
        token: Some(TokenFacts {
            audience: "http://127.0.0.1:45678/mcp/bench".to_owned(),
            expires_at: now.as_secs() + 300,
            jkt: Some("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I".to_owned()),
            jti: TokenId::generate(now, entropy),
            x5t: None,
        }),
        traceparent: None,
    }
}

/// No randomness: the same agent in every event.
struct Same;

impl Entropy for Same {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(5);
    }
}
