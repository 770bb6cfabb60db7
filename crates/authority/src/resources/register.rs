//! Registers a resource server, which may introspect the tokens made for it.

use std::time::Duration;

use axum::Json;
use chancery_api::resources::{RegisterResource, ResourceView};
use chancery_model::action::Action;
use chancery_model::client_authentication::ClientAuthentication;
use chancery_model::event::EventKind;
use chancery_model::id::ResourceId;
use chancery_model::time::Timestamp;
use chancery_policy::Target;
use chancery_store::error::StoreError;
use chancery_store::resources::{self, Resource};
use chancery_wire::metadata;

use crate::agents::authentication::{self, AUTHENTICATION};
use crate::agents::{register, view};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::Body;
use crate::text::rfc3339;

/// The longest exception from sender-constrained tokens.
const LONGEST_EXCEPTION: u64 = 90 * 86_400;

/// `POST /v1/resources`.
pub async fn register(
    ctx: Ctx,
    Body(body): Body<RegisterResource>,
) -> Result<Json<ResourceView>, Error> {
    let url =
        metadata::resource_uri(&body.url).map_err(|error| Error::Invalid(error.to_string()))?;
    if url == ctx.authority.config.issuer
        || url.starts_with(&format!("{}/mcp/", ctx.authority.config.issuer))
    {
        return Err(Error::Invalid("that URL is the authority's own".to_owned()));
    }
    let jwks = body.jwks.as_ref().map(register::parse_keys).transpose()?;
    let authentication = body
        .authentication
        .map(|metadata| authentication::parse(&ctx.authority, metadata))
        .transpose()?
        .unwrap_or_default();
    let bearer_until = bearer_until(&ctx, body.allow_bearer)?;
    let permit = ctx.authorize(Action::ResourceManage, Target::Resource(url))?;
    let resource = Resource {
        id: ResourceId::generate(ctx.now, &*ctx.authority.entropy),
        url: url.to_owned(),
        jwks,
        authentication,
        bearer_until,
        created_at: ctx.now,
    };
    let mut tx = ctx.begin().await?;
    match resources::insert(&mut tx, &resource).await {
        Err(StoreError::Constraint) => {
            return Err(Error::Conflict(
                "that resource is registered already".to_owned(),
            ));
        }
        inserted => inserted?,
    }
    let mut event = ctx.event(EventKind::ResourceRegistered);
    event
        .facts
        .insert("resource".to_owned(), resource.id.to_string());
    event.facts.insert("url".to_owned(), resource.url.clone());
    if resource.authentication != ClientAuthentication::default() {
        let told = authentication::describe(&resource.authentication)?;
        event.facts.insert(AUTHENTICATION.to_owned(), told);
    }
    if let Some(until) = bearer_until {
        event
            .facts
            .insert("bearer_until".to_owned(), rfc3339(until));
    }
    let shown = view(&resource)?;
    ctx.commit(permit, tx, event, Vec::new()).await?;
    Ok(Json(shown))
}

/// The end of an explicit exception from sender-constrained tokens.
pub(crate) fn bearer_until(ctx: &Ctx, seconds: Option<u64>) -> Result<Option<Timestamp>, Error> {
    match seconds {
        None => Ok(None),
        Some(seconds @ 1..=LONGEST_EXCEPTION) => {
            Ok(Some(ctx.now.after(Duration::from_secs(seconds))))
        }
        Some(_) => Err(Error::Invalid(
            "`allow_bearer` is 1 second to 90 days".to_owned(),
        )),
    }
}

pub(crate) fn view(resource: &Resource) -> Result<ResourceView, Error> {
    Ok(ResourceView {
        id: resource.id,
        url: resource.url.clone(),
        keys: view::thumbprints(resource.jwks.as_deref())?,
        authentication: resource.authentication.clone().into(),
        bearer_until: resource.bearer_until.map(rfc3339),
        created_at: rfc3339(resource.created_at),
    })
}
