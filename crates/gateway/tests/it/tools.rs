//! Tools: what was accepted is what is shown and what can be called.

use chancery_gateway::probe::{ProbeError, probe};
use chancery_model::event::EventKind;
use chancery_model::mcp::Upstream as Target;
use chancery_wire::mcp::Era;
use serde_json::{Value, json};

use crate::upstream::{Speaks, Upstream, add, all_tools};
use crate::world::{World, call_body, server, world, world_of};

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
    for name in [
        "hidden",
        "none",
        "github.create_issue",
        "desk/add",
        "send_emаil",
        &"a".repeat(300),
    ] {
        let answer = world.call(name, json!({})).await;
        assert_eq!(
            answer.json()["error"],
            json!({"code": -32602, "message": "unknown tool"})
        );
    }
    assert!(upstream.calls().is_empty());
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
    let world = world("http://127.0.0.1:1/mcp");
    for (speaks, era) in [(Speaks::Legacy, Era::Legacy), (Speaks::Modern, Era::Modern)] {
        let upstream = Upstream::start(speaks).await;
        let target = Target::Http {
            url: upstream.url(),
        };
        let probed = probe(world.gateway.reach(), &target)
            .await
            .expect("a server");
        assert_eq!(
            (probed.name.as_str(), probed.version.as_str(), probed.era),
            ("reference", "1", era)
        );
        assert_eq!(probed.tools, all_tools());
    }
}

#[tokio::test]
async fn mcp_12_a_probe_reaches_no_forbidden_address() {
    let world = world("http://127.0.0.1:1/mcp");
    for url in [
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]/",
        "http://0.0.0.0:80/",
        "ftp://x.example/",
    ] {
        let target = Target::Http {
            url: url.to_owned(),
        };
        let refused = probe(world.gateway.reach(), &target).await;
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
        probe(world.gateway.reach(), &shell).await,
        Err(ProbeError::Invalid(_))
    ));
}
