//! Tool calls: what is judged is what is recorded and what arrives, and nothing else.

use chancery_model::event::{ActorKind, EventKind};
use chancery_wire::json as strict;
use http::StatusCode;
use serde_json::{Value, json};

use crate::upstream::{Speaks, Upstream};
use crate::world::{call_body, modern, world};

#[tokio::test]
async fn a_permitted_call_is_recorded_forwarded_and_answered() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut body = call_body("add", json!({"a": 1, "b": 2}));
    body["params"]["_meta"] = json!({"traceparent": trace, "secret": "x"});
    let answer = world
        .send(world.with(&world.alice, "desk", &body).await)
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    let result =
        json!({"content": [{"type": "text", "text": "3"}], "structuredContent": {"result": 3}});
    assert_eq!(
        answer.json(),
        json!({"jsonrpc": "2.0", "id": 7, "result": result})
    );

    let completed = world.recorded(EventKind::CallCompleted).await;
    let permitted = world.recorded(EventKind::CallPermitted).await;
    assert_eq!(world.outcomes().len(), 2);
    assert_eq!(permitted.actor.kind, ActorKind::Agent);
    assert_eq!(permitted.actor.id, world.alice.id.to_string());
    assert_eq!(
        permitted.agent.as_ref().expect("an agent").name,
        "alice-bot"
    );
    assert_eq!(permitted.traceparent.as_deref(), Some(trace));
    let call = permitted.call.expect("a call");
    assert_eq!(call.action, "tools/call");
    assert_eq!(call.resource, "https://id.example/mcp/desk");
    assert_eq!(call.tool.as_deref(), Some("add"));
    let digest = strict::digest(&json!({"b": 2, "a": 1})).expect("a digest");
    assert_eq!(call.args_digest, Some(digest));
    let token = permitted.token.expect("a token");
    assert_eq!(
        token.jkt.as_deref(),
        Some(world.alice.key.public().thumbprint())
    );
    let decision = permitted.decision.expect("a decision");
    assert_eq!(decision.policies, ["agent-calls-granted-tools"]);
    assert_eq!(completed.outcome, "ok");
    assert_eq!(completed.decision.expect("a decision").id, decision.id);
    assert!(completed.facts.contains_key("duration_ms"));
    let digest = chancery_wire::hash::sha256(result.to_string().as_bytes());
    assert_eq!(completed.facts["result_digest"], digest.to_string());

    let meta = &upstream.calls()[0].body["params"]["_meta"];
    assert_eq!(meta["traceparent"], trace);
    assert_eq!(meta.get("secret"), None);
}

#[tokio::test]
async fn a_denied_call_is_an_answer_with_its_reason() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let answer = world.call("add", json!({"a": 500, "b": 2})).await;
    // T20: a denial is no error of the transport, and no invitation to ask for more scope.
    assert_eq!(answer.status, StatusCode::OK);
    let error = &answer.json()["error"];
    assert_eq!(error["code"], -32010);
    assert_eq!(
        error["message"],
        "denied: forbidden by policy small-sums: sums are small"
    );
    assert_eq!(error["data"]["reason_code"], "policy_forbids");
    assert_eq!(error["data"]["policies"], json!(["small-sums"]));
    assert!(upstream.calls().is_empty());
    let events = world.events();
    assert_eq!(
        world.outcomes(),
        [(EventKind::CallDenied, "denied".to_owned())]
    );
    let decision = events[0].decision.as_ref().expect("a decision");
    assert_eq!(error["data"]["decision_id"], decision.id.to_string());
    assert_eq!(
        world.call("add", json!({"a": 5, "b": 2})).await.json()["result"]["structuredContent"]["result"],
        7
    );
}

#[tokio::test]
async fn si_9_without_a_record_nothing_is_forwarded() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    assert_eq!(
        world.call("add", json!({"a": 1, "b": 2})).await.status,
        StatusCode::OK
    );
    world.recorded(EventKind::CallCompleted).await;
    world.break_recorder();
    for arguments in [json!({"a": 1, "b": 2}), json!({"a": 500, "b": 2})] {
        let answer = world.call("add", arguments).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers["retry-after"], "1");
        assert_eq!(answer.json()["id"], 7);
    }
    assert_eq!(upstream.calls().len(), 1);
}

