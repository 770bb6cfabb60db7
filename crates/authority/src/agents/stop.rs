//! The stop: suspends or retires an agent. Everything that hangs on it stops before the answer.

use axum::Json;
use chancery_api::agents::{Because, StillRunning, Stopped};
use chancery_gateway::snapshot::STALE_AFTER;
use chancery_model::action::Action;
use chancery_model::event::EventKind;
use chancery_model::reason::Reason;
use chancery_policy::Target;
use chancery_store::agents;

use crate::agents::load::{self, Loaded};
use crate::audit::prove;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::{Body, Path};
use crate::text::rfc3339;

/// `POST /v1/agents/{agent}/suspend`.
pub async fn suspend(
    ctx: Ctx,
    Path(agent): Path<String>,
    Body(body): Body<Because>,
) -> Result<Json<Stopped>, Error> {
    stop(ctx, &agent, &body.reason, Stop::Suspend).await
}

/// `POST /v1/agents/{agent}/retire`.
pub async fn retire(
    ctx: Ctx,
    Path(agent): Path<String>,
    Body(body): Body<Because>,
) -> Result<Json<Stopped>, Error> {
    stop(ctx, &agent, &body.reason, Stop::Retire).await
}

#[derive(Clone, Copy)]
enum Stop {
    Suspend,
    Retire,
}

async fn stop(ctx: Ctx, agent: &str, reason: &str, stop: Stop) -> Result<Json<Stopped>, Error> {
    let reason = Reason::parse(reason)?;
    let mut tx = ctx.begin().await?;
    let Loaded {
        agent,
        version,
        entity,
    } = load::require_unverified(&mut tx, agent).await?;
    let (action, kind) = match stop {
        Stop::Suspend => (Action::AgentSuspend, EventKind::AgentSuspended),
        Stop::Retire => (Action::AgentRetire, EventKind::AgentRetired),
    };
    let permit = ctx.authorize(action, Target::Agent(&entity))?;
    let moved = match stop {
        Stop::Suspend => agent.suspend(ctx.now, reason.clone()),
        Stop::Retire => agent.retire(ctx.now, reason.clone()),
    };
    let agent = moved?;
    if !agents::update(&mut tx, &agent, Some(ctx.now)).await? {
        return Err(Error::PreconditionFailed);
    }
    let mut event = load::event(&ctx, kind, &agent, &version);
    event.reason = Some(reason.as_str().to_owned());
    let event_id = event.id;
    ctx.commit(permit, tx, event, Vec::new()).await?;

    let receipt = prove::receipt(&ctx.authority, event_id).await?;
    Ok(Json(Stopped {
        id: agent.id.to_string(),
        name: Some(agent.name.as_str().to_owned()),
        status: agent.state.name().to_owned(),
        stopped_at: rfc3339(ctx.now),
        stopped: vec![
            "every access token of the agent issued until now, at every gateway, introspection and exchange".to_owned(),
            "issuing new tokens to the agent".to_owned(),
        ],
        may_still_run: may_still_run(&ctx),
        receipt,
    }))
}

/// What a stop cannot reach at once, said plainly.
pub(crate) fn may_still_run(ctx: &Ctx) -> Vec<StillRunning> {
    let tokens_end = ctx.now.after(ctx.authority.config.access_token_lifetime);
    vec![
        StillRunning {
            what: "a call that was forwarded before the stop; its stream is closed".to_owned(),
            until: rfc3339(ctx.now.after(std::time::Duration::from_secs(5))),
        },
        StillRunning {
            what: "calls through another gateway process that has lost the database and does not yet know it".to_owned(),
            until: rfc3339(ctx.now.after(STALE_AFTER)),
        },
        StillRunning {
            what: "calls at a resource outside the gateway that checks tokens offline and never introspects".to_owned(),
            until: rfc3339(tokens_end),
        },
    ]
}
