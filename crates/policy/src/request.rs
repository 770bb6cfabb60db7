//! From a question to what the engine evaluates: a request, the few entities it is about, and the
//! key of the policies that it meets.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::{PoisonError, RwLock};

use cedar_policy::entities_errors::EntitiesError;
use cedar_policy::{Context, Entities, Entity, EntityUid, Request, RestrictedExpression};
use chancery_model::action::Action;
use chancery_model::decision::ReasonCode;
use chancery_model::document::DateTime;
use chancery_model::time::Timestamp;
use serde_json::{Map, Value};

use crate::agent::AgentEntity;
use crate::compile::Snapshot;
use crate::index::{Place, SliceKey};
use crate::question::{AdminFacts, CallContext, Question, Target, TargetFacts};
use crate::schema;
use crate::shape::{Fields, has_reserved_key};

/// A question as the engine takes it.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) key: SliceKey,
    pub(crate) request: Request,
    pub(crate) entities: Entities,
}

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

/// An action with the groups that it is in.
#[derive(Debug)]
pub(crate) struct Act {
    pub(crate) uid: EntityUid,
    pub(crate) ancestors: Vec<EntityUid>,
    pub(crate) entity: Entity,
}

impl Act {
    pub(crate) fn place(&self) -> Place<'_> {
        Place {
            uid: &self.uid,
            ancestors: &self.ancestors,
        }
    }
}

/// The last moment that was asked about, in whole seconds: the engine takes longer to make one than
/// to make all the rest of a request, and most requests of a second share it.
#[derive(Debug, Default)]
pub(crate) struct LastMoment(RwLock<Option<(i64, RestrictedExpression)>>);

impl LastMoment {
    fn at(&self, now: Timestamp) -> Result<RestrictedExpression, Refusal> {
        let second = now.as_secs();
        // A panic while the lock was held cannot leave half a value.
        let last = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match last.as_ref() {
            Some((known, moment)) if *known == second => return Ok(moment.clone()),
            Some(_) | None => drop(last),
        }
        let mut text = String::with_capacity(20);
        write!(text, "{}", DateTime(Timestamp::from_secs(second))).map_err(|_| inexpressible())?;
        let moment = RestrictedExpression::new_datetime(text);
        let mut last = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *last = Some((second, moment.clone()));
        Ok(moment)
    }
}

/// A tool with all that its calls have in common.
#[derive(Debug)]
pub(crate) struct Tool {
    args: Fields,
    call: Act,
    uid: EntityUid,
    server: [EntityUid; 1],
    entity: Entity,
    /// The tool and the action of calling it.
    entities: Entities,
}

impl Tool {
    pub(crate) fn new(
        server: &str,
        name: &str,
        args: Fields,
        call: Act,
    ) -> Result<Self, Box<EntitiesError>> {
        let uid = schema::tool_uid(server, name);
        let server = schema::uid(&schema::SERVER, server);
        let attributes = HashMap::from([
            (
                "name".to_owned(),
                RestrictedExpression::new_string(name.to_owned()),
            ),
            (
                "server".to_owned(),
                RestrictedExpression::new_entity_uid(server.clone()),
            ),
        ]);
        // Evaluating an attribute can only fail in a call of an extension function, and there is none.
        let entity = Entity::new(uid.clone(), attributes, HashSet::from([server.clone()]))
            .expect("a text and a reference always evaluate");
        let entities = Entities::from_entities([entity.clone(), call.entity.clone()], None)?;
        Ok(Self {
            args,
            call,
            uid,
            server: [server],
            entity,
            entities,
        })
    }

    fn place(&self) -> Place<'_> {
        Place {
            uid: &self.uid,
            ancestors: &self.server,
        }
    }
}

impl Snapshot {
    /// Expresses the question, or says why it is denied as it stands.
    pub(crate) fn ask(&self, question: &Question<'_>) -> Result<Asked, Refusal> {
        match *question {
            Question::ToolCall {
                agent,
                server,
                tool,
                args,
                context,
            } => self.ask_call(agent, self.tool(server, tool)?, args, context),
            Question::ListTool {
                agent,
                server,
                tool,
            } => {
                let tool = self.tool(server, tool)?;
                let entities = [
                    agent.entity().clone(),
                    tool.entity.clone(),
                    self.list_tool.entity.clone(),
                ];
                self.asked(
                    alone(agent.uid()),
                    &self.list_tool,
                    tool.place(),
                    Vec::new(),
                    store(entities)?,
                )
            }
            Question::IssueToken {
                agent,
                resource,
                scopes,
            } => {
                let scopes = scopes.iter().map(|scope| text(scope));
                let context = vec![("scopes".to_owned(), RestrictedExpression::new_set(scopes))];
                let resource = schema::uid(&schema::RESOURCE, resource);
                let entities = [agent.entity().clone(), self.issue_token.entity.clone()];
                self.asked(
                    alone(agent.uid()),
                    &self.issue_token,
                    alone(&resource),
                    context,
                    store(entities)?,
                )
            }
            Question::Administer {
                actor,
                action,
                target,
            } => self.ask_administration(actor, action, &target),
            Question::External {
                subject,
                action,
                resource,
                context,
            } => self
                .external
                .ask(self.rules.index(), &subject, &action, &resource, context),
        }
    }

