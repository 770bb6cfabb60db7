//! Where a provider sends a browser back to.
//!
//! Strangers open this too. Nothing is asked of the provider for an answer that no attempt of this browser fits, and who is
//! asked meanwhile are not more than a few at a time.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use chancery_gateway::document::NoDocument;
use chancery_store::providers::Kept;
use chancery_wire::oauth::Form;

use crate::cookie;
use crate::error::Error;
use crate::issuers::{self, Named};
use crate::providers::arrive::{self, Arrived};
use crate::providers::attempt::Attempt;
use crate::providers::exchange::{self, NotIdentified};
use crate::providers::page;
use crate::state::Authority;

/// The longest code that a provider may send.
const LONGEST_CODE: usize = 4_096;

/// `GET /sign-in/providers/{provider}/callback?code=…&state=…&iss=…`.
pub async fn callback(
    State(authority): State<Arc<Authority>>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let Some(kept) = authority.directory.load().providers.get(&name).cloned() else {
        return page::unknown();
    };
    let query = query.as_deref().unwrap_or("");
    match arrive(&authority, &kept, query, &headers).await {
        Ok(mut response) => {
            let gone = cookie::clear_attempt();
            response.headers_mut().append(header::SET_COOKIE, gone);
            response
        }
        Err(NotArrived::Not(NotIdentified::Unavailable)) => page::unavailable(),
        Err(NotArrived::Not(NotIdentified::Refused(code))) => page::refused(code, None),
        Err(NotArrived::Not(NotIdentified::Failed(error))) => page::failed(error),
        Err(NotArrived::Nobody(subject)) => page::refused("not_linked", Some(&subject)),
    }
}

/// Why nobody arrived.
enum NotArrived {
    /// Nobody was identified, or whoever was may not come in.
    Not(NotIdentified),
    /// The provider calls somebody this whom nobody knows here.
    Nobody(String),
}

impl<E: Into<NotIdentified>> From<E> for NotArrived {
    fn from(error: E) -> Self {
        Self::Not(error.into())
    }
}

async fn arrive(
    authority: &Arc<Authority>,
    kept: &Kept,
    query: &str,
    headers: &HeaderMap,
) -> Result<Response, NotArrived> {
    let refused = |code| NotArrived::Not(NotIdentified::Refused(code));
    let _room = authority.pressure.admit().ok_or(Error::Unavailable)?;
    let now = authority.clock.now();
    // Each parameter once: an answer that says something twice says nothing.
    let form = Form::parse(query.as_bytes()).map_err(|_| refused("malformed"))?;
    let state = form.fetch("state").ok_or_else(|| refused("no_attempt"))?;
    let attempt = Attempt::open(authority, headers, kept.provider.id, state, now);
    let attempt = attempt.ok_or_else(|| refused("no_attempt"))?;
    require_issuer(authority, kept, form.fetch("iss")).await?;
    if form.fetch("error").is_some() {
        return Err(refused("provider_refused"));
    }
    let code = form.fetch("code").filter(|code| code.len() <= LONGEST_CODE);
    let code = code.ok_or_else(|| refused("malformed"))?;
    // First the turn: who gets none may come again with the same.
    let _turn = authority.issuers.turn().ok_or(Error::Unavailable)?;
    if !authority.issuers.is_first(attempt.use_hash()) {
        return Err(refused("attempt_used"));
    }
    let identified = exchange::exchange(authority, kept, &attempt, code, now).await?;
    let subject = identified.token.subject().to_owned();
    match arrive::arrive(authority, headers, kept, &attempt, identified).await? {
        Arrived::SignedIn(response) => Ok(response),
        Arrived::Nobody => Err(NotArrived::Nobody(subject)),
    }
}

/// Requires that the answer is the provider's own: its word is compared where it is there, and has to be there where the
/// provider promised it (RFC 9207 §2.4, T6). What else the answer says is not looked at before.
async fn require_issuer(
    authority: &Arc<Authority>,
    kept: &Kept,
    iss: Option<&str>,
) -> Result<(), NotIdentified> {
    let provider = &kept.provider;
    let mismatch = NotIdentified::Refused("issuer_mismatch");
    match iss {
        Some(iss) if iss == provider.issuer => Ok(()),
        Some(_) => Err(mismatch),
        None => {
            let named = Named::of(authority, provider);
            let found = issuers::find(authority, named, authority.clock.now()).await;
            let issuer = found.map_err(|NoDocument| NotIdentified::Unavailable)?;
            match issuer.metadata.promises_iss {
                true => Err(mismatch),
                false => Ok(()),
            }
        }
    }
}
