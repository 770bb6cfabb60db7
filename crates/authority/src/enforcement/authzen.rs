//! AuthZEN 1.0: answers enforcement points that are not ours. A denial is an answer, not an error.
//!
//! About a registered agent only the registry is believed: what the asker says of it is not looked at (POL-09).

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chancery_gateway::snapshot::Snapshot;
use chancery_model::action::Action;
use chancery_model::decision::{Decision, Effect};
use chancery_model::event::{Actor, ActorKind, CallFacts, DecisionFacts, Event, EventKind};
use chancery_model::id::AgentId;
use chancery_model::time::Timestamp;
use chancery_policy::{CallContext, EntityRef, ExternalAction, Question, Target};
use chancery_wire::authzen::{self, Answer, Answers, Evaluation, Evaluations, InvalidEvaluation};
use chancery_wire::json;
use serde_json::{Map, Value, json};

use crate::ctx::Ctx;
use crate::error::Error;
use crate::state::Authority;
use crate::tokens::introspect;

/// `GET /.well-known/authzen-configuration`.
pub async fn configuration(State(authority): State<Arc<Authority>>) -> Json<authzen::Metadata> {
    Json(authzen::Metadata::of(&authority.config.issuer))
}

/// `POST /access/v1/evaluation`.
pub async fn evaluation(
    State(authority): State<Arc<Authority>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(&headers, one(&authority, &headers, &body).await)
}

/// `POST /access/v1/evaluations`.
pub async fn evaluations(
    State(authority): State<Arc<Authority>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(&headers, many(&authority, &headers, &body).await)
}

async fn one(authority: &Arc<Authority>, headers: &HeaderMap, body: &[u8]) -> Result<Value, Error> {
    let (asker, now) = authenticate(authority, headers).await?;
    let request = parse(headers, body)?;
    let question = authzen::parse_evaluation(&request).map_err(invalid)?;
    decide(authority, &asker, &question, now).await.map(shape)
}

