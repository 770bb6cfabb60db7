//! Processes whose clocks disagree: within the leeway they work together, beyond it they refuse, and the log stays one.

use std::time::Duration;

use chancery_model::id::ClientId;
use chancery_wire::client_assertion;
use serde_json::json;

use crate::house::{House, ISSUER, claims, token_form};

const R1: &str = "https://r1.example";

#[tokio::test]
async fn time_03_processes_whose_clocks_disagree_refuse_beyond_the_leeway_and_never_revive() {
    let house = House::found().await;
    let server = house.resource(R1).await;
    let agent = house.register("refund-bot").await;
    let token = house.token(&agent, R1).await;
    // How far the other one is ahead, whether it believes the token, and whether it takes an assertion of now.
    for (seed, ahead, believes, takes) in [
        (2, 0, true, true),
        (3, 9, true, true),
        (4, 30, true, true),
        (5, -9, true, true),
        (6, -240, false, false),
        (7, 240, true, false),
        (8, 600, false, false),
    ] {
        let other = house.beside_ahead(seed, ahead).await;
        // The credential for questions is its own, so that only the token's times are judged.
        let id: ClientId = server.id.parse().expect("a client");
        let (now, jti) = (other.now(), house.fresh());
        let assertion = client_assertion::sign(id, ISSUER, &jti, now, &server.key);
        let form = [
            ("client_assertion", assertion.as_str()),
            ("resource", ISSUER),
        ];
        let questions = other.send(token_form(&form)).await.ok();
        let questions = questions["access_token"].as_str().expect("a token");
        let told = other.is_told_active(questions, &token).await;
        assert_eq!(told, believes, "{ahead} seconds ahead");
        let nonce = other.nonce(&agent).await;
        let form = [
            ("client_assertion", &*house.assertion(&agent)),
            ("resource", R1),
        ];
        let ask = token_form(&form).header("dpop", other.proof(&agent.key, &nonce));
        let answer = other.send(ask).await;
        assert_eq!(answer.status == 200, takes, "{ahead}: {answer:?}");
        if !takes {
            answer.oauth_error(401, "invalid_client");
            continue;
        }
        // What it issues is believed here, unless it is for a time that has not come.
        let issued = answer.ok();
        let issued = issued["access_token"].as_str().expect("a token");
        assert_eq!(
            claims(issued)["iat"].as_i64(),
            Some(other.now().as_secs()),
            "{ahead} seconds ahead"
        );
        let believed = house.is_active(&server, issued).await;
        assert_eq!(believed, ahead <= 10, "{ahead} seconds ahead");
    }
}

/// The lease is taken by whoever believes that it has ended; the head decides whose seal counts.
#[tokio::test]
async fn time_03_log_stays_one_line_when_clocks_disagree() {
    let house = House::found().await;
    let others = [
        house.beside_ahead(2, 240).await,
        house.beside_ahead(3, -240).await,
        house.beside_ahead(4, 600).await,
    ];
    let mut handles = Vec::new();
    for round in 0..5 {
        for (number, node) in others.iter().chain([&house]).enumerate() {
            let handle = format!("p{round}-{number}@example.com");
            let body = json!({"handle": handle});
            node.admin("POST", "/v1/owners", body).await.ok();
            node.authority.sealing.bell.notify_one();
            handles.push(handle);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    house.sealed().await;
    let events = house.events_of("owner.added").await;
    let mut added: Vec<&str> = events
        .iter()
        .map(|event| event["facts"]["handle"].as_str().expect("a handle"))
        .collect();
    added.sort_unstable();
    handles.sort_unstable();
    assert_eq!(added, handles, "each once");
    let copy = crate::audit::tamper::download(&house).await;
    copy.verify(&[], &mut |_, _| Ok(())).expect("one log");
}
