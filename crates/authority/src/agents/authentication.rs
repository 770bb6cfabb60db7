//! Replaces how an agent authenticates; what was issued before stops.

use axum::Json;
use chancery_api::agents::AgentView;
use chancery_model::action::Action;
use chancery_model::client_authentication::{
    ClientAuthentication, ClientAuthenticationMetadata, Method,
};
use chancery_model::event::EventKind;
use chancery_policy::Target;
use chancery_store::{agents, client_authentications};
use chancery_wire::certificate::name;

use crate::agents::load::{self, Loaded};
use crate::agents::view;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::{Body, Path};
use crate::state::Authority;

/// `PUT /v1/agents/{agent}/authentication`.
pub async fn replace(
    ctx: Ctx,
    Path(agent): Path<String>,
    Body(body): Body<ClientAuthenticationMetadata>,
) -> Result<Json<AgentView>, Error> {
    let authentication = parse(&ctx.authority, body)?;
    let mut tx = ctx.begin().await?;
    let Loaded {
        mut agent,
        version,
        entity,
    } = load::require(&ctx, &mut tx, &agent).await?;
    let permit = ctx.authorize(Action::AgentUpdate, Target::Agent(&entity))?;
    load::refuse_of_client(&version)?;
    client_authentications::put(&mut tx, agent.id, &authentication).await?;
    agent.authentication = authentication;
    agent.updated_at = ctx.now;
    if !agents::update(&mut tx, &agent, Some(ctx.now)).await? {
        return Err(Error::PreconditionFailed);
    }
    agent.revision += 1;
    let mut event = load::event(
        &ctx,
        EventKind::AgentAuthenticationChanged,
        &agent,
        &version,
    );
    let told = describe(&agent.authentication)?;
    event.facts.insert(AUTHENTICATION.to_owned(), told);
    let loaded = Loaded {
        agent,
        version,
        entity,
    };
    let view = view::of(&ctx, &mut tx, &loaded).await?;
    ctx.commit(permit, tx, event, Vec::new()).await?;
    Ok(Json(view))
}

/// The fact by which events say how a client authenticates.
pub(crate) const AUTHENTICATION: &str = "authentication";

/// How a client authenticates, as the record has it: the metadata of RFC 7591, as JSON.
pub(crate) fn describe(authentication: &ClientAuthentication) -> Result<String, Error> {
    serde_json::to_string(authentication).map_err(|_| Error::Broken)
}

/// What is to be registered, in its one form.
pub(crate) fn parse(
    authority: &Authority,
    metadata: ClientAuthenticationMetadata,
) -> Result<ClientAuthentication, Error> {
    let invalid = |error: &dyn std::error::Error| Error::Invalid(error.to_string());
    let mut parsed = ClientAuthentication::try_from(metadata).map_err(|error| invalid(&error))?;
    let is_by_certificate = match parsed.method {
        Method::PrivateKeyJwt | Method::Attestation(_) | Method::AttestationWithDpop(_) => {
            parsed.is_certificate_bound
        }
        Method::Certificate(_) | Method::OwnCertificate => true,
    };
    if is_by_certificate && !authority.config.has_tls {
        return Err(Error::Invalid(
            "clients show certificates only where the authority ends TLS itself: start it with `--tls-cert` and `--tls-key`"
                .to_owned(),
        ));
    }
    parsed.method = match parsed.method {
        Method::Certificate(name) => {
            Method::Certificate(name::normal(name).map_err(|error| invalid(&error))?)
        }
        Method::Attestation(attester) | Method::AttestationWithDpop(attester)
            if !authority.directory.load().attesters.contains_key(&attester) =>
        {
            return Err(Error::Invalid(
                "`client_attester` names nobody; add them first: `chancery attester add`"
                    .to_owned(),
            ));
        }
        other @ (Method::PrivateKeyJwt
        | Method::OwnCertificate
        | Method::Attestation(_)
        | Method::AttestationWithDpop(_)) => other,
    };
    Ok(parsed)
}
