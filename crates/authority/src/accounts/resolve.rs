//! Finds the owner that a document names; a person not yet known is added with the change that names them.

use chancery_model::action::Action;
use chancery_model::event::{Event, EventKind};
use chancery_model::id::OwnerId;
use chancery_model::owner::{Owner, OwnerHandle, OwnerKind};
use chancery_policy::Target;
use chancery_store::owners;
use chancery_store::tx::Tx;

use crate::ctx::Ctx;
use crate::error::Error;
use crate::refresh::directory;

/// The live owner called `handle`, and the event of adding them when this is the first time.
///
/// Refused when the owner has left, when a team is unknown or has no live member, and when the caller
/// may not add people (IDR-03).
pub(crate) async fn resolve(
    ctx: &Ctx,
    tx: &mut Tx,
    handle: &OwnerHandle,
) -> Result<(Owner, Option<Event>), Error> {
    if let Some(owner) = owners::fetch_by_handle(tx, handle).await? {
        return if directory::find_live(tx, &owner).await? {
            Ok((owner, None))
        } else {
            Err(Error::Conflict(
                "the owner has left, so nobody would answer for the agent".to_owned(),
            ))
        };
    }
    if handle.names_team() {
        return Err(Error::Invalid(
            "the owning team is not known; add it with its members first".to_owned(),
        ));
    }
    if ctx
        .permit(Action::OwnerManage, Target::Owner(handle.as_str()))
        .is_none()
    {
        return Err(Error::Invalid(
            "the owner is not known, and the caller may not add people".to_owned(),
        ));
    }
    let owner = Owner {
        id: OwnerId::generate(ctx.now, &*ctx.authority.entropy),
        kind: OwnerKind::Person,
        handle: handle.clone(),
        created_at: ctx.now,
        disabled_at: None,
    };
    owners::insert(tx, &owner).await?;
    let event = added(ctx, &owner);
    Ok((owner, Some(event)))
}

/// The event of adding `owner`.
pub(crate) fn added(ctx: &Ctx, owner: &Owner) -> Event {
    let mut event = ctx.event(EventKind::OwnerAdded);
    event.facts.insert("owner".to_owned(), owner.id.to_string());
    event
        .facts
        .insert("handle".to_owned(), owner.handle.as_str().to_owned());
    event
}
