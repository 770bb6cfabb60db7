//! The least that is an MCP server: the modern era, one tool, the same answer always.

use anyhow::Result;
use bytes::Bytes;
use chancery_wire::mcp::{META_SERVER, MODERN};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};

/// The name of the tool.
pub(crate) const TOOL: &str = "search";

/// As much of a request as the answer depends on.
#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(default)]
    id: Option<u64>,
    #[serde(borrow)]
    method: std::borrow::Cow<'a, str>,
}

/// Answers what any of these methods is answered with.
pub(super) async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
    let body = request.into_body().collect().await?.to_bytes();
    let asked: Asked<'_> = serde_json::from_slice(&body)?;
    let text = match (asked.method.as_ref(), asked.id) {
        // What is measured is not this server, so its answer is ready but for the id.
        ("tools/call", Some(id)) => format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"complete","content":[{{"type":"text","text":"{{\"rows\":[1,2,3]}}"}}],"isError":false}}}}"#
        ),
        (method, id) => {
            json!({"jsonrpc": "2.0", "id": id, "result": greeting_or_list(method)}).to_string()
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}

fn greeting_or_list(method: &str) -> Value {
    match method {
        "server/discover" => json!({
            "resultType": "complete",
            "supportedVersions": [MODERN],
            "capabilities": {"tools": {}},
            "_meta": {META_SERVER: {"name": "bench", "version": "1"}},
            "ttlMs": 0,
            "cacheScope": "private",
        }),
        "tools/list" => json!({
            "resultType": "complete",
            "tools": [{
                "name": TOOL,
                "description": "Searches documents",
                "inputSchema": {
                    "type": "object",
                    "properties": {"query": {"type": "string"}, "limit": {"type": "integer"}},
                    "required": ["query"],
                    "additionalProperties": false,
                },
            }],
            "ttlMs": 60_000,
            "cacheScope": "private",
        }),
        _ => json!({}),
    }
}
