//! An agent as policies see it, prepared once per change of the registry.

use std::borrow::Cow;
use std::sync::Arc;

use chancery_model::agent::Agent;
use chancery_model::document::{AutonomyLevel, Document, Risk, ToolGrant, ToolPermission};

use crate::schema;
use crate::thing::Thing;
use crate::value::{Record, Set, Uid, Value};

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
    thing: Thing<'static>,
    name: String,
    status: String,
}

impl AgentEntity {
    /// Prepares what the registry knows.
    pub fn new(facts: &AgentFacts<'_>) -> Self {
        let text = |text: &str| Value::owned(text);
        let grants = Grants::of(facts.tools);
        let required = [
            ("name", text(facts.name)),
            ("owner", text(facts.owner)),
            ("status", text(facts.status)),
            ("autonomy", text(autonomy_name(facts.autonomy))),
            ("callable", set(grants.callable)),
            ("callable_servers", set(grants.callable_servers)),
            ("listable", set(grants.listable)),
            ("listable_servers", set(grants.listable_servers)),
        ];
        let optional = [
            ("team", facts.team),
            ("risk", facts.highest_risk.map(risk_name)),
            ("platform", facts.platform),
            ("environment", facts.environment),
            ("version", facts.version),
        ];
        let given = optional
            .into_iter()
            .filter_map(|(name, value)| Some((name, text(value?))));
        let attributes = required.into_iter().chain(given);
        let attributes = attributes.map(|(name, value)| (Cow::Borrowed(name), value));
        let uid = Uid::new(&schema::AGENT, facts.id.to_owned());
        let thing = Thing::new(uid, Record::new(attributes.collect()), Vec::new());
        Self(Arc::new(Prepared {
            thing,
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

    pub(crate) fn thing(&self) -> &Thing<'static> {
        &self.0.thing
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
    callable: Vec<Uid<'static>>,
    callable_servers: Vec<Uid<'static>>,
    listable: Vec<Uid<'static>>,
    listable_servers: Vec<Uid<'static>>,
}

impl Grants {
    fn of(tools: &[ToolGrant]) -> Self {
        let mut grants = Self::default();
        for grant in tools {
            let callable = grant.is_of_calls();
            let listable = callable || grant.permissions.contains(&ToolPermission::List);
            let (what, call, list) = if grant.tool == "*" {
                let server = Uid::new(&schema::SERVER, grant.server.clone());
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

fn set(uids: Vec<Uid<'static>>) -> Value<'static> {
    Value::Set(Set::new(uids.into_iter().map(Value::Entity).collect()))
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
