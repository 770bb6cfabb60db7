//! Registers an agent: an identity of its own, with an owner who answers and a signed first version.

use axum::Json;
use chancery_api::agents::{AgentView, RegisterAgent};
use chancery_model::action::Action;
use chancery_model::agent::{Agent, AgentState};
use chancery_model::client_authentication::ClientAuthentication;
use chancery_model::decision::Permit;
use chancery_model::document::{CLIENT_PLATFORM, Document};
use chancery_model::event::{Event, EventKind};
use chancery_model::id::AgentId;
use chancery_model::version::{Version, VersionState};
use chancery_policy::{AgentEntity, Target};
use chancery_store::tx::Tx;
use chancery_store::{agents, error::StoreError, versions};
use chancery_wire::client_assertion;
use chancery_wire::document::{self, Statement};
use chancery_wire::jwk::KeySet;

use crate::accounts::resolve;
use crate::agents::authentication::{self, AUTHENTICATION};
use crate::agents::load::{self, Loaded};
use crate::agents::view;
use crate::ctx::{About, Ctx};
use crate::error::Error;
use crate::extract::Body;

/// `POST /v1/agents`: active at once when policy lets the caller put it into force alone, else a draft.
pub async fn register(ctx: Ctx, Body(body): Body<RegisterAgent>) -> Result<Json<AgentView>, Error> {
    let RegisterAgent {
        document,
        jwks,
        authentication,
    } = body;
    if document.is_of_client() {
        return Err(Error::Invalid(format!(
            "the platform `{CLIENT_PLATFORM}` is for what the clients of people become"
        )));
    }
    let jwks = jwks.map(|jwks| parse_keys(&jwks)).transpose()?;
    let authentication = authentication
        .map(|metadata| authentication::parse(&ctx.authority, metadata))
        .transpose()?;
    let credentials = Credentials {
        jwks,
        authentication: authentication.unwrap_or_default(),
    };
    let mut tx = ctx.begin().await?;
    let Registered {
        loaded,
        permit,
        event,
        more,
    } = propose(&ctx, &mut tx, document, credentials).await?;
    let view = view::of(&ctx, &mut tx, &loaded).await?;
    ctx.commit(permit, tx, event, more).await?;
    Ok(Json(view))
}

/// By what an agent will prove who it is.
#[derive(Default)]
pub(crate) struct Credentials {
    /// Its public keys, in canonical form.
    pub jwks: Option<String>,
    /// The method.
    pub authentication: ClientAuthentication,
}

/// An agent that was registered in a transaction that its caller commits, with the permit and the events of it.
pub(crate) struct Registered {
    pub loaded: Loaded,
    pub permit: Permit,
    pub event: Event,
    pub more: Vec<Event>,
}

/// Registers an agent, by every rule that there is about that.
pub(crate) async fn propose(
    ctx: &Ctx,
    tx: &mut Tx,
    document: Document,
    credentials: Credentials,
) -> Result<Registered, Error> {
    check(ctx, &document)?;
    let (owner, owner_added) = resolve::resolve(ctx, tx, &document.owner).await?;
    let caller = ctx.caller.hands();
    let mut agent = Agent {
        id: AgentId::generate(ctx.now, &*ctx.authority.entropy),
        name: document.name.clone(),
        owner_id: owner.id,
        state: AgentState::Draft,
        version: None,
        jwks: credentials.jwks,
        authentication: credentials.authentication,
        created_at: ctx.now,
        updated_at: ctx.now,
        expires_at: document.expires_at.map(|end| end.0),
        registered_by: caller.author.clone(),
        revision: 1,
    };
    let mut version = sign_version(ctx, agent.id, 1, None, document);
    let entity = AgentEntity::of(&agent, &version.document);
    let target = Target::Agent(&entity);
    let permit = ctx.authorize(Action::AgentRegister, target)?;
    let about = About {
        target,
        widens: true,
        proposed_by: Some(&caller),
    };
    if ctx.permit(Action::AgentActivate, about).is_some() {
        agent = agent.activate(ctx.now)?;
        agent.version = Some((version.number, version.digest));
        version = version.accept(ctx.now, caller.author)?;
    }
    match agents::insert(tx, &agent).await {
        Err(StoreError::Constraint) => {
            return Err(Error::Conflict(format!(
                "the name `{}` is in use",
                agent.name
            )));
        }
        inserted => inserted?,
    }
    versions::insert(tx, &version).await?;
    let mut event = load::event(ctx, EventKind::AgentRegistered, &agent, &version);
    event
        .facts
        .insert("status".to_owned(), agent.state.name().to_owned());
    event
        .facts
        .insert("version".to_owned(), version.digest.to_string());
    event.facts.insert(
        "keys".to_owned(),
        view::thumbprints(agent.jwks.as_deref())?.join(" "),
    );
    if agent.authentication != ClientAuthentication::default() {
        let told = authentication::describe(&agent.authentication)?;
        event.facts.insert(AUTHENTICATION.to_owned(), told);
    }
    let loaded = Loaded {
        agent,
        version,
        entity,
    };
    Ok(Registered {
        loaded,
        permit,
        event,
        more: owner_added.into_iter().collect(),
    })
}

/// The document's own rules, as a refusal that names the member.
pub(crate) fn check(ctx: &Ctx, document: &Document) -> Result<(), Error> {
    document
        .check(ctx.now)
        .map_err(|error| Error::Invalid(error.to_string()))
}

/// A key set that clients may authenticate with, in canonical form (JWKS-01, JWKS-02, CRY-04).
pub(crate) fn parse_keys(jwks: &serde_json::Value) -> Result<String, Error> {
    let keys = KeySet::parse(jwks)
        .and_then(|keys| keys.restricted_to(&client_assertion::ALGORITHMS))
        .map_err(|error| Error::Invalid(format!("`jwks` is not acceptable: {error}")))?;
    Ok(keys.to_canonical_json())
}

/// A pending version, signed over its digest, its number and the digest before it.
pub(crate) fn sign_version(
    ctx: &Ctx,
    agent_id: AgentId,
    number: i64,
    previous: Option<chancery_model::digest::Digest>,
    document: Document,
) -> Version {
    let digest = document::digest_of(&document);
    let statement = Statement {
        agent: agent_id,
        digest,
        number,
        previous,
    };
    let signature = document::sign_version(&statement, &ctx.authority.keys.load().document);
    Version {
        agent_id,
        number,
        digest,
        previous,
        document,
        signature,
        proposed_by: ctx.caller.hands(),
        proposed_at: ctx.now,
        state: VersionState::Pending,
    }
}
