//! The authorization endpoint: asks the person who signed in, or says why nobody is asked.

use std::sync::Arc;

use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chancery_gateway::snapshot::KnownServer;
use chancery_model::action::Action;
use chancery_model::document::Document;
use chancery_model::grant;
use chancery_model::id::AgentId;
use chancery_policy::Target;
use chancery_store::wish::Prompt;
use chancery_store::{grants, owners, pushed_requests};
use chancery_wire::oauth::{ErrorCode, Form};
use chancery_wire::user_code::UserCode;

use crate::agents::load;
use crate::consent::answer::{self, Asked, Halt};
use crate::consent::page;
use crate::consent::question::{Place, Question};
use crate::consent::secrets;
use crate::consent::way::Way;
use crate::consent::{client, direct};
use crate::ctx::Ctx;
use crate::directory::KnownLogin;
use crate::error::Error;
use crate::grants::fit;
use crate::state::Authority;
use crate::tokens::form;

/// `GET /oauth/authorize?client_id=…&request_uri=…`, or all of the request for a client that nobody registered.
pub async fn authorize(
    State(authority): State<Arc<Authority>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = query.as_deref().unwrap_or("");
    if client::is_of_client(query) {
        return client::ask(authority, &headers, query).await;
    }
    let pushed = match direct::push(&authority, &headers, query).await {
        Ok(pushed) => pushed,
        Err(response) => return *response,
    };
    let asked = match find(&authority, pushed.as_deref().unwrap_or(query)).await {
        Ok(asked) => asked,
        Err(halt) => return halt.answer(None),
    };
    ask(authority, &headers, &asked)
        .await
        .unwrap_or_else(|halt| halt.answer(Some(&asked)))
}

/// `POST /oauth/authorize`: the same parameters in a form, which is turned into the link that it stands for.
pub async fn authorize_by_form(request: Request) -> Response {
    let (head, body) = request.into_parts();
    let unknown = || page::UNKNOWN.into_response();
    let Ok(body) = form::read(body).await else {
        return unknown();
    };
    if form::parse(&head.headers, &body).is_err() {
        return unknown();
    }
    let query = std::str::from_utf8(&body).ok();
    let link = query.map(|query| HeaderValue::try_from(format!("/oauth/authorize?{query}")));
    match link {
        Some(Ok(link)) => (StatusCode::SEE_OTHER, [(header::LOCATION, link)]).into_response(),
        Some(Err(_)) | None => unknown(),
    }
}

/// What is asked; a request that was not pushed, or says something twice, is nobody's (AUTHZ-10).
async fn find(authority: &Authority, query: &str) -> Result<Asked, Halt> {
    let now = authority.clock.now();
    let form = Form::parse(query.as_bytes()).map_err(|_| Halt::Here(page::UNKNOWN))?;
    let (Some(client), Some(uri)) = (form.fetch("client_id"), form.fetch("request_uri")) else {
        return Err(Halt::Here(page::UNKNOWN));
    };
    let asked = Asked::find(authority, uri, now).await?;
    // The name is bound to the client that pushed it (AUTHZ-11); what a device waits for is not opened by a link.
    let is_of_client = client.parse::<AgentId>() == Ok(asked.wish().agent);
    if !is_of_client || matches!(asked.way, Way::Device(_)) {
        return Err(Halt::Here(page::UNKNOWN));
    }
    asked.require_open(now)?;
    Ok(asked)
}

async fn ask(
    authority: Arc<Authority>,
    headers: &HeaderMap,
    asked: &Asked,
) -> Result<Response, Halt> {
    // Whoever opened it has time to sign in and to read; whoever never did has not.
    if let Way::Redirect(redirected) = &asked.way
        && !redirected.request.is_opened()
    {
        let _room = authority.pressure.admit().ok_or(Error::Unavailable)?;
        let opened = authority.clock.now();
        pushed_requests::open(&authority.store, redirected.request.uri_hash, opened).await?;
    }
    let ctx = match Ctx::authenticate(authority, headers) {
        Ok(ctx) => ctx,
        Err(Error::Unauthenticated) => return Err(asked.sign_in()),
        Err(error) => return Err(Halt::Failed(error)),
    };
    let answered = ask_caller(&ctx, asked).await;
    answered.map_err(|halt| halt.of(&ctx))
}

