//! Refuses a proposed version; the one in force stays so.

use axum::Json;
use chancery_api::agents::{AgentView, Because};
use chancery_model::action::Action;
use chancery_model::event::EventKind;
use chancery_model::reason::Reason;
use chancery_policy::Target;
use chancery_store::versions;

use crate::agents::accept::require_version;
use crate::agents::{load, view};
use crate::ctx::{About, Ctx};
use crate::error::Error;
use crate::extract::{Body, Path};

/// `POST /v1/agents/{agent}/versions/{number}/reject`.
pub async fn reject(
    ctx: Ctx,
    Path((agent, number)): Path<(String, i64)>,
    Body(body): Body<Because>,
) -> Result<Json<AgentView>, Error> {
    let reason = Reason::parse(&body.reason)?;
    let mut tx = ctx.begin().await?;
    let loaded = load::require(&ctx, &mut tx, &agent).await?;
    let version = require_version(&ctx, &mut tx, &loaded, number).await?;
    // Refusing only ever narrows, so it is never held to the rule for versions that widen.
    let about = About {
        target: Target::Agent(&loaded.entity),
        widens: false,
        proposed_by: Some(&version.proposed_by),
    };
    let permit = ctx.authorize(Action::AgentAccept, about)?;
    let version = version.reject(ctx.now, ctx.caller.hands().author)?;
    if !versions::update_state(&mut tx, &version, "pending").await? {
        return Err(Error::PreconditionFailed);
    }
    let mut event = load::event(
        &ctx,
        EventKind::AgentVersionRejected,
        &loaded.agent,
        &loaded.version,
    );
    event.reason = Some(reason.as_str().to_owned());
    event
        .facts
        .insert("version".to_owned(), version.digest.to_string());
    event
        .facts
        .insert("number".to_owned(), version.number.to_string());
    let view = view::of(&ctx, &mut tx, &loaded).await?;
    ctx.commit(permit, tx, event, Vec::new()).await?;
    Ok(Json(view))
}
