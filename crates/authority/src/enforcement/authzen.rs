//! AuthZEN 1.0: answers enforcement points that are not ours. A denial is an answer, not an error.
//!
//! About a registered agent only the registry is believed: what the asker says of it is not looked at (POL-09).

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use chancery_gateway::snapshot::{KnownAgent, Snapshot};
use chancery_model::action::Action;
use chancery_model::decision::{Decision, Effect, ReasonCode};
use chancery_model::event::{Actor, ActorKind, CallFacts, DecisionFacts, Event, EventKind};
use chancery_model::id::{AgentId, DecisionId};
use chancery_model::time::Timestamp;
use chancery_policy::{CallContext, EntityRef, ExternalAction, Question, Target};
use chancery_wire::authzen::{self, Context, Evaluation, Evaluations, InvalidEvaluation};
use chancery_wire::json;
use futures_util::{StreamExt, stream};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract;
use crate::state::Authority;
use crate::tokens::{Endpoints, introspect};

/// `GET /.well-known/authzen-configuration`.
pub async fn configuration(State(authority): State<Arc<Authority>>) -> Json<authzen::Metadata> {
    Json(authzen::Metadata::of(&authority.config.issuer))
}

/// `POST /access/v1/evaluation`.
pub(crate) async fn evaluation(
    endpoints: &Endpoints,
    asker: Asker,
    head: &Parts,
    body: &[u8],
) -> Response {
    let answered = one(endpoints, asker, head, body).await;
    answer(&head.headers, answered.map(Json))
}

/// `POST /access/v1/evaluations`.
pub(crate) async fn evaluations(
    endpoints: &Endpoints,
    asker: Asker,
    head: &Parts,
    body: &[u8],
) -> Response {
    let answered = many(endpoints, asker, head, body).await;
    answer(&head.headers, answered.map(Json))
}

/// Why a question was decided as it was.
#[derive(Serialize)]
struct Why {
    reason: String,
    reason_code: ReasonCode,
    policies: Vec<String>,
    decision_id: DecisionId,
    snapshot: u64,
}

type Answer = authzen::Answer<Why>;

/// The answer of the second endpoint, which also takes a request of the first.
#[derive(Serialize)]
#[serde(untagged)]
enum Several {
    One(Answer),
    Many(authzen::Answers<Why>),
}

async fn one(
    endpoints: &Endpoints,
    asker: Asker,
    head: &Parts,
    body: &[u8],
) -> Result<Answer, Error> {
    let asker = asker.confirmed(endpoints, head)?;
    let request = parse(&head.headers, body)?;
    let question = authzen::parse_evaluation(&request).map_err(invalid)?;
    let snapshot = endpoints.authority.current.load_full();
    recorded(&endpoints.authority, &snapshot, &asker, &question).await
}

async fn many(
    endpoints: &Endpoints,
    asker: Asker,
    head: &Parts,
    body: &[u8],
) -> Result<Several, Error> {
    let authority = &*endpoints.authority;
    let asker = asker.confirmed(endpoints, head)?;
    let request = parse(&head.headers, body)?;
    // A stop between two items must not make one request answer in two ways.
    let snapshot = authority.current.load_full();
    let (semantic, items) = match authzen::parse_evaluations(&request).map_err(invalid)? {
        Evaluations::One(question) => {
            let answer = recorded(authority, &snapshot, &asker, &question).await?;
            return Ok(Several::One(answer));
        }
        Evaluations::Many { semantic, items } => (semantic, items),
    };
    let mut evaluations = Vec::with_capacity(items.len());
    let mut recording = Vec::with_capacity(items.len());
    for item in items {
        let answer = match item {
            Ok(question) => {
                let (answer, event) = decide(authority, &snapshot, &asker, &question);
                recording.push(authority.journal.append(event));
                answer
            }
            Err(error) => Answer::invalid(error),
        };
        let is_last = semantic.stops_after(answer.decision);
        evaluations.push(answer);
        if is_last {
            break;
        }
    }
    // None is told before all are recorded; together they wait for a few flushes, and leave room in the journal.
    let mut recording = stream::iter(recording).buffered(AT_A_TIME);
    while let Some(done) = recording.next().await {
        done?;
    }
    Ok(Several::Many(authzen::Answers { evaluations }))
}

fn invalid(error: InvalidEvaluation) -> Error {
    Error::Invalid(error.to_string())
}

fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Value, Error> {
    extract::require_json(headers)?;
    json::parse(body, json::BODY).map_err(|error| Error::Invalid(error.to_string()))
}

/// Who asks: a resource server with its token for the issuer, or a login that may read policies.
pub(crate) struct Asker {
    actor: Actor,
    now: Timestamp,
    /// The snapshot by which it was let in.
    number: u64,
}

impl Asker {
    /// Who sent this.
    pub(crate) fn authenticate(endpoints: &Endpoints, head: &Parts) -> Result<Self, Error> {
        let authority = &endpoints.authority;
        let now = authority.clock.now();
        let snapshot = authority.current.load();
        if snapshot.freshness.is_stale(now) {
            return Err(Error::Unavailable);
        }
        let actor = match introspect::by_token(endpoints, &snapshot, head, now) {
            Ok(known) => Actor {
                id: known.resource.id.to_string(),
                kind: ActorKind::Resource,
            },
            Err(_) => {
                let ctx = Ctx::authenticate(Arc::clone(authority), &head.headers)?;
                ctx.authorize(Action::PolicyRead, Target::Authority)?;
                ctx.caller.actor()
            }
        };
        Ok(Self {
            actor,
            now,
            number: snapshot.number,
        })
    }

