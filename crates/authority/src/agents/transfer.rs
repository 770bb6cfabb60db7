//! Gives an agent to another owner: a new version that differs in nothing else.

use axum::Json;
use chancery_api::agents::{AgentView, TransferAgent};
use chancery_model::action::Action;
use chancery_model::event::EventKind;
use chancery_model::version::VersionState;
use chancery_policy::Target;
use chancery_store::versions;

use crate::accounts::{add, resolve};
use crate::agents::accept::put_into_force;
use crate::agents::load::{self, Loaded};
use crate::agents::{register, view};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::{Body, Path};

/// `POST /v1/agents/{agent}/transfer`.
pub async fn transfer(
    ctx: Ctx,
    Path(agent): Path<String>,
    Body(body): Body<TransferAgent>,
) -> Result<Json<AgentView>, Error> {
    let handle = add::parse(&body.owner)?;
    let mut tx = ctx.begin().await?;
    let Loaded {
        agent,
        version,
        entity,
    } = load::require(&ctx, &mut tx, &agent).await?;
    let permit = ctx.authorize(Action::AgentTransfer, Target::Agent(&entity))?;
    load::refuse_of_client(&version)?;
    if agent.version.is_none() {
        return Err(Error::Conflict(
            "a draft has not yet been accepted; register it anew".to_owned(),
        ));
    }
    let latest = versions::fetch_latest(&mut tx, agent.id)
        .await?
        .ok_or(Error::Broken)?;
    if latest.state == VersionState::Pending {
        return Err(Error::Conflict(
            "a version waits for review; accept or reject it first".to_owned(),
        ));
    }
    let (owner, owner_added) = resolve::resolve(&ctx, &mut tx, &handle).await?;
    if owner.id == agent.owner_id {
        return Err(Error::Conflict(
            "that owner has the agent already".to_owned(),
        ));
    }
    let agent = agent.transfer(ctx.now, owner.id)?;
    let mut document = version.document.clone();
    document.owner = handle;
    let proposed = register::sign_version(
        &ctx,
        agent.id,
        latest.number + 1,
        Some(latest.digest),
        document,
    );
    versions::insert(&mut tx, &proposed).await?;
    let before = version.document.owner.as_str().to_owned();
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
    let mut event = load::event(
        &ctx,
        EventKind::AgentTransferred,
        &loaded.agent,
        &loaded.version,
    );
    event.facts.insert("from".to_owned(), before);
    event
        .facts
        .insert("to".to_owned(), owner.handle.as_str().to_owned());
    let view = view::of(&ctx, &mut tx, &loaded).await?;
    ctx.commit(permit, tx, event, owner_added.into_iter().collect())
        .await?;
    Ok(Json(view))
}
