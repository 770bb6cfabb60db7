//! Removes a provider: nobody signs in by it from then on, and the sessions that it began end (FED-02).

use axum::Json;
use chancery_api::providers::ProviderView;
use chancery_model::action::Action;
use chancery_model::event::EventKind;
use chancery_policy::Target;
use chancery_store::{provider_links, providers, sessions};

use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::Path;
use crate::providers::list;

/// `DELETE /v1/providers/{provider}`. Whom it calls what stays known, in case the same issuer is added again.
pub async fn remove(ctx: Ctx, Path(name): Path<String>) -> Result<Json<ProviderView>, Error> {
    let permit = ctx.authorize(Action::ProviderManage, Target::Authority)?;
    ctx.require_fresh()?;
    let mut tx = ctx.begin_stop().await?;
    let kept = list::require(&mut tx, &name).await?;
    let view = list::view(&ctx.authority, &mut tx, &kept).await?;
    let id = kept.provider.id;
    if !providers::remove(&mut tx, id, ctx.now).await? {
        return Err(Error::NotFound("provider"));
    }
    let mut ended = 0;
    for session in sessions::list_for_provider(&mut tx, id, ctx.now).await? {
        ended += usize::from(sessions::end(&mut tx, session.owner_id, session.id, ctx.now).await?);
    }
    provider_links::forget_tokens(&mut tx, id).await?;
    let mut event = ctx.event(EventKind::ProviderRemoved);
    let facts = [
        ("provider", id.to_string()),
        ("name", name),
        ("issuer", kept.provider.issuer.clone()),
        ("sessions_ended", ended.to_string()),
    ];
    let facts = facts.map(|(name, fact)| (name.to_owned(), fact));
    event.facts.extend(facts);
    ctx.commit(permit, tx, event, Vec::new()).await?;
    Ok(Json(view))
}
