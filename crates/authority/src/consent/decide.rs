//! What the person answered: a grant and a code, or a device that need not wait any more, or a refusal. It counts once, from the page that asked, of the
//! person who was asked.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use chancery_model::action::Action;
use chancery_model::event::EventKind;
use chancery_model::grant::{Binding, Grant, LIFETIME};
use chancery_model::id::GrantId;
use chancery_policy::Target;
use chancery_store::tx::Tx;
use chancery_store::{codes, grants};
use chancery_wire::hash;
use chancery_wire::oauth::ErrorCode;

use crate::consent::answer::{self, Asked, Halt};
use crate::consent::device_page;
use crate::consent::page;
use crate::consent::secrets;
use crate::consent::way::Way;
use crate::ctx::Ctx;
use crate::directory::KnownLogin;
use crate::error::Error;
use crate::grants::end;
use crate::refresh;
use crate::state::Authority;
use crate::tokens::code::{CODE_LIFETIME, code_hash};
use crate::tokens::form;

/// The most grants that one person has given one agent at a time.
const MOST: usize = 100;
/// How often a decision is tried while others change the same rows.
const ATTEMPTS: usize = 4;

/// `POST /oauth/authorize/decide`.
pub async fn decide(State(authority): State<Arc<Authority>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = form::read(body).await else {
        return Halt::Here(page::UNKNOWN).answer(None);
    };
    let mut attempt = 1;
    loop {
        match try_to_decide(&authority, &head.headers, &body).await {
            // Nothing could be seen before the commit, so deciding again is deciding once.
            Err((Halt::Failed(Error::Busy), _)) if attempt < ATTEMPTS => attempt += 1,
            Ok(response) => return response,
            Err((halt, asked)) => return halt.answer(asked.as_deref()),
        }
    }
}

/// What the person chose.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    Approve,
    Deny,
}

