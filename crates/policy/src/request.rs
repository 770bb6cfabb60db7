//! From a question to a situation: who, what act, which thing, and the circumstances as typed values.

use std::borrow::Cow;
use std::sync::OnceLock;

use cedar_policy::Entities;
use chancery_model::action::Action;
use chancery_model::decision::ReasonCode;
use chancery_model::time::Timestamp;
use serde_json::{Map, Value as Json};

use crate::agent::AgentEntity;
use crate::compile::Snapshot;
use crate::index::{Cells, Index};
use crate::question::{AdminFacts, CallContext, PersonFacts, Question, Target, TargetFacts};
use crate::schema;
use crate::shape::{Fields, has_reserved_key};
use crate::situation::{Act, Asked, Met, Situation};
use crate::thing::{Held, Thing};
use crate::value::{Record, Set, Uid, Value};

/// The seconds that the engine can write as a moment; a clock beyond them is not believed.
const MOMENTS: std::ops::RangeInclusive<i64> = 0..=253_402_207_200;

/// A question that is denied before any policy is asked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: ReasonCode,
    pub(crate) reason: String,
}

impl Refusal {
    pub(crate) fn invalid(reason: impl Into<String>) -> Self {
        Self {
            code: ReasonCode::RequestInvalid,
            reason: reason.into(),
        }
    }

    pub(crate) fn unknown(reason: impl Into<String>) -> Self {
        Self {
            code: ReasonCode::UnknownAction,
            reason: reason.into(),
        }
    }
}

/// A question that can be decided.
pub(crate) enum Posed<'a> {
    /// In our own types.
    Ours(Situation<'a>),
    /// In an organisation's types, which the engine checks.
    Theirs(Asked),
}

/// A tool with all that questions about it have in common.
#[derive(Debug)]
pub(crate) struct Tool {
    args: Fields,
    call: Box<Act>,
    thing: Thing<'static>,
    /// Where the policies on calling it are.
    calling: Cells,
    /// Where the policies on seeing it are.
    seeing: Cells,
    /// The tool and the act of calling it as the engine takes them.
    ready: OnceLock<Box<Entities>>,
}

impl Tool {
    pub(crate) fn new(
        (server, name): (&str, &str),
        args: Fields,
        call: Act,
        list: &Act,
        index: &Index,
    ) -> Self {
        let uid = schema::tool_uid(server, name);
        let server = Uid::new(&schema::SERVER, server.to_owned());
        let attributes = Record::new(vec![
            (Cow::Borrowed("name"), Value::owned(name)),
            (Cow::Borrowed("server"), Value::Entity(server.clone())),
        ]);
        let thing = Thing::new(uid, attributes, vec![server]);
        Self {
            args,
            calling: index.cells(call.place(), thing.place()),
            seeing: index.cells(list.place(), thing.place()),
            call: Box::new(call),
            ready: OnceLock::new(),
            thing,
        }
    }
}

impl Snapshot {
    /// Reads the question, or says why it is denied as it stands.
    pub(crate) fn pose<'a>(&'a self, question: &Question<'a>) -> Result<Posed<'a>, Refusal> {
        let situation = match *question {
            Question::ToolCall {
                agent,
                server,
                tool,
                args,
                context,
            } => pose_call(agent, self.tool(server, tool)?, args, context)?,
            Question::ListTool {
                agent,
                server,
                tool,
            } => {
                let tool = self.tool(server, tool)?;
                Situation {
                    principal: Held::Kept(agent.thing()),
                    act: &self.list_tool,
                    resource: Held::Kept(&tool.thing),
                    context: Record::default(),
                    cells: Met::Kept(&tool.seeing),
                    ready: None,
                }
            }
            Question::IssueToken {
                agent,
                resource,
                scopes,
                subject,
            } => {
                let resource = Thing::bare(Uid::new(&schema::RESOURCE, resource));
                let scopes = ("scopes", texts(scopes));
                let index = self.rules.index();
                Situation {
                    principal: Held::Kept(agent.thing()),
                    act: &self.issue_token,
                    cells: Met::Made(index.cells(self.issue_token.place(), resource.place())),
                    resource: Held::Made(resource),
                    context: acting(vec![scopes], subject),
                    ready: None,
                }
            }
            Question::Administer {
                actor,
                action,
                target,
            } => self.pose_administration(actor, action, &target)?,
            Question::External {
                subject,
                action,
                resource,
                context,
            } => {
                let index = self.rules.index();
                let asked = self
                    .external
                    .ask(index, &subject, &action, &resource, context)?;
                return Ok(Posed::Theirs(asked));
            }
        };
        Ok(Posed::Ours(situation))
    }

    /// Expresses the question for the engine, or says why it is denied as it stands.
    pub(crate) fn ask(&self, question: &Question<'_>) -> Result<Asked, Refusal> {
        match self.pose(question)? {
            Posed::Ours(situation) => self.express(&situation),
            Posed::Theirs(asked) => Ok(asked),
        }
    }

    /// Expresses the situation for the engine.
    pub(crate) fn express(&self, situation: &Situation<'_>) -> Result<Asked, Refusal> {
        let asked = situation.express(self.rules.index(), &self.moment);
        asked.ok_or_else(inexpressible)
    }

    fn tool(&self, server: &str, tool: &str) -> Result<&Tool, Refusal> {
        let tools = self.tools.get(server);
        let known = tools.and_then(|tools| tools.get(tool));
        known.ok_or_else(|| Refusal::unknown("the tool is not known to the policies"))
    }

