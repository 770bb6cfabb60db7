//! `tools/call`: checked against what was accepted, decided, recorded, and only then forwarded.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::response::Response;
use chancery_model::decision::Decision;
use chancery_model::event::EventKind;
use chancery_model::id::DecisionId;
use chancery_policy::{CallContext, Question};
use chancery_wire::json;
use chancery_wire::mcp::{self, DENIED, INVALID_PARAMS, REFUSED, RpcError};
use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};

use crate::case::Case;
use crate::forward::{JudgedCall, forward};
use crate::gateway::Gateway;
use crate::guard::Guard;
use crate::line::{Accepted, Headers};
use crate::listing::{unusable, watched};
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
    case.traceparent = meta::traceparent(&accepted.params, &accepted.headers);
    let (name, arguments) = read(&mut accepted.params, case)?;
    let server = Arc::clone(&accepted.server);
    let Some(tool) = server.tools.get(&name) else {
        let error = RpcError::new(INVALID_PARAMS, "unknown tool");
        return Err(Refusal::rpc("unknown_tool", error));
    };
    let arguments = check(tool, arguments, &accepted)?;
    // May wait for the server; whatever changes meanwhile is looked at again before forwarding.
    if !watched(gateway, &accepted)
        .await?
        .is_as_accepted(&name, tool.digest)
    {
        let message = "the server changed this tool after it was accepted";
        let error = RpcError::new(REFUSED, message);
        return Err(Refusal::rpc("tool_definition_changed", error));
    }
    let agent = accepted.caller.agent.agent.id;
    let link = gateway.links.of_agent(&server.server, agent);
    let link = link.map_err(|_| unusable(&UpstreamError::Unreachable))?;

    let decision = decide(gateway, &accepted, &name, &arguments);
    case.decided(&decision);
    let permit = match decision.into_permit() {
        Ok(permit) => permit,
        Err(denied) => return Err(deny(gateway, denied, &accepted, case).await),
    };
    let permitted = case.event(
        EventKind::CallPermitted,
        "ok",
        BTreeMap::new(),
        accepted.now,
        &*gateway.entropy,
    );
    let recorded = gateway.record(permitted).await.map_err(|_| unrecorded())?;
    let takes_stream = takes_stream(&accepted.headers);
    let completion = Completion::begin(gateway, case, accepted.place, accepted.now);
    let mut guard = Guard::new(
        gateway,
        &accepted.caller,
        &server,
        &name,
        &arguments,
        &accepted.snapshot,
    );
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
        takes_stream,
        era: accepted.era,
        id: accepted.id,
        guard,
        completion,
    };
    let sent = forward(permit, recorded, &link, judged);
    Ok(answering.answer(sent).await)
}

/// The tool and the arguments; parameters that would not be judged are refused.
fn read(params: &mut Map<String, Value>, case: &mut Case) -> Result<(String, Value), Refusal> {
    let invalid = |message: &str| {
        let error = RpcError::new(INVALID_PARAMS, message);
        Refusal::rpc("params_invalid", error)
    };
    let Some(Value::String(name)) = params.remove("name") else {
        return Err(invalid("`name` must be a string"));
    };
    case.tool(&name);
    let arguments = match params.remove("arguments") {
        None => Value::Object(Map::new()),
        Some(arguments @ Value::Object(_)) => arguments,
        Some(_) => return Err(invalid("`arguments` must be an object")),
    };
    // `task` asks for a way of answering that we do not offer; MCP 2025-11-25 says to ignore it then.
    if params.keys().any(|name| name != "_meta" && name != "task") {
        return Err(invalid("`params` has a member that is not supported"));
    }
    let digest = json::digest(&arguments)
        .map_err(|_| invalid("`arguments` has a number that not every reader reads the same"))?;
    case.args_digest = Some(digest);
    Ok((name, arguments))
}

/// Checks the arguments against the accepted schema, and the headers against the arguments.
fn check(
    tool: &KnownTool,
    arguments: Value,
    accepted: &Accepted,
) -> Result<Map<String, Value>, Refusal> {
    if let Err(error) = tool.arguments.validate(&arguments) {
        let place = error.instance_path().to_string();
        let message = match place.as_str() {
            "" => "the arguments do not fit the tool's input schema".to_owned(),
            place => format!("the arguments do not fit the tool's input schema at `{place}`"),
        };
        let error = RpcError::new(INVALID_PARAMS, message);
        return Err(Refusal::rpc("arguments_invalid", error));
    }
    let Value::Object(arguments) = arguments else {
        let error = RpcError::new(INVALID_PARAMS, "`arguments` must be an object");
        return Err(Refusal::rpc("params_invalid", error));
    };
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
    let context = CallContext {
        now: accepted.now,
        sender_constrained: accepted.caller.is_sender_constrained(),
        second_person: false,
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

/// Records the denial; a denial is an answer, not a fault of the transport.
async fn deny(gateway: &Gateway, denied: Decision, accepted: &Accepted, case: &Case) -> Refusal {
    let event = case.event(
        EventKind::CallDenied,
        "denied",
        BTreeMap::new(),
        accepted.now,
        &*gateway.entropy,
    );
    if gateway.record(event).await.is_err() {
        return unrecorded();
    }
    let data = serde_json::json!({
        "decision_id": denied.id,
        "policies": denied.policies,
        "reason_code": denied.code,
    });
    let error = RpcError::new(DENIED, format!("denied: {}", denied.reason)).with_data(data);
    Refusal::rpc("denied", error)
}

fn unrecorded() -> Refusal {
    let message = "the call cannot be recorded, so it is not made";
    Refusal::for_now(
        StatusCode::SERVICE_UNAVAILABLE,
        "record_unavailable",
        message,
    )
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