async fn ask_caller(ctx: &Ctx, asked: &Asked) -> Result<Response, Halt> {
    let login = answer::person(ctx)?;
    asked.require_sign_in(ctx)?;
    asked.require_policy(ctx, &login)?;
    match asked.wish().prompt {
        Prompt::None => by_grant(ctx, asked, &login).await,
        Prompt::Ask | Prompt::Login
            if asked.is_sign_in() && !asked.wish().authentication.must_ask =>
        {
            // Who signs in every day is asked once what the client may know.
            match by_grant(ctx, asked, &login).await {
                Err(Halt::There(ErrorCode::ConsentRequired)) => {
                    question(ctx, asked, &login, None).await
                }
                answered => answered,
            }
        }
        Prompt::Ask | Prompt::Login => question(ctx, asked, &login, None).await,
    }
}

/// Answers without asking, by what the person consented to before, if that is all of it (AUTHZ-14).
async fn by_grant(ctx: &Ctx, asked: &Asked, login: &KnownLogin) -> Result<Response, Halt> {
    let wanted = grant::Asked {
        subject: login.owner_id,
        agent: asked.wish().agent,
        resource: &asked.wish().resource,
        scope: &asked.wish().scope,
        calls: asked.wish().calls.as_ref(),
        binding: asked.binding(),
        redirect_uri: asked.way.registered(),
    };
    let permit = ctx.authorize(Action::GrantGive, Target::Agent(&asked.agent.facts))?;
    let mut tx = ctx.read().await?;
    let known = grants::list_between(&mut tx, wanted.subject, wanted.agent, ctx.now).await?;
    let mut tried = Vec::new();
    for grant in known.iter().filter(|grant| grant.covers(&wanted)) {
        // The newest of each version says it for all of that version.
        if tried.contains(&grant.version) {
            continue;
        }
        if fit::fit(&mut tx, &asked.agent, grant).await?.is_some() {
            drop(tx);
            let tx = ctx.begin().await?;
            return asked.answer(ctx, login, permit, tx, grant, None).await;
        }
        tried.push(grant.version);
    }
    Err(Halt::There(ErrorCode::ConsentRequired))
}

/// Shows the question; about a device, with the code that the person entered.
pub(crate) async fn question(
    ctx: &Ctx,
    asked: &Asked,
    login: &KnownLogin,
    entered: Option<&UserCode>,
) -> Result<Response, Halt> {
    let wish = asked.wish();
    let place = match (&asked.way, entered) {
        (Way::Redirect(redirected), _) => Place::Redirect(&redirected.uri),
        (Way::Device(_), Some(code)) => Place::Device(code),
        // Nobody is asked about a device whose code they did not enter.
        (Way::Device(_), None) => return Err(Halt::Here(page::UNKNOWN)),
    };
    let mut tx = ctx.read().await?;
    let loaded = load::require(ctx, &mut tx, &wish.agent.to_string()).await?;
    let owner = owners::fetch(&mut tx, loaded.agent.owner_id).await?;
    let owner = owner.ok_or(Error::Broken)?;
    drop(tx);
    let Some((_, version)) = asked.agent.agent.version else {
        return Err(Halt::Here(page::UNKNOWN));
    };
    let document = &loaded.version.document;
    let question = Question {
        person: &login.hands.author.to_string(),
        agent: loaded.agent.name.as_str(),
        agent_id: &wish.agent.to_string(),
        description: &document.description,
        owner: owner.handle.as_str(),
        version: &format!("{}, {version}", loaded.version.number),
        model: asked.agent.recorded.model.as_deref(),
        resource: &wish.resource,
        tools: tools(asked, document),
        takes_later_tools: server(asked)
            .is_some_and(|known| document.lets_call_all(&known.server.name)),
        scope: &wish.scope,
        calls: wish.calls.as_ref(),
        until: ctx.now.after(grant::LIFETIME),
        token_lifetime: ctx.authority.config.access_token_lifetime,
        place,
        is_bound: wish.cnf.is_some(),
        is_sign_in: asked.is_sign_in(),
        name: &asked.name,
        form: &secrets::form_token(ctx, &asked.name, login, version),
    };
    Ok(question.page())
}

/// The MCP server behind the resource, when it is one of ours.
fn server(asked: &Asked) -> Option<&Arc<KnownServer>> {
    asked.snapshot.server_of(&asked.wish().resource)
}

/// The tools that the agent's document lets it call on the MCP server behind a resource, when it is one of ours.
fn tools(asked: &Asked, document: &Document) -> Option<Vec<String>> {
    let server = server(asked)?;
    let name = &server.server.name;
    let tools = server.tools.keys();
    let mut tools: Vec<String> = tools
        .filter(|tool| document.lets_call(name, tool))
        .cloned()
        .collect();
    tools.sort_unstable();
    Some(tools)
}
