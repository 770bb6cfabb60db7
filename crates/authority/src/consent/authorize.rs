//! The authorization endpoint: asks the person who signed in, or says why nobody is asked.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use chancery_gateway::snapshot::KnownServer;
use chancery_model::action::Action;
use chancery_model::document::Document;
use chancery_model::grant;
use chancery_policy::Target;
use chancery_store::pushed_requests::{self, Prompt};
use chancery_store::{grants, owners};
use chancery_wire::oauth::{ErrorCode, Form};

use crate::agents::load;
use crate::consent::answer::{self, Asked, Halt};
use crate::consent::client;
use crate::consent::page::{self, Question};
use crate::consent::secrets;
use crate::ctx::Ctx;
use crate::directory::KnownLogin;
use crate::error::Error;
use crate::grants::fit;
use crate::state::Authority;

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
    let asked = match find(&authority, query).await {
        Ok(asked) => asked,
        Err(halt) => return halt.answer(None),
    };
    ask(authority, &headers, &asked)
        .await
        .unwrap_or_else(|halt| halt.answer(Some(&asked)))
}

/// What is asked; a request that was not pushed, or says something twice, is nobody's (AUTHZ-10).
async fn find(authority: &Authority, query: &str) -> Result<Asked, Halt> {
    let now = authority.clock.now();
    let form = Form::parse(query.as_bytes()).map_err(|_| Halt::Here(page::UNKNOWN))?;
    let (Some(client), Some(uri)) = (form.fetch("client_id"), form.fetch("request_uri")) else {
        return Err(Halt::Here(page::UNKNOWN));
    };
    let asked = Asked::find(authority, uri, Some(client), now).await?;
    asked.require_open(now)?;
    Ok(asked)
}

async fn ask(
    authority: Arc<Authority>,
    headers: &HeaderMap,
    asked: &Asked,
) -> Result<Response, Halt> {
    // Whoever opened it has time to sign in and to read; whoever never did has not.
    if !asked.request.is_opened() {
        let _room = authority.pressure.admit().ok_or(Error::Unavailable)?;
        let opened = authority.clock.now();
        pushed_requests::open(&authority.store, asked.request.uri_hash, opened).await?;
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
    match asked.request.prompt {
        Prompt::None => by_grant(ctx, asked, &login).await,
        Prompt::Ask | Prompt::Login => question(ctx, asked, &login).await,
    }
}

/// Answers without asking, by what the person consented to before, if that is all of it (AUTHZ-14).
async fn by_grant(ctx: &Ctx, asked: &Asked, login: &KnownLogin) -> Result<Response, Halt> {
    let wanted = grant::Asked {
        subject: login.owner_id,
        agent: asked.request.agent,
        resource: &asked.request.resource,
        scope: &asked.request.scope,
        binding: asked.binding(),
        redirect_uri: &asked.request.registered_uri,
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

/// Shows the question.
async fn question(ctx: &Ctx, asked: &Asked, login: &KnownLogin) -> Result<Response, Halt> {
    let request = &asked.request;
    let mut tx = ctx.read().await?;
    let loaded = load::require(ctx, &mut tx, &request.agent.to_string()).await?;
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
        agent_id: &request.agent.to_string(),
        description: &document.description,
        owner: owner.handle.as_str(),
        version: &format!("{}, {version}", loaded.version.number),
        model: asked.agent.recorded.model.as_deref(),
        resource: &request.resource,
        tools: tools(asked, document),
        takes_later_tools: server(asked)
            .is_some_and(|known| document.lets_call_all(&known.server.name)),
        scope: &request.scope,
        until: ctx.now.after(grant::LIFETIME),
        token_lifetime: ctx.authority.config.access_token_lifetime,
        redirect_uri: &asked.redirect_uri,
        is_bound: request.cnf.is_some(),
        uri: &asked.uri,
        form: &secrets::form_token(ctx, &asked.uri, login, version),
    };
    Ok(question.page())
}

/// The MCP server behind the resource, when it is one of ours.
fn server(asked: &Asked) -> Option<&Arc<KnownServer>> {
    asked.snapshot.server_of(&asked.request.resource)
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
