//! Rich authorization requests (RFC 9396): tool calls that a person agreed to one by one, which only shrink.

use serde_json::{Value, json};

use super::flow::{Flow, Pairs, R1, field, furnished, landed, put, stays_here};
use crate::house::{claims, token_form};

/// Refunds of at most so many euros.
fn refunds(most: i64) -> Value {
    let constraints = json!({"amount": {"at_most": most}, "currency": {"one_of": ["EUR"]}});
    json!([{"type": "tool_call", "identifier": "refund", "constraints": constraints}])
}

/// The same, as it is granted.
fn granted(most: i64) -> Value {
    let mut details = refunds(most);
    details[0]["locations"] = json!([R1]);
    details[0]["actions"] = json!(["call"]);
    details
}

fn asking(details: &Value) -> impl FnOnce(&mut Pairs) {
    let details = details.to_string();
    move |pairs| put(pairs, "authorization_details", &details)
}

async fn tokens_of(flow: &Flow, details: &Value) -> Value {
    let code = flow.code_with(asking(details)).await;
    flow.redeem(&code).await.ok()
}

#[tokio::test]
async fn person_reads_each_call_and_the_token_is_for_those_alone() {
    let flow = furnished().await;
    let mut details = refunds(50);
    let lookup = json!({"type": "tool_call", "identifier": "lookup", "locations": [R1]});
    details.as_array_mut().expect("a list").push(lookup);
    let uri = flow.pushed(asking(&details)).await;
    let page = flow.open(&uri).await;
    stays_here(&page, 200);
    let text = page.text();
    assert!(text.contains("Calls like these alone"), "{text}");
    for told in [
        "refund",
        "amount",
        " at most 50",
        "“<bdi>EUR</bdi>”",
        "lookup",
        "with whatever it likes",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
    let form = field(&page, "form");
    let answer = flow.decide(&flow.login, &uri, &form, "approve").await;
    let tokens = flow.redeem(&landed(&answer)["code"]).await.ok();
    let token = tokens["access_token"].as_str().expect("a token");
    let mut expected = granted(50);
    let second = json!({"type": "tool_call", "locations": [R1], "actions": ["call"], "identifier": "lookup"});
    expected.as_array_mut().expect("a list").push(second);
    assert_eq!(tokens["authorization_details"], expected);
    assert_eq!(claims(token)["authorization_details"], expected);
    let told = flow.house.introspect(&flow.server, token).await.ok();
    assert_eq!(told["authorization_details"], expected);
    assert_eq!(flow.grants().await[0]["authorization_details"], expected);
    for kind in ["grant.given", "token.issued"] {
        let event = flow.house.last_event(kind).await;
        let recorded = event["facts"]["authorization_details"]
            .as_str()
            .expect("a text");
        let recorded: Value = serde_json::from_str(recorded).expect("JSON");
        assert_eq!(recorded, expected, "{kind}");
    }
}

#[tokio::test]
async fn refresh_gives_the_same_calls_or_fewer_and_never_others() {
    let flow = furnished().await;
    let tokens = tokens_of(&flow, &refunds(50)).await;
    let refresh = tokens["refresh_token"].as_str().expect("a token");
    let renewed = flow.renew(refresh).await.ok();
    assert_eq!(renewed["authorization_details"], granted(50));
    let fewer = flow.renew_with(refresh, asking(&refunds(5))).await.ok();
    assert_eq!(fewer["authorization_details"], granted(5));
    // Fewer once is not fewer for ever: the refresh token is what it was.
    let again = flow.renew_with(refresh, asking(&refunds(50))).await.ok();
    assert_eq!(again["authorization_details"], granted(50));
    let other_tool = json!([{"type": "tool_call", "identifier": "pay"}]);
    let unlimited = json!([{"type": "tool_call", "identifier": "refund"}]);
    for wider in [
        &refunds(51),
        &other_tool,
        &unlimited,
        &json!([]),
        &json!("refund"),
    ] {
        flow.renew_with(refresh, asking(wider))
            .await
            .oauth_error(400, "invalid_authorization_details");
    }
    // The code too gives what was asked for, or less.
    let code = flow.code_with(asking(&refunds(50))).await;
    flow.redeem_with(&code, asking(&refunds(51)))
        .await
        .oauth_error(400, "invalid_authorization_details");
    let less = flow.redeem_with(&code, asking(&refunds(7))).await.ok();
    assert_eq!(less["authorization_details"], granted(7));
    let refresh = less["refresh_token"].as_str().expect("a token");
    let full = flow.renew(refresh).await.ok();
    assert_eq!(full["authorization_details"], granted(50));
}

#[tokio::test]
async fn authz_14_earlier_consent_answers_for_no_more_calls() {
    let flow = furnished().await;
    tokens_of(&flow, &refunds(50)).await;
    let silently = async |details: &Value| {
        let uri = flow
            .pushed(|pairs| {
                put(pairs, "prompt", "none");
                if !details.is_null() {
                    put(pairs, "authorization_details", &details.to_string());
                }
            })
            .await;
        landed(&flow.open(&uri).await)
    };
    let code = silently(&refunds(20)).await["code"].clone();
    let tokens = flow.redeem(&code).await.ok();
    // The code was for less than the grant, and so is all that comes of it.
    assert_eq!(tokens["authorization_details"], granted(20));
    let refresh = tokens["refresh_token"].as_str().expect("a token");
    let renewed = flow.renew(refresh).await.ok();
    assert_eq!(renewed["authorization_details"], granted(20));
    flow.renew_with(refresh, asking(&refunds(50)))
        .await
        .oauth_error(400, "invalid_authorization_details");
    for wider in [refunds(51), Value::Null] {
        assert_eq!(silently(&wider).await["error"], "consent_required");
    }
    // Who consented to everything consented to some of it.
    flow.tokens().await;
    assert!(silently(&refunds(51)).await.contains_key("code"));
}

#[tokio::test]
async fn agent_by_itself_may_ask_for_less_and_bad_details_are_refused_everywhere() {
    let flow = furnished().await;
    let house = &flow.house;
    let ask = async |details: &Value| {
        let assertion = house.assertion(&flow.agent);
        let details = details.to_string();
        let nonce = house.nonce(&flow.agent).await;
        let form = [
            ("client_assertion", &*assertion),
            ("resource", R1),
            ("authorization_details", &details),
        ];
        let ask = token_form(&form).header("dpop", house.proof(&flow.agent.key, &nonce));
        house.send(ask).await
    };
    let own = ask(&refunds(9)).await.ok();
    assert_eq!(own["authorization_details"], granted(9));
    let long = "x".repeat(5_000);
    for bad in [
        json!({"type": "tool_call", "identifier": "refund"}),
        json!([{"type": "payment_initiation", "identifier": "refund"}]),
        json!([{"type": "tool_call", "identifier": "refund", "locations": ["https://r2.example"]}]),
        json!([{"type": "tool_call", "identifier": "refund", "unknown": 1}]),
        json!([{"type": "tool_call", "identifier": "refund", "constraints": {"note": {"one_of": [long]}}}]),
    ] {
        let error = "invalid_authorization_details";
        ask(&bad).await.oauth_error(400, error);
        flow.push_with(asking(&bad)).await.oauth_error(400, error);
    }
    // A sign-in lets nobody call anything.
    let sign_in = flow
        .push_with(|pairs| {
            put(pairs, "resource", "");
            put(pairs, "scope", "openid");
            put(pairs, "authorization_details", &refunds(1).to_string());
        })
        .await;
    sign_in.oauth_error(400, "invalid_authorization_details");
}
