//! `tools/call`: decided, checked against what was accepted, recorded, and only then forwarded.
//!
//! Policy comes first: an agent that may neither call nor see a tool learns nothing of it, not even
//! that it exists. Only then does anybody hear of its schema, or is its server asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::response::Response;
use chancery_model::decision::{Decision, Effect, ReasonCode};
use chancery_model::event::EventKind;
use chancery_model::id::DecisionId;
use chancery_model::mcp::is_legal_tool_name;
use chancery_model::tool_call::{self, ToolCall, ToolCalls};
use chancery_policy::{CallContext, Question};
use chancery_wire::base64url;
use chancery_wire::json as strict;
use chancery_wire::mcp::{self, DENIED, INVALID_PARAMS, REFUSED, RpcError};
use chancery_wire::oauth::{ErrorCode, OAuthError};
use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use crate::arguments;
use crate::case::Case;
use crate::forward::{JudgedCall, forward};
use crate::gateway::Gateway;
use crate::guard::Guard;
use crate::line::{Accepted, Headers};
use crate::listing::{may_see, unusable, watched};
use crate::meta;
use crate::refusal::Refusal;
use crate::reply::{Answering, Completion};
use crate::snapshot::KnownTool;
use crate::upstream::UpstreamError;

/// Judges a tool call and brings it to its server.
pub(crate) async fn call(
    gateway: &Arc<Gateway>,
    mut accepted: Accepted,
    case: &mut Case,
) -> Result<Response, Refusal> {
    case.traceparent = meta::traceparent(&accepted.params, &accepted.headers).map(Arc::from);
    let (name, arguments) = read(&mut accepted.params, case)?;
    let server = Arc::clone(&accepted.server);
    let Some(tool) = server.tools.get(&*name) else {
        let denied = unknown(gateway, &accepted);
        let told = told_nothing(&denied, &name, &accepted);
        return Err(deny(gateway, &denied, told, &accepted, case).await);
    };
    let permit = match decide(gateway, &accepted, &name, &arguments).into_permit() {
        Ok(permit) => permit,
        Err(denied) => {
            let told = if may_see(gateway, &accepted, &name) {
                if denied.code == ReasonCode::RequestInvalid {
                    check(tool, arguments, &accepted)?;
                }
                told_why(&denied)
            } else {
                told_nothing(&denied, &name, &accepted)
            };
            return Err(deny(gateway, &denied, told, &accepted, case).await);
        }
    };
    // From here on the agent may know of the tool, because it may call it.
    let arguments = check(tool, arguments, &accepted)?;
    require_details(&accepted, &name, &arguments)?;
    // May wait for the server; whatever changes meanwhile is looked at again before forwarding.
    if !watched(gateway, &accepted)
        .await?
        .is_as_accepted(&name, tool.digest)
    {
        let message = "the server changed this tool after it was accepted";
        let error = RpcError::new(REFUSED, message);
        return Err(Refusal::rpc("tool_definition_changed", error));
    }
    let principal = accepted.caller.principal();
    let link = gateway.links.of_principal(&server.server, principal);
    let link = link.map_err(|_| unusable(&UpstreamError::Unreachable))?;

    case.decided(permit.decision());
    let (kind, facts) = (EventKind::CallPermitted, BTreeMap::new());
    let permitted = case.event(kind, "ok", facts, accepted.now, &*gateway.entropy);
    let recorded = gateway.record(permitted).await.map_err(|_| unrecorded())?;
    // Nothing is waited for any more but the server.
    let place = accepted.working.rest();
    let completion = Completion::begin(gateway, case, place, accepted.now);
    let arguments = Arc::new(arguments);
    let mut guard = Guard {
        gateway: Arc::clone(gateway),
        caller: accepted.caller,
        tool: Arc::clone(&name),
        accepted: tool.digest,
        arguments: Arc::clone(&arguments),
        judged: accepted.snapshot.number,
        ends_with_token: false,
        server: Arc::clone(&server),
    };
    if let Err(fallen) = guard.check() {
        return Ok(completion.withdrawn(fallen, accepted.era, &accepted.id));
    }
    let judged = JudgedCall {
        mirrored: mirrored(tool, &arguments),
        meta: meta::passing(&accepted.params, &accepted.headers),
        tool: name,
        arguments,
    };
    let answering = Answering {
        progress_token: judged.meta.get("progressToken").cloned(),
        takes_stream: takes_stream(&accepted.headers),
        era: accepted.era,
        id: accepted.id,
        guard,
        completion,
    };
    let sent = forward(permit, recorded, &link, judged);
    Ok(answering.answer(sent).await)
}

