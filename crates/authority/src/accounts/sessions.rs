//! The sessions of a person in browsers: listed and ended, by themselves or by whoever manages owners.

use axum::Json;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use chancery_api::agents::Because;
use chancery_api::page::Page;
use chancery_api::people::SessionView;
use chancery_model::action::Action;
use chancery_model::event::{Event, EventKind};
use chancery_model::id::{OwnerId, SessionId};
use chancery_model::reason::Reason;
use chancery_policy::Target;
use chancery_store::owners;
use chancery_store::sessions::{self, Means, Session};
use chancery_store::tx::Tx;

use crate::accounts::add;
use crate::cookie;
use crate::ctx::{Caller, Ctx, EvenRecovering};
use crate::error::Error;
use crate::extract::{Body, Path};
use crate::state::Authority;
use crate::text::rfc3339;

/// `GET /v1/sessions`.
pub async fn list_own(ctx: Ctx) -> Result<Json<Page<SessionView>>, Error> {
    let own = ctx.own()?;
    let mut tx = ctx.read().await?;
    Ok(Json(page(&ctx, &mut tx, own.login().owner_id).await?))
}

/// `GET /v1/owners/{owner}/sessions`.
pub async fn list(ctx: Ctx, Path(handle): Path<String>) -> Result<Json<Page<SessionView>>, Error> {
    let handle = add::parse(&handle)?;
    ctx.authorize(Action::OwnerRead, Target::Owner(handle.as_str()))?;
    let mut tx = ctx.read().await?;
    let owner = owners::fetch_by_handle(&mut tx, &handle).await?;
    let owner = owner.ok_or(Error::NotFound("owner"))?;
    Ok(Json(page(&ctx, &mut tx, owner.id).await?))
}

/// `POST /v1/sessions/{session}/end`; `current` is the session that asks, and its cookie goes.
pub async fn end_own(
    EvenRecovering(ctx): EvenRecovering,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let own = ctx.own_or_recovering()?;
    let current = own.session().id;
    let id = match id.as_str() {
        "current" => current,
        text => text.parse().map_err(|_| Error::NotFound("session"))?,
    };
    // Who only recovers signs out and touches nothing else.
    let own = if id == current { own } else { ctx.own()? };
    let mut tx = ctx.begin().await?;
    let (session, event) = end(&ctx, &mut tx, own.login().owner_id, id).await?;
    ctx.commit_own(own, tx, event, Vec::new()).await?;
    let answer = Json(view(&ctx, &session));
    if id == current {
        Ok(([(header::SET_COOKIE, cookie::clear())], answer).into_response())
    } else {
        Ok(answer.into_response())
    }
}

/// Ends the session that asks, at the word of the person in it; returns what takes the cookie from the browser.
pub(crate) async fn end_current(ctx: &Ctx) -> Result<HeaderValue, Error> {
    let own = ctx.own_or_recovering()?;
    let mut tx = ctx.begin().await?;
    let (owner, id) = (own.login().owner_id, own.session().id);
    let (_, event) = end(ctx, &mut tx, owner, id).await?;
    ctx.commit_own(own, tx, event, Vec::new()).await?;
    Ok(cookie::clear())
}

/// `POST /v1/owners/{owner}/sessions/{session}/end`.
pub async fn end_of_owner(
    ctx: Ctx,
    Path((handle, id)): Path<(String, String)>,
    Body(body): Body<Because>,
) -> Result<Json<SessionView>, Error> {
    let reason = Reason::parse(&body.reason)?;
    let handle = add::parse(&handle)?;
    let permit = ctx.authorize(Action::OwnerManage, Target::Owner(handle.as_str()))?;
    let id = id.parse().map_err(|_| Error::NotFound("session"))?;
    let mut tx = ctx.begin().await?;
    let owner = owners::fetch_by_handle(&mut tx, &handle).await?;
    let owner = owner.ok_or(Error::NotFound("owner"))?;
    let (session, mut event) = end(&ctx, &mut tx, owner.id, id).await?;
    event.reason = Some(reason.as_str().to_owned());
    event
        .facts
        .insert("handle".to_owned(), owner.handle.as_str().to_owned());
    ctx.commit(permit, tx, event, Vec::new()).await?;
    Ok(Json(view(&ctx, &session)))
}

async fn end(
    ctx: &Ctx,
    tx: &mut Tx,
    owner: OwnerId,
    id: SessionId,
) -> Result<(Session, Event), Error> {
    let all = sessions::list_for_owner(tx, owner, ctx.now).await?;
    let found = all.into_iter().find(|session| session.id == id);
    let session = found.ok_or(Error::NotFound("session"))?;
    if !sessions::end(tx, owner, id, ctx.now).await? {
        return Err(Error::NotFound("session"));
    }
    let mut event = ctx.event(EventKind::SessionEnded);
    event.facts.insert("owner".to_owned(), owner.to_string());
    event.facts.insert("session".to_owned(), id.to_string());
    Ok((session, event))
}

async fn page(ctx: &Ctx, tx: &mut Tx, owner: OwnerId) -> Result<Page<SessionView>, Error> {
    let all = sessions::list_for_owner(tx, owner, ctx.now).await?;
    Ok(Page {
        items: all.iter().map(|session| view(ctx, session)).collect(),
        next: None,
    })
}

fn view(ctx: &Ctx, session: &Session) -> SessionView {
    SessionView {
        id: session.id,
        signed_in_with: session.means.name().to_owned(),
        passkey: session.means.passkey(),
        provider: provider_name(ctx, &session.means),
        current: ctx
            .caller
            .session()
            .is_some_and(|current| current.id == session.id),
        began_at: rfc3339(session.began_at),
        used_at: rfc3339(session.used_at),
        ends_at: rfc3339(session.ends_at),
    }
}

/// The name of the provider that a session goes back to.
fn provider_name(ctx: &Ctx, means: &Means) -> Option<String> {
    let directory = ctx.authority.directory.load();
    let kept = directory.provider(means.provider()?)?;
    Some(kept.provider.name.as_str().to_owned())
}

/// Notes now and then that the caller's session is in use, so that other processes and the next start know.
pub(crate) async fn note_use(authority: &Authority, ctx: &Ctx) {
    let Caller::Human(login) = &ctx.caller else {
        return;
    };
    let Some(session) = &login.session else {
        return;
    };
    if session.used_at.is_to_be_noted(ctx.now)
        && let Err(error) = sessions::mark_used(&authority.store, session.id, ctx.now).await
    {
        // Elsewhere the session ends sooner, which is the safe side.
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the use of a session could not be noted"
        );
    }
}
