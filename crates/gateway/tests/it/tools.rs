//! Tools: what was accepted is what is shown and what can be called.

use chancery_gateway::probe::{ProbeError, probe};
use chancery_model::decision::ReasonCode;
use chancery_model::event::EventKind;
use chancery_model::mcp::Upstream as Target;
use chancery_wire::mcp::Era;
use http::StatusCode;
use serde_json::{Value, json};

use crate::upstream::{Speaks, Upstream, add, all_tools};
use crate::world::{World, call_body, reach, server, world, world_of};

async fn listed(world: &World, server: &'static str) -> Vec<String> {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let answer = world
        .send(world.with(&world.alice, server, &body).await)
        .await
        .json();
    let tools = answer["result"]["tools"].as_array().expect("tools").iter();
    tools
        .filter_map(|tool| tool["name"].as_str().map(str::to_owned))
        .collect()
}

async fn change_is_blocked(change: impl FnOnce(&mut Vec<Value>)) {
    let upstream = Upstream::start(Speaks::Modern).await;
    upstream.change_tools(change);
    let world = world(&upstream.url());
    assert!(!listed(&world, "desk").await.contains(&"add".to_owned()));
    let answer = world.call("add", json!({"a": 1, "b": 2})).await;
    assert_eq!(answer.json()["error"]["code"], -32011, "{answer:?}");
    assert_eq!(
        world.recorded(EventKind::CallRefused).await.outcome,
        "tool_definition_changed"
    );
    assert!(upstream.calls().is_empty());
    // The other tools go on.
    assert_eq!(
        world.call("fail", json!({})).await.json()["result"]["isError"],
        true
    );
}

#[tokio::test]
async fn mcp_03_a_changed_tool_is_blocked_until_it_is_accepted_again() {
    change_is_blocked(|tools| tools[0]["description"] = "Adds two numbers.".into()).await;
    change_is_blocked(|tools| tools[0]["inputSchema"]["properties"]["c"] = json!({})).await;
    change_is_blocked(|tools| tools[0]["annotations"] = json!({"readOnlyHint": true})).await;
    change_is_blocked(|tools| tools[0]["outputSchema"] = json!({"type": "object"})).await;
    change_is_blocked(|tools| tools.push(add())).await;
    change_is_blocked(|tools| drop(tools.remove(0))).await;
}

#[tokio::test]
async fn mcp_03_a_tool_that_was_never_accepted_cannot_be_called() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    assert!(!listed(&world, "desk").await.contains(&"hidden".to_owned()));
    for name in ["hidden", "none", "github.create_issue"] {
        let answer = world.call(name, json!({})).await;
        assert_eq!(answer.status, StatusCode::OK);
        let message = format!("denied: no policy permits agent alice-bot to call desk/{name}");
        let error = &answer.json()["error"];
        assert_eq!(
            (&error["code"], &error["message"]),
            (&json!(-32010), &message.into())
        );
        let event = world.events().pop().expect("an event");
        let decision = event.decision.expect("a decision");
        assert_eq!(event.kind, EventKind::CallDenied);
        assert_eq!(event.call.expect("a call").tool.as_deref(), Some(name));
        assert_eq!(decision.code, ReasonCode::UnknownAction);
        assert_eq!(error["data"]["decision_id"], decision.id.to_string());
    }
    for name in ["desk/add", "send_emаil", "", &"a".repeat(300)] {
        let answer = world.call(name, json!({})).await;
        let message = "`name` must be 1 to 128 letters, digits, `_`, `-` and `.`";
        assert_eq!(
            answer.json()["error"],
            json!({"code": -32602, "message": message})
        );
        let event = world.events().pop().expect("an event");
        assert_eq!(event.outcome, "params_invalid");
        assert_eq!(event.call.expect("a call").tool, None);
    }
    assert!(upstream.calls().is_empty());
}

/// The answer to a call by bob's bot, with what differs between any two answers taken out.
async fn told_bob(world: &World, tool: &str, arguments: Value) -> (StatusCode, Value) {
    let body = call_body(tool, arguments);
    let answer = world
        .send(world.with(&world.bob, "desk", &body).await)
        .await;
    let mut told = answer.json();
    let id = told["error"]["data"]["decision_id"].take();
    assert!(id.is_string(), "{answer:?}");
    let message = told["error"]["message"].as_str().expect("a message");
    told["error"]["message"] = message.replace(tool, "TOOL").into();
    (answer.status, told)
}

#[tokio::test]
async fn a_tool_that_an_agent_may_not_see_is_for_it_as_if_it_did_not_exist() {
    let upstream = Upstream::start(Speaks::Modern).await;
    upstream.change_tools(|tools| tools[1]["description"] = "changed".into());
    let world = world(&upstream.url());
    world.grant(world.bob.id, &json!([{"server": "other", "tool": "add"}]));
    let unknown = told_bob(&world, "gone", json!({})).await;
    assert_eq!(
        unknown.1["error"]["message"],
        "denied: no policy permits agent bob-bot to call desk/TOOL"
    );
    for (tool, arguments) in [
        ("add", json!({"a": 1, "b": 2})),
        // Arguments that do not fit, in every way.
        ("add", json!({})),
        ("add", json!({"a": "x", "b": 2})),
        ("add", json!({"a": 1, "b": 2, "path": "x"})),
        // A policy forbids this one; the others are not permitted by any.
        ("add", json!({"a": 500, "b": 2})),
        // The server changed this one.
        ("region", json!({"region": "eu"})),
        ("region", json!({})),
    ] {
        let told = told_bob(&world, tool, arguments.clone()).await;
        assert_eq!(told, unknown, "{tool} {arguments}");
    }
    // Nothing was asked of the server, so how it answers tells nothing either.
    assert!(upstream.received().is_empty());
    let codes: Vec<ReasonCode> = world
        .events()
        .into_iter()
        .map(|event| {
            assert_eq!(event.kind, EventKind::CallDenied);
            event.decision.expect("a decision").code
        })
        .collect();
    assert_eq!(
        codes[..2],
        [ReasonCode::UnknownAction, ReasonCode::NoPolicyPermits]
    );
    assert_eq!(codes[2], ReasonCode::RequestInvalid);
    assert_eq!(codes[5], ReasonCode::PolicyForbids);
}

