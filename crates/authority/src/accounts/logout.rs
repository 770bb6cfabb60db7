//! Ends every login, session, open invitation and recovery code of a person, who stays an owner: what to do when a login
//! may have leaked. Passkeys stay: they are keys that nobody else has, and are revoked one by one.

use axum::Json;
use chancery_api::agents::Because;
use chancery_api::owners::OwnerView;
use chancery_model::action::Action;
use chancery_model::event::EventKind;
use chancery_model::reason::Reason;
use chancery_policy::Target;
use chancery_store::{invitations, logins, owners, recovery_codes, sessions};

use crate::accounts::{add, list};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::{Body, Path};

/// `POST /v1/owners/{owner}/logout`.
pub async fn logout(
    ctx: Ctx,
    Path(handle): Path<String>,
    Body(body): Body<Because>,
) -> Result<Json<OwnerView>, Error> {
    let reason = Reason::parse(&body.reason)?;
    let handle = add::parse(&handle)?;
    let permit = ctx.authorize(Action::OwnerManage, Target::Owner(handle.as_str()))?;
    let mut tx = ctx.begin().await?;
    let owner = owners::fetch_by_handle(&mut tx, &handle)
        .await?
        .ok_or(Error::NotFound("owner"))?;
    let ended = logins::revoke_for_owner(&mut tx, owner.id, ctx.now).await?;
    let sessions = sessions::end_for_owner(&mut tx, owner.id, ctx.now).await?;
    let invitations = invitations::end_for_owner(&mut tx, owner.id, ctx.now).await?;
    // Codes are in no list, so whoever got hold of some would not be seen.
    let codes = recovery_codes::end_for_owner(&mut tx, owner.id).await?;
    if ended + sessions + invitations + codes == 0 {
        return Err(Error::Conflict(
            "that person has nothing that could be ended".to_owned(),
        ));
    }
    let mut event = ctx.event(EventKind::LoginRevoked);
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
        .insert("sessions_ended".to_owned(), sessions.to_string());
    event
        .facts
        .insert("invitations_ended".to_owned(), invitations.to_string());
    event
        .facts
        .insert("recovery_codes_ended".to_owned(), codes.to_string());
    let view = list::view(&mut tx, owner).await?;
    ctx.commit(permit, tx, event, Vec::new()).await?;
    Ok(Json(view))
}
