//! By which providers a person is known: listed, and linked or taken away by whoever manages owners.
//!
//! A link is made for a name that an administrator was told, or by a person who has just signed in with their passkey
//! ([`crate::providers::start`]); never because an address is the same (FED-03).

use axum::Json;
use chancery_api::page::Page;
use chancery_api::providers::{LinkPerson, LinkView};
use chancery_model::action::Action;
use chancery_model::author::Author;
use chancery_model::event::{Event, EventKind};
use chancery_model::id::OwnerId;
use chancery_model::owner::Owner;
use chancery_model::time::Timestamp;
use chancery_policy::Target;
use chancery_store::provider_links::{self, Link};
use chancery_store::tx::Tx;
use chancery_store::{owners, passkeys, sessions};

use crate::accounts::{add, login};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::{Body, Path};
use crate::grants::end;
use crate::providers::list as providers;
use crate::state::Authority;
use crate::text::rfc3339;

/// Links that one person may have.
pub(crate) const MOST: usize = 16;

/// `GET /v1/owners/{owner}/links`.
pub async fn list(ctx: Ctx, Path(handle): Path<String>) -> Result<Json<Page<LinkView>>, Error> {
    let handle = add::parse(&handle)?;
    ctx.authorize(Action::OwnerRead, Target::Owner(handle.as_str()))?;
    let mut tx = ctx.read().await?;
    let owner = owners::fetch_by_handle(&mut tx, &handle).await?;
    let owner = owner.ok_or(Error::NotFound("owner"))?;
    let links = provider_links::list_for_owner(&mut tx, owner.id).await?;
    Ok(Json(page(&ctx, owner.handle.as_str(), &links)))
}

/// `GET /v1/links`.
pub async fn list_own(ctx: Ctx) -> Result<Json<Page<LinkView>>, Error> {
    let own = ctx.own()?;
    let mut tx = ctx.read().await?;
    let links = provider_links::list_for_owner(&mut tx, own.login().owner_id).await?;
    let handle = own.login().hands.author.to_string();
    Ok(Json(page(&ctx, &handle, &links)))
}

/// `POST /v1/owners/{owner}/links`.
pub async fn link(
    ctx: Ctx,
    Path(handle): Path<String>,
    Body(body): Body<LinkPerson>,
) -> Result<Json<LinkView>, Error> {
    require_subject(&body.subject)?;
    let handle = add::parse(&handle)?;
    let permit = ctx.authorize(Action::OwnerManage, Target::Owner(handle.as_str()))?;
    ctx.require_fresh()?;
    let mut tx = ctx.begin().await?;
    let owner = login::require_person(&mut tx, &handle).await?;
    let kept = providers::require(&mut tx, &body.provider).await?;
    if provider_links::list_for_owner(&mut tx, owner.id)
        .await?
        .len()
        >= MOST
    {
        return Err(Error::Conflict(format!(
            "a person has at most {MOST} links; take one away first"
        )));
    }
    let makers = ctx.caller.hands().makers_of_what_is_made();
    let made = made(
        &kept.provider.issuer,
        &body.subject,
        &owner,
        makers,
        ctx.now,
    );
    provider_links::insert(&mut tx, &made).await?;
    let mut event = ctx.event(EventKind::PersonLinked);
    describe(&mut event, &made, &owner, "administrator");
    let view = view(&ctx, owner.handle.as_str(), &made);
    ctx.commit(permit, tx, event, Vec::new()).await?;
    Ok(Json(view))
}

