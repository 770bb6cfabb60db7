//! Limits: what is too much is refused early, and costs little.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use chancery_model::event::EventKind;
use futures_util::future::join_all;
use futures_util::stream::pending;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::upstream::{Speaks, Upstream, all_tools};
use crate::world::{Ask, World, call_body, server, world, world_of};

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
    let world = desk(&upstream, 1);
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

/// As many calls as this are worked on at once by the one thread of a test.
const TURNS: usize = 64;

fn desk(upstream: &Upstream, in_flight: usize) -> World {
    let target = chancery_model::mcp::Upstream::Http {
        url: upstream.url(),
    };
    let tools: Vec<_> = all_tools()
        .into_iter()
        .filter(|tool| tool["name"] != "hidden")
        .collect();
    world_of(vec![server("desk", 'a', target, &tools)], in_flight)
}

async fn calls(world: &World, count: usize, tool: &str, arguments: &Value) -> Vec<Ask> {
    let mut asks = Vec::new();
    for _ in 0..count {
        let body = call_body(tool, arguments.clone());
        asks.push(world.with(&world.alice, "desk", &body).await);
    }
    asks
}

#[tokio::test]
async fn dos_08_when_work_piles_up_more_of_it_is_sent_away_before_it_is_read() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = desk(&upstream, 1_000);
    let sum = json!({"a": 1, "b": 2});
    assert_eq!(world.call("add", sum.clone()).await.status, StatusCode::OK);
    world.recorded(EventKind::CallCompleted).await;
    let asks = calls(&world, TURNS, "add", &sum).await;
    let before = world.writes();
    let held = world.hold_record().await;
    let waiting = join_all(asks.into_iter().map(|ask| world.send(ask)));
    let others = async {
        world.asked_to_write(before + TURNS).await;
        let mut request = Request::builder().method("POST").uri("/mcp/desk");
        for (name, value) in world.bare(&json!({})).headers {
            request = request.header(name, value);
        }
        // A body that never comes is not waited for, and a token that is none is not looked at.
        let request = request.header("authorization", "Bearer x");
        let request = request.body(Body::from_stream(pending::<Result<Bytes, Infallible>>()));
        let answering = world.router.clone().oneshot(request.expect("a request"));
        let refused = async {
            // Its refusal is recorded like any other.
            world.asked_to_write(before + TURNS + 1).await;
            drop(held);
        };
        let (answer, ()) = tokio::join!(answering, refused);
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers()["retry-after"], "1");
        assert!(!answer.headers().contains_key("dpop-nonce"));
    };
    let (answers, ()) = tokio::join!(waiting, others);
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
    assert_eq!(world.call("add", sum).await.status, StatusCode::OK);
}

#[tokio::test]
async fn dos_08_calls_that_wait_for_their_server_keep_no_other_from_being_made() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = desk(&upstream, 1_000);
    let waiting = calls(&world, TURNS + 8, "wait", &json!({})).await;
    let before = world.writes();
    let waiting = join_all(waiting.into_iter().map(|ask| world.send(ask)));
    let others = async {
        world.asked_to_write(before + TURNS + 8).await;
        upstream.arrived().await;
        let answer = world.call("add", json!({"a": 1, "b": 2})).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    };
    tokio::select! {
        _ = waiting => panic!("nobody lets them go on"),
        () = others => {}
    }
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
