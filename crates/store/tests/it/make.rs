//! Things to store, each as plain as it can be.

use std::sync::atomic::{AtomicU64, Ordering};

use chancery_model::agent::{Agent, AgentState};
use chancery_model::author::Author;
use chancery_model::digest::Digest;
use chancery_model::document::{AgentName, Document};
use chancery_model::entropy::Entropy;
use chancery_model::event::{Actor, ActorKind, Event, EventKind};
use chancery_model::id::{AgentId, EventId, OwnerId};
use chancery_model::owner::{Owner, OwnerHandle, OwnerKind};
use chancery_model::reason::Reason;
use chancery_model::time::Timestamp;
use chancery_model::version::{Version, VersionState};
use chancery_store::connect::Store;
use chancery_store::one_time::OneTime;
use chancery_store::{agents, owners, versions};

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// Never gives the same bytes twice, and gives them in the same order each time.
pub(crate) struct Counter;

impl Entropy for Counter {
    fn fill(&self, bytes: &mut [u8]) {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        for (place, byte) in bytes.iter_mut().rev().enumerate() {
            *byte = number
                .get(7_usize.wrapping_sub(place))
                .copied()
                .unwrap_or(0);
        }
    }
}

pub(crate) fn event() -> Event {
    Event {
        actor: Actor {
            id: "local-administrator".to_owned(),
            kind: ActorKind::LocalAdministrator,
        },
        agent: None,
        at: NOW,
        call: None,
        decision: None,
        facts: Default::default(),
        id: EventId::generate(NOW, &Counter),
        kind: EventKind::OwnerAdded,
        outcome: "ok".to_owned(),
        reason: None,
        subject: None,
        token: None,
        traceparent: None,
    }
}

pub(crate) fn person(handle: &str) -> Owner {
    Owner {
        id: OwnerId::generate(NOW, &Counter),
        kind: OwnerKind::Person,
        handle: OwnerHandle::parse(handle).expect("a handle"),
        created_at: NOW,
        disabled_at: None,
    }
}

pub(crate) fn agent(name: &str, owner: &Owner) -> Agent {
    Agent {
        id: AgentId::generate(NOW, &Counter),
        name: AgentName::parse(name).expect("a name"),
        owner_id: owner.id,
        state: AgentState::Draft,
        version: None,
        jwks: None,
        authentication: Default::default(),
        created_at: NOW,
        updated_at: NOW,
        expires_at: None,
        registered_by: Author::LocalAdministrator,
        revision: 1,
    }
}

pub(crate) fn retired(agent: Agent) -> Agent {
    let reason = Reason::parse("no longer needed").expect("a reason");
    Agent {
        state: AgentState::Retired { at: NOW, reason },
        ..agent
    }
}

pub(crate) fn version(agent: &Agent, owner: &Owner, number: i64) -> Version {
    let document = serde_json::json!({"name": agent.name, "owner": owner.handle});
    let document: Document = serde_json::from_value(document).expect("a document");
    Version {
        agent_id: agent.id,
        number,
        digest: Digest::from_bytes([number as u8; 32]),
        previous: None,
        document,
        signature: "a.b.c".to_owned(),
        proposed_by: "local-administrator".parse().expect("hands"),
        proposed_at: NOW,
        state: VersionState::Pending,
    }
}

pub(crate) fn once(number: u8) -> OneTime {
    OneTime {
        hash: Digest::from_bytes([number; 32]),
        expires_at: NOW.after(std::time::Duration::from_secs(60)),
    }
}

/// Adds a person, an agent of theirs and its first version, in three commits.
pub(crate) async fn inhabited(store: &Store) -> (Owner, Agent) {
    let owner = person("alice@example.com");
    let mut tx = store.begin().await.expect("a transaction");
    owners::insert(&mut tx, &owner).await.expect("an owner");
    tx.commit(event(), Vec::new()).await.expect("a commit");
    let agent = agent("refund-bot", &owner);
    let mut tx = store.begin().await.expect("a transaction");
    agents::insert(&mut tx, &agent).await.expect("an agent");
    tx.commit(event(), Vec::new()).await.expect("a commit");
    let mut tx = store.begin().await.expect("a transaction");
    let first = version(&agent, &owner, 1);
    versions::insert(&mut tx, &first).await.expect("a version");
    tx.commit(event(), Vec::new()).await.expect("a commit");
    (owner, agent)
}
