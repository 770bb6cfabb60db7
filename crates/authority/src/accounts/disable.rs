//! Records that an owner left: all their ways to sign in end, and agents that nobody else answers for stop being live.

use axum::Json;
use chancery_api::agents::Because;
use chancery_api::owners::OwnerView;
use chancery_model::action::Action;
use chancery_model::event::EventKind;
use chancery_model::reason::Reason;
use chancery_policy::Target;
use chancery_store::{invitations, logins, owners, passkeys, recovery_codes, sessions};

use crate::accounts::{add, list};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::{Body, Path};

/// `POST /v1/owners/{owner}/disable`.
pub async fn disable(
    ctx: Ctx,
    Path(handle): Path<String>,
    Body(body): Body<Because>,
) -> Result<Json<OwnerView>, Error> {
    let reason = Reason::parse(&body.reason)?;
    let handle = add::parse(&handle)?;
    let permit = ctx.authorize(Action::OwnerManage, Target::Owner(handle.as_str()))?;
    let mut tx = ctx.begin().await?;
    let mut owner = owners::fetch_by_handle(&mut tx, &handle)
        .await?
        .ok_or(Error::NotFound("owner"))?;
    if !owners::disable(&mut tx, owner.id, ctx.now).await? {
        return Err(Error::Conflict("that owner has left already".to_owned()));
    }
    let ended = logins::revoke_for_owner(&mut tx, owner.id, ctx.now).await?;
    let passkeys = passkeys::revoke_for_owner(&mut tx, owner.id, ctx.now).await?;
    let sessions = sessions::end_for_owner(&mut tx, owner.id, ctx.now).await?;
    invitations::end_for_owner(&mut tx, owner.id, ctx.now).await?;
    recovery_codes::end_for_owner(&mut tx, owner.id, ctx.now).await?;
    owner.disabled_at = Some(ctx.now);
    let mut event = ctx.event(EventKind::OwnerDisabled);
    event.reason = Some(reason.as_str().to_owned());
    event.facts.insert("owner".to_owned(), owner.id.to_string());
    event
        .facts
        .insert("handle".to_owned(), owner.handle.as_str().to_owned());
    event
        .facts
        .insert("logins_ended".to_owned(), ended.to_string());
    event
        .facts
        .insert("passkeys_revoked".to_owned(), passkeys.to_string());
    event
        .facts
        .insert("sessions_ended".to_owned(), sessions.to_string());
    let view = list::view(&mut tx, owner).await?;
    ctx.commit(permit, tx, event, Vec::new()).await?;
    Ok(Json(view))
}
