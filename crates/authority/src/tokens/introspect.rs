//! Introspection (RFC 7662): a resource server asks about tokens made for it, and learns nothing of others.
//!
//! The resource server authenticates with an assertion, or with its own short-lived token for the issuer,
//! which costs no signature check per question.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use chancery_gateway::snapshot::Snapshot;
use chancery_model::event::{Actor, ActorKind, Event, EventKind};
use chancery_model::id::ClientId;
use chancery_model::time::Timestamp;
use chancery_wire::access_token::{self, Expect, TokenError, VerifiedAccessToken};
use chancery_wire::oauth::{self, Credential, ErrorCode, Introspection};

use crate::directory::KnownResource;
use crate::state::Authority;
use crate::tokens::client::{self, Who};
use crate::tokens::issue;
use crate::tokens::refusal::{self, Refusal};

/// `POST /oauth/introspect`.
pub async fn introspect(
    State(authority): State<Arc<Authority>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let now = authority.clock.now();
    match try_introspect(&authority, &headers, &body, now).await {
        Ok(answer) => {
            let mut response = Json(answer).into_response();
            refusal::no_store(response.headers_mut());
            response
        }
        Err(refused) => refusal::answer(&authority, now, "introspect", refused).await,
    }
}

async fn try_introspect(
    authority: &Authority,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<Introspection, Refusal> {
    let form = issue::parse(headers, body)?;
    let snapshot = authority.current.load();
    let asker = if headers.contains_key(header::AUTHORIZATION) {
        by_token(authority, &snapshot, headers, now)?
    } else {
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
    if snapshot.freshness.is_stale(now) {
        return Err(Refusal::unavailable());
    }
    let Ok(verified) = verify(authority, &snapshot, token, now) else {
        return Ok(Introspection::Inactive);
    };
    if verified.claims().aud != asker.resource.url || snapshot.admit(&verified, now).is_err() {
        return Ok(Introspection::Inactive);
    }
    Ok(Introspection::Active(Box::new(verified.claims().clone())))
}

/// The resource server behind a token of its own for the issuer.
pub(crate) fn by_token(
    authority: &Authority,
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
    let verified = verify(authority, snapshot, token, now).map_err(|error| refuse(error.code()))?;
    let claims = verified.claims();
    let is_ours =
        claims.aud == snapshot.issuer && claims.scope.as_deref() == Some(issue::INTROSPECT);
    if !is_ours || verified.bound_jkt().is_some() || snapshot.revoked.contains(&claims.jti) {
        return Err(refuse("wrong_audience"));
    }
    let Ok(ClientId::Resource(id)) = claims.client_id.parse() else {
        return Err(refuse("not_a_resource"));
    };
    authority
        .directory
        .load()
        .resources
        .get(&id)
        .cloned()
        .ok_or_else(|| refuse("unknown_client"))
}

/// Verifies a token, or finds that its exact text was verified before; its time is checked either way.
fn verify(
    authority: &Authority,
    snapshot: &Snapshot,
    token: &str,
    now: Timestamp,
) -> Result<Arc<VerifiedAccessToken>, TokenError> {
    if let Some(known) = authority.verified.get(token) {
        return if known.expires_at() > now {
            Ok(known)
        } else {
            Err(TokenError::Expired)
        };
    }
    let expect = Expect {
        issuer: &snapshot.issuer,
        audience: None,
        now,
    };
    let verified = Arc::new(access_token::verify(token, &snapshot.token_keys, &expect)?);
    authority
        .verified
        .insert(token.to_owned(), Arc::clone(&verified));
    Ok(verified)
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
