//! Introspection (RFC 7662): a resource server asks about tokens made for it, and learns nothing of others. Who wants to keep
//! the answer gets it signed (RFC 9701).
//!
//! The resource server authenticates with an assertion, or with its own short-lived token for the issuer,
//! which costs no signature check per question.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use chancery_gateway::snapshot::Snapshot;
use chancery_model::event::{Actor, ActorKind, Event, EventKind};
use chancery_model::id::ClientId;
use chancery_model::time::Timestamp;
use chancery_wire::oauth::{self, Credential, ErrorCode, Introspection};
use chancery_wire::signed_introspection;

use crate::directory::KnownResource;
use crate::state::Authority;
use crate::tokens::Endpoints;
use crate::tokens::client::{self, Who};
use crate::tokens::form;
use crate::tokens::issue;
use crate::tokens::memory;
use crate::tokens::refusal::{self, Refusal};

/// `POST /oauth/introspect`.
pub(crate) async fn introspect(endpoints: &Endpoints, head: &Parts, body: &[u8]) -> Response {
    let headers = &head.headers;
    let told = try_introspect(endpoints, head, body).await;
    match told.and_then(|told| told.body(&endpoints.authority, headers)) {
        Ok((body, media_type)) => {
            let mut response = body.into_response();
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
            // One address, two kinds of answer.
            headers.insert(header::VARY, HeaderValue::from_static("accept"));
            refusal::no_store(headers);
            response
        }
        Err(refused) => {
            let now = endpoints.authority.clock.now();
            refusal::answer(&endpoints.authority, now, "introspect", refused).await
        }
    }
}

fn wants_signed(headers: &HeaderMap) -> bool {
    let mut accepts = headers.get_all(header::ACCEPT).iter();
    accepts.any(|accept| accept.to_str().is_ok_and(signed_introspection::is_wanted))
}

/// What a resource server is told.
struct Told {
    /// Who asked.
    asker: Arc<KnownResource>,
    /// JSON, as RFC 7662 has it.
    answer: Bytes,
    at: Timestamp,
}

impl Told {
    /// The answer in the kind that was asked for, and the media type of that kind.
    fn body(
        self,
        authority: &Authority,
        headers: &HeaderMap,
    ) -> Result<(Bytes, &'static str), Refusal> {
        if !wants_signed(headers) {
            return Ok((self.answer, "application/json"));
        }
        let answer = serde_json::from_slice(&self.answer).map_err(|_| Refusal::unavailable())?;
        let claims = signed_introspection::Claims {
            iss: authority.config.issuer.clone(),
            // For the one who asked alone.
            aud: self.asker.resource.id.to_string(),
            iat: self.at.as_secs(),
            token_introspection: answer,
        };
        let key = &authority.keys.load().access_token;
        let signed = signed_introspection::sign(key, &claims);
        Ok((signed.into(), signed_introspection::MEDIA_TYPE))
    }
}

async fn try_introspect(endpoints: &Endpoints, head: &Parts, body: &[u8]) -> Result<Told, Refusal> {
    let authority = &*endpoints.authority;
    let headers = &head.headers;
    let form = form::parse(headers, body)?;
    let asker = if headers.contains_key(header::AUTHORIZATION) {
        let snapshot = authority.current.load();
        by_token(endpoints, &snapshot, head, authority.clock.now())?
    } else {
        let (snapshot, now) = (authority.current.load(), authority.clock.now());
        let client = client::authenticate(authority, &snapshot, head, &form, now)?;
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
            .append_once(event, client.assertion.into_iter().collect())
            .await?;
        known
    };
    let token = form.require("token", "`token` is missing")?;
    // What stands now, and not before the record was written, is what is told.
    let (snapshot, now) = (authority.current.load(), authority.clock.now());
    if snapshot.freshness.is_stale(now) {
        return Err(Refusal::unavailable());
    }
    let in_force = endpoints.memory.verify(&snapshot, token, now).ok();
    let in_force = in_force.filter(|known| {
        let is_for_asker = known.token.claims().aud == asker.resource.url;
        is_for_asker && snapshot.admit(&known.token, now).is_ok()
    });
    let answer = match in_force {
        Some(known) => known.answer.clone(),
        None => memory::answer(&Introspection::Inactive),
    };
    Ok(Told {
        asker,
        answer,
        at: now,
    })
}

/// The resource server behind a token of its own for the issuer.
pub(crate) fn by_token(
    endpoints: &Endpoints,
    snapshot: &Snapshot,
    head: &Parts,
    now: Timestamp,
) -> Result<Arc<KnownResource>, Refusal> {
    let refuse = |code| {
        Refusal::new(
            ErrorCode::InvalidToken,
            "a token for the issuer is needed",
            code,
        )
    };
    let mut values = head.headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(refuse("several_credentials"));
    };
    let value = value.to_str().map_err(|_| refuse("malformed"))?;
    let Ok(Credential::Bearer(token)) = oauth::authorization_header(value) else {
        return Err(refuse("malformed"));
    };
    let known = endpoints.memory.verify(snapshot, token, now);
    let known = known.map_err(|error| refuse(error.code()))?;
    let peer = head.extensions.get();
    let has_certificate = known.token.require_certificate(peer);
    has_certificate.map_err(|error| refuse(error.code()))?;
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
