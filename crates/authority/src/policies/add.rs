//! Adds a policy text or a schema fragment, or replaces one of the same name.

use axum::Json;
use chancery_api::policies::{PolicyKind, PolicyText as Proposed, PolicyView};
use chancery_model::action::Action;
use chancery_model::document::is_legal_name;
use chancery_model::event::EventKind;
use chancery_model::id::PolicyId;
use chancery_policy::Target;
use chancery_store::policy_texts::{self, PolicyText};
use chancery_wire::hash;

use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::{Body, Path};
use crate::policies::list;
use crate::refresh::policies::Compiles;

/// The longest text.
const LONGEST: usize = 128 * 1024;

/// `PUT /v1/policies/{policy}`.
pub async fn put(
    ctx: Ctx,
    Path(name): Path<String>,
    Body(body): Body<Proposed>,
) -> Result<Json<PolicyView>, Error> {
    if !is_legal_name(&name) || name == chancery_policy::DEFAULT.name {
        return Err(Error::Invalid(
            "a policy's name has 1 to 64 of `a-z`, `0-9`, `.`, `_`, `-`, and is not that of the shipped one".to_owned(),
        ));
    }
    if body.name.as_ref().is_some_and(|other| *other != name) {
        return Err(Error::Invalid("`name` must be that of the path".to_owned()));
    }
    if body.text.len() > LONGEST {
        return Err(Error::Invalid(
            "a policy text has at most 128 KiB".to_owned(),
        ));
    }
    let permit = ctx.authorize(Action::PolicyManage, Target::Policy(&name))?;
    // All texts together must compile, or nothing changes: the last good set stays in force.
    let is_schema = matches!(body.kind, PolicyKind::Schema);
    let compiles = Compiles::with(&ctx.authority, |texts| {
        texts.put(is_schema, &name, &body.text);
        Ok(())
    })
    .await?;
    let mut tx = ctx.begin().await?;
    compiles.still(&mut tx).await?;
    let replaced = policy_texts::remove(&mut tx, &name, ctx.now).await?;
    let policy = PolicyText {
        id: PolicyId::generate(ctx.now, &*ctx.authority.entropy),
        name,
        is_schema,
        text: body.text,
        created_at: ctx.now,
    };
    policy_texts::insert(&mut tx, &policy).await?;
    let mut event = ctx.event(EventKind::PolicyAdded);
    event.facts.insert("policy".to_owned(), policy.name.clone());
    event
        .facts
        .insert("policy_id".to_owned(), policy.id.to_string());
    event.facts.insert(
        "digest".to_owned(),
        hash::sha256(policy.text.as_bytes()).to_string(),
    );
    event
        .facts
        .insert("replaced".to_owned(), replaced.to_string());
    ctx.commit(permit, tx, event, Vec::new()).await?;
    Ok(Json(list::view(policy)))
}
