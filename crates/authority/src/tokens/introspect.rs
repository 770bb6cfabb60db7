//! Introspection (RFC 7662): a resource server asks about tokens made for it, and learns nothing of others.
//!
//! The resource server authenticates with an assertion, or with its own short-lived token for the issuer,
//! which costs no signature check per question.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use chancery_gateway::snapshot::Snapshot;
use chancery_model::event::{Actor, ActorKind, Event, EventKind};
use chancery_model::id::ClientId;
use chancery_model::time::Timestamp;
use chancery_wire::oauth::{self, Credential, ErrorCode, Introspection};

use crate::directory::KnownResource;
use crate::state::Authority;
use crate::tokens::Endpoints;
use crate::tokens::client::{self, Who};
use crate::tokens::form;
use crate::tokens::issue;
use crate::tokens::memory;
use crate::tokens::refusal::{self, Refusal};

/// `POST /oauth/introspect`.
pub(crate) async fn introspect(
    endpoints: &Endpoints,
    headers: &HeaderMap,
    body: &[u8],
) -> Response {
    match try_introspect(endpoints, headers, body).await {
        Ok(answer) => {
            let mut response = answer.into_response();
            let headers = response.headers_mut();
            let json = HeaderValue::from_static("application/json");
            headers.insert(header::CONTENT_TYPE, json);
            refusal::no_store(headers);
            response
        }
        Err(refused) => {
            let now = endpoints.authority.clock.now();
            refusal::answer(&endpoints.authority, now, "introspect", refused).await
        }
    }
}

async fn try_introspect(
    endpoints: &Endpoints,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Bytes, Refusal> {
    let authority = &*endpoints.authority;
    let form = form::parse(headers, body)?;
    let asker = if headers.contains_key(header::AUTHORIZATION) {
        let snapshot = authority.current.load();
        by_token(endpoints, &snapshot, headers, authority.clock.now())?
    } else {
        let (snapshot, now) = (authority.current.load(), authority.clock.now());
        let client = client::authenticate(authority, &snapshot, headers, &form, now)?;
        let Who::Resource(known) = client.who else {
            return Err(Refusal::new(
                ErrorCode::UnauthorizedClient,
                "only a resource server may introspect",
                "not_a_resource",
            ));
        };
        let event = used(authority, &known, now);
        authority
            .journal
            .append_once(event, vec![client.assertion])
            .await?;
        known
    };
    let token = form.require("token", "`token` is missing")?;
    // What stands now, and not before the record was written, is what is told.
    let (snapshot, now) = (authority.current.load(), authority.clock.now());
    if snapshot.freshness.is_stale(now) {
        return Err(Refusal::unavailable());
    }
    let inactive = || memory::answer(&Introspection::Inactive);
    let Ok(known) = endpoints.memory.verify(&snapshot, token, now) else {
        return Ok(inactive());
    };
    let is_for_asker = known.token.claims().aud == asker.resource.url;
    if !is_for_asker || snapshot.admit(&known.token, now).is_err() {
        return Ok(inactive());
    }
    Ok(known.answer.clone())
}

/// The resource server behind a token of its own for the issuer.
pub(crate) fn by_token(
    endpoints: &Endpoints,
    snapshot: &Snapshot,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Arc<KnownResource>, Refusal> {
    let refuse = |code| {
        Refusal::new(
            ErrorCode::InvalidToken,
            "a token for the issuer is needed",
            code,
        )
    };
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(refuse("several_credentials"));
    };
    let value = value.to_str().map_err(|_| refuse("malformed"))?;
    let Ok(Credential::Bearer(token)) = oauth::authorization_header(value) else {
        return Err(refuse("malformed"));
    };
    let known = endpoints.memory.verify(snapshot, token, now);
    let known = known.map_err(|error| refuse(error.code()))?;
    let claims = known.token.claims();
    let is_ours =
        claims.aud == snapshot.issuer && claims.scope.as_deref() == Some(issue::INTROSPECT);
    if !is_ours || known.token.bound_jkt().is_some() || snapshot.revoked.contains(&claims.jti) {
        return Err(refuse("wrong_audience"));
    }
    let Some(ClientId::Resource(id)) = known.client else {
        return Err(refuse("not_a_resource"));
    };
    endpoints
        .authority
        .directory
        .load()
        .resources
        .get(&id)
        .cloned()
        .ok_or_else(|| refuse("unknown_client"))
}

/// An assertion was used to introspect; recorded because it is used up.
fn used(authority: &Authority, known: &KnownResource, now: Timestamp) -> Event {
    Event {
        facts: [("endpoint".to_owned(), "introspect".to_owned())].into(),
        ..Event::new(
            EventKind::ClientAuthenticated,
            Actor {
                id: known.resource.id.to_string(),
                kind: ActorKind::Resource,
            },
            now,
            &*authority.entropy,
        )
    }
}
