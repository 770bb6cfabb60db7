//! Lists the policy texts in force, the shipped one first.

use axum::Json;
use chancery_api::page::Page;
use chancery_api::policies::{PolicyKind, PolicyView};
use chancery_model::action::Action;
use chancery_policy::Target;
use chancery_store::policy_texts::{self, PolicyText};

use crate::ctx::Ctx;
use crate::error::Error;
use crate::text::rfc3339;

/// `GET /v1/policies`.
pub async fn list(ctx: Ctx) -> Result<Json<Page<PolicyView>>, Error> {
    ctx.authorize(Action::PolicyRead, Target::Authority)?;
    let mut tx = ctx.read().await?;
    let texts = policy_texts::list(&mut tx).await?;
    Ok(Json(Page {
        items: texts.into_iter().map(view).collect(),
        next: None,
    }))
}

pub(crate) fn view(policy: PolicyText) -> PolicyView {
    PolicyView {
        id: policy.id,
        kind: if policy.is_schema {
            PolicyKind::Schema
        } else {
            PolicyKind::Policies
        },
        name: policy.name,
        text: policy.text,
        shipped: false,
        created_at: rfc3339(policy.created_at),
    }
}
