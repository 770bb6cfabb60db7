//! Lists the policy texts in force, the shipped one first.

use axum::Json;
use chancery_api::page::Page;
use chancery_api::policies::{PolicyKind, PolicyView};
use chancery_model::action::Action;
use chancery_model::time::Timestamp;
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
    let items = std::iter::once(shipped()?)
        .chain(texts.into_iter().map(view))
        .collect();
    Ok(Json(Page { items, next: None }))
}

/// The policies that come with the program; they have no beginning, and an id that no other text gets.
fn shipped() -> Result<PolicyView, Error> {
    let id = "pol_00000000000000000000000000"
        .parse()
        .map_err(|_| Error::Broken)?;
    Ok(PolicyView {
        id,
        name: chancery_policy::DEFAULT.name.to_owned(),
        kind: PolicyKind::Policies,
        text: chancery_policy::DEFAULT.text.to_owned(),
        shipped: true,
        created_at: rfc3339(Timestamp::from_secs(0)),
    })
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
