//! The passkeys of a person: listed, renamed, revoked, by themselves or by whoever manages owners.

use axum::Json;
use chancery_api::agents::Because;
use chancery_api::page::Page;
use chancery_api::people::{PasskeyView, RenamePasskey};
use chancery_model::action::Action;
use chancery_model::event::{Event, EventKind};
use chancery_model::id::{OwnerId, PasskeyId};
use chancery_model::reason::Reason;
use chancery_policy::Target;
use chancery_store::passkeys::{self, Passkey};
use chancery_store::tx::Tx;
use chancery_store::{owners, recovery_codes, sessions};

use crate::accounts::add;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::{Body, Path};
use crate::text::rfc3339;

/// `GET /v1/passkeys`.
pub async fn list_own(ctx: Ctx) -> Result<Json<Page<PasskeyView>>, Error> {
    let own = ctx.own()?;
    let mut tx = ctx.read().await?;
    Ok(Json(page(&mut tx, own.login().owner_id).await?))
}

/// `GET /v1/owners/{owner}/passkeys`.
pub async fn list(ctx: Ctx, Path(handle): Path<String>) -> Result<Json<Page<PasskeyView>>, Error> {
    let handle = add::parse(&handle)?;
    ctx.authorize(Action::OwnerRead, Target::Owner(handle.as_str()))?;
    let mut tx = ctx.read().await?;
    let owner = owners::fetch_by_handle(&mut tx, &handle).await?;
    let owner = owner.ok_or(Error::NotFound("owner"))?;
    Ok(Json(page(&mut tx, owner.id).await?))
}

/// `POST /v1/passkeys/{passkey}/rename`.
pub async fn rename(
    ctx: Ctx,
    Path(id): Path<PasskeyId>,
    Body(body): Body<RenamePasskey>,
) -> Result<Json<PasskeyView>, Error> {
    let name = parse_name(&body.name)?;
    let (own, _) = ctx.own_by_passkey()?;
    let owner = own.login().owner_id;
    let mut tx = ctx.begin().await?;
    if !passkeys::rename(&mut tx, owner, id, &name).await? {
        return Err(Error::NotFound("passkey"));
    }
    let passkey = require(&mut tx, owner, id).await?;
    let event = event(&ctx, EventKind::PasskeyRenamed, &passkey);
    ctx.commit_own(own, tx, event, Vec::new()).await?;
    Ok(Json(view(&passkey)))
}

/// `POST /v1/passkeys/{passkey}/revoke`: its sessions end, and the recovery codes that were made with it.
pub async fn revoke_own(ctx: Ctx, Path(id): Path<PasskeyId>) -> Result<Json<PasskeyView>, Error> {
    let (own, _) = ctx.own_by_passkey()?;
    let mut tx = ctx.begin().await?;
    let (passkey, event) = end(&ctx, &mut tx, own.login().owner_id, id).await?;
    ctx.commit_own(own, tx, event, Vec::new()).await?;
    Ok(Json(view(&passkey)))
}

/// `POST /v1/owners/{owner}/passkeys/{passkey}/revoke`.
pub async fn revoke(
    ctx: Ctx,
    Path((handle, id)): Path<(String, String)>,
    Body(body): Body<Because>,
) -> Result<Json<PasskeyView>, Error> {
    let reason = Reason::parse(&body.reason)?;
    let handle = add::parse(&handle)?;
    let permit = ctx.authorize(Action::OwnerManage, Target::Owner(handle.as_str()))?;
    ctx.require_fresh()?;
    let id = id.parse().map_err(|_| Error::NotFound("passkey"))?;
    let mut tx = ctx.begin().await?;
    let owner = owners::fetch_by_handle(&mut tx, &handle).await?;
    let owner = owner.ok_or(Error::NotFound("owner"))?;
    let (passkey, mut event) = end(&ctx, &mut tx, owner.id, id).await?;
    event.reason = Some(reason.as_str().to_owned());
    event
        .facts
        .insert("handle".to_owned(), owner.handle.as_str().to_owned());
    ctx.commit(permit, tx, event, Vec::new()).await?;
    Ok(Json(view(&passkey)))
}

/// Ends a passkey with all that it began: whoever held it keeps nothing of it.
async fn end(
    ctx: &Ctx,
    tx: &mut Tx,
    owner: OwnerId,
    id: PasskeyId,
) -> Result<(Passkey, Event), Error> {
    let passkey = require(tx, owner, id).await?;
    if !passkeys::revoke(tx, owner, id, ctx.now).await? {
        return Err(Error::NotFound("passkey"));
    }
    let ended = sessions::end_for_passkey(tx, id, ctx.now).await?;
    let void = recovery_codes::end_for_passkey(tx, id, ctx.now).await?;
    let mut event = event(ctx, EventKind::PasskeyRevoked, &passkey);
    event
        .facts
        .insert("sessions_ended".to_owned(), ended.to_string());
    event
        .facts
        .insert("recovery_codes_ended".to_owned(), void.to_string());
    Ok((passkey, event))
}

fn event(ctx: &Ctx, kind: EventKind, passkey: &Passkey) -> Event {
    let mut event = ctx.event(kind);
    let facts = [
        ("owner", passkey.owner_id.to_string()),
        ("passkey", passkey.id.to_string()),
        ("name", passkey.name.clone()),
    ];
    event
        .facts
        .extend(facts.map(|(name, fact)| (name.to_owned(), fact)));
    event
}

async fn require(tx: &mut Tx, owner: OwnerId, id: PasskeyId) -> Result<Passkey, Error> {
    let all = passkeys::list_for_owner(tx, owner).await?;
    let found = all.into_iter().find(|passkey| passkey.id == id);
    found.ok_or(Error::NotFound("passkey"))
}

async fn page(tx: &mut Tx, owner: OwnerId) -> Result<Page<PasskeyView>, Error> {
    let all = passkeys::list_for_owner(tx, owner).await?;
    Ok(Page {
        items: all.iter().map(view).collect(),
        next: None,
    })
}

/// What a person calls a passkey: 1 to 60 characters, none a control character.
pub(crate) fn parse_name(text: &str) -> Result<String, Error> {
    let text = text.trim();
    let is_legal = (1..=60).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    is_legal.then(|| text.to_owned()).ok_or_else(|| {
        let sentence = "the name of a passkey has 1 to 60 characters and no control characters";
        Error::Invalid(sentence.to_owned())
    })
}

pub(crate) fn view(passkey: &Passkey) -> PasskeyView {
    PasskeyView {
        id: passkey.id,
        name: passkey.name.clone(),
        roles: passkey.roles.clone(),
        issued_by: passkey.makers.first().map(ToString::to_string),
        synced: passkey.is_backup_eligible,
        created_at: rfc3339(passkey.created_at),
        used_at: passkey.used_at.map(rfc3339),
    }
}
