//! What the decision point can be asked.

use chancery_model::action::Action;
use chancery_model::time::Timestamp;
use serde_json::{Map, Value};

use crate::agent::AgentEntity;

/// One question. Facts about the agent come from the registry, never from the agent.
#[derive(Debug, Clone, Copy)]
pub enum Question<'a> {
    /// May the agent call this tool with these arguments?
    ToolCall {
        /// Who calls.
        agent: &'a AgentEntity,
        /// The name of the MCP server.
        server: &'a str,
        /// The name of the tool on that server.
        tool: &'a str,
        /// The arguments of the call, as they will be forwarded.
        args: &'a Map<String, Value>,
        /// What enforcement knows about the call.
        context: &'a CallContext<'a>,
    },
    /// May the agent see this tool in lists?
    ListTool {
        /// Who looks.
        agent: &'a AgentEntity,
        /// The name of the MCP server.
        server: &'a str,
        /// The name of the tool on that server.
        tool: &'a str,
    },
    /// May this actor do this to the authority itself?
    Administer {
        /// Who acts.
        actor: &'a AdminFacts<'a>,
        /// The act.
        action: Action,
        /// What is acted on.
        target: TargetFacts<'a>,
    },
    /// May the agent have a token for this resource with these scopes?
    IssueToken {
        /// Who would hold the token.
        agent: &'a AgentEntity,
        /// The identifier of a registered resource.
        resource: &'a str,
        /// The scopes of the token.
        scopes: &'a [&'a str],
        /// On whose behalf the agent would act with it; `None` when for itself.
        subject: Option<&'a PersonFacts>,
    },
    /// A question in an organisation's own types (AuthZEN).
    External {
        /// Who would act.
        subject: EntityRef<'a>,
        /// The act.
        action: ExternalAction<'a>,
        /// What would be acted on.
        resource: EntityRef<'a>,
        /// Circumstances that the asker vouches for.
        context: &'a Map<String, Value>,
    },
}

/// What enforcement knows about a call, beside who makes it and what it says.
#[derive(Debug, Clone, Copy)]
pub struct CallContext<'a> {
    /// The present moment.
    pub now: Timestamp,
    /// Whether the token is bound to a key that the caller proved to hold.
    pub sender_constrained: bool,
    /// Whether a person other than the one behind the call approved exactly this call.
    pub second_person: bool,
    /// On whose behalf the agent acts; `None` when for itself.
    pub subject: Option<&'a PersonFacts>,
}

/// A person on whose behalf an agent acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonFacts {
    /// The identifier of the owner record.
    pub id: String,
    /// How documents name this person.
    pub handle: String,
    /// The handles of the teams that this person is in.
    pub teams: Vec<String>,
}

/// Who acts on the authority.
#[derive(Debug, Clone, Copy)]
pub enum AdminFacts<'a> {
    /// Whoever holds the data directory.
    LocalAdministrator,
    /// A person who logged in.
    Human {
        /// The identifier of the owner record.
        id: &'a str,
        /// How documents name this person.
        handle: &'a str,
        /// The roles that were given to this person.
        roles: &'a [&'a str],
    },
    /// An agent with its own credentials.
    Agent(&'a AgentEntity),
}

/// What an administrative act is about, and the facts that the act turns on.
#[derive(Debug, Clone, Copy)]
pub struct TargetFacts<'a> {
    /// What is acted on.
    pub target: Target<'a>,
    /// Whether a version of an agent would do, reach or be more than the one in force.
    pub widens: bool,
    /// Whether the actor is a person other than the one who proposed the change.
    pub second_person: bool,
    /// The present moment.
    pub now: Timestamp,
}

/// Something that administrative acts are about.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// The authority as a whole: its keys, its record, its lists.
    Authority,
    /// An agent.
    Agent(&'a AgentEntity),
    /// A person or a team, by identifier.
    Owner(&'a str),
    /// A resource server, by identifier.
    Resource(&'a str),
    /// An MCP server, by name.
    Server(&'a str),
    /// A policy, by name.
    Policy(&'a str),
}

/// An entity as an asker outside describes it.
#[derive(Debug, Clone, Copy)]
pub struct EntityRef<'a> {
    /// A type of the organisation's schema; never one of ours.
    pub kind: &'a str,
    /// The identifier within the type.
    pub id: &'a str,
    /// The attributes; members that the schema does not know are ignored.
    pub properties: &'a Map<String, Value>,
}

/// An act as an asker outside describes it.
#[derive(Debug, Clone, Copy)]
pub struct ExternalAction<'a> {
    /// The name of an action in the organisation's schema.
    pub name: &'a str,
    /// What policies see as `context.action`.
    pub properties: &'a Map<String, Value>,
}
