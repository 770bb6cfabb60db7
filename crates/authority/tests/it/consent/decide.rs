//! `POST /oauth/authorize/decide`: whose answer counts, and that it counts once.

use serde_json::Value;

use super::flow::{BOB, CALLBACK, R1, STATE, field, furnished, landed, stays_here};
use crate::house::{ADMIN, ISSUER};
use crate::request::ask;

#[tokio::test]
async fn yes_is_a_grant_and_a_code_that_names_its_issuer() {
    let flow = furnished().await;
    let uri = flow.pushed(|_| ()).await;
    let answer = flow.approve(&uri).await;
    assert!(
        answer
            .header("location")
            .starts_with("https://app.example/cb?code="),
        "{answer:?}"
    );
    let told = landed(&answer);
    assert_eq!(told["state"], STATE);
    // AUTHZ-07: whoever serves many servers can tell whose answer this is.
    assert_eq!(told["iss"], ISSUER);
    let grants = flow.grants().await;
    assert_eq!(grants.len(), 1);
    assert_eq!(grants[0]["agent"], "refund-bot");
    assert_eq!(grants[0]["owner"], BOB);
    assert_eq!(grants[0]["resource"], R1);
    assert_eq!(grants[0]["status"], "in_force");
    let given = flow.house.last_event("grant.given").await;
    assert_eq!(given["actor"]["id"], BOB);
    assert_eq!(given["facts"]["grant"], grants[0]["id"]);
    assert_eq!(given["agent"]["id"], flow.agent.id);
    assert_eq!(given["decision"]["policies"][0], "person-consents");
    let events = flow.house.events().await;
    assert!(
        events
            .iter()
            .all(|event| !event.to_string().contains(&told["code"]))
    );
}

#[tokio::test]
async fn no_is_told_to_the_client_and_gives_nothing() {
    let flow = furnished().await;
    let uri = flow.pushed(|_| ()).await;
    let form = field(&flow.open(&uri).await, "form");
    let told = landed(&flow.decide(&flow.login, &uri, &form, "deny").await);
    assert_eq!(told["error"], "access_denied");
    assert_eq!((&*told["state"], &*told["iss"]), (STATE, ISSUER));
    assert!(!told.contains_key("code"));
    // RACE-03: one terminal state.
    stays_here(&flow.decide(&flow.login, &uri, &form, "approve").await, 409);
    assert!(flow.grants().await.is_empty());
    assert_eq!(
        flow.house.last_event("grant.refused").await["actor"]["id"],
        BOB
    );
}

#[tokio::test]
async fn authz_13_no_code_without_the_answer_of_this_person_to_this_page() {
    let flow = furnished().await;
    let house = &flow.house;
    house.add_person("carol@example.com").await;
    let carol = house.login("carol@example.com", &["auditor"]).await;
    house.advance_unseen(std::time::Duration::from_millis(1));
    let again = house.login(BOB, &["auditor"]).await;
    let (uri, other) = (flow.pushed(|_| ()).await, flow.pushed(|_| ()).await);
    let form = field(&flow.open(&uri).await, "form");
    let of_other = field(&flow.open(&other).await, "form");
    let of_carol = field(&flow.open_as(&carol, &flow.agent.id, &uri).await, "form");
    let of_again = field(&flow.open_as(&again, &flow.agent.id, &uri).await, "form");
    for (login, form, status) in [
        (&*flow.login, "", 400),
        (&flow.login, "x", 403),
        (&flow.login, &of_other, 403),
        (&flow.login, &of_carol, 403),
        (&flow.login, &of_again, 403),
        (&carol, &form, 403),
        (&again, &form, 403),
        ("", &form, 401),
        (ADMIN, &form, 403),
    ] {
        stays_here(&flow.decide(login, &uri, form, "approve").await, status);
    }
    stays_here(&flow.decide(&flow.login, &uri, &form, "maybe").await, 400);
    // A page of another origin cannot send the form, and neither can one that hides where it is from.
    for origin in ["https://attacker.example", "null"] {
        let pairs = [
            ("request_uri", &*uri),
            ("form", &form),
            ("answer", "approve"),
        ];
        let post = ask("POST", "/oauth/authorize/decide").header("origin", origin);
        let answer = house.send(post.bearer(&flow.login).form(&pairs)).await;
        answer.refused(403, "access_denied");
    }
    // Whose answer did not belong to the question is in the record.
    let refused = house.events_of("request.refused").await;
    let outcomes = refused
        .iter()
        .map(|event| (event["actor"]["id"].clone(), event["outcome"].clone()));
    let outcomes: Vec<_> = outcomes.collect();
    for (who, outcome) in [
        (BOB, "strange_form"),
        ("carol@example.com", "strange_form"),
        ("local-administrator", "not_a_person"),
    ] {
        assert!(
            outcomes.contains(&(who.into(), outcome.into())),
            "{who} {outcome}: {outcomes:?}"
        );
    }
    // A link is no answer.
    let get = ask(
        "GET",
        &format!("/oauth/authorize/decide?request_uri={uri}&form={form}&answer=approve"),
    );
    assert_eq!(
        house.send(get.bearer(&flow.login)).await.status.as_u16(),
        405
    );
    assert!(flow.grants().await.is_empty());
    landed(&flow.decide(&flow.login, &uri, &form, "approve").await);
    // What one person answered, nobody answers again.
    stays_here(&flow.decide(&carol, &uri, &of_carol, "approve").await, 409);
    assert_eq!(flow.grants().await.len(), 1);
}

