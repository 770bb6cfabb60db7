//! Calls on behalf of a person: both are named, and the call stands with both and with what was consented to.

use std::sync::Arc;
use std::time::Duration;

use chancery_gateway::snapshot::{KnownAgent, Snapshot};
use chancery_model::assurance::Acr;
use chancery_model::event::EventKind;
use chancery_model::mcp::SignIn;
use chancery_model::tool_call::ToolCalls;
use chancery_policy::{DEFAULT, PolicySource, ToolDefinition};
use chancery_wire::access_token::{Act, Claims};
use chancery_wire::base64url;
use http::StatusCode;
use serde_json::json;

use crate::upstream::{Speaks, Upstream, add};
use crate::world::{Answer, World, call_body, world};

async fn call_with(world: &World, token: &str) -> Answer {
    let body = call_body("add", json!({"a": 1, "b": 2}));
    let ask = world.with_token(&world.alice, "desk", token, &body).await;
    world.send(ask).await
}

#[track_caller]
fn succeeds(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(
        answer.json()["result"]["structuredContent"]["result"],
        3,
        "{answer:?}"
    );
}

#[track_caller]
fn refused(world: &World, answer: &Answer, code: &str) {
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{answer:?}");
    let events = world.events();
    let last = events.last().expect("an event");
    assert_eq!(
        (last.kind, last.outcome.as_str()),
        (EventKind::CallRefused, code)
    );
}

#[tokio::test]
async fn call_on_behalf_of_a_person_names_both_in_the_record() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let claims = world.delegated("desk");
    succeeds(&call_with(&world, &world.sign(&claims)).await);
    for kind in [EventKind::CallPermitted, EventKind::CallCompleted] {
        let event = world.recorded(kind).await;
        assert_eq!(event.actor.id, world.alice.id.to_string());
        assert_eq!(event.subject.as_deref(), Some(&*claims.sub));
        let grant = claims.grant_id.expect("a grant").to_string();
        assert_eq!(event.facts["grant"], grant);
    }
    // A call of the agent's own names nobody else.
    succeeds(&call_with(&world, &world.token(&world.alice, "desk")).await);
    let events = world.events();
    assert_eq!(events.last().expect("an event").subject, None);
}

#[tokio::test]
async fn token_of_a_public_client_is_of_the_agent_that_it_became_and_of_no_other() {
    const CLIENT: &str = "https://app.example/client.json";
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let claims = Claims {
        client_id: CLIENT.to_owned(),
        ..world.delegated("desk")
    };
    let token = world.sign(&claims);
    let of = |client: Option<&str>| {
        world.change(|snapshot| {
            let known = &snapshot.agents[&world.alice.id];
            let known = KnownAgent {
                agent: known.agent.clone(),
                owner_is_live: known.owner_is_live,
                keys: None,
                facts: known.facts.clone(),
                recorded: known.recorded.clone(),
                not_before: known.not_before,
                client: client.map(str::to_owned),
            };
            snapshot.agents.insert(world.alice.id, Arc::new(known));
        });
    };
    refused(
        &world,
        &call_with(&world, &token).await,
        "principal_inactive",
    );
    of(Some(CLIENT));
    succeeds(&call_with(&world, &token).await);
    let permitted = world.recorded(EventKind::CallPermitted).await;
    assert_eq!(permitted.actor.id, world.alice.id.to_string());
    assert_eq!(permitted.subject.as_deref(), Some(&*claims.sub));
    of(Some("https://other.example/client.json"));
    refused(
        &world,
        &call_with(&world, &token).await,
        "principal_inactive",
    );
    // Under its own name an agent of a client has no tokens.
    of(Some(CLIENT));
    let own = world.sign(&world.delegated("desk"));
    refused(&world, &call_with(&world, &own).await, "principal_inactive");
}