/// The tool and the arguments; parameters that would not be judged are refused.
fn read(
    params: &mut Map<String, Value>,
    case: &mut Case,
) -> Result<(Arc<str>, Map<String, Value>), Refusal> {
    let invalid = |message: &str| {
        let error = RpcError::new(INVALID_PARAMS, message);
        Refusal::rpc("params_invalid", error)
    };
    let Some(Value::String(name)) = params.remove("name") else {
        return Err(invalid("`name` must be a string"));
    };
    // No tool of any server has another name (MCP-10), and nothing repeats one.
    if !is_legal_tool_name(&name) {
        let message = "`name` must be 1 to 128 letters, digits, `_`, `-` and `.`";
        return Err(invalid(message));
    }
    let name: Arc<str> = name.into();
    case.tool = Some(Arc::clone(&name));
    // `task` asks for a way of answering that we do not offer; MCP 2025-11-25 says to ignore it then.
    let known = ["_meta", "arguments", "task"];
    if params.keys().any(|name| !known.contains(&name.as_str())) {
        return Err(invalid("`params` has a member that is not supported"));
    }
    let arguments = params.remove("arguments");
    let arguments = arguments.unwrap_or_else(|| Map::new().into());
    let digest = strict::digest(&arguments)
        .map_err(|_| invalid("`arguments` has a number that not every reader reads the same"))?;
    case.args_digest = Some(digest);
    let Value::Object(arguments) = arguments else {
        return Err(invalid("`arguments` must be an object"));
    };
    Ok((name, arguments))
}

/// Requires that the token is not limited to other calls. What would do is this call, for the client to ask its person for
/// (RFC 9396, draft-ietf-oauth-rar-metadata-and-error-remediation); policy permits it already.
fn require_details(
    accepted: &Accepted,
    tool: &str,
    arguments: &Map<String, Value>,
) -> Result<(), Refusal> {
    let claims = accepted.caller.token().claims();
    let details = claims.authorization_details.as_ref();
    if details.is_none_or(|details| details.admit(tool, arguments)) {
        return Ok(());
    }
    let error = OAuthError::new(
        ErrorCode::InsufficientAuthorization,
        "the token is limited to other calls",
    );
    let remedy = remedy(&accepted.server.resource, tool, arguments);
    let remedy = remedy.map(|remedy| base64url::encode(remedy.to_string().as_bytes()));
    let remedy = remedy.filter(|text| text.len() <= LONGEST_REMEDY);
    let remedy = remedy.map(|text| ("authorization_remediation", text));
    Err(Refusal::ask_person(error, remedy.into_iter().collect()))
}

/// The longest remedy, in bytes: it goes in a header, once for each scheme.
const LONGEST_REMEDY: usize = 2 * 1024;

/// The details that admit this call and no other; none when details cannot say so of its arguments.
fn remedy(resource: &str, tool: &str, arguments: &Map<String, Value>) -> Option<Value> {
    let constraints = arguments.iter();
    let constraints: Map<String, Value> = constraints
        .map(|(name, value)| (name.clone(), json!({"one_of": [value]})))
        .collect();
    let details = json!([{
        "type": tool_call::TYPE,
        "locations": [resource],
        "actions": ["call"],
        "identifier": tool,
        "constraints": constraints,
        "additional": false,
    }]);
    let details: Vec<ToolCall> = serde_json::from_value(details).ok()?;
    let details = ToolCalls::of(details, resource).ok()?;
    Some(json!({"authorization_details": details}))
}

/// Checks the arguments against the accepted schema, and the headers against the arguments.
fn check(
    tool: &KnownTool,
    arguments: Map<String, Value>,
    accepted: &Accepted,
) -> Result<Map<String, Value>, Refusal> {
    let arguments = arguments::check(&tool.arguments, arguments).map_err(|misfit| {
        let message = format!("the arguments do not fit the tool's input schema: {misfit}");
        Refusal::rpc("arguments_invalid", RpcError::new(INVALID_PARAMS, message))
    })?;
    let headers = Headers(&accepted.headers);
    let agree = mcp::check_mirrors(accepted.era, &headers, &tool.mirrors, &arguments);
    agree.map_err(|error| Refusal::rpc("header_mismatch", error))?;
    Ok(arguments)
}

