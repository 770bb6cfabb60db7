//! Lets a client register itself (RFC 7591), while an administrator lets clients do that.
//!
//! It gets a name and nothing else: no secret, no token for changing what it said, and no right. Whoever is asked by it
//! is told that nobody answers for it. What nobody uses is forgotten after a day (REG-06).

use std::sync::Arc;

use axum::Json;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chancery_model::event::{Actor, ActorKind, Event, EventKind};
use chancery_model::id::RegisteredClientId;
use chancery_model::time::Timestamp;
use chancery_store::journal::{AppendError, Step};
use chancery_store::registered_clients::RegisteredClient;
use chancery_wire::client_metadata::{ClientMetadata, DOCUMENT};
use chancery_wire::oauth::{ErrorCode, RegistrationResponse};
use chancery_wire::redirect_uri::RedirectUri;

use crate::extract;
use crate::state::Authority;
use crate::tokens::refusal::{self, Refusal};

/// The most clients that are there at a time.
const MOST: i64 = 1_000;

/// `POST /oauth/register`.
pub async fn register(State(authority): State<Arc<Authority>>, request: Request) -> Response {
    let now = authority.clock.now();
    match try_register(&authority, request, now).await {
        Ok(registered) => {
            let mut response = (StatusCode::CREATED, Json(registered)).into_response();
            refusal::no_store(response.headers_mut());
            response
        }
        Err(refused) => {
            let is_closed = refused.error.code == ErrorCode::AccessDenied;
            let mut response = refusal::answer(&authority, now, "register", refused).await;
            if is_closed && response.status() == StatusCode::BAD_REQUEST {
                *response.status_mut() = StatusCode::FORBIDDEN;
            }
            response
        }
    }
}

async fn try_register(
    authority: &Authority,
    request: Request,
    now: Timestamp,
) -> Result<RegistrationResponse, Refusal> {
    if !authority.directory.load().takes_registrations(now) {
        return Err(Refusal::new(
            ErrorCode::AccessDenied,
            "clients may not register themselves; an administrator lets them for a while with \
             `chancery client open --for 1h`",
            "registration_closed",
        ));
    }
    let invalid =
        |description, code| Refusal::new(ErrorCode::InvalidClientMetadata, description, code);
    let (head, body) = request.into_parts();
    if !extract::is_of_type(&head.headers, "application/json") {
        return Err(invalid(
            "the body must be `application/json`",
            "content_type",
        ));
    }
    let body = to_bytes(body, DOCUMENT.bytes).await;
    let body = body.map_err(|_| invalid("the metadata are larger than 5 KiB", "too_large"))?;
    let metadata = ClientMetadata::of_request(&body)?;
    if !authority.registrations.admit(now) {
        return Err(Refusal::new(
            ErrorCode::TemporarilyUnavailable,
            "too many clients register themselves",
            "too_many_registrations",
        ));
    }
    let id = RegisteredClientId::generate(now, &*authority.entropy);
    let redirect_uris = metadata.redirect_uris.iter().map(RedirectUri::to_string);
    let client = RegisteredClient {
        id,
        name: metadata.name,
        redirect_uris: redirect_uris.collect(),
        is_bound: metadata.is_bound,
        created_at: now,
        used_at: None,
        removed_at: None,
    };
    let answer = RegistrationResponse::new(
        id.to_string(),
        now.as_secs(),
        client.name.clone(),
        client.redirect_uris.clone(),
    );
    let event = registered(authority, &client, now);
    let step = Step::Register { client, most: MOST };
    match authority.journal.append_step(event, Vec::new(), step).await {
        Ok(()) => Ok(answer),
        Err(AppendError::Lost) => Err(Refusal::new(
            ErrorCode::TemporarilyUnavailable,
            "as many clients are registered as may be",
            "too_many_clients",
        )),
        Err(error) => Err(Refusal::from(error)),
    }
}

fn registered(authority: &Authority, client: &RegisteredClient, now: Timestamp) -> Event {
    let stranger = Actor {
        id: String::new(),
        kind: ActorKind::Unknown,
    };
    let facts = [
        ("client", client.id.to_string()),
        ("claimed_name", client.name.clone().unwrap_or_default()),
        ("redirect_uris", client.redirect_uris.join(" ")),
    ];
    let facts = facts.into_iter().filter(|(_, value)| !value.is_empty());
    Event {
        facts: facts
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        ..Event::new(
            EventKind::ClientRegistered,
            stranger,
            now,
            &*authority.entropy,
        )
    }
}