async fn many(
    authority: &Arc<Authority>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Value, Error> {
    let (asker, now) = authenticate(authority, headers).await?;
    let request = parse(headers, body)?;
    let (semantic, items) = match authzen::parse_evaluations(&request).map_err(invalid)? {
        Evaluations::One(question) => {
            return decide(authority, &asker, &question, now).await.map(shape);
        }
        Evaluations::Many { semantic, items } => (semantic, items),
    };
    let mut answers = Vec::with_capacity(items.len());
    for item in items {
        let answer = match item {
            Ok(question) => decide(authority, &asker, &question, now).await?,
            Err(error) => Answer::invalid(error),
        };
        let is_last = semantic.stops_after(answer.decision);
        answers.push(answer);
        if is_last {
            break;
        }
    }
    serde_json::to_value(Answers {
        evaluations: answers,
    })
    .map_err(|_| Error::Broken)
}

fn shape(answer: Answer) -> Value {
    json!(answer)
}

fn invalid(error: InvalidEvaluation) -> Error {
    Error::Invalid(error.to_string())
}

fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Value, Error> {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = content_type
        .and_then(|text| text.split(';').next())
        .unwrap_or("");
    if !essence.trim().eq_ignore_ascii_case("application/json") {
        return Err(Error::Invalid(
            "the body must be `application/json`".to_owned(),
        ));
    }
    json::parse(body, json::BODY).map_err(|error| Error::Invalid(error.to_string()))
}

/// Who asks: a resource server with its token for the issuer, or a login that may read policies.
async fn authenticate(
    authority: &Arc<Authority>,
    headers: &HeaderMap,
) -> Result<(Actor, Timestamp), Error> {
    let now = authority.clock.now();
    let snapshot = authority.current.load();
    if snapshot.freshness.is_stale(now) {
        return Err(Error::Unavailable);
    }
    if let Ok(known) = introspect::by_token(authority, &snapshot, headers, now) {
        let actor = Actor {
            id: known.resource.id.to_string(),
            kind: ActorKind::Resource,
        };
        return Ok((actor, now));
    }
    let ctx = Ctx::authenticate(Arc::clone(authority), headers)?;
    ctx.authorize(Action::PolicyRead, Target::Authority)?;
    Ok((ctx.caller.actor(), ctx.now))
}

async fn decide(
    authority: &Authority,
    asker: &Actor,
    question: &Evaluation,
    now: Timestamp,
) -> Result<Answer, Error> {
    let snapshot = authority.current.load_full();
    let decision = judge(authority, &snapshot, question, now);
    let reason = json!({
        "reason": decision.reason,
        "reason_code": decision.code,
        "policies": decision.policies,
        "decision_id": decision.id,
        "snapshot": decision.snapshot,
    });
    let permits = decision.effect == Effect::Permit;
    authority
        .journal
        .append(made(authority, &snapshot, asker, question, &decision, now))
        .await?;
    Ok(Answer {
        decision: permits,
        context: Some(reason),
    })
}

fn judge(
    authority: &Authority,
    snapshot: &Snapshot,
    question: &Evaluation,
    now: Timestamp,
) -> Decision {
    let id = authority.decision_id(now);
    let known = (question.subject.kind == "agent")
        .then(|| find(snapshot, question))
        .flatten();
    let tool = question.resource.id.split_once('/');
    if let (Some(known), "tool", Some((server, tool))) =
        (known, question.resource.kind.as_str(), tool)
        && question.action.name == "call_tool"
        && known.live(now).is_ok()
    {
        let nothing = Map::new();
        let args = question
            .context
            .get("args")
            .and_then(Value::as_object)
            .unwrap_or(&nothing);
        // An asker cannot vouch for how the agent reached it, nor for a second person.
        let context = CallContext {
            now,
            sender_constrained: false,
            second_person: false,
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
            kind: &subject.kind,
            id: &subject.id,
            properties: &subject.properties,
        },
        action: ExternalAction {
            name: &question.action.name,
            properties: &question.action.properties,
        },
        resource: EntityRef {
            kind: &resource.kind,
            id: &resource.id,
            properties: &resource.properties,
        },
        context: &question.context,
    };
    snapshot.policy.decide(id, &asked)
}

fn find<'a>(
    snapshot: &'a Snapshot,
    question: &Evaluation,
) -> Option<&'a Arc<chancery_gateway::snapshot::KnownAgent>> {
    let id: AgentId = question.subject.id.parse().ok()?;
    snapshot.agents.get(&id)
}

fn made(
    authority: &Authority,
    snapshot: &Snapshot,
    asker: &Actor,
    question: &Evaluation,
    decision: &Decision,
    now: Timestamp,
) -> Event {
    let args_digest = json::digest(&Value::Object(question.context.clone())).ok();
    let short = |text: &str| text.chars().take(256).collect::<String>();
    Event {
        agent: (question.subject.kind == "agent")
            .then(|| find(snapshot, question))
            .flatten()
            .map(|known| known.recorded.clone()),
        call: Some(CallFacts {
            action: short(&question.action.name),
            args_digest,
            resource: format!(
                "{}/{}",
                short(&question.resource.kind),
                short(&question.resource.id)
            ),
            tool: None,
        }),
        decision: Some(DecisionFacts::from(decision)),
        outcome: if decision.effect == Effect::Permit {
            "permit"
        } else {
            "deny"
        }
        .to_owned(),
        subject: Some(format!(
            "{}/{}",
            short(&question.subject.kind),
            short(&question.subject.id)
        )),
        ..Event::new(
            EventKind::DecisionMade,
            asker.clone(),
            now,
            &*authority.entropy,
        )
    }
}

/// The answer, with the asker's `X-Request-ID` echoed.
fn answer(headers: &HeaderMap, answered: Result<Value, Error>) -> Response {
    let mut response = match answered {
        Ok(value) => (StatusCode::OK, Json(value)).into_response(),
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
