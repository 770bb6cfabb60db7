//! Explains what would be decided about a call, without making or recording it.

use axum::Json;
use chancery_api::policies::ExplainCall;
use chancery_model::action::Action;
use chancery_policy::{CallContext, Explanation, Question, Target};

use crate::agents::load;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::Body;

/// `POST /v1/policies/explain`.
pub async fn explain(ctx: Ctx, Body(body): Body<ExplainCall>) -> Result<Json<Explanation>, Error> {
    ctx.authorize(Action::PolicyRead, Target::Authority)?;
    let mut tx = ctx.read().await?;
    let loaded = load::require(&ctx, &mut tx, &body.agent).await?;
    let context = CallContext {
        now: ctx.now,
        sender_constrained: body.sender_constrained,
        second_person: false,
        subject: None,
    };
    let question = Question::ToolCall {
        agent: &loaded.entity,
        server: &body.server,
        tool: &body.tool,
        args: &body.arguments,
        context: &context,
    };
    let id = ctx.authority.decision_id(ctx.now);
    Ok(Json(
        ctx.authority.current.load().policy.explain(id, &question),
    ))
}
