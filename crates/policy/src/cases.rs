//! Test cases for policies: questions with the decisions that their author expects.
//!
//! A file of cases is JSON: the tools that the questions are about, then the cases, each with a
//! name, a question and what is expected. The shipped policies have theirs; an organisation writes
//! its own in the same form.

use chancery_model::action::{ALL, Action};
use chancery_model::decision::{Decision, Effect, ReasonCode};
use chancery_model::document::{AutonomyLevel, DateTime, Risk, ToolGrant};
use chancery_model::id::DecisionId;
use chancery_model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::agent::{AgentEntity, AgentFacts};
use crate::compile::{Snapshot, ToolDefinition};
use crate::question::{
    AdminFacts, CallContext, EntityRef, ExternalAction, PersonFacts, Question, Target, TargetFacts,
};

/// A file of cases, parsed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cases {
    #[serde(default)]
    tools: Vec<CaseTool>,
    cases: Vec<Case>,
}

/// The text is not a file of cases.
#[derive(Debug, thiserror::Error)]
#[error("not a file of policy cases")]
pub struct InvalidCases(#[from] serde_json::Error);

/// What came of all cases of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CaseReport {
    /// The cases in the order of the file.
    pub cases: Vec<CaseOutcome>,
}

/// What came of one case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CaseOutcome {
    /// The name of the case.
    pub name: String,
    /// How the decision differs from what was expected; `None` when it does not.
    pub failure: Option<String>,
    /// Why the decision came out as it did.
    pub reason: String,
}

impl CaseReport {
    /// The cases that did not come out as expected.
    pub fn failures(&self) -> impl Iterator<Item = &CaseOutcome> {
        self.cases.iter().filter(|case| case.failure.is_some())
    }
}

impl Cases {
    /// Parses a file of cases.
    pub fn parse(json: &Value) -> Result<Self, InvalidCases> {
        Ok(Self::deserialize(json)?)
    }