#[tokio::test]
async fn call_is_refused_once_the_person_left_or_took_the_grant_back() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let claims = world.delegated("desk");
    let token = world.sign(&claims);
    succeeds(&call_with(&world, &token).await);
    let before = world.current.load_full();
    world.change(|snapshot| snapshot.people = Default::default());
    refused(&world, &call_with(&world, &token).await, "subject_inactive");
    let back = |snapshot: &mut Snapshot| {
        snapshot.people = Arc::clone(&before.people);
        snapshot.grants = Arc::clone(&before.grants);
    };
    world.change(back);
    succeeds(&call_with(&world, &token).await);
    world.change(|snapshot| snapshot.grants = Default::default());
    refused(
        &world,
        &call_with(&world, &token).await,
        "grant_not_in_force",
    );
    world.change(back);
    // A grant that ended by itself is no grant, whenever the snapshot was read.
    world.change(|snapshot| {
        let grants = Arc::make_mut(&mut snapshot.grants);
        for grant in grants.values_mut() {
            Arc::make_mut(grant).expires_at = world.clock_now();
        }
    });
    refused(
        &world,
        &call_with(&world, &token).await,
        "grant_not_in_force",
    );
    assert_eq!(upstream.calls().len(), 2);
}

#[tokio::test]
async fn grant_that_is_taken_back_between_decision_and_forwarding_stops_the_call() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let token = world.sign(&world.delegated("desk"));
    world.nonce().await;
    world.take_back_while_recording();
    let answer = call_with(&world, &token).await;
    assert!(
        answer.text.contains("no longer lets the agent act"),
        "{answer:?}"
    );
    assert!(upstream.calls().is_empty());
    let completed = world.recorded(EventKind::CallCompleted).await;
    assert_eq!(completed.outcome, "stopped");
    assert!(
        completed
            .facts
            .values()
            .any(|fact| fact == "grant_not_in_force"),
        "{completed:?}"
    );
}

#[tokio::test]
async fn token_of_another_grant_or_with_half_of_one_is_refused() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let right = world.delegated("desk");
    let other = "own_01hzy0000000000000000000cc".to_owned();
    let act = |sub: &str| {
        Some(Act {
            sub: sub.to_owned(),
            iss: right.iss.clone(),
        })
    };
    for (claims, code) in [
        (
            Claims {
                sub: other,
                ..right.clone()
            },
            "subject_inactive",
        ),
        (
            Claims {
                grant_id: None,
                ..right.clone()
            },
            "subject_inactive",
        ),
        (
            Claims {
                act: None,
                ..right.clone()
            },
            "subject_inactive",
        ),
        (
            Claims {
                sub: right.client_id.clone(),
                ..right.clone()
            },
            "subject_inactive",
        ),
        (
            Claims {
                act: act(&world.bob.id.to_string()),
                ..right.clone()
            },
            "subject_inactive",
        ),
        (
            Claims {
                grant_id: "grt_01hzy0000000000000000000cc".parse().ok(),
                ..right.clone()
            },
            "grant_not_in_force",
        ),
    ] {
        refused(&world, &call_with(&world, &world.sign(&claims)).await, code);
    }
    // The grant is for one agent and one resource.
    for change in [0, 1] {
        world.change(|snapshot| {
            let grants = Arc::make_mut(&mut snapshot.grants);
            for grant in grants.values_mut() {
                let grant = Arc::make_mut(grant);
                match change {
                    0 => grant.agent = world.bob.id,
                    _ => {
                        grant.agent = world.alice.id;
                        grant.resource = "https://id.example/mcp/other".to_owned();
                    }
                }
            }
        });
        refused(
            &world,
            &call_with(&world, &world.sign(&right)).await,
            "grant_not_in_force",
        );
    }
    let right = world.delegated("desk");
    succeeds(&call_with(&world, &world.sign(&right)).await);
}

#[tokio::test]
async fn policy_sees_on_whose_behalf_a_call_is() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let token = world.sign(&world.delegated("desk"));
    let support = PolicySource {
        name: "support",
        text: "@id(\"support-only\") forbid (principal, action == Chancery::Action::\"call/desk/add\", resource) \
               unless { context has subject && context.subject.teams.contains(\"team:support\") };",
    };
    let tool = add();
    let tools = [ToolDefinition {
        server: "desk",
        tool: "add",
        input_schema: &tool["inputSchema"],
    }];
    let policy = chancery_policy::Snapshot::compile(9, &[DEFAULT, support], &[], &tools);
    let policy = Arc::new(policy.expect("policies"));
    world.change(|snapshot| snapshot.policy = policy);
    succeeds(&call_with(&world, &token).await);
    let own = call_with(&world, &world.token(&world.alice, "desk")).await;
    assert!(own.text.contains("support-only"), "{own:?}");
    world.change(|snapshot| {
        let people = Arc::make_mut(&mut snapshot.people);
        for person in people.values_mut() {
            Arc::make_mut(person).teams = vec!["team:desk".to_owned()];
        }
    });
    let other = call_with(&world, &token).await;
    assert!(other.text.contains("support-only"), "{other:?}");
    assert_eq!(upstream.calls().len(), 1);
}