#[tokio::test]
async fn second_click_is_the_same_answer_and_a_used_code_is_not_sent_again() {
    let flow = furnished().await;
    let uri = flow.pushed(|_| ()).await;
    let form = field(&flow.open(&uri).await, "form");
    let first = landed(&flow.decide(&flow.login, &uri, &form, "approve").await);
    let second = landed(&flow.decide(&flow.login, &uri, &form, "approve").await);
    assert_eq!(first, second);
    assert_eq!(flow.grants().await.len(), 1);
    flow.redeem(&first["code"]).await.ok();
    stays_here(&flow.decide(&flow.login, &uri, &form, "approve").await, 409);
    stays_here(&flow.decide(&flow.login, &uri, &form, "deny").await, 409);
}

#[tokio::test]
async fn agent_that_changed_since_the_page_was_shown_is_not_consented_to() {
    let flow = furnished().await;
    let uri = flow.pushed(|_| ()).await;
    let form = field(&flow.open(&uri).await, "form");
    let revision = flow.house.get("/v1/agents/refund-bot").await["revision"].clone();
    let document = serde_json::json!({"name": "refund-bot", "owner": "alice@example.com", "description": "new words"});
    let update = ask("PUT", "/v1/agents/refund-bot")
        .bearer(ADMIN)
        .header("if-match", revision.to_string());
    flow.house
        .send(update.json(&serde_json::json!({"document": document})))
        .await
        .ok();
    stays_here(&flow.decide(&flow.login, &uri, &form, "approve").await, 403);
    let form = field(&flow.open(&uri).await, "form");
    landed(&flow.decide(&flow.login, &uri, &form, "approve").await);
}

#[tokio::test]
async fn policy_may_forbid_consent_and_the_refusal_is_recorded() {
    let flow = furnished().await;
    let uri = flow.pushed(|_| ()).await;
    let form = field(&flow.open(&uri).await, "form");
    let policy = "@id(\"no-consent\") @reason(\"nobody consents to this one\") forbid (principal, \
                  action == Chancery::Action::\"grant_give\", resource);";
    flow.house
        .admin(
            "PUT",
            "/v1/policies/no-consent",
            serde_json::json!({"text": policy}),
        )
        .await
        .ok();
    stays_here(&flow.decide(&flow.login, &uri, &form, "approve").await, 403);
    let refused = flow.house.last_event("request.refused").await;
    assert_eq!(refused["facts"]["action"], "grant_give");
    assert_eq!(refused["actor"]["id"], BOB);
    assert!(flow.grants().await.is_empty());
    // No needs nobody's permission.
    let told = landed(&flow.decide(&flow.login, &uri, &form, "deny").await);
    assert_eq!(told["error"], "access_denied");
}

/// The next step may be served by another process, on the same database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_step_may_be_served_by_another_process() {
    let flow = furnished().await;
    let other = flow.house.beside(2).await;
    let uri = flow.pushed(|_| ()).await;
    other.catch_up_with(&flow.house).await;
    let path = format!(
        "/oauth/authorize?client_id={}&request_uri={uri}",
        flow.agent.id
    );
    let page = other.send(ask("GET", &path).bearer(&flow.login)).await;
    let form = field(&page, "form");
    let told = landed(&flow.decide(&flow.login, &uri, &form, "approve").await);
    // Another process redeems before it has heard of the grant.
    let nonce = other.nonce(&flow.agent).await;
    let assertion = other.assertion(&flow.agent);
    let pairs = [
        ("grant_type", "authorization_code"),
        (
            "client_assertion_type",
            chancery_wire::client_assertion::ASSERTION_TYPE,
        ),
        ("client_assertion", &assertion),
        ("code", &told["code"]),
        ("code_verifier", super::flow::VERIFIER),
        ("redirect_uri", CALLBACK),
    ];
    let redeem = ask("POST", "/oauth/token").form(&pairs);
    let redeem = redeem.header("dpop", other.proof(&flow.agent.key, &nonce));
    let answer = other.send(redeem).await.ok();
    assert_ne!(answer["refresh_token"], Value::Null);
}
