//! Shows an agent.

use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use chancery_model::action::Action;
use chancery_policy::Target;

use crate::agents::{load, view};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::Path;

/// `GET /v1/agents/{agent}`; the `ETag` is what a change names in `If-Match`.
pub async fn show(ctx: Ctx, Path(agent): Path<String>) -> Result<Response, Error> {
    let mut tx = ctx.read().await?;
    let loaded = load::require(&ctx, &mut tx, &agent).await?;
    ctx.authorize(Action::AgentRead, Target::Agent(&loaded.entity))?;
    let view = view::of(&ctx, &mut tx, &loaded).await?;
    let etag = format!("\"{}\"", view.revision);
    Ok(([(header::ETAG, etag)], Json(view)).into_response())
}
