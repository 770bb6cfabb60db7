//! Lists resource servers.

use axum::Json;
use chancery_api::page::{MAX_LIMIT, Page, PageQuery};
use chancery_api::resources::ResourceView;
use chancery_model::action::Action;
use chancery_policy::Target;
use chancery_store::resources;

use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::Query;
use crate::resources::register;

/// `GET /v1/resources`.
pub async fn list(
    ctx: Ctx,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<ResourceView>>, Error> {
    ctx.authorize(Action::ResourceRead, Target::Authority)?;
    let limit = query.limit.unwrap_or(100).clamp(1, MAX_LIMIT);
    let mut tx = ctx.read().await?;
    let found =
        resources::list(&mut tx, query.after.as_deref().unwrap_or(""), limit.into()).await?;
    let next = found
        .last()
        .filter(|_| found.len() == limit as usize)
        .map(|last| last.id.to_string());
    let items = found.iter().map(register::view).collect::<Result<_, _>>()?;
    Ok(Json(Page { items, next }))
}
