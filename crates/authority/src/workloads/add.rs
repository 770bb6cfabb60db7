//! Names an issuer whose workloads may act as agents, once somebody trusts one of them.

use axum::Json;
use chancery_api::issuers::{AddIssuer, IssuerView};
use chancery_model::action::Action;
use chancery_model::document::is_legal_name;
use chancery_model::event::EventKind;
use chancery_model::id::IssuerId;
use chancery_policy::Target;
use chancery_store::error::StoreError;
use chancery_store::workload_issuers::{self, WorkloadIssuer};
use chancery_wire::issuer::{self, IssuerKeys};

use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::Body;
use crate::issuers::{self, Named};
use crate::text::rfc3339;

/// The longest audience, in bytes.
const LONGEST_AUDIENCE: usize = 512;

/// `POST /v1/issuers`.
pub async fn add(ctx: Ctx, Body(body): Body<AddIssuer>) -> Result<Json<IssuerView>, Error> {
    let config = &ctx.authority.config;
    if !is_legal_name(&body.name) {
        return Err(Error::Invalid(
            "an issuer's name has 1 to 64 of `a-z`, `0-9`, `.`, `_` and `-`".to_owned(),
        ));
    }
    let is_development = config.is_development();
    issuer::parse(&body.issuer, is_development)
        .map_err(|error| Error::Invalid(error.to_string()))?;
    if body.issuer.trim_end_matches('/') == config.issuer {
        return Err(Error::Invalid(
            "that issuer is the authority itself".to_owned(),
        ));
    }
    let audience = body.audience.unwrap_or_else(|| config.issuer.clone());
    if !(1..=LONGEST_AUDIENCE).contains(&audience.len()) || audience.chars().any(char::is_control) {
        return Err(Error::Invalid(
            "`audience` has 1 to 512 bytes and no control characters".to_owned(),
        ));
    }
    let jwks = body.jwks.as_ref().map(parse_keys).transpose()?;
    let permit = ctx.authorize(Action::IssuerManage, Target::Authority)?;
    let issuer = WorkloadIssuer {
        id: IssuerId::generate(ctx.now, &*ctx.authority.entropy),
        name: body.name,
        issuer: body.issuer,
        audience,
        jwks,
        is_private: body.private_network,
        created_at: ctx.now,
    };
    if issuer.jwks.is_none() {
        look_at(&ctx, &issuer).await?;
    }
    let mut tx = ctx.begin().await?;
    match workload_issuers::insert(&mut tx, &issuer).await {
        Err(StoreError::Constraint) => {
            return Err(Error::Conflict(
                "an issuer of that name, or with that identifier, is there already".to_owned(),
            ));
        }
        inserted => inserted?,
    }
    let mut event = ctx.event(EventKind::IssuerAdded);
    let view = view(&issuer);
    let facts = [
        ("issuer_id", view.id.to_string()),
        ("name", view.name.clone()),
        ("issuer", view.issuer.clone()),
        ("audience", view.audience.clone()),
        ("keys", view.keys.clone()),
    ];
    let facts = facts.map(|(name, fact)| (name.to_owned(), fact));
    event.facts.extend(facts);
    ctx.commit(permit, tx, event, Vec::new()).await?;
    Ok(Json(view))
}

/// A set of keys with at least one that is of use, as it is kept.
fn parse_keys(jwks: &serde_json::Value) -> Result<String, Error> {
    let text = jwks.to_string();
    let keys = IssuerKeys::of_document(text.as_bytes())
        .map_err(|error| Error::Invalid(format!("`jwks` is not acceptable: {error}")))?;
    if keys.is_empty() {
        return Err(Error::Invalid(
            "`jwks` has no key that signatures are verified with here".to_owned(),
        ));
    }
    Ok(text)
}

/// Requires that the issuer describes itself: what is wrong with that is better known now than at three in the morning.
async fn look_at(ctx: &Ctx, issuer: &WorkloadIssuer) -> Result<(), Error> {
    let named = Named::new(&ctx.authority, &issuer.issuer, issuer.is_private);
    let found = issuers::find(&ctx.authority, named, ctx.now).await;
    let found = found.map_err(|_| Error::Unacceptable {
        title: "the issuer could not be looked at".to_owned(),
        problems: vec![
            "its discovery document and its keys could not be had, or do not say what they should; the log of the \
             authority says which (an issuer that is asked again within half a minute is left alone)"
                .to_owned(),
            "an issuer on a private network needs `private_network`; one that cannot be reached, its keys in `jwks`"
                .to_owned(),
        ],
    });
    found.map(drop)
}

pub(crate) fn view(issuer: &WorkloadIssuer) -> IssuerView {
    let keys = match issuer.jwks {
        Some(_) => "registered",
        None => "discovery",
    };
    IssuerView {
        id: issuer.id,
        name: issuer.name.clone(),
        issuer: issuer.issuer.clone(),
        audience: issuer.audience.clone(),
        keys: keys.to_owned(),
        private_network: issuer.is_private,
        created_at: rfc3339(issuer.created_at),
    }
}