#[tokio::test]
async fn a_panic_in_a_request_is_answered_and_recorded_and_ends_nothing_else() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let ask = world
        .with(
            &world.alice,
            "desk",
            &call_body("add", json!({"a": 1, "b": 2})),
        )
        .await;
    world.panic_while_recording();
    let answer = world.send(ask).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(
        answer.json(),
        json!({"jsonrpc": "2.0", "id": 7, "error": {"code": -32603, "message": "internal error"}})
    );
    assert!(upstream.calls().is_empty());
    let refused = world.recorded(EventKind::CallRefused).await;
    assert_eq!(refused.outcome, "internal");
    assert_eq!(refused.actor.id, world.alice.id.to_string());
    let answer = world.call("add", json!({"a": 1, "b": 2})).await;
    assert_eq!(answer.json()["result"]["structuredContent"]["result"], 3);
}

#[tokio::test]
async fn mcp_01_nothing_of_the_clients_request_but_the_judged_call_goes_out() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let ask = world
        .with(
            &world.alice,
            "desk",
            &call_body("add", json!({"a": 1, "b": 2})),
        )
        .await;
    let secrets: Vec<String> = ask
        .headers
        .iter()
        .filter(|(name, _)| name == "authorization" || name == "dpop")
        .map(|(_, value)| value.trim_start_matches("DPoP ").to_owned())
        .collect();
    assert_eq!(secrets.len(), 2);
    let ask = ask
        .header("cookie", "session=abc")
        .header("x-api-key", "k")
        .header("mcp-session-id", "theirs");
    let answer = world.send(ask).await;
    assert_eq!(answer.status, StatusCode::OK);
    for received in upstream.received() {
        let names: Vec<&str> = received.headers.keys().map(|name| name.as_str()).collect();
        for forbidden in [
            "authorization",
            "dpop",
            "cookie",
            "x-api-key",
            "mcp-session-id",
            "x-forwarded-for",
        ] {
            assert!(!names.contains(&forbidden), "{names:?}");
        }
        for secret in &secrets {
            assert!(!format!("{received:?}").contains(secret.as_str()));
        }
    }
    for event in world.events() {
        assert!(
            secrets
                .iter()
                .all(|secret| !event.to_canonical_json().contains(secret.as_str()))
        );
    }
}

#[tokio::test]
async fn mcp_05_t13_headers_that_disagree_with_the_body_stop_the_call() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let body = modern(call_body("add", json!({"a": 1, "b": 2})));
    let good = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "add"),
    ];
    let ask = async |changed: Option<(&str, Option<&str>)>| {
        let mut ask = world.with(&world.alice, "desk", &body).await;
        for (name, value) in good {
            match changed {
                Some((other, value)) if other == name => {
                    if let Some(value) = value {
                        ask = ask.header(name, value);
                    }
                }
                Some(_) | None => ask = ask.header(name, value),
            }
        }
        world.send(ask).await
    };
    for changed in [
        ("mcp-protocol-version", None),
        ("mcp-protocol-version", Some("2025-11-25")),
        ("mcp-method", None),
        ("mcp-method", Some("tools/list")),
        ("mcp-name", None),
        ("mcp-name", Some("delete_all")),
        ("mcp-name", Some("=?base64?ZGVsZXRlX2FsbA==?=")),
        ("mcp-name", Some("=?base64?YWRk")),
        ("mcp-name", Some("=?base64?YWR=?=")),
    ] {
        let answer = ask(Some(changed)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{changed:?}");
        assert_eq!(answer.json()["error"]["code"], -32020, "{changed:?}");
        assert_eq!(answer.json()["id"], 7);
    }
    let extra = world
        .with(
            &world.alice,
            "desk",
            &call_body("add", json!({"a": 1, "b": 2})),
        )
        .await;
    let answer = world.send(extra.header("mcp-name", "safe_tool")).await;
    assert_eq!(answer.json()["error"]["code"], -32020);
    assert!(upstream.calls().is_empty());
    assert_eq!(
        ask(None).await.json()["result"]["structuredContent"]["result"],
        3
    );
    assert_eq!(
        ask(Some(("mcp-name", Some("=?base64?YWRk?="))))
            .await
            .status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn mcp_05_arguments_in_headers_must_match_and_are_mirrored_onwards() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let body = modern(call_body("region", json!({"region": "eu"})));
    let ask = async || {
        let ask = world.with(&world.alice, "desk", &body).await;
        ask.header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/call")
            .header("mcp-name", "region")
    };
    for lie in [Some("us"), None] {
        let mut ask = ask().await;
        if let Some(lie) = lie {
            ask = ask.header("mcp-param-region", lie);
        }
        let answer = world.send(ask).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (StatusCode::BAD_REQUEST, &json!(-32020))
        );
    }
    assert!(upstream.calls().is_empty());
    assert_eq!(
        world
            .send(ask().await.header("mcp-param-region", "eu"))
            .await
            .status,
        StatusCode::OK
    );
    let headers = &upstream.calls()[0].headers;
    assert_eq!(headers["mcp-param-region"], "eu");
    assert_eq!(headers["mcp-name"], "region");
    assert_eq!(headers["mcp-method"], "tools/call");
}

