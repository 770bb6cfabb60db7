//! Lists the keys that sign or verify.

use axum::Json;
use chancery_api::keys::KeyView;
use chancery_api::page::Page;
use chancery_model::action::Action;
use chancery_policy::Target;

use crate::ctx::Ctx;
use crate::error::Error;
use crate::keyring::VerifyingKey;
use crate::text::rfc3339;

/// `GET /v1/keys`.
pub async fn list(ctx: Ctx) -> Result<Json<Page<KeyView>>, Error> {
    ctx.authorize(Action::LogRead, Target::Authority)?;
    let items = ctx
        .authority
        .keys
        .load()
        .verifying
        .iter()
        .map(view)
        .collect();
    Ok(Json(Page { items, next: None }))
}

pub(crate) fn view(known: &VerifyingKey) -> KeyView {
    KeyView {
        kid: known.key.thumbprint().to_owned(),
        purpose: known.purpose.name().to_owned(),
        alg: known.key.algorithm().name().to_owned(),
        status: if known.verifies_until.is_none() {
            "active"
        } else {
            "verifying"
        }
        .to_owned(),
        created_at: rfc3339(known.created_at),
        verifies_until: known.verifies_until.map(rfc3339),
    }
}
