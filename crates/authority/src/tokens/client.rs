//! Who a client is: the one way to authenticate at every OAuth endpoint (`private_key_jwt`).

use std::sync::Arc;

use axum::http::HeaderMap;
use chancery_gateway::snapshot::{KnownAgent, Snapshot};
use chancery_model::digest::Digest;
use chancery_model::id::{ClientId, names_public_client};
use chancery_model::time::Timestamp;
use chancery_store::one_time::OneTime;
use chancery_wire::client_assertion::{self, ASSERTION_TYPE, UnverifiedAssertion};
use chancery_wire::oauth::{ErrorCode, Form};

use crate::directory::KnownResource;
use crate::state::Authority;
use crate::tokens::refusal::Refusal;

/// A client that proved who it is, with the assertion that it used up.
pub(crate) struct Client {
    /// Who it is.
    pub who: Who,
    /// Its assertion, to be used up in the transaction that records what it was used for.
    pub assertion: OneTime,
}

/// Who a client is.
pub(crate) enum Who {
    /// An agent; whether it is live is for the mint to find out.
    Agent(Arc<KnownAgent>),
    /// A resource server.
    Resource(Arc<KnownResource>),
}

impl Who {
    /// Its `client_id`.
    pub(crate) fn id(&self) -> ClientId {
        match self {
            Self::Agent(known) => known.agent.id.into(),
            Self::Resource(known) => known.resource.id.into(),
        }
    }
}

/// One answer for an unknown client, one without keys, one with the wrong key and one that is not active
/// (SEC-04, TOK-10).
pub(crate) const FAILED: &str = "client authentication failed";

/// Authenticates the client of a form; exactly one method, the one that is registered (TOK-08, TOK-09).
pub(crate) fn authenticate(
    authority: &Authority,
    snapshot: &Snapshot,
    headers: &HeaderMap,
    form: &Form<'_>,
    now: Timestamp,
) -> Result<Client, Refusal> {
    let refuse = |code| Refusal::new(ErrorCode::InvalidClient, FAILED, code);
    if headers.contains_key("authorization") || form.fetch("client_secret").is_some() {
        return Err(refuse("several_client_authentications"));
    }
    if form.fetch("client_assertion_type") != Some(ASSERTION_TYPE) {
        return Err(refuse("no_client_authentication"));
    }
    let assertion = form
        .fetch("client_assertion")
        .ok_or_else(|| refuse("no_client_authentication"))?;
    let assertion = UnverifiedAssertion::parse(assertion).map_err(|error| refuse(error.code()))?;
    let claimed = assertion.claimed_client_id();
    if form
        .fetch("client_id")
        .is_some_and(|id| id != claimed.to_string())
    {
        return Err(refuse("client_id_mismatch").by(claimed));
    }
    let directory = authority.directory.load();
    let who = match claimed {
        ClientId::Agent(id) => snapshot.agents.get(&id).cloned().map(Who::Agent),
        ClientId::Resource(id) => directory.resources.get(&id).cloned().map(Who::Resource),
    };
    let who = who.ok_or_else(|| refuse("unknown_client").by(claimed))?;
    let keys = match &who {
        Who::Agent(known) => known.keys.as_ref(),
        Who::Resource(known) => known.keys.as_ref(),
    };
    let keys = keys.ok_or_else(|| refuse("client_without_keys").by(claimed))?;
    let expect = client_assertion::Expect {
        issuer: &snapshot.issuer,
        now,
    };
    let verified = assertion
        .verify(keys, &expect)
        .map_err(|error| refuse(error.code()).by(claimed))?;
    Ok(Client {
        who,
        assertion: once(verified.jti_hash(), verified.expires_at()),
    })
}

/// What a public client calls itself: one without a secret, which proves nothing by its name. Whether a code or a
/// refresh token is its own is for whoever finds that to say. `None` when the form is of somebody who authenticates.
pub(crate) fn public<'a>(headers: &HeaderMap, form: &'a Form<'_>) -> Option<&'a str> {
    let proofs = ["client_assertion", "client_assertion_type", "client_secret"];
    if headers.contains_key("authorization")
        || proofs.iter().any(|proof| form.fetch(proof).is_some())
    {
        return None;
    }
    let id = form.fetch("client_id")?;
    // Who has a name of another form has a key too.
    names_public_client(id).then_some(id)
}

/// Something that may be used once, until it ends anyway.
pub(crate) fn once(hash: Digest, expires_at: Timestamp) -> OneTime {
    OneTime { hash, expires_at }
}