/// The challenge of a refusal, by its parameters; values have no quotes inside.
fn parameter(answer: &Answer, name: &str) -> Option<String> {
    let (_, rest) = answer.challenge().split_once(&format!("{name}=\""))?;
    rest.split('"').next().map(str::to_owned)
}

fn limited_to(details: serde_json::Value) -> Option<ToolCalls> {
    let details = serde_json::from_value(details).expect("details");
    Some(ToolCalls::of(details, "https://id.example/mcp/desk").expect("details"))
}

#[tokio::test]
async fn token_that_is_limited_to_calls_makes_those_and_no_others_and_is_told_what_would_do() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let of = |details| Claims {
        authorization_details: limited_to(details),
        ..world.delegated("desk")
    };
    let right = of(json!([
        {"type": "tool_call", "identifier": "read"},
        {"type": "tool_call", "identifier": "add", "constraints": {"a": {"at_most": 1}, "b": {"one_of": [2]}}},
    ]));
    succeeds(&call_with(&world, &world.sign(&right)).await);
    for details in [
        json!([{"type": "tool_call", "identifier": "read"}]),
        json!([{"type": "tool_call", "identifier": "add", "constraints": {"a": {"at_most": 0}}}]),
        json!([{"type": "tool_call", "identifier": "add", "constraints": {"c": {}}}]),
    ] {
        let answer = call_with(&world, &world.sign(&of(details))).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{answer:?}");
        let error = parameter(&answer, "error");
        assert_eq!(error.as_deref(), Some("insufficient_authorization"));
        let events = world.events();
        let last = events.last().expect("an event");
        assert_eq!(
            (last.kind, last.outcome.as_str()),
            (EventKind::CallRefused, "insufficient_authorization")
        );
        // What the client is told to ask its person for admits this call, and no other.
        let remedy = parameter(&answer, "authorization_remediation").expect("a remedy");
        let remedy = base64url::decode(&remedy).expect("base64url");
        let remedy: serde_json::Value = serde_json::from_slice(&remedy).expect("JSON");
        let healed = of(remedy["authorization_details"].clone());
        succeeds(&call_with(&world, &world.sign(&healed)).await);
        let body = call_body("add", json!({"a": 1, "b": 3}));
        let token = world.sign(&healed);
        let ask = world.with_token(&world.alice, "desk", &token, &body).await;
        assert_eq!(world.send(ask).await.status, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn person_must_have_signed_in_as_the_server_wants_it_and_the_client_is_told_how() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let now = world.clock_now().as_secs();
    let signed_in = |auth_time: Option<i64>, acr: Option<&str>| {
        let claims = Claims {
            auth_time,
            acr: acr.map(str::to_owned),
            ..world.delegated("desk")
        };
        world.sign(&claims)
    };
    // Nothing is asked for unless the server says so.
    succeeds(&call_with(&world, &signed_in(None, None)).await);
    world.change_server("desk", |server| {
        server.sign_in = SignIn {
            max_age: Some(Duration::from_secs(300)),
            acr: Some(Acr::PhishingResistant),
        };
    });
    succeeds(&call_with(&world, &signed_in(Some(now - 299), Some("phr"))).await);
    for token in [
        signed_in(Some(now - 301), Some("phr")),
        signed_in(Some(now), None),
        signed_in(Some(now), Some("phrh")),
        signed_in(None, Some("phr")),
        signed_in(None, None),
    ] {
        let answer = call_with(&world, &token).await;
        refused(&world, &answer, "insufficient_user_authentication");
        for (name, value) in [
            ("error", "insufficient_user_authentication"),
            ("acr_values", "phr"),
            ("max_age", "300"),
        ] {
            assert_eq!(
                parameter(&answer, name).as_deref(),
                Some(value),
                "{answer:?}"
            );
        }
    }
    // Nobody signs in for an agent that acts for itself.
    succeeds(&call_with(&world, &world.token(&world.alice, "desk")).await);
}
