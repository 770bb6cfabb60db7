//! Servers that are processes of ours.

use std::path::PathBuf;
use std::time::Duration;

use chancery_gateway::probe::probe;
use chancery_model::event::EventKind;
use chancery_model::mcp::Upstream as Target;
use chancery_wire::mcp::Era;
use serde_json::{Value, json};

use crate::world::{Bot, World, call_body, reach, server, world_of};

/// The example of this crate, which cargo builds beside the tests.
fn program() -> String {
    let test = std::env::current_exe().expect("a path");
    let folder: PathBuf = test.ancestors().nth(2).expect("a folder").join("examples");
    let program = folder.join(format!("stdio_server{}", std::env::consts::EXE_SUFFIX));
    assert!(program.exists(), "{program:?} is built by `cargo test`");
    program.to_string_lossy().into_owned()
}

fn target(era: &str) -> Target {
    Target::Stdio {
        command: program(),
        args: vec![era.to_owned()],
    }
}

async fn process_world(era: &str) -> World {
    let probed = probe(&reach(), &target(era)).await.expect("a server");
    world_of(vec![server("process", 'd', target(era), &probed.tools)], 64)
}

async fn call(world: &World, bot: &Bot, tool: &str) -> Value {
    let ask = world
        .with(bot, "process", &call_body(tool, json!({})))
        .await;
    world.send(ask).await.json()
}

fn text(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"]
        .as_str()
        .unwrap_or_else(|| panic!("a text: {answer}"))
}

#[tokio::test]
async fn processes_of_every_era_are_spoken_to() {
    for (era, speaks) in [
        ("modern", Era::Modern),
        ("legacy", Era::Legacy),
        ("strict", Era::Legacy),
    ] {
        let probed = probe(&reach(), &target(era)).await.expect("a server");
        assert_eq!((probed.name.as_str(), probed.era), ("stdio", speaks));
        assert_eq!(probed.tools.len(), 6, "{era}");
    }
    let missing = Target::Stdio {
        command: "/no/such/program".to_owned(),
        args: Vec::new(),
    };
    assert!(probe(&reach(), &missing).await.is_err());
}

#[tokio::test]
async fn a_process_sees_an_empty_environment_and_the_judged_call() {
    for era in ["modern", "legacy", "strict"] {
        let world = process_world(era).await;
        let names = call(&world, &world.alice, "environment").await;
        let allowed = text(&names)
            .split(',')
            .all(|name| ["PATH", "HOME", "LANG"].contains(&name));
        assert!(allowed, "{names}");
        let seen = call(&world, &world.alice, "seen").await;
        let seen: Value = serde_json::from_str(text(&seen)).expect("JSON");
        assert_eq!(
            (&seen["name"], &seen["arguments"]),
            (&json!("seen"), &json!({}))
        );
        let stamped = seen["_meta"]["io.modelcontextprotocol/protocolVersion"] == "2026-07-28";
        assert_eq!(stamped, era == "modern", "{seen}");
        assert_eq!(world.recorded(EventKind::CallCompleted).await.outcome, "ok");
    }
}

#[tokio::test]
async fn mcp_16_each_agent_has_a_process_of_its_own() {
    let world = process_world("modern").await;
    let alice = text(&call(&world, &world.alice, "process").await).to_owned();
    let bob = text(&call(&world, &world.bob, "process").await).to_owned();
    assert_ne!(alice, bob);
    assert_eq!(text(&call(&world, &world.alice, "process").await), alice);
}

#[tokio::test]
async fn progress_finds_its_request_and_its_own_token() {
    let world = process_world("legacy").await;
    let mut body = call_body("progress", json!({}));
    body["params"]["_meta"] = json!({"progressToken": "mine"});
    let answer = world
        .send(world.with(&world.alice, "process", &body).await)
        .await;
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    assert!(
        answer.text.contains("\"progressToken\":\"mine\""),
        "{answer:?}"
    );
    assert!(answer.text.contains("\"text\":\"done\""), "{answer:?}");
}

#[tokio::test]
async fn what_a_process_asks_of_its_client_is_refused() {
    let world = process_world("legacy").await;
    let answer = call(&world, &world.alice, "question").await;
    let refused: Value = serde_json::from_str(text(&answer)).expect("JSON");
    assert_eq!(
        (&refused["id"], &refused["error"]["code"]),
        (&json!("q"), &json!(-32601))
    );
}

#[tokio::test]
async fn a_process_that_dies_fails_its_call_and_comes_back() {
    let world = process_world("modern").await;
    let before = text(&call(&world, &world.alice, "process").await).to_owned();
    let died = call(&world, &world.alice, "leave").await;
    assert_eq!(
        died["error"]["message"],
        "the server closed the connection before it answered"
    );
    let back = async {
        loop {
            let answer = call(&world, &world.alice, "process").await;
            if answer["result"].is_object() {
                return text(&answer).to_owned();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let after = tokio::time::timeout(Duration::from_secs(10), back)
        .await
        .expect("the process comes back");
    assert_ne!(before, after);
}
