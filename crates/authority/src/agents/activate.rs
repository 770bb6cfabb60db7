//! Puts a draft into force: the one that was looked at, and no other that took its place meanwhile.

use axum::Json;
use axum::http::HeaderMap;
use chancery_api::agents::AgentView;
use chancery_model::action::Action;
use chancery_model::event::EventKind;
use chancery_policy::Target;

use crate::agents::accept::put_into_force;
use crate::agents::load::{self, Loaded};
use crate::agents::view;
use crate::ctx::{About, Ctx};
use crate::error::Error;
use crate::extract::{Path, revision_seen};

/// `POST /v1/agents/{agent}/activate` with `If-Match`.
pub async fn activate(
    ctx: Ctx,
    Path(agent): Path<String>,
    headers: HeaderMap,
) -> Result<Json<AgentView>, Error> {
    let seen = revision_seen(&headers)?;
    let mut tx = ctx.begin().await?;
    let Loaded {
        agent,
        version,
        entity,
    } = load::require(&ctx, &mut tx, &agent).await?;
    let about = About {
        target: Target::Agent(&entity),
        widens: true,
        proposed_by: Some(&version.proposed_by),
    };
    let permit = ctx.authorize(Action::AgentActivate, about)?;
    if agent.revision != seen {
        return Err(Error::PreconditionFailed);
    }
    let agent = agent.activate(ctx.now)?;
    let proposed = version.clone();
    let loaded = put_into_force(
        &ctx,
        &permit,
        &mut tx,
        Loaded {
            agent,
            version,
            entity,
        },
        proposed,
    )
    .await?;
    let event = load::event(
        &ctx,
        EventKind::AgentActivated,
        &loaded.agent,
        &loaded.version,
    );
    let view = view::of(&ctx, &mut tx, &loaded).await?;
    ctx.commit(permit, tx, event, Vec::new()).await?;
    Ok(Json(view))
}
