//! Limits: what is too much is refused early, and costs little.

use std::time::Duration;

use chancery_model::event::EventKind;
use http::StatusCode;
use serde_json::json;

use crate::upstream::{Speaks, Upstream, all_tools};
use crate::world::{call_body, server, world, world_of};

#[tokio::test]
async fn dos_01_deep_and_large_bodies_are_refused() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let wide: String = (0..20_000)
        .map(|number| format!("\"k{number}\":1,"))
        .collect();
    let wide = format!("{{{wide}\"jsonrpc\":\"2.0\"}}");
    for (body, status) in [
        (deep, StatusCode::BAD_REQUEST),
        (wide, StatusCode::BAD_REQUEST),
        (
            format!("\"{}\"", "x".repeat(300_000)),
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
        ("9".repeat(250_000), StatusCode::BAD_REQUEST),
        (String::new(), StatusCode::BAD_REQUEST),
    ] {
        let length = body.len();
        let mut stranger = world.bare(&json!({}));
        stranger.body.clone_from(&body);
        let answer = world.send(stranger).await;
        let refused = if status == StatusCode::PAYLOAD_TOO_LARGE {
            status
        } else {
            StatusCode::UNAUTHORIZED
        };
        assert_eq!(answer.status, refused, "{length} bytes of a stranger");
        let mut agent = world.with(&world.alice, "desk", &json!({})).await;
        agent.body = body;
        let answer = world.send(agent).await;
        assert_eq!(answer.status, status, "{length} bytes");
    }
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn dos_08_calls_beyond_the_limit_are_sent_away_at_once() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let target = chancery_model::mcp::Upstream::Http {
        url: upstream.url(),
    };
    let tools: Vec<_> = all_tools()
        .into_iter()
        .filter(|tool| tool["name"] != "hidden")
        .collect();
    let world = world_of(vec![server("desk", 'a', target, &tools)], 1);
    let waiting = world
        .with(&world.alice, "desk", &call_body("wait", json!({})))
        .await;
    let others = async {
        upstream.arrived().await;
        let answer = world.call("add", json!({"a": 1, "b": 2})).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers["retry-after"], "1");
        upstream.go_on();
    };
    let (answer, ()) = tokio::join!(world.send(waiting), others);
    assert_eq!(answer.json()["result"]["content"][0]["text"], "waited");
    world.recorded(EventKind::CallCompleted).await;
    tokio::task::yield_now().await;
    let answer = world.call("add", json!({"a": 1, "b": 2})).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
}

#[tokio::test]
async fn noise_does_not_fill_the_record() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let body = call_body("add", json!({"a": 1, "b": 2}));
    for _ in 0..300 {
        let answer = world.send(world.bare(&body)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(world.events().len(), 10);
    // What was not recorded one by one is recorded as a count.
    let counted = async {
        loop {
            if let Some(event) = world
                .events()
                .into_iter()
                .find(|event| event.facts.contains_key("count"))
            {
                return event;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let event = tokio::time::timeout(Duration::from_secs(10), counted)
        .await
        .expect("a count");
    assert_eq!(
        (event.outcome.as_str(), event.facts["count"].as_str()),
        ("no_credentials", "290")
    );
}
