//! Shows the issuers whose workloads may act as agents.

use axum::Json;
use chancery_api::issuers::IssuerView;
use chancery_api::page::{MAX_LIMIT, Page, PageQuery};
use chancery_model::action::Action;
use chancery_policy::Target;
use chancery_store::workload_issuers;

use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::{Path, Query};
use crate::workloads::add;

/// `GET /v1/issuers`.
pub async fn list(
    ctx: Ctx,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<IssuerView>>, Error> {
    ctx.authorize(Action::IssuerRead, Target::Authority)?;
    let limit = query.limit.unwrap_or(100).clamp(1, MAX_LIMIT);
    let mut tx = ctx.read().await?;
    let after = query.after.as_deref().unwrap_or("");
    let found = workload_issuers::list(&mut tx, after, limit.into()).await?;
    let next = found
        .last()
        .filter(|_| found.len() == limit as usize)
        .map(|last| last.id.to_string());
    let items = found.iter().map(add::view).collect();
    Ok(Json(Page { items, next }))
}

/// `GET /v1/issuers/{issuer}`.
pub async fn show(ctx: Ctx, Path(name): Path<String>) -> Result<Json<IssuerView>, Error> {
    ctx.authorize(Action::IssuerRead, Target::Authority)?;
    let mut tx = ctx.read().await?;
    let issuer = workload_issuers::fetch_by_name(&mut tx, &name).await?;
    Ok(Json(add::view(&issuer.ok_or(Error::NotFound("issuer"))?)))
}
