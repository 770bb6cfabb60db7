//! Lists the attesters in force.

use axum::Json;
use chancery_api::attesters::AttesterView;
use chancery_api::page::Page;
use chancery_model::action::Action;
use chancery_policy::Target;
use chancery_store::attesters::{self, Attester};

use crate::agents::view;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::text::rfc3339;

/// `GET /v1/attesters`.
pub async fn list(ctx: Ctx) -> Result<Json<Page<AttesterView>>, Error> {
    ctx.authorize(Action::AttesterRead, Target::Authority)?;
    let mut tx = ctx.read().await?;
    let found = attesters::list(&mut tx).await?;
    let items = found.iter().map(view).collect::<Result<_, _>>()?;
    Ok(Json(Page { items, next: None }))
}

/// An attester as our API shows it.
pub(crate) fn view(attester: &Attester) -> Result<AttesterView, Error> {
    Ok(AttesterView {
        name: attester.name.clone(),
        issuer: attester.issuer.clone(),
        keys: view::thumbprints(Some(&attester.jwks))?,
        created_at: rfc3339(attester.created_at),
    })
}
