//! Replaces the key of a purpose: the new one signs at once, the old one verifies for the overlap.

use axum::Json;
use chancery_api::keys::{KeyView, RotateKey};
use chancery_model::action::Action;
use chancery_model::event::EventKind;
use chancery_policy::Target;
use chancery_store::signing_keys;

use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::Body;
use crate::keyring::Purpose;
use crate::keys::{create, list};

/// `POST /v1/keys/rotate`.
pub async fn rotate(ctx: Ctx, Body(body): Body<RotateKey>) -> Result<Json<KeyView>, Error> {
    let purpose = match Purpose::from_name(&body.purpose) {
        Some(purpose @ (Purpose::AccessToken | Purpose::IdToken | Purpose::Document)) => purpose,
        Some(Purpose::Log) | None => {
            return Err(Error::Invalid(
                "`purpose` is `access_token`, `id_token` or `document`".to_owned(),
            ));
        }
    };
    if body.withdraw && purpose == Purpose::Document {
        return Err(Error::Invalid(
            "a document key cannot be withdrawn; documents would be left without proof".to_owned(),
        ));
    }
    let permit = ctx.authorize(Action::KeyRotate, Target::Authority)?;
    let authority = &ctx.authority;
    let ring = authority.keys.load_full();
    let algorithm = match purpose {
        Purpose::AccessToken => ring.access_token.public().algorithm(),
        Purpose::IdToken => ring.id_token.public().algorithm(),
        Purpose::Document | Purpose::Log => ring.document.public().algorithm(),
    };
    let (_key, row) = create::signing_key(
        purpose,
        algorithm,
        &authority.master,
        &*authority.entropy,
        ctx.now,
    )?;
    let mut tx = ctx.begin().await?;
    // Documents are verified for as long as they are kept; tokens only until the last one has ended.
    let until = match purpose {
        Purpose::AccessToken | Purpose::IdToken if body.withdraw => ctx.now,
        Purpose::AccessToken | Purpose::IdToken => ctx.now.after(authority.config.key_overlap),
        Purpose::Document | Purpose::Log => ctx
            .now
            .after(std::time::Duration::from_secs(100 * 365 * 86_400)),
    };
    if !signing_keys::retire(&mut tx, purpose.name(), until).await? {
        return Err(Error::Broken);
    }
    signing_keys::insert(&mut tx, &row).await?;
    let mut event = ctx.event(EventKind::KeyRotated);
    event
        .facts
        .insert("purpose".to_owned(), purpose.name().to_owned());
    event.facts.insert("kid".to_owned(), row.kid.clone());
    event
        .facts
        .insert("withdrawn".to_owned(), body.withdraw.to_string());
    ctx.commit(permit, tx, event, Vec::new()).await?;

    // The refresh of the commit has opened the new key and put it to use.
    let ring = authority.keys.load();
    let made = ring
        .verifying
        .iter()
        .find(|known| known.key.thumbprint() == row.kid);
    made.map(list::view).map(Json).ok_or(Error::Broken)
}
