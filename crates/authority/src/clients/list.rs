//! Lists the clients that registered themselves.

use axum::Json;
use chancery_api::clients::{ClientQuery, ClientView};
use chancery_api::page::{MAX_LIMIT, Page};
use chancery_model::action::Action;
use chancery_policy::Target;
use chancery_store::registered_clients::{self, RegisteredClient, UNUSED};

use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::Query;
use crate::text::rfc3339;

/// `GET /v1/clients`.
pub async fn list(
    ctx: Ctx,
    Query(query): Query<ClientQuery>,
) -> Result<Json<Page<ClientView>>, Error> {
    ctx.authorize(Action::ClientRead, Target::Authority)?;
    let limit = query.limit.unwrap_or(100).clamp(1, MAX_LIMIT);
    let after = query.after.as_deref().unwrap_or("");
    let mut tx = ctx.read().await?;
    let found = registered_clients::list(&mut tx, after, limit.into(), ctx.now).await?;
    let next = found
        .last()
        .filter(|_| found.len() == limit as usize)
        .map(|last| last.id.to_string());
    let items = found.into_iter().map(view).collect();
    Ok(Json(Page { items, next }))
}

/// A client as our API shows it.
pub(crate) fn view(client: RegisteredClient) -> ClientView {
    ClientView {
        id: client.id,
        name: client.name,
        redirect_uris: client.redirect_uris,
        created_at: rfc3339(client.created_at),
        used_at: client.used_at.map(rfc3339),
        ends_at: match client.used_at {
            Some(_) => None,
            None => Some(rfc3339(client.created_at.after(UNUSED))),
        },
    }
}
