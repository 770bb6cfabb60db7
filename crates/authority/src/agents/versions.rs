//! Lists the versions of an agent, oldest first.

use axum::Json;
use chancery_api::agents::VersionView;
use chancery_api::page::{MAX_LIMIT, Page, PageQuery};
use chancery_model::action::Action;
use chancery_policy::Target;
use chancery_store::versions;

use crate::agents::{load, view};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::{Path, Query};

/// `GET /v1/agents/{agent}/versions`.
pub async fn list(
    ctx: Ctx,
    Path(agent): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<VersionView>>, Error> {
    let after = query.after.as_deref().unwrap_or("0").parse::<i64>();
    let after =
        after.map_err(|_| Error::Invalid("`after` is the number of a version".to_owned()))?;
    let limit = query.limit.unwrap_or(100).clamp(1, MAX_LIMIT);
    let mut tx = ctx.read().await?;
    let loaded = load::require(&ctx, &mut tx, &agent).await?;
    ctx.authorize(Action::AgentRead, Target::Agent(&loaded.entity))?;
    let found = versions::list(&mut tx, loaded.agent.id, after, limit.into()).await?;
    let next = found
        .last()
        .filter(|_| found.len() == limit as usize)
        .map(|last| last.number.to_string());
    let mut before = match found.first() {
        Some(first) if first.number > 1 => {
            versions::fetch(&mut tx, loaded.agent.id, first.number - 1).await?
        }
        Some(_) | None => None,
    };
    load::verify_chain(&ctx, before.as_ref(), &found)?;
    let mut items = Vec::with_capacity(found.len());
    for version in found {
        items.push(view::version(version.clone(), before.as_ref()));
        before = Some(version);
    }
    Ok(Json(Page { items, next }))
}
