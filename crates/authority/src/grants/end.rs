//! Ends a grant: its codes, refresh tokens and access tokens are void with it, at once and everywhere.

use chancery_model::event::{Actor, Event, EventKind};
use chancery_model::grant::Grant;
use chancery_model::id::{EventId, GrantId, OwnerId};
use chancery_model::time::Timestamp;
use chancery_model::tool_call::ToolCalls;
use chancery_store::grants;
use chancery_store::tx::Tx;

use crate::error::{self, Error};
use crate::refresh::{self, GRANT};
use crate::state::Authority;

/// Ends a grant because of what its client did, and records why with `event`; one that has ended already stays as
/// it is. When it returns, nothing of the grant passes here any more.
pub(crate) async fn end(authority: &Authority, id: GrantId, event: &Event) -> Result<(), Error> {
    error::again(|| try_to_end(authority, id, event.clone())).await
}

async fn try_to_end(authority: &Authority, id: GrantId, mut event: Event) -> Result<(), Error> {
    // In turn: a client that renews without end must not make its own end give way (SI-12).
    let mut tx = authority.store.begin_in_turn().await?;
    let grant = grants::fetch(&mut tx, id).await?.ok_or(Error::Broken)?;
    if !grants::revoke(&mut tx, id, event.at).await? {
        return Ok(());
    }
    event.id = EventId::generate(event.at, &*authority.entropy);
    event.kind = EventKind::GrantRevoked;
    describe(&mut event, &grant);
    refresh::commit(authority, tx, event, Vec::new()).await
}

/// Ends every grant of a person, because of what `by` did, in a transaction that its caller commits with these events; one that
/// was ended meanwhile has an event of its own.
pub(crate) async fn end_of_person(
    authority: &Authority,
    tx: &mut Tx,
    person: OwnerId,
    by: &'static str,
    now: Timestamp,
) -> Result<Vec<Event>, Error> {
    let mut events = Vec::new();
    for grant in grants::list_of_person(tx, person, now).await? {
        if grants::revoke(tx, grant.id, now).await? {
            let (actor, entropy) = (Actor::authority(), &*authority.entropy);
            let mut event = Event::new(EventKind::GrantRevoked, actor, now, entropy);
            event.facts.insert("by".to_owned(), by.to_owned());
            describe(&mut event, &grant);
            events.push(event);
        }
    }
    Ok(events)
}

/// Ends a grant that is in force, in a transaction that its caller commits with an event.
pub(crate) async fn end_in(tx: &mut Tx, grant: &Grant, event: &mut Event) -> Result<(), Error> {
    if !grants::revoke(tx, grant.id, event.at).await? {
        return Err(Error::Conflict("that grant was revoked already".to_owned()));
    }
    describe(event, grant);
    Ok(())
}

/// The fact of an event about a grant or a token that is limited to some tool calls.
pub(crate) const CALLS: &str = "authorization_details";

/// What it says; nothing when there is no such limit.
pub(crate) fn calls_text(calls: Option<&ToolCalls>) -> String {
    // Texts, whole numbers and flags: nothing that JSON cannot write.
    let written = calls.map(|calls| serde_json::to_string(calls).expect("details are JSON"));
    written.unwrap_or_default()
}

/// Says which grant an event is about.
pub(crate) fn describe(event: &mut Event, grant: &Grant) {
    event.subject = Some(grant.subject.to_string());
    let facts = [
        (GRANT, grant.id.to_string()),
        ("agent", grant.agent.to_string()),
        ("resource", grant.resource.clone()),
        ("scope", grant.scope.to_string()),
        (CALLS, calls_text(grant.calls.as_ref())),
    ];
    let facts = facts.into_iter().filter(|(_, value)| !value.is_empty());
    let facts = facts.map(|(name, value)| (name.to_owned(), value));
    event.facts.extend(facts);
}
