//! Secrets stay where they are: not in the record, not in log lines, not in errors; and nobody is told apart
//! by an answer.

use serde_json::{Value, json};

use crate::audit::record::tour;
use crate::house::{ADMIN, House, life, logged, new_key, token_form};
use crate::request::ask;

const R1: &str = "https://r1.example";

#[tokio::test]
async fn sec_01_no_secret_appears_in_the_record_a_log_line_or_an_error() {
    let house = House::found().await;
    let agent = tour(&house).await;
    let mut answers = String::new();
    let mut canaries: Vec<(&str, String)> =
        vec![("the local administrator's secret", ADMIN.to_owned())];
    let twin = house.register("twin-bot").await;
    let assertion = house.assertion(&twin);
    let proof = house.proof(&twin.key, &house.nonce(&twin).await);
    let form = token_form(&[("client_assertion", &assertion), ("resource", R1)]);
    let token = house.send(form.header("dpop", proof.clone())).await.ok();
    let token = token["access_token"].as_str().expect("a token").to_owned();
    house.add_person("dora@example.com").await;
    let login = house.login("dora@example.com", &["operator"]).await;
    let mut wrong = token.clone();
    wrong.truncate(token.len() - 4);
    // Every way to hand a secret to the wrong door.
    for (method, path) in [
        ("GET", "/v1/agents"),
        ("POST", "/oauth/introspect"),
        ("POST", "/access/v1/evaluation"),
        ("GET", "/log/tile/entries/000"),
    ] {
        for secret in [&token, &wrong, &assertion, &proof] {
            let request = ask(method, path).bearer(secret).form(&[("token", secret)]);
            answers.push_str(&format!("{:?}", house.send(request).await));
        }
    }
    for secret in [&token, &assertion, &proof, &login] {
        let request = token_form(&[
            ("client_assertion", secret),
            ("resource", secret),
            ("scope", secret),
        ]);
        answers.push_str(&format!(
            "{:?}",
            house.send(request.header("dpop", secret.as_bytes())).await
        ));
        let body = json!({"token": secret, "reason": "leaked"});
        answers.push_str(&format!(
            "{:?}",
            house
                .as_login(&login, "POST", "/v1/tokens/revoke", body)
                .await
        ));
        let body =
            json!({"document": {"name": secret, "owner": secret}, "jwks": {"keys": [secret]}});
        answers.push_str(&format!(
            "{:?}",
            house.admin("POST", "/v1/agents", body).await
        ));
        let body = ask("POST", "/v1/agents")
            .bearer(ADMIN)
            .body("application/json", format!("{{\"{secret}\": {secret}"));
        answers.push_str(&format!("{:?}", house.send(body).await));
        let path = format!("/v1/agents/{secret}");
        answers.push_str(&format!(
            "{:?}",
            house.admin("GET", &path, Value::Null).await
        ));
    }
    // A private key, pasted where the public one belongs.
    let private: Value = serde_json::from_str(agent.key.to_jwk().expose()).expect("JSON");
    let d = private["d"].as_str().expect("the private part").to_owned();
    let pasted = json!({"document": {"name": "pasted-bot", "owner": "alice@example.com"}, "jwks": {"keys": [private]}});
    let answer = house.admin("POST", "/v1/agents", pasted).await;
    answer.refused(400, "invalid_request");
    answers.push_str(&format!("{answer:?}"));

    canaries.extend([
        ("an access token", token.clone()),
        (
            "the signature of a token",
            token.rsplit('.').next().expect("a signature").to_owned(),
        ),
        ("a client assertion", assertion.clone()),
        (
            "the signature of an assertion",
            assertion
                .rsplit('.')
                .next()
                .expect("a signature")
                .to_owned(),
        ),
        ("a proof", proof),
        ("a login", login),
        ("a private key", d),
    ]);
    let private_keys = {
        let ring = house.authority.keys.load();
        [ring.access_token.to_jwk(), ring.document.to_jwk()].map(|jwk| {
            serde_json::from_str::<Value>(jwk.expose()).expect("JSON")["d"]
                .as_str()
                .expect("d")
                .to_owned()
        })
    };
    canaries.extend(private_keys.map(|d| ("a signing key", d)));
    house.sealed().await;
    let mut record = house.database.bundles().await.concat();
    if let Some(file) = house.database.file() {
        // Beside the entries it holds what was used up.
        record.push_str(&std::fs::read_to_string(file).expect("text"));
    }
    let lines = logged();
    assert!(!lines.is_empty() && !record.is_empty());
    for table in [
        "signing_key",
        "purpose_key",
        "login",
        "agent",
        "owner",
        "one_time_batch",
        "meta",
    ] {
        let column = match table {
            "signing_key" | "purpose_key" => "sealed",
            "login" => "secret_hash",
            "one_time_batch" => "hashes",
            "meta" => "value",
            _ => "id",
        };
        let rows = house
            .database
            .texts(&format!("SELECT {column} FROM {table}"))
            .await
            .concat();
        for (what, canary) in &canaries {
            assert!(!rows.contains(canary), "{what} in table {table}");
        }
    }
    for (what, canary) in &canaries {
        assert!(!record.contains(canary), "{what} in the record");
        assert!(!lines.contains(canary), "{what} in the log lines");
        assert!(!answers.contains(canary), "{what} in an answer");
    }
}

