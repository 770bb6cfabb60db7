//! An agent as policies see it, prepared once per change of the registry.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use cedar_policy::{Entity, EntityUid, RestrictedExpression};
use chancery_model::agent::Agent;
use chancery_model::document::{AutonomyLevel, Document, Risk, ToolGrant, ToolPermission};

use crate::schema;

/// What the registry knows about an agent; nothing here comes from the agent's own request.
#[derive(Debug, Clone, Copy)]
pub struct AgentFacts<'a> {
    /// The identifier, `agt_…`.
    pub id: &'a str,
    /// The name.
    pub name: &'a str,
    /// The handle of the person or team that answers for it.
    pub owner: &'a str,
    /// The team that runs it.
    pub team: Option<&'a str>,
    /// Where it stands in its life: `draft`, `active`, `suspended` or `retired`.
    pub status: &'a str,
    /// How much it does without a person.
    pub autonomy: AutonomyLevel,
    /// The highest risk among its capabilities.
    pub highest_risk: Option<Risk>,
    /// What it is built with.
    pub platform: Option<&'a str>,
    /// Where it runs: `production`, `staging`, …
    pub environment: Option<&'a str>,
    /// The digest of the version in force.
    pub version: Option<&'a str>,
    /// What the version in force grants.
    pub tools: &'a [ToolGrant],
}

/// An agent ready to be asked about; a clone shares the prepared form.
#[derive(Debug, Clone)]
pub struct AgentEntity(Arc<Prepared>);

#[derive(Debug)]
struct Prepared {
    uid: EntityUid,
    entity: Entity,
    name: String,
    status: String,
}

impl AgentEntity {
    /// Prepares what the registry knows.
    pub fn new(facts: &AgentFacts<'_>) -> Self {
        let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
        let grants = Grants::of(facts.tools);
        let mut attributes = HashMap::from([
            ("name".to_owned(), text(facts.name)),
            ("owner".to_owned(), text(facts.owner)),
            ("status".to_owned(), text(facts.status)),
            ("autonomy".to_owned(), text(autonomy_name(facts.autonomy))),
            ("callable".to_owned(), set(grants.callable)),
            ("callable_servers".to_owned(), set(grants.callable_servers)),
            ("listable".to_owned(), set(grants.listable)),
            ("listable_servers".to_owned(), set(grants.listable_servers)),
        ]);
        let optional = [
            ("team", facts.team),
            ("risk", facts.highest_risk.map(risk_name)),
            ("platform", facts.platform),
            ("environment", facts.environment),
            ("version", facts.version),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                attributes.insert(name.to_owned(), text(value));
            }
        }
        let uid = schema::uid(&schema::AGENT, facts.id);
        // Evaluating an attribute can only fail in a call of an extension function, and there is none.
        let entity = Entity::new(uid.clone(), attributes, HashSet::new())
            .expect("texts and sets of references always evaluate");
        Self(Arc::new(Prepared {
            uid,
            entity,
            name: facts.name.to_owned(),
            status: facts.status.to_owned(),
        }))
    }

    /// Prepares a registered agent with the document in force (a draft: the one proposed).
    pub fn of(agent: &Agent, document: &Document) -> Self {
        let digest = agent.version.as_ref().map(|(_, digest)| digest.to_string());
        let hosting = document.hosting.as_ref();
        Self::new(&AgentFacts {
            id: &agent.id.to_string(),
            name: agent.name.as_str(),
            owner: document.owner.as_str(),
            team: document.team.as_deref(),
            status: agent.state.name(),
            autonomy: document.autonomy_level,
            highest_risk: document.highest_risk(),
            platform: document.platform.as_deref(),
            environment: hosting.and_then(|hosting| hosting.environment.as_deref()),
            version: digest.as_deref(),
            tools: &document.tools,
        })
    }

    pub(crate) fn uid(&self) -> &EntityUid {
        &self.0.uid
    }

    pub(crate) fn entity(&self) -> &Entity {
        &self.0.entity
    }

    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    pub(crate) fn status(&self) -> &str {
        &self.0.status
    }
}

/// The grants of a document, split into what policies test for.
#[derive(Default)]
struct Grants {
    callable: Vec<EntityUid>,
    callable_servers: Vec<EntityUid>,
    listable: Vec<EntityUid>,
    listable_servers: Vec<EntityUid>,
}

impl Grants {
    fn of(tools: &[ToolGrant]) -> Self {
        let mut grants = Self::default();
        for grant in tools {
            let callable = grant.permissions.contains(&ToolPermission::Call);
            let listable = callable || grant.permissions.contains(&ToolPermission::List);
            let (what, call, list) = if grant.tool == "*" {
                let server = schema::uid(&schema::SERVER, &grant.server);
                (
                    server,
                    &mut grants.callable_servers,
                    &mut grants.listable_servers,
                )
            } else {
                let tool = schema::tool_uid(&grant.server, &grant.tool);
                (tool, &mut grants.callable, &mut grants.listable)
            };
            if callable {
                call.push(what.clone());
            }
            if listable {
                list.push(what);
            }
        }
        grants
    }
}

fn set(uids: Vec<EntityUid>) -> RestrictedExpression {
    RestrictedExpression::new_set(uids.into_iter().map(RestrictedExpression::new_entity_uid))
}

fn autonomy_name(level: AutonomyLevel) -> &'static str {
    match level {
        AutonomyLevel::Assisted => "assisted",
        AutonomyLevel::Supervised => "supervised",
        AutonomyLevel::Autonomous => "autonomous",
    }
}

fn risk_name(risk: Risk) -> &'static str {
    match risk {
        Risk::Low => "low",
        Risk::Medium => "medium",
        Risk::High => "high",
        Risk::Critical => "critical",
    }
}