async fn try_to_decide(
    authority: &Arc<Authority>,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Response, (Halt, Option<Box<Asked>>)> {
    let here = |page| (Halt::Here(page), None);
    let form = form::parse(headers, body).map_err(|_| here(page::UNKNOWN))?;
    let fields = (
        form.fetch("request_uri"),
        form.fetch("form"),
        form.fetch("answer"),
    );
    let (Some(name), Some(token), Some(choice)) = fields else {
        return Err(here(page::UNKNOWN));
    };
    let choice = match choice {
        "approve" => Choice::Approve,
        "deny" => Choice::Deny,
        _ => return Err(here(page::UNKNOWN)),
    };
    let ctx = Ctx::authenticate(Arc::clone(authority), headers).map_err(|error| match error {
        Error::Unauthenticated => here(page::SIGNED_OUT),
        error => (Halt::Failed(error), None),
    })?;
    let of_caller = |halt: Halt| (halt.of(&ctx), None);
    let login = answer::person(&ctx).map_err(of_caller)?;
    let asked = Asked::find(authority, name, ctx.now).await;
    let asked = asked.map_err(of_caller)?;
    match answer_with(&ctx, &asked, &login, token, choice).await {
        Ok(response) => Ok(response),
        Err(halt) => Err((halt.of(&ctx), Some(Box::new(asked)))),
    }
}

async fn answer_with(
    ctx: &Ctx,
    asked: &Asked,
    login: &KnownLogin,
    token: &str,
    choice: Choice,
) -> Result<Response, Halt> {
    let Some((_, version)) = asked.agent.agent.version else {
        return Err(Halt::Here(page::UNKNOWN));
    };
    // Only the page that this person was shown about this request, and this version of the agent, has it.
    let expected = secrets::form_token(ctx, &asked.name, login, version);
    if !hash::equal(expected.as_bytes(), token.as_bytes()) {
        return Err(Halt::Here(page::STRANGE_FORM));
    }
    if asked.wish().answered.is_some() {
        return again(ctx, asked, login, choice).await;
    }
    asked.require_open(ctx.now)?;
    match choice {
        Choice::Approve => approve(ctx, asked, login).await,
        Choice::Deny => deny(ctx, asked, login).await,
    }
}

async fn approve(ctx: &Ctx, asked: &Asked, login: &KnownLogin) -> Result<Response, Halt> {
    asked.require_sign_in(ctx)?;
    let tx = ctx.begin().await?;
    give(ctx, asked, login, tx).await
}

/// Gives the grant that is asked for, with its code, in a transaction of the caller.
pub(crate) async fn give(
    ctx: &Ctx,
    asked: &Asked,
    login: &KnownLogin,
    mut tx: Tx,
) -> Result<Response, Halt> {
    asked.require_policy(ctx, login)?;
    let permit = ctx.authorize(Action::GrantGive, Target::Agent(&asked.agent.facts))?;
    let Some((_, version)) = asked.agent.agent.version else {
        return Err(Halt::Here(page::UNKNOWN));
    };
    let wish = asked.wish();
    let binding = asked.binding();
    let grant = Grant {
        id: GrantId::generate(ctx.now, &*ctx.authority.entropy),
        subject: login.owner_id,
        agent: wish.agent,
        version,
        resource: wish.resource.clone(),
        scope: wish.scope.clone(),
        calls: wish.calls.clone(),
        binding,
        redirect_uri: asked.way.registered().to_owned(),
        created_at: ctx.now,
        expires_at: ctx.now.after(match binding {
            Binding::Key | Binding::Rotation => LIFETIME,
            // Time to fetch the one token, and its life.
            Binding::Bearer => CODE_LIFETIME + ctx.authority.config.access_token_lifetime,
        }),
        last_used_at: None,
        revoked_at: None,
    };
    // All that is in force is held in the memory of every process.
    let known = grants::list_between(&mut tx, grant.subject, grant.agent, ctx.now).await?;
    if known.len() >= MOST {
        return Err(Halt::Here(page::TOO_MANY));
    }
    grants::insert(&mut tx, &grant).await?;
    let mut given = asked.event(ctx, EventKind::GrantGiven);
    end::describe(&mut given, &grant);
    given
        .facts
        .insert("version".to_owned(), version.to_string());
    asked
        .answer(ctx, login, permit, tx, &grant, Some(given))
        .await
}

/// Saying no needs nobody's permission.
async fn deny(ctx: &Ctx, asked: &Asked, login: &KnownLogin) -> Result<Response, Halt> {
    let mut tx = ctx.begin().await?;
    if !asked.way.note(&mut tx, ctx, login, None).await? {
        return Err(Halt::Here(page::ANSWERED));
    }
    let mut event = asked.event(ctx, EventKind::GrantRefused);
    event.outcome = "access_denied".to_owned();
    event.subject = Some(login.owner_id.to_string());
    refresh::commit(&ctx.authority, tx, event, Vec::new()).await?;
    match &asked.way {
        Way::Redirect(_) => Ok(asked.refuse(ErrorCode::AccessDenied)),
        Way::Device(_) => Ok(device_page::REFUSED.into_response()),
    }
}

/// The same form once more, as a second click sends it: the same code again while nobody used it, else nothing.
async fn again(
    ctx: &Ctx,
    asked: &Asked,
    login: &KnownLogin,
    choice: Choice,
) -> Result<Response, Halt> {
    let answered = Halt::Here(page::ANSWERED);
    let is_by_same = asked
        .wish()
        .answered
        .is_some_and(|(_, by)| by == login.owner_id);
    if !is_by_same || choice == Choice::Deny {
        return Err(answered);
    }
    let redirected = match &asked.way {
        Way::Redirect(redirected) => redirected,
        Way::Device(request) if request.grant.is_some() && request.used_at.is_none() => {
            return Ok(device_page::GIVEN.into_response());
        }
        Way::Device(_) => return Err(answered),
    };
    let text = secrets::code(ctx, &asked.name, login);
    let mut tx = ctx.read().await?;
    let code = codes::fetch(&mut tx, code_hash(&text)).await?;
    let is_fresh = |code: &codes::Code| code.used_at.is_none() && ctx.now < code.expires_at;
    match code.filter(is_fresh) {
        Some(_) => Ok(redirected.send(&asked.snapshot.issuer, &[("code", &text)])),
        None => Err(answered),
    }
}