    /// The tools that the questions are about, for compiling the snapshot to ask.
    pub fn tools(&self) -> Vec<ToolDefinition<'_>> {
        let tools = self.tools.iter().map(|tool| ToolDefinition {
            server: &tool.server,
            tool: &tool.tool,
            input_schema: &tool.input_schema,
        });
        tools.collect()
    }

    /// Asks every question and compares.
    pub fn run(&self, snapshot: &Snapshot) -> CaseReport {
        let cases = self.cases.iter().map(|case| {
            let decision = case.question.ask(snapshot);
            CaseOutcome {
                name: case.name.clone(),
                failure: case.expect.difference(&decision),
                reason: decision.reason,
            }
        });
        CaseReport {
            cases: cases.collect(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseTool {
    server: String,
    tool: String,
    input_schema: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    question: CaseQuestion,
    expect: Expected,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    effect: Effect,
    /// The policies that must have determined it, in any order; any when absent.
    policies: Option<Vec<String>>,
    code: Option<ReasonCode>,
}

impl Expected {
    fn difference(&self, decision: &Decision) -> Option<String> {
        if decision.effect != self.effect {
            return Some(format!("expected {}, got {}", self.effect, decision.effect));
        }
        if let Some(expected) = &self.policies {
            let mut expected = expected.clone();
            expected.sort();
            if expected != decision.policies {
                return Some(format!(
                    "expected it from [{}], got it from [{}]",
                    expected.join(", "),
                    decision.policies.join(", ")
                ));
            }
        }
        match self.code {
            Some(code) if code != decision.code => {
                Some(format!("expected {code}, got {}", decision.code))
            }
            Some(_) | None => None,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum CaseQuestion {
    Call {
        agent: CaseAgent,
        server: String,
        tool: String,
        #[serde(default)]
        args: Map<String, Value>,
        #[serde(default)]
        context: CaseContext,
    },
    List {
        agent: CaseAgent,
        server: String,
        tool: String,
    },
    IssueToken {
        agent: CaseAgent,
        resource: String,
        #[serde(default)]
        scopes: Vec<String>,
        on_behalf_of: Option<CasePerson>,
    },
    Administer {
        actor: CaseActor,
        action: String,
        #[serde(default)]
        target: CaseTarget,
        #[serde(default)]
        context: CaseContext,
    },
    Evaluation {
        subject: CaseEntity,
        action: CaseAction,
        resource: CaseEntity,
        #[serde(default)]
        context: Map<String, Value>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseAgent {
    name: String,
    id: Option<String>,
    #[serde(default = "case_owner")]
    owner: String,
    team: Option<String>,
    #[serde(default = "active")]
    status: String,
    #[serde(default)]
    autonomy: AutonomyLevel,
    risk: Option<Risk>,
    platform: Option<String>,
    environment: Option<String>,
    #[serde(default)]
    tools: Vec<ToolGrant>,
}

fn active() -> String {
    "active".to_owned()
}

fn case_owner() -> String {
    "owner@example.com".to_owned()
}

impl CaseAgent {
    fn entity(&self) -> AgentEntity {
        AgentEntity::new(&AgentFacts {
            id: self.id.as_deref().unwrap_or(&self.name),
            name: &self.name,
            owner: &self.owner,
            team: self.team.as_deref(),
            status: &self.status,
            autonomy: self.autonomy,
            highest_risk: self.risk,
            platform: self.platform.as_deref(),
            environment: self.environment.as_deref(),
            version: None,
            tools: &self.tools,
        })
    }
}

/// The facts of a call and of an administrative act; each question uses those it has.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CaseContext {
    now: DateTime,
    sender_constrained: bool,
    second_person: bool,
    widens: bool,
    on_behalf_of: Option<CasePerson>,
}

/// The person on whose behalf an agent acts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CasePerson {
    handle: String,
    id: Option<String>,
    #[serde(default)]
    teams: Vec<String>,
}

impl CasePerson {
    fn facts(&self) -> PersonFacts {
        PersonFacts {
            id: self.id.as_ref().unwrap_or(&self.handle).clone(),
            handle: self.handle.clone(),
            teams: self.teams.clone(),
        }
    }
}

impl Default for CaseContext {
    fn default() -> Self {
        Self {
            // 2027-01-01T00:00:00Z
            now: DateTime(Timestamp::from_secs(1_798_761_600)),
            sender_constrained: true,
            second_person: false,
            widens: false,
            on_behalf_of: None,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum CaseActor {
    LocalAdministrator,
    Human { handle: String, roles: Vec<String> },
    Agent(CaseAgent),
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum CaseTarget {
    #[default]
    Authority,
    Agent(CaseAgent),
    Owner(String),
    Resource(String),
    Server(String),
    Policy(String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseEntity {
    #[serde(rename = "type")]
    kind: String,
    id: String,
    #[serde(default)]
    properties: Map<String, Value>,
}

impl CaseEntity {
    fn entity(&self) -> EntityRef<'_> {
        EntityRef {
            kind: &self.kind,
            id: &self.id,
            properties: &self.properties,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseAction {
    name: String,
    #[serde(default)]
    properties: Map<String, Value>,
}

impl CaseQuestion {
    fn ask(&self, snapshot: &Snapshot) -> Decision {
        // Nothing is recorded, so every case can have the same name.
        let id = NO_ID
            .parse::<DecisionId>()
            .expect("a constant of the right form");
        match self {
            Self::Call {
                agent,
                server,
                tool,
                args,
                context,
            } => {
                let subject = context.on_behalf_of.as_ref().map(CasePerson::facts);
                let context = CallContext {
                    now: context.now.0,
                    sender_constrained: context.sender_constrained,
                    second_person: context.second_person,
                    subject: subject.as_ref(),
                };
                let question = Question::ToolCall {
                    agent: &agent.entity(),
                    server,
                    tool,
                    args,
                    context: &context,
                };
                snapshot.decide(id, &question)
            }
            Self::List {
                agent,
                server,
                tool,
            } => {
                let question = Question::ListTool {
                    agent: &agent.entity(),
                    server,
                    tool,
                };
                snapshot.decide(id, &question)
            }
            Self::IssueToken {
                agent,
                resource,
                scopes,
                on_behalf_of,
            } => {
                let subject = on_behalf_of.as_ref().map(CasePerson::facts);
                let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
                let question = Question::IssueToken {
                    agent: &agent.entity(),
                    resource,
                    scopes: &scopes,
                    subject: subject.as_ref(),
                };
                snapshot.decide(id, &question)
            }
            Self::Administer {
                actor,
                action,
                target,
                context,
            } => administer(snapshot, id, actor, action, target, context),
            Self::Evaluation {
                subject,
                action,
                resource,
                context,
            } => {
                let question = Question::External {
                    subject: subject.entity(),
                    action: ExternalAction {
                        name: &action.name,
                        properties: &action.properties,
                    },
                    resource: resource.entity(),
                    context,
                };
                snapshot.decide(id, &question)
            }
        }
    }
}

const NO_ID: &str = "dec_00000000000000000000000000";

fn administer(
    snapshot: &Snapshot,
    id: DecisionId,
    actor: &CaseActor,
    action: &str,
    target: &CaseTarget,
    context: &CaseContext,
) -> Decision {
    let Some(action) = action_named(action) else {
        return Decision {
            id,
            effect: Effect::Deny,
            snapshot: snapshot.number(),
            policies: Vec::new(),
            code: ReasonCode::UnknownAction,
            reason: "there is no such act".to_owned(),
        };
    };
    let (agent, roles): (AgentEntity, Vec<&str>);
    let actor = match actor {
        CaseActor::LocalAdministrator => AdminFacts::LocalAdministrator,
        CaseActor::Human {
            handle,
            roles: given,
        } => {
            roles = given.iter().map(String::as_str).collect();
            AdminFacts::Human {
                id: handle,
                handle,
                roles: &roles,
            }
        }
        CaseActor::Agent(facts) => {
            agent = facts.entity();
            AdminFacts::Agent(&agent)
        }
    };
    let subject: AgentEntity;
    let target = match target {
        CaseTarget::Authority => Target::Authority,
        CaseTarget::Agent(facts) => {
            subject = facts.entity();
            Target::Agent(&subject)
        }
        CaseTarget::Owner(id) => Target::Owner(id),
        CaseTarget::Resource(id) => Target::Resource(id),
        CaseTarget::Server(name) => Target::Server(name),
        CaseTarget::Policy(name) => Target::Policy(name),
    };
    let question = Question::Administer {
        actor: &actor,
        action,
        target: TargetFacts {
            target,
            widens: context.widens,
            second_person: context.second_person,
            now: context.now.0,
        },
    };
    snapshot.decide(id, &question)
}

fn action_named(name: &str) -> Option<Action> {
    ALL.into_iter().find(|action| action.name() == name)
}
