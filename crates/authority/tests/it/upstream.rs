//! A real MCP server on loopback that speaks the older protocol and lists tools.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

/// The server, with the tools that it lists.
#[derive(Clone)]
pub(crate) struct Upstream {
    pub(crate) url: String,
    tools: Arc<Mutex<Vec<Value>>>,
    received: Arc<Mutex<Vec<HeaderMap>>>,
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

impl Upstream {
    pub(crate) async fn start(tools: Vec<Value>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        let upstream = Self {
            url: format!("http://{address}/mcp"),
            tools: Arc::new(Mutex::new(tools)),
            received: Arc::default(),
        };
        let router = Router::new()
            .route("/mcp", post(serve))
            .with_state(upstream.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        upstream
    }

    pub(crate) fn set_tools(&self, tools: Vec<Value>) {
        *self.tools.lock().expect("a lock") = tools;
    }

    /// The headers of every request so far.
    pub(crate) fn received(&self) -> Vec<HeaderMap> {
        self.received.lock().expect("a lock").clone()
    }

    /// What `POST /v1/mcp` takes for this server.
    pub(crate) fn as_server(&self, name: &str) -> Value {
        json!({"name": name, "upstream": {"kind": "http", "url": self.url}})
    }
}

async fn serve(State(upstream): State<Upstream>, headers: HeaderMap, body: Bytes) -> Response {
    upstream.received.lock().expect("a lock").push(headers);
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let Some(id) = body.get("id") else {
        return StatusCode::ACCEPTED.into_response();
    };
    let result = match body["method"].as_str().unwrap_or_default() {
        "initialize" => json!({
            "protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
            "serverInfo": {"name": "reference", "version": "1"},
        }),
        "tools/list" => json!({"tools": *upstream.tools.lock().expect("a lock")}),
        _ => {
            let error = json!({"code": -32601, "message": "Method not found"});
            return axum::Json(json!({"jsonrpc": "2.0", "id": id, "error": error})).into_response();
        }
    };
    axum::Json(json!({"jsonrpc": "2.0", "id": id, "result": result})).into_response()
}