    fn pose_administration<'a>(
        &'a self,
        actor: &AdminFacts<'a>,
        action: Action,
        target: &TargetFacts<'a>,
    ) -> Result<Situation<'a>, Refusal> {
        let act = self.administration.get(&action);
        let act = act.ok_or_else(|| Refusal::unknown("the act is not known to the policies"))?;
        let (principal, resource) = (who(actor), what(&target.target));
        let kind = resource.thing().uid.kind().express().basename();
        if kind != "Authority" && schema::subject_of(action) != Some(kind) {
            let reason = format!("`{action}` is not about this kind of thing");
            return Err(Refusal::invalid(reason));
        }
        let (actor, thing) = (principal.thing(), resource.thing());
        if actor.uid == thing.uid && actor.attributes != thing.attributes {
            // Conditions could not tell which of the two descriptions they read.
            return Err(inexpressible());
        }
        let context = record([
            ("now", moment(target.now)?),
            ("second_person", Value::Flag(target.second_person)),
            ("widens", Value::Flag(target.widens)),
        ]);
        let index = self.rules.index();
        let cells = index.cells(act.place(), resource.thing().place());
        Ok(Situation {
            principal,
            act,
            resource,
            context,
            cells: Met::Made(cells),
            ready: None,
        })
    }
}

fn pose_call<'a>(
    agent: &'a AgentEntity,
    tool: &'a Tool,
    args: &'a Map<String, Json>,
    context: &CallContext<'a>,
) -> Result<Situation<'a>, Refusal> {
    if has_reserved_key(args) {
        return Err(Refusal::invalid("the arguments use a reserved key"));
    }
    let (args, untyped) = tool
        .args
        .read(args)
        .map_err(|misfit| Refusal::invalid(misfit.sentence("argument")))?;
    let untyped = untyped.into_iter().map(Value::owned);
    let members = vec![
        ("args", Value::Record(args)),
        ("now", moment(context.now)?),
        ("second_person", Value::Flag(context.second_person)),
        (
            "sender_constrained",
            Value::Flag(context.sender_constrained),
        ),
        ("untyped", Value::Set(Set::new(untyped.collect()))),
    ];
    let context = acting(members, context.subject);
    Ok(Situation {
        principal: Held::Kept(agent.thing()),
        act: &tool.call,
        resource: Held::Kept(&tool.thing),
        context,
        cells: Met::Kept(&tool.calling),
        ready: Some(&tool.ready),
    })
}

/// The circumstances of an agent's act, with the person on whose behalf it is, if it is.
///
/// The person is a record and no entity, so that a condition reads it where it stands.
fn acting<'a>(
    mut members: Vec<(&'static str, Value<'a>)>,
    subject: Option<&'a PersonFacts>,
) -> Record<'a> {
    members.push(("on_behalf", Value::Flag(subject.is_some())));
    if let Some(PersonFacts { id, handle, teams }) = subject {
        let teams = teams.iter().map(|team| Value::text(team));
        let person = record([
            ("handle", Value::text(handle)),
            ("id", Value::text(id)),
            ("teams", Value::Set(Set::new(teams.collect()))),
        ]);
        members.push(("subject", Value::Record(person)));
    }
    let members = members.into_iter();
    Record::new(
        members
            .map(|(name, value)| (Cow::Borrowed(name), value))
            .collect(),
    )
}

fn who<'a>(actor: &AdminFacts<'a>) -> Held<'a> {
    match *actor {
        AdminFacts::LocalAdministrator => {
            Held::Made(Thing::bare(Uid::new(&schema::LOCAL_ADMINISTRATOR, "local")))
        }
        AdminFacts::Human { id, handle, roles } => {
            let attributes = record([("handle", Value::text(handle)), ("roles", texts(roles))]);
            let uid = Uid::new(&schema::HUMAN, id);
            Held::Made(Thing::new(uid, attributes, Vec::new()))
        }
        AdminFacts::Agent(agent) => Held::Kept(agent.thing()),
    }
}

fn what<'a>(target: &Target<'a>) -> Held<'a> {
    let (kind, id) = match *target {
        Target::Agent(agent) => return Held::Kept(agent.thing()),
        Target::Authority => (&schema::AUTHORITY, "authority"),
        Target::Owner(id) => (&schema::OWNER, id),
        Target::Resource(id) => (&schema::RESOURCE, id),
        Target::Server(name) => (&schema::SERVER, name),
        Target::Policy(name) => (&schema::POLICY, name),
    };
    Held::Made(Thing::bare(Uid::new(kind, id)))
}

/// A record of members with distinct names.
fn record<'a, const N: usize>(members: [(&'static str, Value<'a>); N]) -> Record<'a> {
    let members = members.map(|(name, value)| (Cow::Borrowed(name), value));
    Record::new(members.into())
}

fn texts<'a>(texts: &[&'a str]) -> Value<'a> {
    let texts = texts.iter().map(|text| Value::text(text));
    Value::Set(Set::new(texts.collect()))
}

fn moment(now: Timestamp) -> Result<Value<'static>, Refusal> {
    let second = now.as_secs();
    if MOMENTS.contains(&second) {
        Ok(Value::Moment(second * 1_000))
    } else {
        Err(inexpressible())
    }
}

pub(crate) fn inexpressible() -> Refusal {
    Refusal::invalid("the request cannot be expressed")
}