/// `POST /v1/owners/{owner}/links/remove`.
pub async fn unlink(
    ctx: Ctx,
    Path(handle): Path<String>,
    Body(body): Body<LinkPerson>,
) -> Result<Json<LinkView>, Error> {
    let handle = add::parse(&handle)?;
    let permit = ctx.authorize(Action::OwnerManage, Target::Owner(handle.as_str()))?;
    ctx.require_fresh()?;
    let mut tx = ctx.begin_stop().await?;
    let owner = owners::fetch_by_handle(&mut tx, &handle).await?;
    let owner = owner.ok_or(Error::NotFound("owner"))?;
    let kept = providers::require(&mut tx, &body.provider).await?;
    let issuer = &kept.provider.issuer;
    let link = provider_links::fetch(&mut tx, issuer, &body.subject).await?;
    let link = link.filter(|link| link.owner_id == owner.id);
    let link = link.ok_or(Error::NotFound("link"))?;
    if !provider_links::remove(&mut tx, owner.id, issuer, &body.subject).await? {
        return Err(Error::NotFound("link"));
    }
    let mut ended = 0;
    for session in sessions::list_for_owner(&mut tx, owner.id, ctx.now).await? {
        if session.means.provider() == Some(kept.provider.id) {
            ended += usize::from(sessions::end(&mut tx, owner.id, session.id, ctx.now).await?);
        }
    }
    let mut event = ctx.event(EventKind::PersonUnlinked);
    describe(&mut event, &link, &owner, "administrator");
    event
        .facts
        .insert("sessions_ended".to_owned(), ended.to_string());
    let view = view(&ctx, owner.handle.as_str(), &link);
    let more = match has_other_way(&ctx, &mut tx, owner.id).await? {
        true => Vec::new(),
        // Nobody could ask any more whether the person is still there.
        false => {
            end::end_of_person(&ctx.authority, &mut tx, owner.id, "administrator", ctx.now).await?
        }
    };
    ctx.commit(permit, tx, event, more).await?;
    Ok(Json(view))
}

/// Whether a person can still come: by a passkey, a login or another link.
async fn has_other_way(ctx: &Ctx, tx: &mut Tx, owner: OwnerId) -> Result<bool, Error> {
    Ok(has_own_way(&ctx.authority, tx, owner).await?
        || !provider_links::list_for_owner(tx, owner).await?.is_empty())
}

/// Whether a person can come without any provider: by a passkey or a login.
pub(crate) async fn has_own_way(
    authority: &Authority,
    tx: &mut Tx,
    owner: OwnerId,
) -> Result<bool, Error> {
    let directory = authority.directory.load_full();
    let has_login =
        (directory.logins.values()).any(|login| login.session.is_none() && login.owner_id == owner);
    Ok(has_login || !passkeys::list_for_owner(tx, owner).await?.is_empty())
}

/// A link that is about to be made.
pub(crate) fn made(
    issuer: &str,
    subject: &str,
    owner: &Owner,
    makers: Vec<Author>,
    now: Timestamp,
) -> Link {
    Link {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
        owner_id: owner.id,
        known_as: None,
        makers,
        created_at: now,
        vouched_at: None,
        left_at: None,
        unanswered: 0,
        token: None,
        due_at: now,
    }
}

/// Says in an event whom an issuer calls what, and how that came.
pub(crate) fn describe(event: &mut Event, link: &Link, owner: &Owner, by: &str) {
    let facts = [
        ("owner", owner.id.to_string()),
        ("handle", owner.handle.as_str().to_owned()),
        ("issuer", link.issuer.clone()),
        ("subject", link.subject.clone()),
        ("by", by.to_owned()),
    ];
    let facts = facts.map(|(name, fact)| (name.to_owned(), fact));
    event.facts.extend(facts);
}

/// Refuses what no provider calls anybody (OpenID Connect Core 1.0 §2).
fn require_subject(subject: &str) -> Result<(), Error> {
    let is_legal = (1..=255).contains(&subject.len())
        && subject
            .bytes()
            .all(|byte| byte.is_ascii_graphic() || byte == b' ');
    match is_legal {
        true => Ok(()),
        false => Err(Error::Invalid(
            "`subject` is the `sub` of the person: 1 to 255 characters of ASCII".to_owned(),
        )),
    }
}

fn page(ctx: &Ctx, handle: &str, links: &[Link]) -> Page<LinkView> {
    Page {
        items: links.iter().map(|link| view(ctx, handle, link)).collect(),
        next: None,
    }
}

fn view(ctx: &Ctx, handle: &str, link: &Link) -> LinkView {
    let directory = ctx.authority.directory.load();
    let mut known = directory.providers.values();
    let kept = known.find(|kept| kept.provider.issuer == link.issuer);
    LinkView {
        owner: handle.to_owned(),
        provider: kept.map(|kept| kept.provider.name.as_str().to_owned()),
        issuer: link.issuer.clone(),
        subject: link.subject.clone(),
        known_as: link.known_as.clone(),
        can_be_asked: link.token.is_some(),
        unanswered: link.unanswered,
        vouched_at: link.vouched_at.map(rfc3339),
        left_at: link.left_at.map(rfc3339),
        created_at: rfc3339(link.created_at),
    }
}
