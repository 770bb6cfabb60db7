//! Adds a person or a team, or gives a team other members.

use axum::Json;
use chancery_api::owners::{AddOwner, OwnerView};
use chancery_model::action::Action;
use chancery_model::event::EventKind;
use chancery_model::id::OwnerId;
use chancery_model::owner::{Owner, OwnerHandle, OwnerKind};
use chancery_policy::Target;
use chancery_store::owners;
use chancery_store::tx::Tx;

use crate::accounts::{list, resolve};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::Body;

/// `POST /v1/owners`.
pub async fn add(ctx: Ctx, Body(body): Body<AddOwner>) -> Result<Json<OwnerView>, Error> {
    let handle = parse(&body.handle)?;
    if !handle.names_team() && !body.members.is_empty() {
        return Err(Error::Invalid("only a team has members".to_owned()));
    }
    let permit = ctx.authorize(Action::OwnerManage, Target::Owner(handle.as_str()))?;
    let mut tx = ctx.begin().await?;
    let members = require_people(&mut tx, &body.members).await?;
    if let Some(mut owner) = owners::fetch_by_handle(&mut tx, &handle).await? {
        if !matches!(owner.kind, OwnerKind::Team { .. }) {
            return Err(Error::Conflict("that owner exists already".to_owned()));
        }
        owners::replace_members(&mut tx, owner.id, &members).await?;
        let mut event = ctx.event(EventKind::OwnerMembersChanged);
        event.facts.insert("owner".to_owned(), owner.id.to_string());
        event
            .facts
            .insert("members".to_owned(), body.members.join(" "));
        owner.kind = OwnerKind::Team { members };
        let view = list::view(&mut tx, owner).await?;
        ctx.commit(permit, tx, event, Vec::new()).await?;
        return Ok(Json(view));
    }
    let kind = if handle.names_team() {
        OwnerKind::Team { members }
    } else {
        OwnerKind::Person
    };
    let owner = Owner {
        id: OwnerId::generate(ctx.now, &*ctx.authority.entropy),
        kind,
        handle,
        created_at: ctx.now,
        disabled_at: None,
    };
    owners::insert(&mut tx, &owner).await?;
    let event = resolve::added(&ctx, &owner);
    let view = list::view(&mut tx, owner).await?;
    ctx.commit(permit, tx, event, Vec::new()).await?;
    Ok(Json(view))
}

pub(crate) fn parse(handle: &str) -> Result<OwnerHandle, Error> {
    OwnerHandle::parse(handle).map_err(|error| Error::Invalid(error.to_string()))
}

async fn require_people(tx: &mut Tx, handles: &[String]) -> Result<Vec<OwnerId>, Error> {
    let mut people = Vec::with_capacity(handles.len());
    for handle in handles {
        let person = owners::fetch_by_handle(tx, &parse(handle)?).await?;
        match person {
            Some(Owner {
                id,
                kind: OwnerKind::Person,
                disabled_at: None,
                ..
            }) => people.push(id),
            Some(_) | None => {
                return Err(Error::Invalid(
                    "every member must be a person who is known and has not left".to_owned(),
                ));
            }
        }
    }
    people.sort_unstable();
    people.dedup();
    Ok(people)
}