    fn tool(&self, server: &str, tool: &str) -> Result<&Tool, Refusal> {
        let tools = self.tools.get(server);
        let known = tools.and_then(|tools| tools.get(tool));
        known.ok_or_else(|| Refusal::unknown("the tool is not known to the policies"))
    }

    fn ask_call(
        &self,
        agent: &AgentEntity,
        tool: &Tool,
        args: &Map<String, Value>,
        context: &CallContext,
    ) -> Result<Asked, Refusal> {
        if has_reserved_key(args) {
            return Err(Refusal::invalid("the arguments use a reserved key"));
        }
        let (args, untyped) = tool
            .args
            .express(args)
            .map_err(|misfit| Refusal::invalid(misfit.sentence("argument")))?;
        let args = RestrictedExpression::new_record(args).map_err(|_| inexpressible())?;
        let untyped = untyped.into_iter().map(RestrictedExpression::new_string);
        let context = vec![
            ("now".to_owned(), self.moment.at(context.now)?),
            (
                "sender_constrained".to_owned(),
                RestrictedExpression::new_bool(context.sender_constrained),
            ),
            (
                "second_person".to_owned(),
                RestrictedExpression::new_bool(context.second_person),
            ),
            ("untyped".to_owned(), RestrictedExpression::new_set(untyped)),
            ("args".to_owned(), args),
        ];
        let entities = tool
            .entities
            .clone()
            .add_entities([agent.entity().clone()], None);
        self.asked(
            alone(agent.uid()),
            &tool.call,
            tool.place(),
            context,
            entities.map_err(|_| inexpressible())?,
        )
    }

    fn ask_administration(
        &self,
        actor: &AdminFacts<'_>,
        action: Action,
        target: &TargetFacts<'_>,
    ) -> Result<Asked, Refusal> {
        let act = self.administration.get(&action);
        let act = act.ok_or_else(|| Refusal::unknown("the act is not known to the policies"))?;
        let (principal, resource) = (actor_entity(actor)?, target_entity(&target.target));
        let (actor, thing) = (principal.uid(), resource.uid());
        let kind = thing.type_name().basename().to_owned();
        if kind != "Authority" && schema::subject_of(action) != Some(kind.as_str()) {
            let reason = format!("`{action}` is not about this kind of thing");
            return Err(Refusal::invalid(reason));
        }
        let context = vec![
            ("now".to_owned(), self.moment.at(target.now)?),
            (
                "widens".to_owned(),
                RestrictedExpression::new_bool(target.widens),
            ),
            (
                "second_person".to_owned(),
                RestrictedExpression::new_bool(target.second_person),
            ),
        ];
        let entities = store([principal, resource, act.entity.clone()])?;
        self.asked(alone(&actor), act, alone(&thing), context, entities)
    }

    fn asked(
        &self,
        principal: Place<'_>,
        act: &Act,
        resource: Place<'_>,
        context: Vec<(String, RestrictedExpression)>,
        entities: Entities,
    ) -> Result<Asked, Refusal> {
        let context = Context::from_pairs(context).map_err(|_| inexpressible())?;
        // What was built here fits the schema by construction, so it is not checked once more; the
        // tests do.
        let request = Request::new(
            principal.uid.clone(),
            act.uid.clone(),
            resource.uid.clone(),
            context,
            None,
        );
        Ok(Asked {
            key: self.rules.index().key(principal, act.place(), resource),
            request: request.map_err(|_| inexpressible())?,
            entities,
        })
    }
}

fn actor_entity(actor: &AdminFacts<'_>) -> Result<Entity, Refusal> {
    match *actor {
        AdminFacts::LocalAdministrator => Ok(Entity::with_uid(schema::uid(
            &schema::LOCAL_ADMINISTRATOR,
            "local",
        ))),
        AdminFacts::Human { id, handle, roles } => {
            let roles = roles.iter().map(|role| text(role));
            let attributes = HashMap::from([
                ("handle".to_owned(), text(handle)),
                ("roles".to_owned(), RestrictedExpression::new_set(roles)),
            ]);
            Entity::new(schema::uid(&schema::HUMAN, id), attributes, HashSet::new())
                .map_err(|_| inexpressible())
        }
        AdminFacts::Agent(agent) => Ok(agent.entity().clone()),
    }
}

fn target_entity(target: &Target<'_>) -> Entity {
    let (kind, id) = match *target {
        Target::Agent(agent) => return agent.entity().clone(),
        Target::Authority => (&schema::AUTHORITY, "authority"),
        Target::Owner(id) => (&schema::OWNER, id),
        Target::Resource(id) => (&schema::RESOURCE, id),
        Target::Server(name) => (&schema::SERVER, name),
        Target::Policy(name) => (&schema::POLICY, name),
    };
    Entity::with_uid(schema::uid(kind, id))
}

/// An entity with nothing above it.
fn alone(uid: &EntityUid) -> Place<'_> {
    Place {
        uid,
        ancestors: &[],
    }
}

fn store(entities: impl IntoIterator<Item = Entity>) -> Result<Entities, Refusal> {
    Entities::from_entities(entities, None).map_err(|_| inexpressible())
}

fn text(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

pub(crate) fn inexpressible() -> Refusal {
    Refusal::invalid("the request cannot be expressed")
}
