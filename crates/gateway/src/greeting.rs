//! How the gateway introduces itself, in both eras: tools, and nothing else.

use axum::response::Response;
use chancery_wire::mcp::{LEGACY, META_SERVER, MODERN, forbid_caching, modernise, result_response};
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::line::Accepted;
use crate::refusal::json_response;
use crate::upstream::{NAME, VERSION};

/// `initialize`: the version that the client asked for when we speak it, else our newest.
pub(crate) fn initialize(accepted: &Accepted) -> Response {
    let asked = accepted
        .params
        .get("protocolVersion")
        .and_then(Value::as_str);
    let version = LEGACY.into_iter().find(|version| Some(*version) == asked);
    let mut result = Map::new();
    result.insert(
        "protocolVersion".to_owned(),
        version.unwrap_or(LEGACY[0]).into(),
    );
    result.insert("capabilities".to_owned(), json!({"tools": {}}));
    result.insert("serverInfo".to_owned(), server_info(accepted));
    answer(accepted, result)
}

/// `ping`
pub(crate) fn ping(accepted: &Accepted) -> Response {
    answer(accepted, Map::new())
}

/// `server/discover`
pub(crate) fn discover(accepted: &Accepted) -> Response {
    let mut result = Map::new();
    result.insert("supportedVersions".to_owned(), json!([MODERN]));
    result.insert("capabilities".to_owned(), json!({"tools": {}}));
    result.insert(
        "_meta".to_owned(),
        json!({META_SERVER: server_info(accepted)}),
    );
    modernise(&mut result);
    forbid_caching(&mut result);
    answer(accepted, result)
}

/// Clients show the name: it is that of the server behind, as the administrator named it.
fn server_info(accepted: &Accepted) -> Value {
    json!({"name": format!("{NAME}/{}", accepted.server.server.name), "version": VERSION})
}

fn answer(accepted: &Accepted, result: Map<String, Value>) -> Response {
    json_response(StatusCode::OK, &result_response(&accepted.id, result))
}
