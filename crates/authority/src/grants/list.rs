//! Lists what people let agents do: everybody sees their own, and whoever may read all of it sees all.

use axum::Json;
use chancery_api::grants::{GrantQuery, GrantView};
use chancery_api::page::{MAX_LIMIT, Page};
use chancery_model::action::Action;
use chancery_model::grant::Grant;
use chancery_policy::Target;
use chancery_store::tx::Tx;
use chancery_store::{agents, grants, owners};

use crate::accounts::add;
use crate::ctx::{Caller, Ctx};
use crate::error::Error;
use crate::extract::Query;
use crate::text::rfc3339;

/// `GET /v1/grants`.
pub async fn list(
    ctx: Ctx,
    Query(query): Query<GrantQuery>,
) -> Result<Json<Page<GrantView>>, Error> {
    let limit = query.limit.unwrap_or(100).clamp(1, MAX_LIMIT);
    let mut tx = ctx.read().await?;
    let own = match &ctx.caller {
        Caller::Human(login) => Some(login.owner_id),
        Caller::LocalAdministrator => None,
    };
    let subject = match &query.owner {
        Some(handle) => {
            let handle = add::parse(handle)?;
            let owner = owners::fetch_by_handle(&mut tx, &handle).await?;
            let is_own = own.is_some() && own == owner.as_ref().map(|owner| owner.id);
            if !is_own {
                ctx.authorize(Action::GrantRead, Target::Owner(handle.as_str()))?;
            }
            owner.ok_or(Error::NotFound("owner"))?.id.to_string()
        }
        None if ctx.permit(Action::GrantRead, Target::Authority).is_some() => String::new(),
        None => match own {
            Some(own) => own.to_string(),
            None => {
                ctx.authorize(Action::GrantRead, Target::Authority)?;
                String::new()
            }
        },
    };
    let after = query.after.as_deref().unwrap_or("");
    let found = grants::list(&mut tx, &subject, after, limit.into()).await?;
    let next = found
        .last()
        .filter(|_| found.len() == limit as usize)
        .map(|last| last.id.to_string());
    let mut items = Vec::with_capacity(found.len());
    for grant in found {
        items.push(view(&ctx, &mut tx, grant).await?);
    }
    Ok(Json(Page { items, next }))
}

async fn view(ctx: &Ctx, tx: &mut Tx, grant: Grant) -> Result<GrantView, Error> {
    let subject = owners::fetch(tx, grant.subject)
        .await?
        .ok_or(Error::Broken)?;
    let agent = agents::fetch(tx, grant.agent).await?.ok_or(Error::Broken)?;
    Ok(GrantView {
        id: grant.id,
        owner: subject.handle.as_str().to_owned(),
        agent: agent.agent.name.as_str().to_owned(),
        agent_id: grant.agent,
        version: grant.version,
        status: grant.status(ctx.now).to_owned(),
        scope: grant.scope.names().map(str::to_owned).collect(),
        authorization_details: grant.calls,
        redirect_uri: grant.redirect_uri,
        created_at: rfc3339(grant.created_at),
        expires_at: rfc3339(grant.expires_at),
        last_used_at: grant.last_used_at.map(rfc3339),
        revoked_at: grant.revoked_at.map(rfc3339),
        resource: grant.resource,
    })
}
