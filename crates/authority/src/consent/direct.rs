//! A registered client that asks for nothing but who the person is, in the query of its link: most that sign people in know
//! no other way. It lets nobody act, so it need not be proven who wrote the link; the code is of use to the client alone.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use chancery_gateway::snapshot::Snapshot;
use chancery_model::id::AgentId;
use chancery_model::time::Timestamp;
use chancery_store::codes::ANY_KEY;
use chancery_store::pushed_requests;
use chancery_wire::id_token::OPENID;
use chancery_wire::oauth::{ErrorCode, Form};
use chancery_wire::redirect_uri::RedirectUri;

use crate::consent::answer::person;
use crate::consent::client::recorded;
use crate::consent::page::{self, Door};
use crate::consent::push::{self, Redirect, Wanted};
use crate::consent::secrets;
use crate::consent::way;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::state::Authority;
use crate::tokens::bond::Bond;
use crate::tokens::refusal::Refusal;

/// The most requests of one person to one client that wait at a time: pages that they opened and left.
const MOST_WAITING: i64 = 20;

/// Keeps what a query asks as if it had been pushed, and returns the query that names it; `None` for a query that names
/// something pushed, or does not sign anybody in to a registered client. Nothing is kept for somebody who is not signed in.
pub(crate) async fn push(
    authority: &Arc<Authority>,
    headers: &HeaderMap,
    query: &str,
) -> Result<Option<String>, Box<Response>> {
    let Ok(form) = Form::parse(query.as_bytes()) else {
        return Ok(None);
    };
    let client = form.fetch("client_id").and_then(|id| id.parse().ok());
    let scope = form.fetch("scope").unwrap_or("");
    let is_sign_in = scope.split(' ').any(|name| name == OPENID);
    let (Some(client), None, true) = (client, form.fetch("request_uri"), is_sign_in) else {
        return Ok(None);
    };
    let ctx = match Ctx::authenticate(Arc::clone(authority), headers) {
        Ok(ctx) => ctx,
        // It must not be shown anything (OpenID Connect Core 3.1.2.1).
        Err(Error::Unauthenticated) if form.fetch("prompt") == Some("none") => {
            return Err(Box::new(tell_silently(authority, &form, client).await));
        }
        Err(Error::Unauthenticated) => {
            let is_anew = form.fetch("prompt") == Some("login") || form.fetch("max_age").is_some();
            let page = page::sign_in_to(&Door::of(authority), query, is_anew);
            return Err(Box::new(page.into_response()));
        }
        Err(error) => return Err(Box::new(page::of(error))),
    };
    let uri = push_for(&ctx, &form, client).await?;
    let mut named = url::form_urlencoded::Serializer::new(String::new());
    named.append_pair("client_id", &client.to_string());
    named.append_pair("request_uri", &uri);
    Ok(Some(named.finish()))
}

async fn push_for(ctx: &Ctx, form: &Form<'_>, client: AgentId) -> Result<String, Box<Response>> {
    let authority = &*ctx.authority;
    let login = person(ctx).map_err(|halt| Box::new(halt.of(ctx).answer(None)))?;
    let snapshot = authority.current.load_full();
    let text = client.to_string();
    let failed = |error: Error| Box::new(page::of(error));
    let redirect = prove(authority, &snapshot, form, client, ctx.now).await;
    let redirect = redirect.map_err(|unproven| match unproven {
        Unproven::Unknown(code) => {
            let response = page::UNKNOWN.into_response();
            Box::new(recorded(ctx, &text, code, response))
        }
        Unproven::Failed => failed(Error::Unavailable),
    })?;
    let agent = snapshot.agents.get(&client);
    // Where every token of the client is bound to its certificate, which one is shown when it fetches them.
    let is_bound = agent.is_some_and(|agent| agent.agent.authentication.is_certificate_bound);
    let wanted = read(ctx, form, redirect.clone(), is_bound);
    let wanted = wanted.map_err(|refused| there(ctx, &snapshot, form, &redirect, refused))?;
    let _room = (authority.pressure.admit()).ok_or_else(|| failed(Error::Unavailable))?;
    let uri = secrets::new_uri(authority);
    let request = wanted.by(client, &uri, ctx.now);
    let (store, person) = (&authority.store, login.owner_id);
    let kept = pushed_requests::keep(store, &request, person, MOST_WAITING).await;
    if kept.map_err(|error| failed(error.into()))? {
        Ok(uri)
    } else {
        Err(failed(Error::Unavailable))
    }
}