fn decide(
    gateway: &Gateway,
    accepted: &Accepted,
    tool: &str,
    arguments: &Map<String, Value>,
) -> Decision {
    let subject = accepted
        .snapshot
        .subject_of(accepted.caller.token().claims());
    let context = CallContext {
        now: accepted.now,
        sender_constrained: accepted.caller.is_sender_constrained(),
        second_person: false,
        subject: subject.map(Arc::as_ref),
    };
    let question = Question::ToolCall {
        agent: &accepted.caller.agent.facts,
        server: &accepted.server.server.name,
        tool,
        args: arguments,
        context: &context,
    };
    let id = DecisionId::generate(accepted.now, &*gateway.entropy);
    accepted.snapshot.policy.decide(id, &question)
}

/// The decision about a tool that is not among the accepted ones: nobody may call it.
fn unknown(gateway: &Gateway, accepted: &Accepted) -> Decision {
    Decision {
        id: DecisionId::generate(accepted.now, &*gateway.entropy),
        effect: Effect::Deny,
        snapshot: accepted.snapshot.policy.number(),
        policies: Vec::new(),
        code: ReasonCode::UnknownAction,
        reason: "the server has no accepted tool of this name".to_owned(),
    }
}

/// What an agent is told that may see the tool: how it was decided.
fn told_why(denied: &Decision) -> RpcError {
    let data = json!({
        "decision_id": denied.id,
        "policies": denied.policies,
        "reason_code": denied.code,
    });
    RpcError::new(DENIED, format!("denied: {}", denied.reason)).with_data(data)
}

/// What an agent is told that may not see the tool: word for word the same whether the tool exists or
/// not. The record has the reason.
fn told_nothing(denied: &Decision, tool: &str, accepted: &Accepted) -> RpcError {
    let agent = accepted.caller.agent.agent.name.as_str();
    let server = &accepted.server.server.name;
    told_why(&Decision {
        id: denied.id,
        effect: Effect::Deny,
        snapshot: denied.snapshot,
        policies: Vec::new(),
        code: ReasonCode::NoPolicyPermits,
        reason: format!("no policy permits agent {agent} to call {server}/{tool}"),
    })
}

/// Records the denial; a denial is an answer, not a fault of the transport.
async fn deny(
    gateway: &Gateway,
    denied: &Decision,
    told: RpcError,
    accepted: &Accepted,
    case: &mut Case,
) -> Refusal {
    case.decided(denied);
    let event = case.event(
        EventKind::CallDenied,
        "denied",
        BTreeMap::new(),
        accepted.now,
        &*gateway.entropy,
    );
    match gateway.record(event).await {
        Ok(_) => Refusal::rpc("denied", told).settled(),
        Err(_) => unrecorded(),
    }
}

/// Nothing is settled, but there is no record that could take another entry.
fn unrecorded() -> Refusal {
    let message = "the call cannot be recorded, so it is not made";
    Refusal::for_now(
        StatusCode::SERVICE_UNAVAILABLE,
        "record_unavailable",
        message,
    )
    .settled()
}

fn mirrored(tool: &KnownTool, arguments: &Map<String, Value>) -> Vec<(String, String)> {
    let mirrors = tool.mirrors.iter();
    let pairs =
        mirrors.filter_map(|mirror| Some((mirror.header.clone(), mirror.value(arguments)?)));
    pairs.collect()
}

fn takes_stream(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(ACCEPT).into_iter();
    let mut accepts = accepts.filter_map(|value| value.to_str().ok());
    accepts.any(|value| value.contains("text/event-stream"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedy_admits_the_call_and_no_other_or_there_is_none() {
        let of = |arguments: Value| {
            remedy(
                "https://r.example",
                "t",
                arguments.as_object().expect("an object"),
            )
        };
        let told = of(json!({"a": 1, "b": "x", "c": true})).expect("a remedy");
        let details: Vec<ToolCall> =
            serde_json::from_value(told["authorization_details"].clone()).expect("details");
        let details = ToolCalls::of(details, "https://r.example").expect("details");
        let admits =
            |arguments: Value| details.admit("t", arguments.as_object().expect("an object"));
        assert!(admits(json!({"a": 1, "b": "x", "c": true})));
        assert!(!admits(json!({"a": 1, "b": "x", "c": true, "d": 1})));
        assert!(!admits(json!({"a": 1, "b": "x"})));
        for unsayable in [
            json!({"a": 1.5}),
            json!({"a": null}),
            json!({"a": [1]}),
            json!({"a": {}}),
            json!({"a": "x".repeat(257)}),
            json!({"a b": 1}),
        ] {
            assert_eq!(of(unsayable.clone()), None, "{unsayable}");
        }
    }
}
