//! Gives a person a login: a random secret, shown once.

use std::time::Duration;

use axum::Json;
use chancery_api::owners::{IssueLogin, Login};
use chancery_model::action::Action;
use chancery_model::author::Hands;
use chancery_model::event::EventKind;
use chancery_model::owner::OwnerKind;
use chancery_policy::Target;
use chancery_store::{logins, owners};
use chancery_wire::{base64url, hash};

use crate::accounts::add;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::{Body, Path};
use crate::text::rfc3339;

/// The roles that the shipped policies know.
const ROLES: [&str; 4] = ["administrator", "approver", "operator", "auditor"];
const DAY: u64 = 86_400;

/// `POST /v1/owners/{owner}/logins`.
pub async fn issue(
    ctx: Ctx,
    Path(handle): Path<String>,
    Body(body): Body<IssueLogin>,
) -> Result<Json<Login>, Error> {
    if body.roles.is_empty() || !body.roles.iter().all(|role| ROLES.contains(&role.as_str())) {
        return Err(Error::Invalid(format!(
            "`roles` is one or more of {}",
            ROLES.join(", ")
        )));
    }
    let lifetime = body.lifetime.unwrap_or(30 * DAY);
    if !(60..=90 * DAY).contains(&lifetime) {
        return Err(Error::Invalid(
            "`lifetime` is 60 seconds to 90 days".to_owned(),
        ));
    }
    let handle = add::parse(&handle)?;
    let permit = ctx.authorize(Action::OwnerManage, Target::Owner(handle.as_str()))?;
    let mut tx = ctx.begin().await?;
    let owner = owners::fetch_by_handle(&mut tx, &handle)
        .await?
        .ok_or(Error::NotFound("owner"))?;
    if owner.disabled_at.is_some() || owner.kind != OwnerKind::Person {
        return Err(Error::Conflict(
            "only a person who has not left can have a login".to_owned(),
        ));
    }
    let mut random = [0; 32];
    ctx.authority.entropy.fill(&mut random);
    let token = format!("chl_{}", base64url::encode(&random));
    let Hands { author, makers } = ctx.caller.hands();
    let issued_by = author.to_string();
    // Once is enough, however often somebody renews their own.
    let before = makers.into_iter().filter(|maker| *maker != author);
    let before: Vec<_> = before.collect();
    let login = logins::Login {
        secret_hash: hash::sha256(token.as_bytes()),
        owner_id: owner.id,
        makers: std::iter::once(author).chain(before).collect(),
        roles: body.roles.clone(),
        created_at: ctx.now,
        expires_at: ctx.now.after(Duration::from_secs(lifetime)),
    };
    logins::insert(&mut tx, &login).await?;
    let mut event = ctx.event(EventKind::LoginIssued);
    event.facts.insert("owner".to_owned(), owner.id.to_string());
    event
        .facts
        .insert("handle".to_owned(), owner.handle.as_str().to_owned());
    event.facts.insert("roles".to_owned(), body.roles.join(" "));
    let (name, expires_at) = (name(&login), rfc3339(login.expires_at));
    event.facts.insert("login".to_owned(), name.clone());
    event
        .facts
        .insert("expires_at".to_owned(), expires_at.clone());
    ctx.commit(permit, tx, event, Vec::new()).await?;
    Ok(Json(Login {
        name,
        owner: owner.handle.as_str().to_owned(),
        issued_by,
        roles: body.roles,
        token,
        expires_at,
    }))
}

/// Names a login without its secret: enough of the hash that is kept of it to tell it from others.
fn name(login: &logins::Login) -> String {
    let hash = login.secret_hash.to_string();
    let hash = hash.rsplit(':').next().unwrap_or(&hash);
    hash.chars().take(12).collect()
}
