//! Removes a client that registered itself: it begins nothing any more, and renews nothing.

use axum::Json;
use chancery_api::clients::ClientView;
use chancery_model::action::Action;
use chancery_model::event::EventKind;
use chancery_model::id::RegisteredClientId;
use chancery_policy::Target;
use chancery_store::registered_clients;

use crate::clients::list;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::Path;

/// `DELETE /v1/clients/{client}`; the agents that it became for people stay, and are stopped like any other.
pub async fn remove(ctx: Ctx, Path(client): Path<String>) -> Result<Json<ClientView>, Error> {
    let permit = ctx.authorize(Action::ClientManage, Target::Authority)?;
    let unknown = || Error::NotFound("client");
    let id: RegisteredClientId = client.parse().map_err(|_| unknown())?;
    let mut tx = ctx.begin_stop().await?;
    let found = registered_clients::fetch(&mut tx, id, ctx.now).await?;
    let found = found.ok_or_else(unknown)?;
    if !registered_clients::remove(&mut tx, id, ctx.now).await? {
        return Err(unknown());
    }
    let mut event = ctx.event(EventKind::ClientRemoved);
    event.facts.insert("client".to_owned(), id.to_string());
    ctx.commit(permit, tx, event, Vec::new()).await?;
    Ok(Json(list::view(found)))
}
