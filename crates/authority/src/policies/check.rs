//! Checks a text against what is in force, changing nothing.

use axum::Json;
use chancery_api::policies::{CheckReport, PolicyKind, PolicyText as Proposed};
use chancery_model::action::Action;
use chancery_policy::Target;

use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::Body;
use crate::refresh::policies::Compiles;

/// `POST /v1/policies/check`: compiles what is in force with the text in its place.
pub async fn check(ctx: Ctx, Body(body): Body<Proposed>) -> Result<Json<CheckReport>, Error> {
    ctx.authorize(Action::PolicyRead, Target::Authority)?;
    let name = body.name.as_deref().unwrap_or("proposed");
    let is_schema = matches!(body.kind, PolicyKind::Schema);
    let compiled = Compiles::with(&ctx.authority, |texts| {
        texts.put(is_schema, name, &body.text);
        Ok(())
    });
    let report = match compiled.await {
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
