//! A real MCP server on loopback, of either era, that remembers what it received.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Notify;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Speaks {
    Legacy,
    Modern,
}

/// What the server received: headers and body, as they came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    pub(crate) text: String,
}

#[derive(Clone)]
pub(crate) struct Upstream(Arc<Inner>);

struct Inner {
    url: String,
    speaks: Speaks,
    received: Mutex<Vec<Received>>,
    tools: Mutex<Vec<Value>>,
    sessions: Mutex<u32>,
    /// Lets the tool `wait` go on.
    go_on: Notify,
    /// A call of `wait` has arrived.
    arrived: Notify,
}

pub(crate) fn add() -> Value {
    json!({
        "name": "add",
        "description": "Adds two numbers",
        "inputSchema": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
        },
    })
}

pub(crate) fn all_tools() -> Vec<Value> {
    let plain = |name: &str| json!({"name": name, "inputSchema": {"type": "object"}});
    let mirrored = json!({
        "name": "region",
        "inputSchema": {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}},
    });
    let mut tools = vec![add(), mirrored];
    let names = [
        "fail", "broken", "progress", "wait", "ticks", "question", "huge", "input", "status",
        "hidden",
    ];
    tools.extend(names.map(plain));
    tools
}

impl Upstream {
    pub(crate) async fn start(speaks: Speaks) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        let upstream = Self(Arc::new(Inner {
            url: format!("http://{address}/mcp"),
            speaks,
            received: Mutex::default(),
            tools: Mutex::new(all_tools()),
            sessions: Mutex::new(0),
            go_on: Notify::new(),
            arrived: Notify::new(),
        }));
        let router = Router::new()
            .route("/mcp", post(serve))
            .with_state(upstream.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        upstream
    }

    pub(crate) fn url(&self) -> String {
        self.0.url.clone()
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.0.received.lock().expect("a lock").clone()
    }

    /// The calls of tools that arrived.
    pub(crate) fn calls(&self) -> Vec<Received> {
        let all = self.received().into_iter();
        all.filter(|received| received.body["method"] == "tools/call")
            .collect()
    }

    pub(crate) fn change_tools(&self, change: impl FnOnce(&mut Vec<Value>)) {
        change(&mut self.0.tools.lock().expect("a lock"));
    }

    pub(crate) fn end_sessions(&self) {
        *self.0.sessions.lock().expect("a lock") += 1;
    }

    pub(crate) fn go_on(&self) {
        self.0.go_on.notify_one();
    }

    pub(crate) async fn arrived(&self) {
        self.0.arrived.notified().await;
    }
}

async fn serve(State(upstream): State<Upstream>, headers: HeaderMap, body: Bytes) -> Response {
    let text = String::from_utf8(body.to_vec()).expect("UTF-8");
    let body: Value = serde_json::from_str(&text).expect("JSON");
    let received = Received {
        headers: headers.clone(),
        body: body.clone(),
        text,
    };
    upstream.0.received.lock().expect("a lock").push(received);
    let method = body["method"].as_str().unwrap_or_default().to_owned();
    let Some(id) = body.get("id").cloned() else {
        return StatusCode::ACCEPTED.into_response();
    };
    if method.is_empty() {
        return StatusCode::ACCEPTED.into_response();
    }
    let session = format!("session-{}", upstream.0.sessions.lock().expect("a lock"));
    match (upstream.0.speaks, method.as_str()) {
        (Speaks::Modern, "server/discover") => json_answer(
            &id,
            json!({"result": {
                "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}},
                "resultType": "complete", "ttlMs": 0, "cacheScope": "private",
                "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "reference", "version": "1"}},
            }}),
        ),
        (Speaks::Legacy, "initialize") => {
            let result = json!({"result": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                "serverInfo": {"name": "reference", "version": "1"}}});
            let mut response = stream_answer(vec![full(&id, result)]);
            response
                .headers_mut()
                .insert("mcp-session-id", session.parse().expect("a value"));
            response
        }
        (Speaks::Legacy, _) if headers.get("mcp-session-id").is_none() => {
            let error =
                json!({"error": {"code": -32600, "message": "Bad Request: Missing session ID"}});
            let mut response = json_answer(&Value::Null, error);
            *response.status_mut() = StatusCode::BAD_REQUEST;
            response
        }
        (Speaks::Legacy, _) if headers["mcp-session-id"] != *session => {
            StatusCode::NOT_FOUND.into_response()
        }
        (_, "tools/list") => {
            let tools = upstream.0.tools.lock().expect("a lock").clone();
            let (page, next) = match body["params"]["cursor"].as_str() {
                None => (tools[..1].to_vec(), json!("rest")),
                Some(_) => (tools[1..].to_vec(), Value::Null),
            };
            let mut result = json!({"tools": page});
            if !next.is_null() {
                result["nextCursor"] = next;
            }
            finish(&upstream, &id, json!({"result": result}))
        }
        (_, "tools/call") => call(&upstream, &id, &body["params"]).await,
        _ => json_answer(
            &id,
            json!({"error": {"code": -32601, "message": "Method not found"}}),
        ),
    }
}

