//! Replaces where answers for an agent may be sent when it asks people to act in their names, and where people may be sent
//! once they signed out.

use axum::Json;
use chancery_api::agents::{AgentView, ReplaceRedirects};
use chancery_model::action::Action;
use chancery_model::event::EventKind;
use chancery_policy::Target;
use chancery_store::{agents, redirects};
use chancery_wire::redirect_uri::RedirectUri;

use crate::agents::load::{self, Loaded};
use crate::agents::view;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::{Body, Path};

/// The most redirect URIs of one agent.
const MOST: usize = 16;

/// `PUT /v1/agents/{agent}/redirect-uris`: all of them, as a set; a request that waits for an answer to one that
/// is no longer in it is void.
pub async fn replace(
    ctx: Ctx,
    Path(agent): Path<String>,
    Body(body): Body<ReplaceRedirects>,
) -> Result<Json<AgentView>, Error> {
    let uris = parse("redirect_uris", &body.redirect_uris)?;
    let after_logout = parse("post_logout_redirect_uris", &body.post_logout_redirect_uris)?;
    let mut tx = ctx.begin().await?;
    let Loaded {
        mut agent,
        version,
        entity,
    } = load::require(&ctx, &mut tx, &agent).await?;
    let permit = ctx.authorize(Action::AgentUpdate, Target::Agent(&entity))?;
    load::refuse_of_client(&version)?;
    redirects::replace(&mut tx, agent.id, &uris).await?;
    redirects::replace_after_logout(&mut tx, agent.id, &after_logout).await?;
    agent.updated_at = ctx.now;
    if !agents::update(&mut tx, &agent, None).await? {
        return Err(Error::PreconditionFailed);
    }
    agent.revision += 1;
    let mut event = load::event(&ctx, EventKind::AgentRedirectsChanged, &agent, &version);
    let facts = &mut event.facts;
    facts.insert("redirect_uris".to_owned(), uris.join(" "));
    if !after_logout.is_empty() {
        facts.insert(
            "post_logout_redirect_uris".to_owned(),
            after_logout.join(" "),
        );
    }
    let loaded = Loaded {
        agent,
        version,
        entity,
    };
    let view = view::of(&ctx, &mut tx, &loaded).await?;
    ctx.commit(permit, tx, event, Vec::new()).await?;
    Ok(Json(view))
}

/// A set of redirect URIs, sorted (AUTHZ-02).
fn parse(member: &str, texts: &[String]) -> Result<Vec<String>, Error> {
    if texts.len() > MOST {
        return Err(Error::Invalid(format!(
            "an agent has at most {MOST} redirect URIs in `{member}`"
        )));
    }
    let mut uris = Vec::with_capacity(texts.len());
    for text in texts {
        let uri = RedirectUri::parse(text).map_err(|error| {
            Error::Invalid(format!("a text in `{member}` is not acceptable: {error}"))
        })?;
        uris.push(uri.as_str().to_owned());
    }
    uris.sort_unstable();
    uris.dedup();
    Ok(uris)
}
