//! Removes an issuer: its tokens are of no use any more, and neither is what was issued to agents whose workloads it
//! vouched for (FED-02).

use axum::Json;
use chancery_api::issuers::IssuerView;
use chancery_model::action::Action;
use chancery_model::event::EventKind;
use chancery_policy::Target;
use chancery_store::{agent_trusts, workload_issuers};

use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::Path;
use crate::workloads::add;

/// `DELETE /v1/issuers/{issuer}`.
pub async fn remove(ctx: Ctx, Path(name): Path<String>) -> Result<Json<IssuerView>, Error> {
    let permit = ctx.authorize(Action::IssuerManage, Target::Authority)?;
    let mut tx = ctx.begin_stop().await?;
    let issuer = workload_issuers::fetch_by_name(&mut tx, &name).await?;
    let issuer = issuer.ok_or(Error::NotFound("issuer"))?;
    if !workload_issuers::remove(&mut tx, issuer.id, ctx.now).await? {
        return Err(Error::NotFound("issuer"));
    }
    let agents = agent_trusts::remove_all_of(&mut tx, issuer.id, ctx.now).await?;
    let mut event = ctx.event(EventKind::IssuerRemoved);
    let facts = [
        ("issuer_id", issuer.id.to_string()),
        ("name", issuer.name.clone()),
        ("issuer", issuer.issuer.clone()),
        ("agents", agents.to_string()),
    ];
    let facts = facts.map(|(name, fact)| (name.to_owned(), fact));
    event.facts.extend(facts);
    ctx.commit(permit, tx, event, Vec::new()).await?;
    Ok(Json(add::view(&issuer)))
}