#[tokio::test]
async fn mcp_06_ambiguous_json_is_refused_and_what_passes_is_written_anew() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let call = r#""jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add","arguments":{"a":1,"b":2}}"#;
    let bodies = [
        format!(r#"{{{call},"Method":"tools/list"}}"#),
        format!(r#"{{{call},"method":"tools/call"}}"#),
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"fail","na\u006de":"add","arguments":{}}}"#.to_owned(),
        format!("\u{feff}{{{call}}}"),
        format!("{{{call}}} x"),
        format!("{{{call}}}{{{call}}}"),
        format!("{{{call}}} // comment"),
        r#"{"jsonrpc":"2.0","id":1e999,"method":"ping"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":NaN,"method":"ping"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#.to_owned(),
        format!("[{{{call}}}]"),
        r#"{"jsonrpc":"2.0","id":7,"result":{}}"#.to_owned(),
    ];
    for body in bodies {
        let mut ask = world.with(&world.alice, "desk", &json!({})).await;
        ask.body.clone_from(&body);
        let answer = world.send(ask).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        let code = answer.json()["error"]["code"].as_i64();
        assert!(matches!(code, Some(-32700 | -32600)), "{body}: {code:?}");
    }
    assert!(upstream.received().is_empty());
    let mut ask = world.with(&world.alice, "desk", &json!({})).await;
    ask.body = r#"{ "params" : {"arguments":{"b":2 , "\u0061":1},"name":"add"},"method":"tools/call","id":7, "jsonrpc":"2.0"}"#.to_owned();
    assert_eq!(world.send(ask).await.status, StatusCode::OK);
    let text = &upstream.calls()[0].text;
    assert!(text.contains(r#""arguments":{"b":2,"a":1}"#), "{text}");
}

#[tokio::test]
async fn mcp_13_arguments_that_the_accepted_schema_does_not_declare_are_refused() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let fit = "the arguments do not fit the tool's input schema:";
    for (arguments, message) in [
        (
            json!({"a": 1, "b": 2, "path": "../../secrets"}),
            format!("{fit} `/path` is not declared"),
        ),
        (
            json!({"a": [1], "b": 2}),
            format!("{fit} `/a` must be of type integer"),
        ),
        (
            json!({"a": {"$ref": "#/"}, "b": 2}),
            format!("{fit} `/a` must be of type integer"),
        ),
        (json!({"a": 1}), format!("{fit} `/b` is missing")),
        (
            json!({"a": 9_007_199_254_740_993_i64, "b": 2}),
            "`arguments` has a number that not every reader reads the same".to_owned(),
        ),
        (json!([1, 2]), "`arguments` must be an object".to_owned()),
    ] {
        let answer = world.call("add", arguments.clone()).await;
        assert_eq!(answer.status, StatusCode::OK);
        let error = json!({"code": -32602, "message": message});
        assert_eq!(answer.json()["error"], error, "{arguments}");
    }
    assert!(upstream.calls().is_empty());
    assert!(
        world
            .outcomes()
            .iter()
            .all(|(kind, _)| *kind == EventKind::CallRefused)
    );
    let mut body = call_body("add", json!({"a": 1, "b": 2}));
    body["params"]["requestState"] = "x".into();
    let answer = world
        .send(world.with(&world.alice, "desk", &body).await)
        .await;
    assert_eq!(answer.json()["error"]["code"], -32602);
    assert_eq!(
        world.call("add", json!({"a": 1, "b": 2})).await.json()["result"]["structuredContent"]["result"],
        3
    );
}