    /// The same asker once the body has come, which may take a while: authenticated anew if anything changed meanwhile.
    fn confirmed(mut self, endpoints: &Endpoints, head: &Parts) -> Result<Self, Error> {
        let now = endpoints.authority.clock.now();
        let snapshot = endpoints.authority.current.load();
        let is_soon = now <= self.now.after(SOON);
        if self.number != snapshot.number || !is_soon || snapshot.freshness.is_stale(now) {
            return Self::authenticate(endpoints, head);
        }
        self.now = now;
        Ok(self)
    }
}

/// How many decisions of one request wait for the journal at a time.
const AT_A_TIME: usize = 32;
/// How long an asker counts as just authenticated: nothing that admits one ends by itself to a finer grain than seconds.
const SOON: Duration = Duration::from_millis(100);

/// Decides one question; the answer is there once it is recorded.
async fn recorded(
    authority: &Authority,
    snapshot: &Snapshot,
    asker: &Asker,
    question: &Evaluation<'_>,
) -> Result<Answer, Error> {
    let (answer, event) = decide(authority, snapshot, asker, question);
    authority.journal.append(event).await?;
    Ok(answer)
}

/// Decides, and says what is to be recorded before anybody is told.
fn decide(
    authority: &Authority,
    snapshot: &Snapshot,
    asker: &Asker,
    question: &Evaluation<'_>,
) -> (Answer, Event) {
    let known = (question.subject.kind == "agent")
        .then(|| find(snapshot, question))
        .flatten();
    let decision = judge(authority, snapshot, known, question, asker.now);
    let event = made(authority, known, asker, question, &decision);
    let answer = Answer {
        decision: decision.effect == Effect::Permit,
        context: Some(Context::Reason(Why {
            reason: decision.reason,
            reason_code: decision.code,
            policies: decision.policies,
            decision_id: decision.id,
            snapshot: decision.snapshot,
        })),
    };
    (answer, event)
}

fn judge(
    authority: &Authority,
    snapshot: &Snapshot,
    known: Option<&Arc<KnownAgent>>,
    question: &Evaluation<'_>,
    now: Timestamp,
) -> Decision {
    let id = authority.decision_id(now);
    let tool = question.resource.id.split_once('/');
    if let (Some(known), "tool", Some((server, tool))) = (known, question.resource.kind, tool)
        && question.action.name == "call_tool"
        && known.live(now).is_ok()
    {
        let nothing = Map::new();
        let args = match question.context.get("args") {
            None => &nothing,
            Some(Value::Object(args)) => args,
            // What is no object would look like no arguments to a policy about them.
            Some(_) => {
                return Decision {
                    id,
                    effect: Effect::Deny,
                    code: ReasonCode::RequestInvalid,
                    policies: Vec::new(),
                    reason: "`context.args` is not an object".to_owned(),
                    snapshot: snapshot.policy.number(),
                };
            }
        };
        // An asker cannot vouch for how the agent reached it, nor for a second person.
        let context = CallContext {
            now,
            sender_constrained: false,
            second_person: false,
            subject: None,
        };
        let asked = Question::ToolCall {
            agent: &known.facts,
            server,
            tool,
            args,
            context: &context,
        };
        return snapshot.policy.decide(id, &asked);
    }
    let subject = &question.subject;
    let resource = &question.resource;
    let asked = Question::External {
        subject: EntityRef {
            kind: subject.kind,
            id: subject.id,
            properties: subject.properties,
        },
        action: ExternalAction {
            name: question.action.name,
            properties: question.action.properties,
        },
        resource: EntityRef {
            kind: resource.kind,
            id: resource.id,
            properties: resource.properties,
        },
        context: question.context,
    };
    snapshot.policy.decide(id, &asked)
}

fn find<'a>(snapshot: &'a Snapshot, question: &Evaluation<'_>) -> Option<&'a Arc<KnownAgent>> {
    let id: AgentId = question.subject.id.parse().ok()?;
    snapshot.agents.get(&id)
}

fn made(
    authority: &Authority,
    known: Option<&Arc<KnownAgent>>,
    asker: &Asker,
    question: &Evaluation<'_>,
    decision: &Decision,
) -> Event {
    let named = |kind, id| format!("{}/{}", short(kind), short(id));
    Event {
        agent: known.map(|known| known.recorded.clone()),
        call: Some(CallFacts {
            action: short(question.action.name).to_owned(),
            args_digest: json::digest_of_object(question.context).ok(),
            resource: named(question.resource.kind, question.resource.id),
            tool: None,
        }),
        decision: Some(DecisionFacts::from(decision)),
        outcome: if decision.effect == Effect::Permit {
            "permit"
        } else {
            "deny"
        }
        .to_owned(),
        subject: Some(named(question.subject.kind, question.subject.id)),
        ..Event::new(
            EventKind::DecisionMade,
            asker.actor.clone(),
            asker.now,
            &*authority.entropy,
        )
    }
}

/// As much of a text of the asker's as the record keeps.
fn short(text: &str) -> &str {
    let end = text.char_indices().nth(256);
    &text[..end.map_or(text.len(), |(end, _)| end)]
}

/// The answer to one who is refused before anything is decided.
pub(crate) fn refused(headers: &HeaderMap, error: Error) -> Response {
    answer(headers, Err::<Response, _>(error))
}

/// The answer, with the asker's `X-Request-ID` echoed.
fn answer(headers: &HeaderMap, answered: Result<impl IntoResponse, Error>) -> Response {
    let mut response = match answered {
        Ok(answer) => answer.into_response(),
        Err(error) => error.into_response(),
    };
    if let Some(id) = headers.get("x-request-id").filter(|id| id.len() <= 256) {
        response.headers_mut().insert("x-request-id", id.clone());
    }
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
