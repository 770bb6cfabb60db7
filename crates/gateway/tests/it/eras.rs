//! Clients and servers of either era, in every combination.

use http::StatusCode;
use serde_json::{Value, json};

use crate::upstream::{Speaks, Upstream};
use crate::world::{Answer, World, call_body, modern, world};

async fn speak(world: &World, client: Speaks, mut body: Value) -> Answer {
    let method = body["method"].as_str().expect("a method").to_owned();
    let name = body["params"]["name"].as_str().map(str::to_owned);
    if client == Speaks::Modern {
        body = modern(body);
    }
    let mut ask = world.with(&world.alice, "desk", &body).await;
    ask = match client {
        Speaks::Legacy => ask.header("mcp-protocol-version", "2025-11-25"),
        Speaks::Modern => {
            let ask = ask
                .header("mcp-protocol-version", "2026-07-28")
                .header("mcp-method", &method);
            match name {
                Some(name) => ask.header("mcp-name", &name),
                None => ask,
            }
        }
    };
    world.send(ask).await
}

fn request(method: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": "x-1", "method": method})
}

#[tokio::test]
async fn every_client_works_with_every_server() {
    for server in [Speaks::Legacy, Speaks::Modern] {
        let upstream = Upstream::start(server).await;
        let world = world(&upstream.url());
        for client in [Speaks::Legacy, Speaks::Modern] {
            let listed = speak(&world, client, request("tools/list")).await.json();
            let names: Vec<&str> = listed["result"]["tools"]
                .as_array()
                .expect("tools")
                .iter()
                .filter_map(|tool| tool["name"].as_str())
                .collect();
            assert_eq!(
                names[..3],
                ["add", "region", "fail"],
                "{client:?} with {server:?}"
            );
            assert!(!names.contains(&"hidden"));
            let called = speak(&world, client, call_body("add", json!({"a": 1, "b": 2})))
                .await
                .json();
            assert_eq!(
                called["result"]["structuredContent"]["result"], 3,
                "{client:?} with {server:?}"
            );
            for (answer, cached) in [(&listed["result"], true), (&called["result"], false)] {
                let members =
                    ["resultType", "ttlMs", "cacheScope"].map(|member| answer.get(member));
                let expected = match (client, cached) {
                    (Speaks::Legacy, _) => [None, None, None],
                    (Speaks::Modern, true) => [
                        Some(&json!("complete")),
                        Some(&json!(0)),
                        Some(&json!("private")),
                    ]
                    .map(|value| value.cloned()),
                    (Speaks::Modern, false) => [Some(json!("complete")), None, None],
                };
                assert_eq!(
                    members.map(|member| member.cloned()),
                    expected,
                    "{client:?} with {server:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn the_gateway_introduces_itself_in_both_eras() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    for (asked, given) in [
        ("2025-11-25", "2025-11-25"),
        ("2024-11-05", "2024-11-05"),
        ("2030-01-01", "2025-11-25"),
    ] {
        let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize",
            "params": {"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}});
        let answer = world
            .send(world.with(&world.alice, "desk", &body).await)
            .await;
        assert_eq!(answer.json()["id"], 0);
        assert_eq!(answer.json()["result"]["protocolVersion"], given);
        assert_eq!(
            answer.json()["result"]["capabilities"],
            json!({"tools": {}})
        );
        assert!(answer.headers.get("mcp-session-id").is_none());
    }
    let told = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let answer = speak(&world, Speaks::Legacy, told).await;
    assert_eq!(
        (answer.status, answer.text.as_str()),
        (StatusCode::ACCEPTED, "")
    );
    assert_eq!(
        speak(&world, Speaks::Legacy, request("ping")).await.json()["result"],
        json!({})
    );

    let mut probe = request("server/discover");
    probe["id"] = "server-discover-probe-1".into();
    let answer = speak(&world, Speaks::Modern, probe).await.json();
    assert_eq!(answer["id"], "server-discover-probe-1");
    assert_eq!(answer["result"]["supportedVersions"], json!(["2026-07-28"]));
    assert_eq!(answer["result"]["cacheScope"], "private");
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn methods_that_are_not_judged_do_not_exist() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let methods = [
        "prompts/list",
        "prompts/get",
        "resources/list",
        "resources/read",
        "completion/complete",
        "logging/setLevel",
        "subscriptions/listen",
        "tasks/get",
        "Tools/call",
    ];
    for method in methods {
        for (client, status) in [
            (Speaks::Legacy, StatusCode::OK),
            (Speaks::Modern, StatusCode::NOT_FOUND),
        ] {
            let answer = speak(&world, client, request(method)).await;
            assert_eq!(answer.status, status, "{method}");
            assert_eq!(answer.json()["error"]["code"], -32601, "{method}");
        }
    }
    for method in ["initialize", "ping"] {
        let answer = speak(&world, Speaks::Modern, request(method)).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (StatusCode::NOT_FOUND, &json!(-32601))
        );
    }
    let answer = speak(&world, Speaks::Legacy, request("server/discover")).await;
    assert_eq!(answer.json()["error"]["code"], -32601);
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn a_bad_modern_envelope_is_a_bad_request() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let bare = world
        .with(&world.alice, "desk", &request("tools/list"))
        .await;
    let bare = bare
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/list");
    let answer = world.send(bare).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["code"]),
        (StatusCode::BAD_REQUEST, &json!(-32602))
    );
    let unknown = world
        .with(&world.alice, "desk", &request("tools/list"))
        .await;
    let answer = world
        .send(unknown.header("mcp-protocol-version", "2030-01-01"))
        .await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let error = &answer.json()["error"];
    assert_eq!(error["code"], -32022);
    assert_eq!(
        error["data"],
        json!({"supported": ["2026-07-28"], "requested": "2030-01-01"})
    );
    let call = json!({"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "add", "arguments": {"a": 1, "b": 2}}});
    let answer = speak(&world, Speaks::Legacy, call).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["code"]),
        (StatusCode::BAD_REQUEST, &json!(-32600))
    );
    assert!(upstream.calls().is_empty());
}

#[tokio::test]
async fn mcp_08_sessions_of_servers_stay_inside_and_belong_to_one_agent() {
    let upstream = Upstream::start(Speaks::Legacy).await;
    let world = world(&upstream.url());
    let body = call_body("add", json!({"a": 1, "b": 2}));
    for bot in [&world.alice, &world.bob] {
        let ask = world
            .with(bot, "desk", &body)
            .await
            .header("mcp-session-id", "session-0");
        let answer = world.send(ask).await;
        assert_eq!(answer.json()["result"]["structuredContent"]["result"], 3);
        assert!(answer.headers.get("mcp-session-id").is_none());
    }
    // One session each, and one of the gateway itself that reads the tools.
    let count = |method: &str| {
        upstream
            .received()
            .iter()
            .filter(|received| received.body["method"] == method)
            .count()
    };
    assert_eq!(count("initialize"), 3);
    assert_eq!(count("server/discover"), 1);
    // A session that ended is opened anew, and the call is made once.
    upstream.end_sessions();
    assert_eq!(
        world.call("add", json!({"a": 2, "b": 2})).await.json()["result"]["structuredContent"]["result"],
        4
    );
    assert_eq!(count("initialize"), 4);
}
