//! Lets a suspended agent act again; tokens from before the stop stay void.

use axum::Json;
use chancery_api::agents::AgentView;
use chancery_model::action::Action;
use chancery_model::event::EventKind;
use chancery_policy::Target;
use chancery_store::agents;

use crate::agents::load::{self, Loaded};
use crate::agents::view;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::Path;

/// `POST /v1/agents/{agent}/resume`.
pub async fn resume(ctx: Ctx, Path(agent): Path<String>) -> Result<Json<AgentView>, Error> {
    let mut tx = ctx.begin().await?;
    let Loaded {
        agent,
        version,
        entity,
    } = load::require(&ctx, &mut tx, &agent).await?;
    let permit = ctx.authorize(Action::AgentResume, Target::Agent(&entity))?;
    let mut agent = agent.resume(ctx.now)?;
    if !agents::update(&mut tx, &agent, None).await? {
        return Err(Error::PreconditionFailed);
    }
    agent.revision += 1;
    let event = load::event(&ctx, EventKind::AgentResumed, &agent, &version);
    let loaded = Loaded {
        agent,
        version,
        entity,
    };
    let view = view::of(&ctx, &mut tx, &loaded).await?;
    ctx.commit(permit, tx, event, Vec::new()).await?;
    Ok(Json(view))
}