#[tokio::test]
async fn a_tool_that_an_agent_may_only_see_says_how_it_is_called_and_denies_the_call() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let listed = json!([{"server": "desk", "tool": "add", "permissions": ["list"]}]);
    world.grant(world.alice.id, &listed);
    let answer = world.call("add", json!({"a": 1})).await;
    assert_eq!(
        answer.json()["error"],
        json!({"code": -32602,
            "message": "the arguments do not fit the tool's input schema: `/b` is missing"})
    );
    let answer = world.call("add", json!({"a": 1, "b": 2})).await;
    assert_eq!(
        answer.json()["error"]["message"],
        "denied: no policy permits agent alice-bot to call desk/add"
    );
    let answer = world.call("add", json!({"a": 500, "b": 2})).await;
    assert_eq!(
        answer.json()["error"]["data"]["reason_code"],
        "policy_forbids"
    );
    let kinds: Vec<EventKind> = world.events().iter().map(|event| event.kind).collect();
    let denied = EventKind::CallDenied;
    assert_eq!(kinds, [EventKind::CallRefused, denied, denied]);
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn an_agent_that_may_see_nothing_makes_no_server_answer() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    world.grant(world.alice.id, &json!([]));
    assert!(listed(&world, "desk").await.is_empty());
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn mcp_10_tools_of_one_name_on_two_servers_are_different_tools() {
    let (one, two) = (
        Upstream::start(Speaks::Modern).await,
        Upstream::start(Speaks::Modern).await,
    );
    let target = |upstream: &Upstream| Target::Http {
        url: upstream.url(),
    };
    let world = world_of(
        vec![
            server("desk", 'a', target(&one), &[add()]),
            server("other", 'b', target(&two), &[add()]),
        ],
        64,
    );
    let body = call_body("add", json!({"a": 1, "b": 2}));
    let answer = world
        .send(world.with(&world.alice, "other", &body).await)
        .await;
    assert_eq!(answer.json()["result"]["structuredContent"]["result"], 3);
    assert_eq!((one.calls().len(), two.calls().len()), (0, 1));
    // A grant is for a tool of a server: the limit on `desk/add` says nothing about `other/add`.
    let body = call_body("add", json!({"a": 500, "b": 2}));
    let answer = world
        .send(world.with(&world.alice, "other", &body).await)
        .await;
    assert_eq!(answer.json()["result"]["structuredContent"]["result"], 502);
    let answer = world
        .send(world.with(&world.alice, "desk", &body).await)
        .await;
    assert_eq!(answer.json()["error"]["code"], -32010);
}

#[tokio::test]
async fn a_list_shows_what_the_agent_may_see() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let target = || Target::Http {
        url: upstream.url(),
    };
    let world = world_of(
        vec![
            server("desk", 'a', target(), &[add()]),
            server("strange", 'c', target(), &[add()]),
        ],
        64,
    );
    assert_eq!(listed(&world, "desk").await, ["add"]);
    assert!(listed(&world, "strange").await.is_empty());
    let body =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"cursor": "x"}});
    let answer = world
        .send(world.with(&world.alice, "desk", &body).await)
        .await;
    assert_eq!(answer.json()["error"]["code"], -32602);
}

#[tokio::test]
async fn a_server_is_probed_whatever_era_it_speaks() {
    for (speaks, era) in [(Speaks::Legacy, Era::Legacy), (Speaks::Modern, Era::Modern)] {
        let upstream = Upstream::start(speaks).await;
        let target = Target::Http {
            url: upstream.url(),
        };
        let probed = probe(&reach(), &target).await.expect("a server");
        assert_eq!(
            (probed.name.as_str(), probed.version.as_str(), probed.era),
            ("reference", "1", era)
        );
        assert_eq!(probed.tools, all_tools());
    }
}

#[tokio::test]
async fn mcp_12_a_probe_reaches_no_forbidden_address() {
    for url in [
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]/",
        "http://0.0.0.0:80/",
        "ftp://x.example/",
    ] {
        let target = Target::Http {
            url: url.to_owned(),
        };
        let refused = probe(&reach(), &target).await;
        assert!(
            matches!(refused, Err(ProbeError::Invalid(_))),
            "{url}: {refused:?}"
        );
    }
    let shell = Target::Stdio {
        command: "sh".to_owned(),
        args: vec!["-c".to_owned(), "id".to_owned()],
    };
    assert!(matches!(
        probe(&reach(), &shell).await,
        Err(ProbeError::Invalid(_))
    ));
}
