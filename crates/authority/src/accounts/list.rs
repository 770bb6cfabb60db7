//! Lists owners.

use axum::Json;
use chancery_api::owners::OwnerView;
use chancery_api::page::{MAX_LIMIT, Page, PageQuery};
use chancery_model::action::Action;
use chancery_model::owner::{Owner, OwnerKind};
use chancery_policy::Target;
use chancery_store::owners;
use chancery_store::tx::Tx;

use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::Query;
use crate::text::rfc3339;

/// `GET /v1/owners`.
pub async fn list(
    ctx: Ctx,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<OwnerView>>, Error> {
    ctx.authorize(Action::OwnerRead, Target::Authority)?;
    let limit = query.limit.unwrap_or(100).clamp(1, MAX_LIMIT);
    let mut tx = ctx.read().await?;
    let found = owners::list(&mut tx, query.after.as_deref().unwrap_or(""), limit.into()).await?;
    let next = found
        .last()
        .filter(|_| found.len() == limit as usize)
        .map(|last| last.id.to_string());
    let mut items = Vec::with_capacity(found.len());
    for owner in found {
        items.push(view(&mut tx, owner).await?);
    }
    Ok(Json(Page { items, next }))
}

pub(crate) async fn view(tx: &mut Tx, owner: Owner) -> Result<OwnerView, Error> {
    let (kind, mut members) = match &owner.kind {
        OwnerKind::Person => ("person", Vec::new()),
        OwnerKind::Team { members } => {
            let mut handles = Vec::with_capacity(members.len());
            for member in members {
                let person = owners::fetch(tx, *member).await?.ok_or(Error::Broken)?;
                handles.push(person.handle.as_str().to_owned());
            }
            ("team", handles)
        }
    };
    members.sort();
    Ok(OwnerView {
        id: owner.id,
        handle: owner.handle.as_str().to_owned(),
        kind: kind.to_owned(),
        members,
        status: if owner.disabled_at.is_none() {
            "active"
        } else {
            "disabled"
        }
        .to_owned(),
        created_at: rfc3339(owner.created_at),
    })
}