/// Why nothing is sent anywhere.
enum Unproven {
    /// The client or the redirect URI is none.
    Unknown(&'static str),
    /// Our own failure.
    Failed,
}

/// Where the answer goes, once it is proven: nothing is sent anywhere before (AUTHZ-03).
async fn prove(
    authority: &Authority,
    snapshot: &Snapshot,
    form: &Form<'_>,
    client: AgentId,
    now: Timestamp,
) -> Result<Redirect, Unproven> {
    let agent = snapshot.agents.get(&client);
    let agent = agent.filter(|agent| agent.live(now).is_ok() && agent.client.is_none());
    let agent = agent.ok_or(Unproven::Unknown("principal_inactive"))?;
    let registered = push::registered(authority, agent).await;
    let registered = registered.map_err(|_| Unproven::Failed)?;
    let named = form.fetch("redirect_uri").unwrap_or("");
    let redirect = Redirect::find(RedirectUri::parse(named), &registered);
    redirect.map_err(|refused| Unproven::Unknown(refused.code))
}

/// Tells a client that wants an answer without a page that nobody is signed in.
async fn tell_silently(authority: &Authority, form: &Form<'_>, client: AgentId) -> Response {
    let Some(_room) = authority.pressure.admit() else {
        return page::of(Error::Unavailable);
    };
    let snapshot = authority.current.load_full();
    let now = authority.clock.now();
    match prove(authority, &snapshot, form, client, now).await {
        Ok(redirect) => {
            let answer = [("error", ErrorCode::LoginRequired.name())];
            way::send(&redirect.asked, state(form), &snapshot.issuer, &answer)
        }
        Err(Unproven::Unknown(_)) => page::UNKNOWN.into_response(),
        Err(Unproven::Failed) => page::of(Error::Unavailable),
    }
}

/// What the client recognises the answer by.
fn state<'a>(form: &'a Form<'_>) -> &'a str {
    let state = form.fetch("state");
    let state = state.filter(|state| state.len() <= push::LONGEST_STATE);
    state.unwrap_or("")
}

/// Reads the request as a pushed one is read; one that would let the agent act must be pushed.
fn read(ctx: &Ctx, form: &Form<'_>, redirect: Redirect, is_bound: bool) -> Result<Wanted, Refusal> {
    push::refuse_foreign(form)?;
    let named = push::bound_key(form, None)?;
    let held = Bond::of_parts(named.or(is_bound.then_some(ANY_KEY)), None);
    let wanted = push::read(&ctx.authority, form, redirect, &held, ctx.now)?;
    if !ctx.authority.config.is_userinfo(&wanted.target.resource) {
        return Err(Refusal::new(
            ErrorCode::InvalidRequest,
            "a request to act in the name of a person is pushed (RFC 9126)",
            "not_pushed",
        ));
    }
    Ok(wanted)
}

/// Tells the client, whose redirect URI an administrator registered, that nobody is asked.
fn there(
    ctx: &Ctx,
    snapshot: &Snapshot,
    form: &Form<'_>,
    redirect: &Redirect,
    refused: Refusal,
) -> Box<Response> {
    let answer = [
        ("error", refused.error.code.name()),
        ("error_description", refused.error.description),
    ];
    let response = way::send(&redirect.asked, state(form), &snapshot.issuer, &answer);
    let client = form.fetch("client_id").unwrap_or("");
    Box::new(recorded(ctx, client, refused.code, response))
}
