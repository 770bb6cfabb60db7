//! Stops: what changes while a call waits or runs ends it.

use std::sync::Arc;
use std::time::Duration;

use chancery_model::event::EventKind;
use http::StatusCode;
use http_body_util::BodyExt;
use serde_json::json;

use crate::upstream::{Speaks, Upstream};
use crate::world::{World, call_body, world};

/// Opens a stream of progress, applies `stop`, and reads on until the stream ends.
async fn stream_ends(stop: impl FnOnce(&World), by: &str) {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let mut body = call_body("ticks", json!({}));
    body["params"]["_meta"] = json!({"progressToken": 1});
    let response = world
        .open(world.with(&world.alice, "desk", &body).await)
        .await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut stream = response.into_body();
    let first = stream.frame().await.expect("a frame").expect("a frame");
    assert!(
        String::from_utf8_lossy(first.data_ref().expect("data")).contains("notifications/progress")
    );
    stop(&world);
    let rest = tokio::time::timeout(Duration::from_secs(5), stream.collect()).await;
    let rest = rest
        .expect("the stream ends within 5 seconds")
        .expect("a body")
        .to_bytes();
    let rest = String::from_utf8(rest.to_vec()).expect("UTF-8");
    // Nothing comes after the stop but the word that it is over.
    assert_eq!(rest.matches("notifications/progress").count(), 0, "{rest}");
    assert_eq!(rest.matches("\"code\":-32011").count(), 1, "{rest}");
    let completed = world.recorded(EventKind::CallCompleted).await;
    assert_eq!(completed.outcome, "stopped");
    assert_eq!(completed.facts["stopped_by"], by);
}

#[tokio::test]
async fn mcp_14_a_stream_ends_with_what_permitted_it() {
    stream_ends(
        |world| world.change_agent(world.alice.id, |known| known.owner_is_live = false),
        "principal_inactive",
    )
    .await;
    stream_ends(
        |world| world.change(|snapshot| drop(snapshot.agents.remove(&world.alice.id))),
        "principal_inactive",
    )
    .await;
    stream_ends(|world| world.advance(Duration::from_secs(300)), "expired").await;
    stream_ends(
        |world| world.advance_unheard(Duration::from_secs(31)),
        "snapshot_stale",
    )
    .await;
    stream_ends(
        |world| {
            world.change_server("desk", |server| {
                server.tools.retain(|tool| tool.name != "ticks")
            })
        },
        "tool_withdrawn",
    )
    .await;
    stream_ends(
        |world| world.change(|snapshot| drop(snapshot.servers.remove("desk"))),
        "tool_withdrawn",
    )
    .await;
    let jti = |world: &World| world.events()[0].token.as_ref().expect("a token").jti;
    stream_ends(
        |world| {
            let jti = jti(world);
            world.change(|snapshot| {
                Arc::make_mut(&mut snapshot.revoked).insert(jti);
            });
        },
        "revoked",
    )
    .await;
    stream_ends(
        |world| {
            world.change(|snapshot| {
                let nothing =
                    chancery_policy::Snapshot::compile(2, &[], &[], &[]).expect("policies");
                snapshot.policy = nothing.into();
            })
        },
        "no_longer_permitted",
    )
    .await;
}

#[tokio::test]
async fn a_stream_that_nothing_stops_goes_on_and_a_client_that_leaves_is_noted() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let mut body = call_body("ticks", json!({}));
    body["params"]["_meta"] = json!({"progressToken": 1});
    let response = world
        .open(world.with(&world.alice, "desk", &body).await)
        .await;
    let mut stream = response.into_body();
    // Another snapshot that changes nothing for this call.
    world.change(|_| {});
    for _ in 0..5 {
        let frame = stream.frame().await.expect("a frame").expect("a frame");
        assert!(
            String::from_utf8_lossy(frame.data_ref().expect("data"))
                .contains("notifications/progress")
        );
    }
    drop(stream);
    assert_eq!(
        world.recorded(EventKind::CallCompleted).await.outcome,
        "client_closed"
    );
}

#[tokio::test]
async fn an_answer_that_was_overtaken_by_a_stop_is_withheld() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let ask = world
        .with(&world.alice, "desk", &call_body("wait", json!({})))
        .await;
    let stop = async {
        upstream.arrived().await;
        world.change_agent(world.alice.id, |known| known.owner_is_live = false);
        upstream.go_on();
    };
    let (answer, ()) = tokio::join!(world.send(ask), stop);
    assert_eq!(answer.json()["error"]["code"], -32011);
    assert!(!answer.text.contains("waited"));
    assert_eq!(
        world.recorded(EventKind::CallCompleted).await.facts["stopped_by"],
        "principal_inactive"
    );
}

#[tokio::test]
async fn a_single_answer_may_outlive_its_token() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let ask = world
        .with(&world.alice, "desk", &call_body("wait", json!({})))
        .await;
    let pass = async {
        upstream.arrived().await;
        world.advance(Duration::from_secs(301));
        upstream.go_on();
    };
    let (answer, ()) = tokio::join!(world.send(ask), pass);
    assert_eq!(answer.json()["result"]["content"][0]["text"], "waited");
}

#[tokio::test]
async fn race_06_what_changes_between_decision_and_forwarding_stops_the_call() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    assert_eq!(
        world.call("add", json!({"a": 1, "b": 2})).await.status,
        StatusCode::OK
    );
    world.recorded(EventKind::CallCompleted).await;
    world.stop_while_recording();
    let answer = world.call("add", json!({"a": 1, "b": 2})).await;
    assert_eq!(answer.json()["error"]["code"], -32011, "{answer:?}");
    assert_eq!(upstream.calls().len(), 1);
    let stopped = async {
        while !world
            .outcomes()
            .contains(&(EventKind::CallCompleted, "stopped".to_owned()))
        {
            tokio::task::yield_now().await;
        }
    };
    let stopped = tokio::time::timeout(Duration::from_secs(5), stopped).await;
    assert!(stopped.is_ok(), "{:?}", world.outcomes());
}

#[tokio::test]
async fn a_stale_snapshot_permits_nothing() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    world.advance_unheard(Duration::from_secs(30));
    assert_eq!(
        world.call("add", json!({"a": 1, "b": 2})).await.status,
        StatusCode::OK
    );
    world.advance_unheard(Duration::from_secs(1));
    let ask = world
        .with(
            &world.alice,
            "desk",
            &call_body("add", json!({"a": 1, "b": 2})),
        )
        .await;
    let answer = world.send(ask).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(upstream.calls().len(), 1);
    world.advance(Duration::from_secs(1));
    assert_eq!(
        world.call("add", json!({"a": 1, "b": 2})).await.status,
        StatusCode::OK
    );
}
