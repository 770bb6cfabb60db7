//! `tools/list`: the accepted tools that this agent may see, as long as the server still means them.

use std::sync::Arc;

use axum::response::Response;
use chancery_model::decision::Effect;
use chancery_model::id::DecisionId;
use chancery_policy::Question;
use chancery_wire::mcp::{
    Era, INTERNAL_ERROR, INVALID_PARAMS, RpcError, forbid_caching, modernise, result_response,
};
use http::StatusCode;
use serde_json::{Map, Value};

use crate::gateway::Gateway;
use crate::line::Accepted;
use crate::refusal::{Refusal, json_response};
use crate::snapshot::{KnownServer, KnownTool};
use crate::upstream::UpstreamError;
use crate::watch::{self, Seen};

/// Answers with the definitions that were accepted, never with what the server says today.
pub(crate) async fn list(gateway: &Arc<Gateway>, accepted: Accepted) -> Result<Response, Refusal> {
    // The list has one page, so there is no cursor that we gave.
    if accepted
        .params
        .get("cursor")
        .is_some_and(|cursor| !cursor.is_null())
    {
        let error = RpcError::new(INVALID_PARAMS, "unknown cursor");
        return Err(Refusal::rpc("cursor_unknown", error));
    }
    let mut visible: Vec<_> = in_order(&accepted.server)
        .filter(|(name, _)| may_see(gateway, &accepted, name))
        .collect();
    // An agent that may see nothing here makes no server answer and no process start.
    if !visible.is_empty() {
        let seen = watched(gateway, &accepted).await?;
        visible.retain(|(name, tool)| seen.is_as_accepted(name, tool.digest));
    }
    let definitions = visible.iter().map(|(_, tool)| tool.definition.clone());
    let mut result = Map::new();
    result.insert("tools".to_owned(), Value::Array(definitions.collect()));
    if accepted.era == Era::Modern {
        modernise(&mut result);
        forbid_caching(&mut result);
    }
    Ok(json_response(
        StatusCode::OK,
        &result_response(&accepted.id, result),
    ))
}

/// What the server says of its tools now, read on the right connection.
pub(crate) async fn watched(gateway: &Gateway, accepted: &Accepted) -> Result<Arc<Seen>, Refusal> {
    let principal = accepted.caller.principal();
    let link = gateway.links.watched(&accepted.server.server, principal);
    let link = link.map_err(|_| unusable(&UpstreamError::Unreachable))?;
    let _waits_for_the_server = accepted.working.pause();
    let seen = watch::current(&link).await;
    seen.map_err(|error| unusable(&error))
}

/// The upstream server cannot be used now; clients show the message to their model.
pub(crate) fn unusable(error: &UpstreamError) -> Refusal {
    Refusal::rpc(
        error.code(),
        RpcError::new(INTERNAL_ERROR, error.to_string()),
    )
}

fn in_order(server: &KnownServer) -> impl Iterator<Item = (&str, &KnownTool)> {
    let pins = server.server.tools.iter();
    pins.filter_map(|pin| Some((pin.name.as_str(), server.tools.get(&pin.name)?)))
}

/// Whether the agent may see `tool` in a list: policy lets it, and its token is not limited to calls of others.
pub(crate) fn may_see(gateway: &Gateway, accepted: &Accepted, tool: &str) -> bool {
    let claims = accepted.caller.token().claims();
    let details = claims.authorization_details.as_ref();
    if details.is_some_and(|details| !details.name(tool)) {
        return false;
    }
    let question = Question::ListTool {
        agent: &accepted.caller.agent.facts,
        server: &accepted.server.server.name,
        tool,
    };
    let id = DecisionId::generate(accepted.now, &*gateway.entropy);
    accepted.snapshot.policy.decide(id, &question).effect == Effect::Permit
}
