//! Says which workloads of other issuers may act as an agent: part of its registration, like its keys.

use axum::Json;
use chancery_api::agents::AgentView;
use chancery_api::issuers::{AddTrust, TrustView};
use chancery_model::action::Action;
use chancery_model::event::{Event, EventKind};
use chancery_model::id::TrustId;
use chancery_model::trust::{Terms, Trust};
use chancery_policy::Target;
use chancery_store::agent_trusts::NamedTrust;
use chancery_store::error::StoreError;
use chancery_store::{agent_trusts, agents, workload_issuers};

use crate::agents::load::{self, Loaded};
use crate::agents::view;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::{Body, Path};
use crate::text::rfc3339;

/// The most trusts of one agent.
const MOST: usize = 32;

/// `POST /v1/agents/{agent}/trusts`.
pub async fn add(
    ctx: Ctx,
    Path(agent): Path<String>,
    Body(body): Body<AddTrust>,
) -> Result<Json<AgentView>, Error> {
    let terms = Terms::new(body.subject, body.claims);
    let terms = terms.map_err(|error| Error::Invalid(error.to_string()))?;
    let mut tx = ctx.begin().await?;
    let mut loaded = load::require(&ctx, &mut tx, &agent).await?;
    let permit = ctx.authorize(Action::AgentUpdate, Target::Agent(&loaded.entity))?;
    load::refuse_of_client(&loaded.version)?;
    let issuer = workload_issuers::fetch_by_name(&mut tx, &body.issuer).await?;
    let issuer = issuer.ok_or(Error::NotFound("issuer"))?;
    let agent = &mut loaded.agent;
    if agent_trusts::list(&mut tx, agent.id).await?.len() >= MOST {
        return Err(Error::Conflict(format!(
            "an agent trusts at most {MOST} workloads"
        )));
    }
    let trust = Trust {
        id: TrustId::generate(ctx.now, &*ctx.authority.entropy),
        agent: agent.id,
        issuer: issuer.id,
        terms,
        created_at: ctx.now,
    };
    match agent_trusts::insert(&mut tx, &trust).await {
        Err(StoreError::Constraint) => {
            return Err(Error::Conflict(
                "the agent trusts that workload already".to_owned(),
            ));
        }
        inserted => inserted?,
    }
    agent.updated_at = ctx.now;
    if !agents::update(&mut tx, agent, None).await? {
        return Err(Error::PreconditionFailed);
    }
    agent.revision += 1;
    let named = NamedTrust {
        trust,
        issuer_name: issuer.name,
    };
    let event = event(&ctx, EventKind::AgentTrustAdded, &loaded, &named);
    let view = view::of(&ctx, &mut tx, &loaded).await?;
    ctx.commit(permit, tx, event, Vec::new()).await?;
    Ok(Json(view))
}

/// `DELETE /v1/agents/{agent}/trusts/{trust}`: what the agent was issued before is void, as after a change of its keys.
pub async fn remove(
    ctx: Ctx,
    Path((agent, trust)): Path<(String, String)>,
) -> Result<Json<AgentView>, Error> {
    let id: Option<TrustId> = trust.parse().ok();
    let mut tx = ctx.begin_stop().await?;
    let mut loaded = load::require_unverified(&mut tx, &agent).await?;
    let permit = ctx.authorize(Action::AgentUpdate, Target::Agent(&loaded.entity))?;
    let agent = &mut loaded.agent;
    let trusts = agent_trusts::list(&mut tx, agent.id).await?;
    let mut trusts = trusts.into_iter();
    let named = trusts.find(|named| Some(named.trust.id) == id);
    let named = named.ok_or(Error::NotFound("trust"))?;
    if !agent_trusts::remove(&mut tx, agent.id, named.trust.id).await? {
        return Err(Error::NotFound("trust"));
    }
    agent.updated_at = ctx.now;
    if !agents::update(&mut tx, agent, Some(ctx.now)).await? {
        return Err(Error::PreconditionFailed);
    }
    agent.revision += 1;
    let event = event(&ctx, EventKind::AgentTrustRemoved, &loaded, &named);
    let view = view::of(&ctx, &mut tx, &loaded).await?;
    ctx.commit(permit, tx, event, Vec::new()).await?;
    Ok(Json(view))
}

fn event(ctx: &Ctx, kind: EventKind, loaded: &Loaded, named: &NamedTrust) -> Event {
    let mut event = load::event(ctx, kind, &loaded.agent, &loaded.version);
    let NamedTrust { trust, issuer_name } = named;
    let facts = [
        ("trust", trust.id.to_string()),
        ("issuer_id", trust.issuer.to_string()),
        ("issuer", issuer_name.clone()),
        ("subject", trust.terms.subject().to_owned()),
    ];
    let facts = facts.map(|(name, fact)| (name.to_owned(), fact));
    event.facts.extend(facts);
    for (name, value) in trust.terms.claims() {
        event.facts.insert(format!("claim {name}"), value.clone());
    }
    event
}

/// A trust as our API shows it.
pub(crate) fn view(named: NamedTrust) -> TrustView {
    let NamedTrust { trust, issuer_name } = named;
    TrustView {
        id: trust.id,
        issuer: issuer_name,
        subject: trust.terms.subject().to_owned(),
        claims: trust.terms.claims().clone(),
        created_at: rfc3339(trust.created_at),
    }
}
