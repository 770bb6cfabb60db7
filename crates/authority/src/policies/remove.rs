//! Takes a policy text out of force.

use axum::Json;
use chancery_api::policies::PolicyView;
use chancery_model::action::Action;
use chancery_model::event::EventKind;
use chancery_policy::Target;
use chancery_store::policy_texts;

use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::Path;
use crate::policies::list;
use crate::refresh::policies::Compiles;

/// `DELETE /v1/policies/{policy}`.
pub async fn remove(ctx: Ctx, Path(name): Path<String>) -> Result<Json<PolicyView>, Error> {
    let permit = ctx.authorize(Action::PolicyManage, Target::Policy(&name))?;
    // Another text may need the types of this one.
    let compiles = Compiles::with(&ctx.authority, |texts| {
        texts.remove_text(&name);
        Ok(())
    })
    .await?;
    let mut tx = ctx.begin().await?;
    compiles.still(&mut tx).await?;
    let texts = policy_texts::list(&mut tx).await?;
    let policy = texts
        .into_iter()
        .find(|text| text.name == name)
        .ok_or(Error::NotFound("policy"))?;
    if !policy_texts::remove(&mut tx, &name, ctx.now).await? {
        return Err(Error::NotFound("policy"));
    }
    let mut event = ctx.event(EventKind::PolicyRemoved);
    event.facts.insert("policy".to_owned(), policy.name.clone());
    event
        .facts
        .insert("policy_id".to_owned(), policy.id.to_string());
    ctx.commit(permit, tx, event, Vec::new()).await?;
    Ok(Json(list::view(policy)))
}
