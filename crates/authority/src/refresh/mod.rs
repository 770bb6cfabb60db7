//! Making a committed change visible: builds the next snapshot and swaps it in before the change is answered.
//!
//! A change of one agent or of one grant costs the reading of that one from the database, and a copy of the maps that name
//! the others; a sign-in the reading of people and their logins. Everything else is read anew, and what did not change keeps its verified or
//! compiled form.

mod agents;
pub(crate) mod directory;
pub(crate) mod policies;
mod servers;

use std::collections::HashMap;
use std::sync::Arc;

use chancery_gateway::snapshot::Snapshot;
use chancery_model::event::{Event, EventKind};
use chancery_model::grant::Grant;
use chancery_model::id::{AgentId, GrantId, TokenId};
use chancery_model::time::Timestamp;
use chancery_store::tx::Tx;
use chancery_store::{grants, revocations, signing_keys};
use chancery_wire::jwk::PublicKey;

use crate::error::Error;
use crate::keyring::{KeyRing, Purpose, VerifyingKey};
use crate::state::Authority;

/// The fact by which events name the grant that they are about.
pub(crate) const GRANT: &str = "grant";

/// The fact by which they name a token that is known by its id alone.
pub(crate) const JTI: &str = "jti";

/// Rows that one page of a full reading takes.
const PAGE: i64 = 1_000;

/// Commits a change with its events and makes it visible to all who enforce before it returns.
pub(crate) async fn commit(
    authority: &Authority,
    tx: Tx,
    first: Event,
    more: Vec<Event>,
) -> Result<(), Error> {
    let touched = touched(&first);
    tx.commit(first, more).await?;
    authority.sealing.bell.notify_one();
    let seen = one(authority, touched).await;
    // The change is durable; whoever follows the database sees it soon, even if we could not show it now.
    seen.map_err(|_| Error::Unproven)
}

/// What a change is about.
enum Touched {
    Agent(AgentId),
    Token(TokenId),
    Grant(GrantId),
    SignIn,
    /// Nothing that enforcement sees.
    Nothing,
    More,
}

fn touched(event: &Event) -> Touched {
    match event.kind {
        EventKind::AgentRegistered
        | EventKind::AgentActivated
        | EventKind::AgentVersionProposed
        | EventKind::AgentVersionAccepted
        | EventKind::AgentVersionRejected
        | EventKind::AgentKeysChanged
        | EventKind::AgentAuthenticationChanged
        | EventKind::AgentRedirectsChanged
        | EventKind::AgentTrustAdded
        | EventKind::AgentTrustRemoved
        | EventKind::AgentSuspended
        | EventKind::AgentResumed
        | EventKind::AgentRetired
        | EventKind::AgentTransferred => event
            .agent
            .as_ref()
            .map_or(Touched::More, |agent| Touched::Agent(agent.id)),
        EventKind::TokenRevoked => {
            // Of a token that is known by its id alone the event has no other facts.
            let named = event.facts.get(JTI).and_then(|jti| jti.parse().ok());
            let jti = event.token.as_ref().map(|token| token.jti).or(named);
            jti.map_or(Touched::More, Touched::Token)
        }
        // Which issuers there are is read when one of their tokens comes.
        EventKind::GrantRefused
        | EventKind::CodeIssued
        | EventKind::IssuerAdded
        | EventKind::PersonLinked => Touched::Nothing,
        EventKind::GrantGiven | EventKind::GrantRevoked => event
            .facts
            .get(GRANT)
            .and_then(|id| id.parse().ok())
            .map_or(Touched::More, Touched::Grant),
        EventKind::LoginIssued
        | EventKind::LoginRevoked
        | EventKind::PersonInvited
        | EventKind::PasskeyEnrolled
        | EventKind::PasskeyRenamed
        | EventKind::PasskeyRevoked
        | EventKind::RecoveryCodesMade
        | EventKind::RecoveryCodeUsed
        | EventKind::SessionBegan
        | EventKind::SessionEnded
        | EventKind::ProviderAdded
        | EventKind::ProviderRemoved
        | EventKind::ProviderSignedOut
        | EventKind::PersonUnlinked => Touched::SignIn,
        EventKind::AuthorityFounded
        | EventKind::AuthorityMoved
        | EventKind::OwnerAdded
        | EventKind::OwnerMembersChanged
        | EventKind::OwnerDisabled
        | EventKind::OwnerReturned
        | EventKind::ResourceRegistered
        | EventKind::IssuerRemoved
        | EventKind::McpAdded
        | EventKind::McpToolsAccepted
        | EventKind::McpRemoved
        | EventKind::PolicyAdded
        | EventKind::PolicyRemoved
        | EventKind::KeyCreated
        | EventKind::KeyRotated
        | EventKind::ClientRegistrationOpened
        | EventKind::ClientRegistered
        | EventKind::ClientRemoved
        | EventKind::AttesterAdded
        | EventKind::AttesterRemoved
        | EventKind::ClientAuthenticated
        | EventKind::TokenIssued
        | EventKind::TokenRefused
        | EventKind::PersonTold
        | EventKind::CallPermitted
        | EventKind::CallDenied
        | EventKind::CallRefused
        | EventKind::CallCompleted
        | EventKind::DecisionMade
        | EventKind::RequestRefused
        | EventKind::RecordAltered
        | EventKind::RecordDamaged
        | EventKind::ClockAnomaly => Touched::More,
    }
}