#[tokio::test]
async fn what_upstream_fails_at_is_said_plainly_and_recorded() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let failing = world(&upstream.url());
    for (tool, outcome, message) in [
        ("fail", "tool_error", ""),
        (
            "broken",
            "upstream_error",
            "the server refused the call (code -32020)",
        ),
        (
            "input",
            "input_required",
            "the tool asks for further input, which the gateway does not pass on",
        ),
        (
            "status",
            "upstream_error",
            "the server answered with HTTP status 302",
        ),
        (
            "huge",
            "upstream_too_large",
            "the server's answer is too large",
        ),
    ] {
        let world = world(&upstream.url());
        let answer = world.call(tool, json!({})).await;
        assert_eq!(answer.status, StatusCode::OK, "{tool}");
        match message {
            "" => assert_eq!(answer.json()["result"]["isError"], true),
            message => {
                assert_eq!(
                    answer.json()["error"],
                    json!({"code": -32603, "message": message}),
                    "{tool}"
                );
            }
        }
        assert_eq!(
            world.recorded(EventKind::CallCompleted).await.outcome,
            outcome
        );
    }
    failing.change_server("desk", |server| {
        server.revision += 1;
        server.upstream = chancery_model::mcp::Upstream::Http {
            url: "http://127.0.0.1:1/mcp".to_owned(),
        };
    });
    let answer = failing.call("add", json!({"a": 1, "b": 2})).await;
    assert_eq!(
        answer.json()["error"]["message"],
        "the server cannot be reached"
    );
    assert_eq!(
        failing.recorded(EventKind::CallRefused).await.outcome,
        "upstream_unreachable"
    );
}

#[tokio::test]
async fn what_a_server_asks_of_its_client_is_not_passed_on() {
    let upstream = Upstream::start(Speaks::Legacy).await;
    let world = world(&upstream.url());
    let answer = world.call("question", json!({})).await;
    assert_eq!(answer.json()["result"]["content"][0]["text"], "asked");
    let refused = async {
        loop {
            let received = upstream.received();
            let answer = received.iter().find(|received| received.body["id"] == "q1");
            if let Some(answer) = answer {
                return answer.body["error"]["code"].clone();
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let code: Value = tokio::time::timeout(std::time::Duration::from_secs(5), refused)
        .await
        .expect("an answer");
    assert_eq!(code, -32601);
}

#[tokio::test]
async fn progress_comes_as_a_stream_of_events_to_clients_that_take_one() {
    for speaks in [Speaks::Legacy, Speaks::Modern] {
        let upstream = Upstream::start(speaks).await;
        let world = world(&upstream.url());
        let mut body = call_body("progress", json!({}));
        body["params"]["_meta"] = json!({"progressToken": "p-1"});
        let answer = world
            .send(world.with(&world.alice, "desk", &body).await)
            .await;
        assert_eq!(answer.headers["content-type"], "text/event-stream");
        let events: Vec<Value> = answer
            .text
            .split("\n\n")
            .filter(|event| !event.is_empty())
            .map(|event| {
                serde_json::from_str(event.trim_start_matches("event: message\ndata: "))
                    .expect("JSON")
            })
            .collect();
        assert_eq!(events.len(), 2, "{answer:?}");
        assert_eq!(events[0]["params"]["progressToken"], "p-1");
        assert_eq!(events[1]["result"]["content"][0]["text"], "done");
        assert_eq!(events[1]["id"], 7);
        assert_eq!(world.recorded(EventKind::CallCompleted).await.outcome, "ok");

        let ask = world
            .with(&world.alice, "desk", &body)
            .await
            .without("accept")
            .header("accept", "application/json");
        let answer = world.send(ask).await;
        assert_eq!(answer.json()["result"]["content"][0]["text"], "done");
        // Progress that was not asked for does not pass.
        let answer = world.call("progress", json!({})).await;
        assert_eq!(answer.json()["result"]["content"][0]["text"], "done");
    }
}
