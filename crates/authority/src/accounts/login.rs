//! Gives a person a login: a random secret, shown once.

use std::time::Duration;

use axum::Json;
use chancery_api::owners::{IssueLogin, Login};
use chancery_model::action::Action;
use chancery_model::entropy::Entropy;
use chancery_model::event::EventKind;
use chancery_model::owner::{Owner, OwnerHandle, OwnerKind};
use chancery_policy::Target;
use chancery_store::tx::Tx;
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
    check_roles(&body.roles)?;
    let lifetime = body.lifetime.unwrap_or(30 * DAY);
    if !(60..=90 * DAY).contains(&lifetime) {
        return Err(Error::Invalid(
            "`lifetime` is 60 seconds to 90 days".to_owned(),
        ));
    }
    let handle = add::parse(&handle)?;
    let permit = ctx.authorize(Action::OwnerManage, Target::Owner(handle.as_str()))?;
    ctx.require_fresh()?;
    let mut tx = ctx.begin().await?;
    let owner = require_person(&mut tx, &handle).await?;
    let token = secret("chl", &*ctx.authority.entropy);
    let hands = ctx.caller.hands();
    let issued_by = hands.author.to_string();
    let login = logins::Login {
        secret_hash: hash::sha256(token.as_bytes()),
        owner_id: owner.id,
        makers: hands.makers_of_what_is_made(),
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

/// Refuses roles that do not exist, and none at all.
pub(crate) fn check_roles(roles: &[String]) -> Result<(), Error> {
    if !roles.is_empty() && roles.iter().all(|role| ROLES.contains(&role.as_str())) {
        return Ok(());
    }
    let roles = ROLES.join(", ");
    Err(Error::Invalid(format!("`roles` is one or more of {roles}")))
}

/// The person with this handle, who may be given ways to sign in.
pub(crate) async fn require_person(tx: &mut Tx, handle: &OwnerHandle) -> Result<Owner, Error> {
    let owner = owners::fetch_by_handle(tx, handle).await?;
    let owner = owner.ok_or(Error::NotFound("owner"))?;
    if owner.is_present() && owner.kind == OwnerKind::Person {
        return Ok(owner);
    }
    Err(Error::Conflict(
        "only a person who has not left can sign in".to_owned(),
    ))
}

/// A new secret: 256 random bits after a prefix that says what it is.
pub(crate) fn secret(prefix: &str, entropy: &dyn Entropy) -> String {
    let mut random = [0; 32];
    entropy.fill(&mut random);
    format!("{prefix}_{}", base64url::encode(&random))
}

/// Names a login without its secret: enough of the hash that is kept of it to tell it from others.
fn name(login: &logins::Login) -> String {
    let hash = login.secret_hash.to_string();
    let hash = hash.rsplit(':').next().unwrap_or(&hash);
    hash.chars().take(12).collect()
}