/// Reads anew what one change touched; everything when something else changed meanwhile.
async fn one(authority: &Authority, touched: Touched) -> Result<(), Error> {
    let _one_at_a_time = authority.refreshing.lock().await;
    let now = authority.clock.now();
    let mut tx = authority.store.follow().await?;
    let number = tx.change_number().await?.unsigned_abs();
    let current = authority.current.load_full();
    if number != current.number + 1 {
        drop(tx);
        return read(authority).await;
    }
    let mut next = Snapshot::clone(&current);
    next.number = number;
    let mut who_may_ask = None;
    match touched {
        Touched::Agent(id) => {
            let document_keys = keys_for(&authority.keys.load().verifying, Purpose::Document);
            match agents::read_one(&mut tx, id, &document_keys).await? {
                Some(agent) => next.agents.insert(id, Arc::new(agent)),
                None => next.agents.remove(&id),
            };
        }
        Touched::Token(jti) => {
            Arc::make_mut(&mut next.revoked).insert(jti);
        }
        Touched::Grant(id) => {
            let grant = grants::fetch(&mut tx, id).await?;
            let known = Arc::make_mut(&mut next.grants);
            match grant.filter(|grant| grant.is_in_force(now)) {
                Some(grant) => known.insert(id, Arc::new(grant)),
                None => known.remove(&id),
            };
        }
        Touched::SignIn => {
            let people = directory::read_owners(&mut tx).await?;
            let before = authority.directory.load_full();
            who_may_ask = Some(directory::read(&mut tx, &people, &before, now).await?);
        }
        Touched::Nothing => {}
        Touched::More => {
            drop(tx);
            return read(authority).await;
        }
    }
    drop(tx);
    // Whoever has seen the new number has seen who may ask.
    if let Some(directory) = who_may_ask {
        authority.directory.store(Arc::new(directory));
    }
    authority.current.store(Arc::new(next));
    authority.mark_current(now);
    Ok(())
}

/// Reads everything and swaps it in; whoever enforces sees it from the next call on.
pub(crate) async fn everything(authority: &Authority) -> Result<(), Error> {
    let _one_at_a_time = authority.refreshing.lock().await;
    read(authority).await
}

/// The same unless what is seen is what is committed: of many who ask at once, one reads.
pub(crate) async fn catch_up(authority: &Authority) -> Result<(), Error> {
    let _one_at_a_time = authority.refreshing.lock().await;
    let mut tx = authority.store.follow().await?;
    let number = tx.change_number().await?.unsigned_abs();
    drop(tx);
    if number == authority.current.load().number {
        return Ok(());
    }
    read(authority).await
}

async fn read(authority: &Authority) -> Result<(), Error> {
    let now = authority.clock.now();
    let mut tx = authority.store.follow().await?;
    let number = tx.change_number().await?.unsigned_abs();
    let rows = signing_keys::list(&mut tx, now).await?;
    let held = authority.keys.load_full();
    let ring = KeyRing::load(&rows, &authority.log_origin, &authority.master, Some(&held))?;
    let people = directory::read_owners(&mut tx).await?;
    let current = authority.current.load_full();
    let document_keys = keys_for(&ring.verifying, Purpose::Document);
    let servers = servers::read(&mut tx, &authority.config.issuer, &current).await?;
    let texts = policies::Texts::read(&mut tx).await?;
    let snapshot = Snapshot {
        number,
        freshness: Arc::clone(&authority.freshness),
        issuer: authority.config.issuer.clone(),
        token_keys: keys_for(&ring.verifying, Purpose::AccessToken),
        agents: agents::read(&mut tx, &people, &document_keys, &current).await?,
        servers,
        revoked: Arc::new(revocations::list(&mut tx, now).await?.into_iter().collect()),
        people: Arc::new(directory::present_people(&people)),
        grants: Arc::new(in_force(&mut tx, now).await?),
        policy: policies::compile_anew(authority, texts, number).await?,
    };
    let before = authority.directory.load_full();
    let directory = directory::read(&mut tx, &people, &before, now).await?;
    drop(tx);

    // Whoever has seen the new number has seen who may ask; whoever verifies knows a new key before anybody signs with it.
    authority.directory.store(Arc::new(directory));
    authority.current.store(Arc::new(snapshot));
    authority.keys.store(Arc::new(ring));
    // A key that was withdrawn must not live on in what it signed.
    authority.verified.invalidate_all();
    authority.mark_current(now);
    Ok(())
}

async fn in_force(tx: &mut Tx, now: Timestamp) -> Result<HashMap<GrantId, Arc<Grant>>, Error> {
    let grants = grants::list_in_force(tx, now).await?.into_iter();
    Ok(grants.map(|grant| (grant.id, Arc::new(grant))).collect())
}

fn keys_for(verifying: &[VerifyingKey], purpose: Purpose) -> Vec<PublicKey> {
    verifying
        .iter()
        .filter(|known| known.purpose == purpose)
        .map(|known| known.key.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use chancery_model::entropy::Entropy;
    use chancery_model::event::{Actor, ActorKind};

    use super::*;

    struct Sevens;

    impl Entropy for Sevens {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    #[test]
    fn token_that_is_revoked_by_its_id_alone_is_all_that_is_touched() {
        let now = Timestamp::from_secs(1_700_000_000);
        let actor = Actor {
            id: "local-administrator".to_owned(),
            kind: ActorKind::LocalAdministrator,
        };
        let mut event = Event::new(EventKind::TokenRevoked, actor, now, &Sevens);
        assert!(matches!(touched(&event), Touched::More));
        let jti = TokenId::generate(now, &Sevens);
        event.facts.insert(JTI.to_owned(), jti.to_string());
        assert!(matches!(touched(&event), Touched::Token(named) if named == jti));
    }
}
