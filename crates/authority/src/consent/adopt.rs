//! What the person answered about a client that nobody registered. Agreeing makes it into an agent of theirs, or gives that
//! agent the tools that they chose; then it gets its code, like any other agent.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use chancery_gateway::snapshot::KnownAgent;
use chancery_model::event::EventKind;
use chancery_model::id::AgentId;
use chancery_model::time::Timestamp;
use chancery_store::{codes, pushed_requests, registered_clients};
use chancery_wire::hash;
use chancery_wire::oauth::ErrorCode;
use chancery_wire::redirect_uri::RedirectUri;

use crate::clients::adopt::{self, Adopted};
use crate::consent::answer::{self, Asked, Halt};
use crate::consent::client::{self, AskedByClient, Shown};
use crate::consent::client_page;
use crate::consent::decide;
use crate::consent::page::{self, Door};
use crate::consent::secrets::{self, URI};
use crate::consent::way::{self, Redirected, Way};
use crate::ctx::Ctx;
use crate::directory::KnownLogin;
use crate::error::Error;
use crate::refresh;
use crate::state::Authority;
use crate::tokens::code::code_hash;
use crate::tokens::form;

/// How often a decision is tried while others change the same rows.
const ATTEMPTS: usize = 4;
/// The most parameters of an answer: as many as a server may have tools, and what is beside them.
const MOST_PARAMETERS: usize = 600;
/// The most requests of one agent that wait at a time.
const MOST_WAITING: i64 = 100;

/// `POST /oauth/authorize/adopt`.
pub async fn adopt(State(authority): State<Arc<Authority>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = form::read(body).await else {
        return page::UNKNOWN.into_response();
    };
    let mut attempt = 1;
    loop {
        match try_to_adopt(&authority, &head.headers, &body).await {
            // What was committed is found again, so trying again is deciding once.
            Err(Error::Busy) if attempt < ATTEMPTS => attempt += 1,
            Ok(response) => return response,
            Err(error) => return page::of(error),
        }
    }
}