async fn call(upstream: &Upstream, id: &Value, params: &Value) -> Response {
    let text = |text: &str| json!({"result": {"content": [{"type": "text", "text": text}]}});
    let arguments = &params["arguments"];
    let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress",
        "params": {"progressToken": params["_meta"]["progressToken"], "progress": 1}});
    match params["name"].as_str().unwrap_or_default() {
        "add" => {
            let sum = arguments["a"].as_i64().unwrap_or(0) + arguments["b"].as_i64().unwrap_or(0);
            let mut answer = text(&sum.to_string());
            answer["result"]["structuredContent"] = json!({"result": sum});
            finish(upstream, id, answer)
        }
        "fail" => {
            let mut answer = text("failed");
            answer["result"]["isError"] = true.into();
            finish(upstream, id, answer)
        }
        "broken" => json_answer(id, json!({"error": {"code": -32020, "message": "broken"}})),
        "input" => json_answer(
            id,
            json!({"result": {"resultType": "input_required", "requestState": "x"}}),
        ),
        "status" => StatusCode::FOUND.into_response(),
        "huge" => json_answer(id, text(&"x".repeat(5 * 1024 * 1024))),
        "progress" => stream_answer(vec![progress.to_string(), full(id, text("done"))]),
        "wait" => {
            upstream.0.arrived.notify_one();
            upstream.0.go_on.notified().await;
            finish(upstream, id, text("waited"))
        }
        "ticks" => {
            let ticks = stream::unfold((), move |()| {
                let progress = progress.clone();
                async move {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    Some((Ok::<_, std::io::Error>(format!("data: {progress}\n\n")), ()))
                }
            });
            let mut response = Response::new(Body::from_stream(ticks.take(400)));
            let kind = "text/event-stream".parse().expect("a value");
            response.headers_mut().insert("content-type", kind);
            response
        }
        "question" => {
            let question =
                json!({"jsonrpc": "2.0", "id": "q1", "method": "elicitation/create", "params": {}});
            stream_answer(vec![question.to_string(), full(id, text("asked"))])
        }
        _ => finish(upstream, id, text("ok")),
    }
}

fn full(id: &Value, mut answer: Value) -> String {
    answer["jsonrpc"] = "2.0".into();
    answer["id"] = id.clone();
    answer.to_string()
}

/// Modern servers answer JSON, legacy ones a stream, as the reference server does.
fn finish(upstream: &Upstream, id: &Value, mut answer: Value) -> Response {
    match upstream.0.speaks {
        Speaks::Legacy => stream_answer(vec![full(id, answer)]),
        Speaks::Modern => {
            if answer["result"].is_object() {
                answer["result"]["resultType"] = "complete".into();
            }
            json_answer(id, answer)
        }
    }
}

fn json_answer(id: &Value, answer: Value) -> Response {
    ([("content-type", "application/json")], full(id, answer)).into_response()
}

fn stream_answer(messages: Vec<String>) -> Response {
    let events: String = messages
        .iter()
        .map(|message| format!("event: message\r\ndata: {message}\r\n\r\n"))
        .collect();
    ([("content-type", "text/event-stream")], events).into_response()
}
