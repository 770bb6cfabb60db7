//! POL-14: texts are parsed for those who may send them, and parsing runs nothing.

use serde_json::{Value, json};

use crate::house::House;
use crate::request::ask;

#[tokio::test]
async fn pol_14_nothing_is_parsed_for_strangers_and_nothing_runs_for_anybody() {
    let house = House::found().await;
    house.add_person("bob@example.com").await;
    let nobody = house.login("bob@example.com", &["operator"]).await;
    let hostile = [
        json!({"text": "{{7*7}} ${7*7} <%= 7*7 %>"}),
        json!({"text": "permit(principal, action, resource) when { ip(\"127.0.0.1\").isInRange(open(\"/etc/passwd\")) };"}),
        json!({"text": "package x\nimport data.http\nallow { http.send({}) }"}),
        json!({"text": "\u{0}asm\u{1}\u{0}\u{0}\u{0}"}),
        json!({"text": format!("permit(principal, action, resource) when {{ {} true {} }};", "(".repeat(5_000), ")".repeat(5_000))}),
        json!({"text": "permit(principal,action,resource) when { context like \"".to_owned() + &"*a".repeat(50_000) + "\" };"}),
        json!({"text": "x".repeat(200_000)}),
        json!({"text": 7}),
        json!({"kind": "archive", "text": ""}),
    ];
    for (method, path) in [
        ("POST", "/v1/policies/check"),
        ("PUT", "/v1/policies/hostile"),
        ("POST", "/v1/policies/explain"),
    ] {
        for body in &hostile {
            let bare = ask(method, path).json(body);
            house.send(bare).await.refused(401, "unauthenticated");
            if method == "PUT" && body["text"].is_string() && body["kind"].is_null() {
                let answer = house.as_login(&nobody, method, path, body.clone()).await;
                assert!([400, 403].contains(&answer.status.as_u16()), "{answer:?}");
            }
            let started = tokio::time::Instant::now();
            let answer = house.admin(method, path, body.clone()).await;
            assert!(
                started.elapsed() < std::time::Duration::from_secs(5),
                "{path}"
            );
            let text = answer.text();
            assert!(
                !text.contains("49") || !body["text"].to_string().contains("7*7"),
                "{text}"
            );
            assert!(!text.contains("root:"), "{text}");
            let is_refusal = answer.status.is_client_error() || answer.json()["ok"] == false;
            assert!(is_refusal, "{answer:?}");
        }
    }
    let listed = house.get("/v1/policies").await;
    assert!(!listed.to_string().contains("hostile"));
    house.admin("GET", "/v1/whoami", Value::Null).await.ok();
}

#[tokio::test]
async fn shipped_policy_is_not_replaced_and_names_are_plain() {
    let house = House::found().await;
    let text = json!({"text": "// nothing"});
    for name in [
        "default",
        "Upper",
        "a%20b",
        "..%2Fx",
        "%00",
        &"x".repeat(65),
    ] {
        let path = format!("/v1/policies/{name}");
        house
            .admin("PUT", &path, text.clone())
            .await
            .refused(400, "invalid_request");
        house
            .admin("DELETE", &path, Value::Null)
            .await
            .refused(404, "not_found");
    }
}