#[test]
fn sec_02_failure_inside_says_nothing_of_the_inside() {
    for (damage, status, code) in [
        (
            "ALTER TABLE agent RENAME TO canary_gone",
            503,
            "unavailable",
        ),
        (
            "UPDATE agent SET name = 'Canary Name!'",
            500,
            "internal_error",
        ),
        (
            "UPDATE agent_version SET document = '{\"canary\":'",
            500,
            "internal_error",
        ),
    ] {
        life(async {
            let house = House::found().await;
            house.register("refund-bot").await;
            house.database.run(damage).await;
            for (method, path) in [
                ("GET", "/v1/agents/refund-bot"),
                ("GET", "/v1/agents"),
                ("POST", "/v1/agents/refund-bot/resume"),
            ] {
                let answer = house.admin(method, path, Value::Null).await;
                // A list leaves out what was changed, so that the others can be seen.
                if answer.status == 404 || answer.text() == r#"{"items":[]}"# {
                    continue;
                }
                answer.refused(status, code);
                let text = answer.text().to_lowercase();
                for word in [
                    "canary", "select", "sqlite", "postgres", "table", "row", "src/", ".rs",
                    "panic", "column", "database",
                ] {
                    assert!(!text.contains(word), "`{word}`: {answer:?}");
                }
            }
        });
    }
}

#[tokio::test]
async fn sec_04_existing_and_missing_are_told_apart_by_nothing() {
    let house = House::found().await;
    house.resource(R1).await;
    let agent = house.register("refund-bot").await;
    house.token(&agent, R1).await;
    let keyless = json!({"document": {"name": "keyless-bot", "owner": "alice@example.com"}});
    let keyless = house.admin("POST", "/v1/agents", keyless).await.ok();
    let party = |id: &str| crate::house::Party {
        id: id.to_owned(),
        key: new_key(),
    };
    let missing = party("agt_01hzy0000000000000000000aa");
    let wrong_key = party(&agent.id);
    let no_keys = party(keyless["id"].as_str().expect("an id"));
    let mut bytes = Vec::new();
    let mut headers = Vec::new();
    for who in [&missing, &wrong_key, &no_keys] {
        let answer = house.send(house.token_request(who, R1, "")).await;
        answer.oauth_error(401, "invalid_client");
        let mut names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
        names.sort();
        headers.push(names);
        bytes.push(answer.bytes);
    }
    bytes.dedup();
    headers.dedup();
    assert_eq!((bytes.len(), headers.len()), (1, 1));
    // In time too, as far as a shared machine can tell: medians within five milliseconds.
    let mut medians = Vec::new();
    for who in [&missing, &wrong_key, &no_keys] {
        let mut times = Vec::new();
        for _ in 0..1_000 {
            let request = house.token_request(who, R1, "");
            house.advance_unseen(std::time::Duration::from_millis(1));
            let started = tokio::time::Instant::now();
            house.send(request).await;
            times.push(started.elapsed());
        }
        times.sort();
        medians.push(times[times.len() / 2]);
    }
    let (least, most) = (
        medians.iter().min().expect("three"),
        medians.iter().max().expect("three"),
    );
    assert!(
        *most - *least < std::time::Duration::from_millis(5),
        "{medians:?}"
    );
    // For a person who may see agents, missing is missing; for one who may not, all is refused alike.
    house.add_person("bob@example.com").await;
    let bob = house.login("bob@example.com", &["auditor"]).await;
    house
        .as_login(&bob, "GET", "/v1/agents/nobody", Value::Null)
        .await
        .refused(404, "not_found");
}
