//! Proposes a new version: in force at once when policy lets the proposer accept it, else pending (IDR-06).

use axum::Json;
use axum::http::HeaderMap;
use chancery_api::agents::{AgentView, UpdateAgent};
use chancery_model::action::Action;
use chancery_model::agent::AgentState;
use chancery_model::decision::Permit;
use chancery_model::document::{CLIENT_PLATFORM, Document};
use chancery_model::event::{DecisionFacts, Event, EventKind};
use chancery_model::version::{VersionState, widenings};
use chancery_policy::{AgentEntity, Target};
use chancery_store::tx::Tx;
use chancery_store::{agents, versions};

use crate::accounts::resolve;
use crate::agents::accept::put_into_force;
use crate::agents::load::{self, Loaded};
use crate::agents::{register, view};
use crate::ctx::{About, Ctx};
use crate::error::Error;
use crate::extract::{Body, Path, revision_seen};

/// `PUT /v1/agents/{agent}` with `If-Match` (IDR-07).
pub async fn update(
    ctx: Ctx,
    Path(agent): Path<String>,
    headers: HeaderMap,
    Body(body): Body<UpdateAgent>,
) -> Result<Json<AgentView>, Error> {
    register::check(&ctx, &body.document)?;
    let seen = revision_seen(&headers)?;
    let mut tx = ctx.begin().await?;
    let loaded = load::require(&ctx, &mut tx, &agent).await?;
    let Proposed {
        loaded,
        permit,
        event,
        more,
        ..
    } = propose(&ctx, &mut tx, loaded, body.document, seen).await?;
    let view = view::of(&ctx, &mut tx, &loaded).await?;
    ctx.commit(permit, tx, event, more).await?;
    Ok(Json(view))
}

/// A version that was proposed in a transaction that its caller commits, with the permit and the events of it.
pub(crate) struct Proposed {
    pub loaded: Loaded,
    pub permit: Permit,
    pub event: Event,
    pub more: Vec<Event>,
    /// Whether it is in force already.
    pub is_in_force: bool,
}

/// Proposes a version of an agent that was seen in the revision `seen`, by every rule that there is about that.
pub(crate) async fn propose(
    ctx: &Ctx,
    tx: &mut Tx,
    loaded: Loaded,
    document: Document,
    seen: i64,
) -> Result<Proposed, Error> {
    register::check(ctx, &document)?;
    let Loaded {
        agent,
        version,
        entity,
    } = loaded;
    let permit = ctx.authorize(Action::AgentUpdate, Target::Agent(&entity))?;
    if agent.revision != seen {
        return Err(Error::PreconditionFailed);
    }
    if matches!(agent.state, AgentState::Retired { .. }) {
        return Err(Error::Conflict(
            "an agent that is retired cannot be changed".to_owned(),
        ));
    }
    if document.name != agent.name {
        return Err(Error::Invalid(
            "`name` cannot be changed; register another agent".to_owned(),
        ));
    }
    if document.owner != version.document.owner {
        return Err(Error::Invalid(
            "`owner` is changed by a transfer".to_owned(),
        ));
    }
    // Consent made all of it, and a person without any role may propose another version: they choose tools, and describe
    // nothing as what it is not.
    if version.document.is_of_client() {
        let with_its_tools = Document {
            tools: document.tools.clone(),
            ..version.document.clone()
        };
        if document != with_its_tools {
            return Err(Error::Invalid(
                "of an agent that is the client of a person only `tools` change".to_owned(),
            ));
        }
    }
    if document.is_of_client() != version.document.is_of_client() {
        return Err(Error::Invalid(format!(
            "the platform `{CLIENT_PLATFORM}` is for what the clients of people became, and stays"
        )));
    }
    let (_, owner_added) = resolve::resolve(ctx, tx, &document.owner).await?;
    let latest = versions::fetch_latest(tx, agent.id)
        .await?
        .ok_or(Error::Broken)?;
    if latest.state == VersionState::Pending {
        return Err(Error::Conflict(format!(
            "version {} waits for review; accept or reject it first",
            latest.number
        )));
    }
    let number = latest.number + 1;
    let proposed = register::sign_version(ctx, agent.id, number, Some(latest.digest), document);
    if proposed.digest == version.digest {
        return Err(Error::Conflict(
            "the document is the one in force".to_owned(),
        ));
    }
    let widens = widenings(&version.document, &proposed.document);
    let entity = AgentEntity::of(&agent, &proposed.document);
    let caller = ctx.caller.hands();
    let about = About {
        target: Target::Agent(&entity),
        widens: !widens.is_empty(),
        proposed_by: Some(&caller),
    };
    // A draft is put into force by activating it, whatever its versions.
    let accepting = match agent.version {
        Some(_) => ctx.permit(Action::AgentAccept, about),
        None => None,
    };
    versions::insert(tx, &proposed).await?;
    let mut loaded = Loaded {
        agent,
        version,
        entity,
    };
    let mut event = load::event(
        ctx,
        EventKind::AgentVersionProposed,
        &loaded.agent,
        &proposed,
    );
    event
        .facts
        .insert("version".to_owned(), proposed.digest.to_string());
    event.facts.insert("number".to_owned(), number.to_string());
    let words: Vec<String> = widens.iter().map(ToString::to_string).collect();
    event.facts.insert("widens".to_owned(), words.join("; "));
    let mut more: Vec<_> = owner_added.into_iter().collect();
    let is_in_force = accepting.is_some();
    if let Some(accepting) = accepting {
        loaded = put_into_force(ctx, &accepting, tx, loaded, proposed).await?;
        let mut accepted = load::event(
            ctx,
            EventKind::AgentVersionAccepted,
            &loaded.agent,
            &loaded.version,
        );
        accepted.decision = Some(DecisionFacts::from(accepting.decision()));
        more.push(accepted);
    } else {
        // The pending version changes no right, but whoever read the agent before must look again.
        if !agents::update(tx, &loaded.agent, None).await? {
            return Err(Error::PreconditionFailed);
        }
        loaded.agent.revision += 1;
    }
    Ok(Proposed {
        loaded,
        permit,
        event,
        more,
        is_in_force,
    })
}
