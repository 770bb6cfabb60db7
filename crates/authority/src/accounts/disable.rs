//! Records that an owner left: all their ways to sign in end, and agents that nobody else answers for stop being live.

use axum::Json;
use chancery_api::agents::Because;
use chancery_api::owners::OwnerView;
use chancery_model::action::Action;
use chancery_model::event::{Event, EventKind};
use chancery_model::owner::Owner;
use chancery_model::reason::Reason;
use chancery_policy::Target;
use chancery_store::tx::Tx;
use chancery_store::{
    invitations, logins, owners, passkeys, provider_links, recovery_codes, sessions,
};

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
    let mut event = ctx.event(EventKind::OwnerDisabled);
    event.reason = Some(reason.as_str().to_owned());
    // Whom only a provider said had left has left for good from now on.
    let is_kept_away = provider_links::keep_away(&mut tx, owner.id).await?;
    if !leave(&mut tx, &mut owner, &mut event).await? && !is_kept_away {
        return Err(Error::Conflict("that owner has left already".to_owned()));
    }
    let view = list::view(&mut tx, owner).await?;
    ctx.commit(permit, tx, event, Vec::new()).await?;
    Ok(Json(view))
}

/// Ends all ways to sign in of an owner who left, in a transaction that its caller commits with `event`, which says it; false
/// when they had left already.
pub(crate) async fn leave(
    tx: &mut Tx,
    owner: &mut Owner,
    event: &mut Event,
) -> Result<bool, Error> {
    let now = event.at;
    event.facts.insert("owner".to_owned(), owner.id.to_string());
    event
        .facts
        .insert("handle".to_owned(), owner.handle.as_str().to_owned());
    if !owners::disable(tx, owner.id, now).await? {
        return Ok(false);
    }
    let ended = logins::revoke_for_owner(tx, owner.id, now).await?;
    let passkeys = passkeys::revoke_for_owner(tx, owner.id, now).await?;
    let sessions = sessions::end_for_owner(tx, owner.id, now).await?;
    invitations::end_for_owner(tx, owner.id, now).await?;
    recovery_codes::end_for_owner(tx, owner.id).await?;
    owner.disabled_at = Some(now);
    event
        .facts
        .insert("logins_ended".to_owned(), ended.to_string());
    event
        .facts
        .insert("passkeys_revoked".to_owned(), passkeys.to_string());
    event
        .facts
        .insert("sessions_ended".to_owned(), sessions.to_string());
    Ok(true)
}
