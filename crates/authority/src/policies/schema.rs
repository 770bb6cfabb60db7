//! The types that policies are checked against.

use axum::Json;
use chancery_model::action::Action;
use chancery_policy::Target;
use serde_json::{Value, json};

use crate::ctx::Ctx;
use crate::error::Error;

/// `GET /v1/policies/schema`: Cedar schema text, for editors.
pub async fn schema(ctx: Ctx) -> Result<Json<Value>, Error> {
    ctx.authorize(Action::PolicyRead, Target::Authority)?;
    let snapshot = ctx.authority.current.load();
    Ok(Json(json!({"text": snapshot.policy.schema_text()})))
}
