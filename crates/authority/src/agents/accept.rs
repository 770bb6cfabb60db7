//! Puts a proposed version into force.

use axum::Json;
use chancery_api::agents::AgentView;
use chancery_model::action::Action;
use chancery_model::agent::AgentState;
use chancery_model::decision::Permit;
use chancery_model::event::EventKind;
use chancery_model::version::{Version, widenings};
use chancery_policy::{AgentEntity, Target};
use chancery_store::tx::Tx;
use chancery_store::{agents, versions};

use crate::agents::load::{self, Loaded};
use crate::agents::view;
use crate::ctx::{About, Ctx};
use crate::error::Error;
use crate::extract::Path;

/// `POST /v1/agents/{agent}/versions/{number}/accept`.
pub async fn accept(
    ctx: Ctx,
    Path((agent, number)): Path<(String, i64)>,
) -> Result<Json<AgentView>, Error> {
    let mut tx = ctx.begin().await?;
    let loaded = load::require(&ctx, &mut tx, &agent).await?;
    let proposed = require_version(&ctx, &mut tx, &loaded, number).await?;
    let entity = AgentEntity::of(&loaded.agent, &proposed.document);
    let about = About {
        target: Target::Agent(&entity),
        widens: !widenings(&loaded.version.document, &proposed.document).is_empty(),
        proposed_by: Some(&proposed.proposed_by),
    };
    let permit = ctx.authorize(Action::AgentAccept, about)?;
    if loaded.agent.state == AgentState::Draft {
        return Err(Error::Conflict(
            "a draft is put into force by activating the agent".to_owned(),
        ));
    }
    let loaded = put_into_force(&ctx, &permit, &mut tx, loaded, proposed).await?;
    let event = load::event(
        &ctx,
        EventKind::AgentVersionAccepted,
        &loaded.agent,
        &loaded.version,
    );
    let view = view::of(&ctx, &mut tx, &loaded).await?;
    ctx.commit(permit, tx, event, Vec::new()).await?;
    Ok(Json(view))
}

/// The version `number` of an agent, as it was signed.
pub(crate) async fn require_version(
    ctx: &Ctx,
    tx: &mut Tx,
    loaded: &Loaded,
    number: i64,
) -> Result<Version, Error> {
    let version = versions::fetch(tx, loaded.agent.id, number).await?;
    let version = version.ok_or(Error::NotFound("version"))?;
    load::verify(ctx, &version)?;
    Ok(version)
}

/// Moves the version in force to the past and `proposed` into its place; only in the transaction of the caller.
///
/// The permit is that of activating or accepting exactly this version.
pub(crate) async fn put_into_force(
    ctx: &Ctx,
    _permit: &Permit,
    tx: &mut Tx,
    loaded: Loaded,
    proposed: Version,
) -> Result<Loaded, Error> {
    let Loaded {
        mut agent, version, ..
    } = loaded;
    let proposed = proposed.accept(ctx.now, ctx.caller.hands().author)?;
    if agent.version.is_some() {
        let version = version.supersede(ctx.now)?;
        if !versions::update_state(tx, &version, "in_force").await? {
            return Err(Error::PreconditionFailed);
        }
    }
    if !versions::update_state(tx, &proposed, "pending").await? {
        return Err(Error::PreconditionFailed);
    }
    agent.version = Some((proposed.number, proposed.digest));
    agent.expires_at = proposed.document.expires_at.map(|end| end.0);
    agent.updated_at = ctx.now;
    if !agents::update(tx, &agent, None).await? {
        return Err(Error::PreconditionFailed);
    }
    agent.revision += 1;
    let entity = AgentEntity::of(&agent, &proposed.document);
    Ok(Loaded {
        agent,
        version: proposed,
        entity,
    })
}
