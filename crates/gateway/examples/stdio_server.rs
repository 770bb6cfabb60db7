//! A small MCP server on standard streams, for the tests of the gateway: `stdio_server ERA [COUNT_FILE]`.
//!
//! ERA is `modern`, `legacy`, or `strict`: legacy, and gone when anything comes before `initialize`.
#![allow(
    clippy::disallowed_methods,
    reason = "a program of its own: it shows its environment"
)]

use std::io::{BufRead, Write};

use serde_json::{Value, json};

fn main() {
    let era = std::env::args().nth(1).unwrap_or_default();
    eprintln!("Starting ({era})...");
    println!("this line is no message");
    let mut initialized = false;
    while let Some(line) = hear() {
        let Ok(message) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        let method = message["method"].as_str().unwrap_or_default();
        if era == "strict" && !initialized && method != "initialize" {
            return;
        }
        initialized |= method == "initialize";
        let Some(id) = message.get("id") else {
            continue;
        };
        if message.get("method").is_none() {
            continue;
        }
        let answer = match (era.as_str(), method) {
            ("modern", "server/discover") => result(json!({
                "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}},
                "resultType": "complete", "ttlMs": 0, "cacheScope": "private",
                "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "stdio", "version": "1"}},
            })),
            ("legacy" | "strict", "initialize") => result(json!({
                "protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                "serverInfo": {"name": "stdio", "version": "1"},
            })),
            (_, "tools/list") => result(json!({"tools": tools()})),
            (_, "tools/call") => call(&message["params"]),
            _ => json!({"error": {"code": -32601, "message": "Method not found"}}),
        };
        let mut answer = answer;
        answer["jsonrpc"] = "2.0".into();
        answer["id"] = id.clone();
        say(&answer);
    }
}

fn tools() -> Value {
    let tool = |name: &str| json!({"name": name, "inputSchema": {"type": "object"}});
    json!([
        tool("environment"),
        tool("process"),
        tool("progress"),
        tool("question"),
        tool("leave"),
        tool("seen")
    ])
}

fn call(params: &Value) -> Value {
    let text = match params["name"].as_str().unwrap_or_default() {
        "environment" => {
            let mut names: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
            names.sort();
            names.join(",")
        }
        "process" => std::process::id().to_string(),
        "seen" => params.to_string(),
        "progress" => {
            let token = &params["_meta"]["progressToken"];
            let told = json!({"progressToken": token, "progress": 1});
            say(&json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": told}));
            "done".to_owned()
        }
        "question" => {
            say(&json!({"jsonrpc": "2.0", "id": "q", "method": "roots/list"}));
            hear().unwrap_or_default()
        }
        _ => std::process::exit(1),
    };
    result(json!({"content": [{"type": "text", "text": text}]}))
}

fn result(result: Value) -> Value {
    json!({ "result": result })
}

/// The next line; `None` when there is nobody to listen to any more.
fn hear() -> Option<String> {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line).ok()?;
    (read > 0).then(|| line.trim().to_owned())
}

fn say(message: &Value) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{message}");
    let _ = out.flush();
}
