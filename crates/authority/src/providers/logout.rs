//! A provider says that somebody signed out there: their sessions by it end (OpenID Connect Back-Channel Logout 1.0).

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chancery_model::event::{Actor, Event, EventKind};
use chancery_store::providers::Kept;
use chancery_store::sessions::{Means, Session};
use chancery_store::{provider_uses, sessions};
use chancery_wire::json;
use chancery_wire::jws::Unverified;
use chancery_wire::oauth::Form;
use chancery_wire::openid::OpenIdError;
use chancery_wire::openid::logout_token::{Expect, LogoutToken};

use crate::accounts::begin;
use crate::error::{self, Error, NotSignedIn};
use crate::extract;
use crate::issuers::{self, Named};
use crate::providers::exchange::{self, NotIdentified};
use crate::refresh;
use crate::state::Authority;

/// `POST /sign-in/providers/{provider}/logout`.
pub async fn logout(
    State(authority): State<Arc<Authority>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Response {
    let kept = authority.directory.load().providers.get(&name).cloned();
    let Some(kept) = kept else {
        return Error::NotFound("page").into_response();
    };
    match take(&authority, &kept, &headers, &body).await {
        // §2.8: that there was nobody to sign out is no failure.
        Ok(()) => StatusCode::OK.into_response(),
        Err(NotIdentified::Unavailable) => Error::Unavailable.into_response(),
        Err(NotIdentified::Failed(Error::SignInRefused(why))) => refused(why.code),
        Err(NotIdentified::Failed(error)) => error.into_response(),
        Err(NotIdentified::Refused(code)) => refused(code),
    }
}

/// One answer for whatever is wrong; the record is told which it was.
fn refused(code: &'static str) -> Response {
    let problem = serde_json::json!({"error": "invalid_request"});
    let mut response = (StatusCode::BAD_REQUEST, axum::Json(problem)).into_response();
    response.extensions_mut().insert(NotSignedIn {
        code,
        passkey: None,
    });
    response
}

async fn take(
    authority: &Arc<Authority>,
    kept: &Kept,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), NotIdentified> {
    let _turn = authority.issuers.turn().ok_or(Error::Unavailable)?;
    let now = authority.clock.now();
    if !extract::is_of_type(headers, "application/x-www-form-urlencoded") {
        return Err(NotIdentified::Refused("malformed"));
    }
    let malformed = || NotIdentified::from(OpenIdError::Malformed);
    let form = Form::parse(body).map_err(|_| malformed())?;
    let text = form.fetch("logout_token").ok_or_else(malformed)?;
    let token = Unverified::parse(text, json::TOKEN).map_err(|_| malformed())?;
    let provider = &kept.provider;
    let named = Named::of(authority, provider);
    let signed = issuers::verify(authority, named, &token, now).await;
    let signed = signed.map_err(exchange::not_issued)?;
    let expect = Expect {
        issuer: &provider.issuer,
        client_id: &provider.client_id,
        now,
    };
    let token = LogoutToken::of(&signed, &expect)?;
    Ok(error::again(|| end(authority, kept, &token)).await?)
}

/// Uses the token up, and ends the sessions that it names; a token that names none is used up all the same, or it would end
/// what begins later.
async fn end(authority: &Authority, kept: &Kept, token: &LogoutToken) -> Result<(), Error> {
    let now = authority.clock.now();
    let id = kept.provider.id;
    let mut tx = authority.store.begin_in_turn().await?;
    if !provider_uses::use_once(&mut tx, token.jti_hash, token.expires_at, now).await? {
        return Err(begin::refused("logout_token_used"));
    }
    let mut ended = 0;
    for session in sessions::list_for_provider(&mut tx, id, now).await? {
        if is_named(token, &session) {
            ended += usize::from(sessions::end(&mut tx, session.owner_id, session.id, now).await?);
        }
    }
    let actor = Actor::authority();
    let mut event = Event::new(
        EventKind::ProviderSignedOut,
        actor,
        now,
        &*authority.entropy,
    );
    let facts = [
        ("provider", id.to_string()),
        ("name", kept.provider.name.as_str().to_owned()),
        ("sessions_ended", ended.to_string()),
    ];
    let facts = facts.map(|(name, fact)| (name.to_owned(), fact));
    event.facts.extend(facts);
    if let Some(subject) = &token.subject {
        event.facts.insert("subject".to_owned(), subject.clone());
    }
    refresh::commit(authority, tx, event, Vec::new()).await
}

/// Whether a token is about a session: about that one alone when it names one (§2.7).
fn is_named(token: &LogoutToken, session: &Session) -> bool {
    let Means::Provider(at) = &session.means else {
        return false;
    };
    let is_subject = (token.subject.as_ref()).is_none_or(|subject| *subject == at.subject);
    let is_session = (token.session.as_ref()).is_none_or(|sid| Some(sid) == at.sid.as_ref());
    is_subject && is_session
}