async fn try_to_adopt(
    authority: &Arc<Authority>,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Response, Error> {
    let unknown = || Ok(page::UNKNOWN.into_response());
    let Ok(form) = form::parse_up_to(headers, body, MOST_PARAMETERS) else {
        return unknown();
    };
    let fields = ["uri", "until", "query", "form", "answer"].map(|name| form.fetch(name));
    let [
        Some(uri),
        Some(until),
        Some(query),
        Some(token),
        Some(choice),
    ] = fields
    else {
        return unknown();
    };
    let is_approval = match choice {
        "approve" => true,
        "deny" => false,
        _ => return unknown(),
    };
    let Ok(until) = until.parse().map(Timestamp::from_micros) else {
        return unknown();
    };
    if !uri.starts_with(URI) {
        return unknown();
    }
    let ctx = match Ctx::authenticate(Arc::clone(authority), headers) {
        Ok(ctx) => ctx,
        Err(Error::Unauthenticated) => return Ok(page::SIGNED_OUT.into_response()),
        Err(error) => return Err(error),
    };
    let login = match answer::person(&ctx) {
        Ok(login) => login,
        Err(halt) => return Ok(halt.of(&ctx).answer(None)),
    };
    if let Some(answered) = again(&ctx, &login, uri, is_approval).await? {
        return Ok(answered);
    }
    let asked = match client::find(&ctx, &login, query).await {
        Ok(asked) => asked,
        Err(response) => return Ok(*response),
    };
    // Only the page that this person was shown about this request, this client and what it is for them now, has it.
    let shown = Shown { uri, until, query };
    let expected = asked.form_token(&ctx, &login, &shown);
    if !hash::equal(expected.as_bytes(), token.as_bytes()) || until <= ctx.now {
        let response = page::STRANGE_FORM.into_response();
        return Ok(client::recorded(
            &ctx,
            &asked.client.id,
            "strange_form",
            response,
        ));
    }
    if !is_approval {
        return deny(&ctx, &login, &asked).await;
    }
    let tools = asked.tools();
    let is_chosen = |place: usize| form.fetch(&format!("t{place}")).is_some();
    let chosen = tools
        .iter()
        .enumerate()
        .filter(|(place, _)| is_chosen(*place));
    let chosen: Vec<&str> = chosen.map(|(_, tool)| *tool).collect();
    if chosen.is_empty() {
        return Ok(page::NO_TOOLS.into_response());
    }
    let server = &asked.server.server.name;
    let adopted = adopt::adopt(&ctx, &login, &asked.client, server, &chosen).await?;
    match adopted {
        Adopted::Ready(agent) => give(&ctx, &login, asked, uri, agent).await,
        Adopted::Waits(waiting) => Ok(client_page::waits(&waiting)),
        Adopted::TooMany => Ok(page::TOO_MANY_CLIENTS.into_response()),
    }
}

/// Gives the grant to the agent that the client is, and sends the code.
async fn give(
    ctx: &Ctx,
    login: &KnownLogin,
    by_client: AskedByClient,
    uri: &str,
    agent: AgentId,
) -> Result<Response, Error> {
    let AskedByClient { client, wanted, .. } = by_client;
    // What was committed a moment ago is in the snapshot of now.
    let snapshot = ctx.authority.current.load_full();
    let known = snapshot.agents.get(&agent).cloned();
    let is_of_client = |known: &Arc<KnownAgent>| {
        known.client.as_deref() == Some(&*client.id)
            && known.agent.owner_id == login.owner_id
            && known.live(ctx.now).is_ok()
    };
    let Some(known) = known.filter(is_of_client) else {
        return Ok(page::STOPPED.into_response());
    };
    let redirect_uri = wanted.redirect.asked.clone();
    let redirected = Redirected {
        request: wanted.by(agent, uri, ctx.now),
        uri: redirect_uri,
    };
    let request = redirected.request.clone();
    let asked = Asked {
        name: uri.to_owned(),
        way: Way::Redirect(redirected),
        agent: known,
        snapshot,
        door: Door::of(&ctx.authority),
    };
    let mut tx = ctx.begin().await?;
    if !pushed_requests::insert(&mut tx, &request, MOST_WAITING).await? {
        return Err(Error::Unavailable);
    }
    if let Some(id) = client.registered
        && !registered_clients::note_use(&mut tx, id, ctx.now).await?
    {
        return Ok(page::UNKNOWN_CLIENT.into_response());
    }
    match decide::give(ctx, &asked, login, tx).await {
        Ok(response) => Ok(response),
        Err(Halt::Failed(error)) => Err(error),
        Err(halt) => Ok(halt.of(ctx).answer(Some(&asked))),
    }
}

/// Saying no needs nobody's permission, and leaves nothing behind but the record of it.
async fn deny(ctx: &Ctx, login: &KnownLogin, asked: &AskedByClient) -> Result<Response, Error> {
    let mut event = ctx.event(EventKind::GrantRefused);
    event.outcome = "access_denied".to_owned();
    event.subject = Some(login.owner_id.to_string());
    let uri = asked.wanted.redirect.asked.as_str().to_owned();
    event.facts.insert("redirect_uri".to_owned(), uri);
    event
        .facts
        .insert("client".to_owned(), asked.client.id.clone());
    let tx = ctx.begin().await?;
    refresh::commit(&ctx.authority, tx, event, Vec::new()).await?;
    let wanted = &asked.wanted;
    let code = ErrorCode::AccessDenied;
    Ok(client::refuse(
        &wanted.redirect,
        &wanted.state,
        &asked.snapshot,
        code,
    ))
}

/// The same form once more, as a second click sends it: the same code again while nobody used it, else nothing. `None`
/// when the form was not answered before.
async fn again(
    ctx: &Ctx,
    login: &KnownLogin,
    uri: &str,
    is_approval: bool,
) -> Result<Option<Response>, Error> {
    let mut tx = ctx.read().await?;
    let Some(request) = pushed_requests::fetch(&mut tx, secrets::uri_hash(uri)).await? else {
        return Ok(None);
    };
    let answered = || Ok(Some(page::ANSWERED.into_response()));
    let is_by_same = request
        .wish
        .answered
        .is_some_and(|(_, by)| by == login.owner_id);
    if !is_by_same || !is_approval {
        return answered();
    }
    let text = secrets::code(ctx, uri, login);
    let code = codes::fetch(&mut tx, code_hash(&text)).await?;
    let is_fresh = |code: &codes::Code| code.used_at.is_none() && ctx.now < code.expires_at;
    let Some(code) = code.filter(is_fresh) else {
        return answered();
    };
    let Ok(redirect_uri) = RedirectUri::parse_of_client(&code.redirect_uri) else {
        return Err(Error::Broken);
    };
    let issuer = &ctx.authority.config.issuer;
    let answer = [("code", &*text)];
    Ok(Some(way::send(
        &redirect_uri,
        &request.state,
        issuer,
        &answer,
    )))
}
