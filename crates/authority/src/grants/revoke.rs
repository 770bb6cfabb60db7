//! Takes a grant back: by the person who gave it, or by whoever may stop what others let agents do.

use axum::Json;
use chancery_api::agents::{Because, Stopped};
use chancery_model::action::Action;
use chancery_model::event::EventKind;
use chancery_model::id::GrantId;
use chancery_model::reason::Reason;
use chancery_policy::Target;
use chancery_store::grants;

use crate::agents::{load, stop};
use crate::audit::prove;
use crate::ctx::{Caller, Ctx};
use crate::error::Error;
use crate::extract::{Body, Path};
use crate::grants::end;
use crate::text::rfc3339;

/// `POST /v1/grants/{grant}/revoke`.
pub async fn revoke(
    ctx: Ctx,
    Path(grant): Path<String>,
    Body(body): Body<Because>,
) -> Result<Json<Stopped>, Error> {
    let reason = Reason::parse(&body.reason)?;
    let id: Option<GrantId> = grant.parse().ok();
    let mut tx = ctx.begin().await?;
    let grant = match id {
        Some(id) => grants::fetch(&mut tx, id).await?,
        None => None,
    };
    let is_own = match (&ctx.caller, &grant) {
        (Caller::Human(login), Some(grant)) => login.owner_id == grant.subject,
        (Caller::Human(_) | Caller::LocalAdministrator, _) => false,
    };
    // Who may not revoke those of others is not told whether there is one.
    let stranger = match is_own {
        true => None,
        false => Some(ctx.authorize(Action::GrantRevoke, Target::Authority)?),
    };
    let grant = grant.ok_or(Error::NotFound("grant"))?;
    let loaded = load::require_unverified(&mut tx, &grant.agent.to_string()).await?;
    let permit = match stranger {
        Some(permit) => permit,
        None => ctx.authorize(Action::GrantWithdraw, Target::Agent(&loaded.entity))?,
    };
    let mut event = load::event(
        &ctx,
        EventKind::GrantRevoked,
        &loaded.agent,
        &loaded.version,
    );
    event.reason = Some(reason.as_str().to_owned());
    end::end_in(&mut tx, &grant, &mut event).await?;
    let event_id = event.id;
    ctx.commit(permit, tx, event, Vec::new()).await?;

    let receipt = prove::receipt(&ctx.authority, event_id).await?;
    Ok(Json(Stopped {
        id: grant.id.to_string(),
        name: Some(loaded.agent.name.as_str().to_owned()),
        status: "revoked".to_owned(),
        stopped_at: rfc3339(ctx.now),
        stopped: vec![
            "every code, refresh token and access token that came of the grant, at every gateway and introspection"
                .to_owned(),
        ],
        may_still_run: stop::may_still_run(&ctx),
        receipt,
    }))
}
