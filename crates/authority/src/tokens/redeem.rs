//! A code for tokens: what a person consented to, fetched by the client that the code was sent to, with the key and the
//! secret that it is bound to, once.

use std::sync::Arc;
use std::time::Duration;

use chancery_gateway::snapshot::KnownAgent;
use chancery_model::digest::Digest;
use chancery_model::event::{Actor, ActorKind, Event, EventKind};
use chancery_model::grant::Grant as Consented;
use chancery_model::time::Timestamp;
use chancery_store::journal::Step;
use chancery_store::one_time::OneTime;
use chancery_wire::dpop::VerifiedProof;
use chancery_wire::hash;
use chancery_wire::oauth::{ErrorCode, Form, TokenResponse};

use crate::grants::end;
use crate::state::Authority;
use crate::tokens::binding::prove;
use crate::tokens::bond::Bond;
use crate::tokens::calls;
use crate::tokens::client::{self, Who};
use crate::tokens::code::{self, Bonds};
use crate::tokens::fetch::{Fetch, Once};
use crate::tokens::issue::Request;
use crate::tokens::refusal::Refusal;

/// How long a refresh token lives without being used.
pub(crate) const IDLE: Duration = Duration::from_secs(8 * 3_600);

/// The form of refresh tokens, which nothing takes for one of another kind (TOK-03).
pub(crate) const REFRESH: &str = "chr_";

/// The hash by which a refresh token is kept.
pub(crate) fn refresh_hash(token: &str) -> Digest {
    hash::sha256_for("refresh token", &[token])
}

/// `grant_type=authorization_code`.
pub(crate) async fn redeem(request: &Request<'_>) -> Result<TokenResponse, Refusal> {
    let Request {
        endpoints,
        headers,
        form,
        client,
        now,
    } = *request;
    let authority = &*endpoints.authority;
    let agent = require_agent(&client.who)?;
    let proof = prove(endpoints, &endpoints.token_url, headers, now)?;
    let (code, consented) = code::find(authority, form).await?;
    let held = Bond::of(proof.as_ref().map(VerifiedProof::jkt), client);
    let bonds = Bonds {
        form,
        code: &code,
        consented: &consented,
        held: &held,
    };
    let agent = bonds.require(authority, Some(agent), now).await?;
    let calls = calls::shrunk(form, &consented.resource, code.calls.as_ref())?;
    let fetch = Fetch {
        consented: &consented,
        scope: &code.scope,
        calls: calls.as_ref(),
        given: code.calls.as_ref(),
        held: &held,
        auth_time: code.auth_time,
        acr: code.authentication.acr,
    };
    let once = Once {
        uses: uses(client.assertion, proof.as_ref()),
        nonce: code.authentication.nonce.as_deref(),
        replayed: code::REPLAYED,
    };
    let keep = || {
        let (refresh_token, refresh) = fetch.refresh(authority, now).unzip();
        let step = Step::Redeem {
            code: code.code_hash,
            grant: consented.id,
            refresh,
        };
        (refresh_token, step)
    };
    fetch.give(authority, agent, once, keep, now).await
}

/// Ends a grant because of what came for it, and refuses with the same reason.
pub(crate) async fn end_because(
    why: &'static str,
    authority: &Authority,
    agent: &KnownAgent,
    consented: &Consented,
    now: Timestamp,
) -> Refusal {
    let actor = Actor {
        id: agent.agent.id.to_string(),
        kind: ActorKind::Agent,
    };
    let entropy = &*authority.entropy;
    let event = Event {
        agent: Some(agent.recorded.clone()),
        outcome: why.to_owned(),
        ..Event::new(EventKind::GrantRevoked, actor, now, entropy)
    };
    match end::end(authority, consented.id, &event).await {
        Ok(()) => refuse(why).about(consented.id),
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                grant.id = %consented.id,
                why, "the grant could not be ended"
            );
            Refusal::unavailable()
        }
    }
}

/// What a client is told whose code or refresh token is of no use; the record has the reason.
pub(crate) fn refuse(code: &'static str) -> Refusal {
    let description = "the code or refresh token is of no use to this client";
    Refusal::new(ErrorCode::InvalidGrant, description, code)
}

/// Only agents act on behalf of people.
pub(crate) fn require_agent(who: &Who) -> Result<&Arc<KnownAgent>, Refusal> {
    match who {
        Who::Agent(known) => Ok(known),
        Who::Resource(_) => Err(Refusal::new(
            ErrorCode::UnauthorizedClient,
            "only an agent acts on behalf of a person",
            "not_an_agent",
        )),
    }
}

/// A resource that is named must be that of the grant (RFC 8707 2.2, TOK-12).
pub(crate) fn require_resource(form: &Form<'_>, consented: &Consented) -> Result<(), Refusal> {
    let named = form.fetch("resource");
    if named.is_none_or(|resource| resource == consented.resource) {
        return Ok(());
    }
    let refused = Refusal::new(
        ErrorCode::InvalidTarget,
        "the person consented to another resource",
        "resource_mismatch",
    );
    Err(refused.about(consented.id))
}

/// What a request used up that led to a token.
pub(crate) fn uses(assertion: Option<OneTime>, proof: Option<&VerifiedProof>) -> Vec<OneTime> {
    let proof = proof.map(|proof| client::once(proof.jti_hash(), proof.expires_at()));
    // Of a client that authenticates by its proof, both are one.
    let proof = proof.filter(|proof| assertion.is_none_or(|used| used.hash != proof.hash));
    assertion.into_iter().chain(proof).collect()
}
