//! Replaces the keys that an agent authenticates with; what was issued under the old ones stops.

use axum::Json;
use chancery_api::agents::{AgentView, ReplaceKeys};
use chancery_model::action::Action;
use chancery_model::event::EventKind;
use chancery_policy::Target;
use chancery_store::agents;

use crate::agents::load::{self, Loaded};
use crate::agents::{register, view};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::{Body, Path};

/// `PUT /v1/agents/{agent}/keys`.
pub async fn replace(
    ctx: Ctx,
    Path(agent): Path<String>,
    Body(body): Body<ReplaceKeys>,
) -> Result<Json<AgentView>, Error> {
    let jwks = register::parse_keys(&body.jwks)?;
    let mut tx = ctx.begin().await?;
    let Loaded {
        mut agent,
        version,
        entity,
    } = load::require(&ctx, &mut tx, &agent).await?;
    let permit = ctx.authorize(Action::AgentUpdate, Target::Agent(&entity))?;
    load::refuse_of_client(&version)?;
    agent.jwks = Some(jwks);
    agent.updated_at = ctx.now;
    if !agents::update(&mut tx, &agent, Some(ctx.now)).await? {
        return Err(Error::PreconditionFailed);
    }
    agent.revision += 1;
    let mut event = load::event(&ctx, EventKind::AgentKeysChanged, &agent, &version);
    event.facts.insert(
        "keys".to_owned(),
        view::thumbprints(agent.jwks.as_deref())?.join(" "),
    );
    let loaded = Loaded {
        agent,
        version,
        entity,
    };
    let view = view::of(&ctx, &mut tx, &loaded).await?;
    ctx.commit(permit, tx, event, Vec::new()).await?;
    Ok(Json(view))
}
