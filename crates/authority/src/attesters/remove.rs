//! Removes an attester: from then on nobody authenticates by its word.

use axum::Json;
use chancery_api::attesters::AttesterView;
use chancery_model::action::Action;
use chancery_model::event::EventKind;
use chancery_policy::Target;
use chancery_store::attesters;

use crate::attesters::list;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::Path;

/// `DELETE /v1/attesters/{attester}`; agents that are registered with it stay, and authenticate no more.
pub async fn remove(ctx: Ctx, Path(name): Path<String>) -> Result<Json<AttesterView>, Error> {
    let permit = ctx.authorize(Action::AttesterManage, Target::Authority)?;
    let mut tx = ctx.begin_stop().await?;
    let found = attesters::list(&mut tx).await?.into_iter();
    let found = found.into_iter().find(|attester| attester.name == name);
    let found = found.ok_or(Error::NotFound("attester"))?;
    if !attesters::remove(&mut tx, &name, ctx.now).await? {
        return Err(Error::NotFound("attester"));
    }
    let mut event = ctx.event(EventKind::AttesterRemoved);
    event.facts.insert("attester".to_owned(), name);
    ctx.commit(permit, tx, event, Vec::new()).await?;
    Ok(Json(list::view(&found)?))
}
