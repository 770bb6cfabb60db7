//! Checks a text against what is in force, changing nothing.

use axum::Json;
use chancery_api::policies::{CheckReport, PolicyKind, PolicyText as Proposed};
use chancery_model::action::Action;
use chancery_model::id::PolicyId;
use chancery_policy::Target;
use chancery_store::policy_texts::{self, PolicyText};

use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::Body;
use crate::refresh::policies;

/// `POST /v1/policies/check`: compiles inside a transaction that is never committed.
pub async fn check(ctx: Ctx, Body(body): Body<Proposed>) -> Result<Json<CheckReport>, Error> {
    ctx.authorize(Action::PolicyRead, Target::Authority)?;
    let mut tx = ctx.begin().await?;
    let policy = PolicyText {
        id: PolicyId::generate(ctx.now, &*ctx.authority.entropy),
        name: body.name.unwrap_or_else(|| "proposed".to_owned()),
        is_schema: matches!(body.kind, PolicyKind::Schema),
        text: body.text,
        created_at: ctx.now,
    };
    policy_texts::remove(&mut tx, &policy.name, ctx.now).await?;
    policy_texts::insert(&mut tx, &policy).await?;
    let report = match policies::require_to_compile(&mut tx).await {
        Ok(_) => CheckReport {
            ok: true,
            problems: Vec::new(),
        },
        Err(Error::Unacceptable { problems, .. }) => CheckReport {
            ok: false,
            problems,
        },
        Err(error) => return Err(error),
    };
    Ok(Json(report))
}
