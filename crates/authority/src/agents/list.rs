//! Lists agents.

use axum::Json;
use chancery_api::agents::{AgentQuery, AgentView};
use chancery_api::page::{MAX_LIMIT, Page};
use chancery_model::action::Action;
use chancery_policy::Target;
use chancery_store::agents;

use crate::agents::{load, view};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::Query;

/// `GET /v1/agents`.
pub async fn list(
    ctx: Ctx,
    Query(query): Query<AgentQuery>,
) -> Result<Json<Page<AgentView>>, Error> {
    ctx.authorize(Action::AgentRead, Target::Authority)?;
    let status = query.status.as_deref().unwrap_or("");
    if !["", "draft", "active", "suspended", "retired"].contains(&status) {
        return Err(Error::Invalid(
            "`status` is draft, active, suspended or retired".to_owned(),
        ));
    }
    let limit = query.limit.unwrap_or(100).clamp(1, MAX_LIMIT);
    let mut tx = ctx.read().await?;
    let found = agents::list(
        &mut tx,
        status,
        query.after.as_deref().unwrap_or(""),
        limit.into(),
    )
    .await?;
    let last = found.last().filter(|_| found.len() == limit as usize);
    let next = last.map(|last| last.agent.id.to_string());
    let mut items = Vec::with_capacity(found.len());
    for stored in found {
        let id = stored.agent.id.to_string();
        // One that someone changed in the database hides itself, not the others; an alarm was logged.
        match load::require(&ctx, &mut tx, &id).await {
            Err(Error::Broken) => {}
            loaded => items.push(view::of(&ctx, &mut tx, &loaded?).await?),
        }
    }
    Ok(Json(Page { items, next }))
}
