//! Adds an attester: from then on agents may be registered with its name.

use axum::Json;
use chancery_api::attesters::{AddAttester, AttesterView};
use chancery_model::action::Action;
use chancery_model::document::is_legal_name;
use chancery_model::event::EventKind;
use chancery_policy::Target;
use chancery_store::attesters::{self, Attester};
use chancery_store::error::StoreError;

use crate::agents::register;
use crate::attesters::list;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::Body;

/// The longest name of an issuer, in bytes.
const LONGEST_ISSUER: usize = 2_048;

/// `POST /v1/attesters`.
pub async fn add(ctx: Ctx, Body(body): Body<AddAttester>) -> Result<Json<AttesterView>, Error> {
    if !is_legal_name(&body.name) {
        return Err(Error::Invalid(
            "an attester's name has 1 to 64 of `a-z`, `0-9`, `.`, `_` and `-`".to_owned(),
        ));
    }
    let is_issuer = |issuer: &str| {
        let is_plain = !issuer.chars().any(char::is_control);
        (1..=LONGEST_ISSUER).contains(&issuer.len()) && is_plain
    };
    if body.issuer.as_deref().is_some_and(|text| !is_issuer(text)) {
        let sentence = "`issuer` is the text that attestations carry as `iss`";
        return Err(Error::Invalid(sentence.to_owned()));
    }
    let attester = Attester {
        jwks: register::parse_keys(&body.jwks)?,
        name: body.name,
        issuer: body.issuer,
        created_at: ctx.now,
    };
    let permit = ctx.authorize(Action::AttesterManage, Target::Authority)?;
    let mut tx = ctx.begin().await?;
    match attesters::insert(&mut tx, &attester).await {
        Err(StoreError::Constraint) => {
            let name = &attester.name;
            return Err(Error::Conflict(format!("the name `{name}` is in use")));
        }
        inserted => inserted?,
    }
    let view = list::view(&attester)?;
    let mut event = ctx.event(EventKind::AttesterAdded);
    let facts = &mut event.facts;
    facts.insert("attester".to_owned(), attester.name);
    facts.insert("keys".to_owned(), view.keys.join(" "));
    if let Some(issuer) = attester.issuer {
        facts.insert("issuer".to_owned(), issuer);
    }
    ctx.commit(permit, tx, event, Vec::new()).await?;
    Ok(Json(view))
}
