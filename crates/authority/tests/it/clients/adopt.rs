//! A client becomes an agent of the person who lets it act.

use serde_json::json;

use crate::clients::world::{
    Hidden, LOCAL, World, answer, approve, authorize, code_in, fields, offered, stays_here, told,
};
use crate::house::{ADMIN, claims};
use crate::request::ask;

/// A change of the fields that a form sends.
type Change = dyn Fn(&mut Hidden);

#[tokio::test]
async fn client_that_nobody_registered_becomes_an_agent_of_whoever_lets_it_act() {
    let world = World::new().await;
    let house = &world.house;
    let query = world.query(&world.client, &[]);

    // For a stranger nothing is fetched.
    let stranger = house.send(authorize(&query)).await;
    assert_eq!(stranger.status, 200);
    assert!(stranger.text().contains("Sign in"), "{stranger:?}");
    assert_eq!(world.app.asked(), 0);

    let page = world.authorize(&world.alice, &query).await;
    assert_eq!(page.status, 200, "{page:?}");
    let host = world.app.origin.strip_prefix("http://").expect("an origin");
    assert!(
        page.text()
            .contains(&format!("<strong class=\"client\"><bdi>{host}")),
        "{page:?}"
    );
    assert!(
        page.text().contains("<bdi>http://127.0.0.1:8976</bdi>"),
        "{page:?}"
    );
    assert!(page.text().contains("An Editor"));
    let (_, tools) = fields(&page);
    assert_eq!(tools.len(), 2);
    assert!(tools.values().all(|(_, is_checked)| !is_checked));

    // Alice may change nothing: what she proposes waits for somebody else, and the client gets nothing.
    let waits = house
        .send(approve(&page, &["add"]).bearer(&world.alice))
        .await;
    assert!(
        waits.text().contains("A second person has to agree"),
        "{waits:?}"
    );
    assert!(waits.headers.get("location").is_none());
    let registered = house.last_event("agent.registered").await;
    assert_eq!(registered["actor"]["id"], "alice@example.com");
    assert_eq!(registered["facts"]["client"], world.client);
    assert_eq!(registered["facts"]["status"], "draft");
    let id = registered["agent"]["id"].as_str().expect("an id");
    let view = house.get(&format!("/v1/agents/{id}")).await;
    assert_eq!(view["owner"], "alice@example.com");
    assert_eq!(view["document"]["platform"], "mcp_client");
    assert_eq!(
        view["document"]["tools"],
        json!([{"server": "desk", "tool": "add", "permissions": ["call"]}])
    );
    assert!(
        view["name"]
            .as_str()
            .expect("a name")
            .starts_with("an-editor-")
    );
    let waits = world.authorize(&world.alice, &query).await;
    assert!(
        waits.text().contains("A second person has to agree"),
        "{waits:?}"
    );

    house.activate(ADMIN, id).await.ok();
    let page = world.authorize(&world.alice, &query).await;
    let (_, tools) = fields(&page);
    assert!(tools["add"].1 && !tools["sub"].1);
    let decided = house
        .send(approve(&page, &["add"]).bearer(&world.alice))
        .await;
    let told_first = told(&decided);
    assert_eq!(told_first["state"], "a state & more");
    // A second click gives the same code.
    let again = house
        .send(approve(&page, &["add"]).bearer(&world.alice))
        .await;
    assert_eq!(code_in(&again), told_first["code"]);
    assert_eq!(house.events_of("grant.given").await.len(), 1);

    let tokens = house
        .send(world.redeem(&world.client, &told_first["code"]))
        .await
        .ok();
    assert_eq!(tokens["token_type"], "Bearer");
    assert!(tokens["refresh_token"].is_string());
    let token = tokens["access_token"].as_str().expect("a token");
    let says = claims(token);
    assert_eq!(says["client_id"], world.client);
    assert_eq!(says["act"], json!({"sub": id, "iss": LOCAL}));
    assert_eq!(says["aud"], world.resource);
    assert_eq!(
        says["sub"],
        house.last_event("grant.given").await["subject"]
    );
    assert!(world.passes(token));
    let issued = house.last_event("token.issued").await;
    assert_eq!(issued["agent"]["id"], id);
    assert_eq!(issued["subject"], says["sub"]);

    // Stopped like any other agent.
    house.suspend(id).await.ok();
    assert!(!world.passes(token));
    let refresh = tokens["refresh_token"].as_str().expect("a token");
    house
        .send(world.refresh(&world.client, refresh))
        .await
        .oauth_error(400, "invalid_grant");
    stays_here(&world.authorize(&world.alice, &query).await, "was stopped");
}

#[tokio::test]
async fn tools_are_taken_away_at_once_and_added_by_two() {
    let world = World::new().await;
    let house = &world.house;
    let id = world
        .adopt(&world.alice, &world.client, &["add", "sub"])
        .await;
    let query = world.query(&world.client, &[]);
    let code = world.code(&world.alice, &query, &["add"]).await;
    house.send(world.redeem(&world.client, &code)).await.ok();
    let view = house.get(&format!("/v1/agents/{id}")).await;
    assert_eq!(view["version_number"], 2);
    assert_eq!(view["document"]["tools"].as_array().map(Vec::len), Some(1));

    let waits = world.consent(&world.alice, &query, &["add", "sub"]).await;
    assert!(
        waits.text().contains("A second person has to agree"),
        "{waits:?}"
    );
    assert!(waits.headers.get("location").is_none());
    let view = house.get(&format!("/v1/agents/{id}")).await;
    assert_eq!(view["pending_version"], 3);
    assert_eq!(view["document"]["tools"].as_array().map(Vec::len), Some(1));
    // What is in force goes on.
    world.code(&world.alice, &query, &["add"]).await;

    let nothing = world.consent(&world.alice, &query, &[]).await;
    stays_here(&nothing, "Choose at least one tool");
}

#[tokio::test]
async fn authz_13_no_client_shares_what_another_person_consented_to() {
    let world = World::new().await;
    let house = &world.house;
    let of_alice = world.adopt(&world.alice, &world.client, &["add"]).await;
    let query = world.query(&world.client, &[]);
    world.code(&world.alice, &query, &["add"]).await;
    house.add_person("bob@example.com").await;
    let bob = house.login("bob@example.com", &["auditor"]).await;
    // Bob is asked himself, and nothing is ticked for him.
    let page = world.authorize(&bob, &query).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(fields(&page).1.values().all(|(_, is_checked)| !is_checked));
    let of_bob = world.adopt(&bob, &world.client, &["sub"]).await;
    assert_ne!(of_alice, of_bob);
    world.code(&bob, &query, &["sub"]).await;
    // Another client of alice's is asked about anew, whatever she let the first one do, and without being asked nobody
    // gets a code.
    let other = world.app.put_client("/other.json", |document| {
        document["redirect_uris"] = json!(["https://attacker.example/cb"]);
    });
    let elsewhere = world.query(&other, &[("redirect_uri", "https://attacker.example/cb")]);
    let page = world.authorize(&world.alice, &elsewhere).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(
        page.text().contains("<bdi>https://attacker.example</bdi>"),
        "{page:?}"
    );
    assert!(fields(&page).1.values().all(|(_, is_checked)| !is_checked));
    let silent = world.query(&world.client, &[("prompt", "none")]);
    let silent = world.authorize(&world.alice, &silent).await;
    assert_eq!(offered(&silent)["error"], "consent_required");
}

#[tokio::test]
async fn answer_counts_from_the_page_that_the_person_was_shown() {
    let world = World::new().await;
    let house = &world.house;
    world
        .adopt(&world.alice, &world.client, &["add", "sub"])
        .await;
    let query = world.query(&world.client, &[]);
    let page = world.authorize(&world.alice, &query).await;
    let (hidden, tools) = fields(&page);
    let post = |change: &Change| {
        let mut fields = hidden.clone();
        change(&mut fields);
        fields.push((tools["add"].0.clone(), "on".to_owned()));
        fields.push(("answer".to_owned(), "approve".to_owned()));
        let pairs: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        ask("POST", "/oauth/authorize/adopt").form(&pairs)
    };
    let set = |name: &'static str, value: String| {
        move |fields: &mut Hidden| {
            fields
                .iter_mut()
                .filter(|(own, _)| own == name)
                .for_each(|(_, own)| own.clone_from(&value));
        }
    };
    let other_query = world.query(&world.client, &[("state", "another")]);
    let later = (house.now().as_micros() + 3_600_000_000_i64).to_string();
    let strange = "does not belong to the question";
    for change in [
        Box::new(set("query", other_query)) as Box<Change>,
        Box::new(set("until", later)),
        Box::new(set(
            "uri",
            format!("urn:ietf:params:oauth:request_uri:{}", "x".repeat(43)),
        )),
        Box::new(set("form", "x".repeat(43))),
    ] {
        stays_here(
            &house.send(post(&change).bearer(&world.alice)).await,
            strange,
        );
    }
    house.add_person("bob@example.com").await;
    let bob = house.login("bob@example.com", &["auditor"]).await;
    stays_here(&house.send(post(&|_| {}).bearer(&bob)).await, strange);
    let nobody = house.send(post(&|_| {})).await;
    assert_eq!(nobody.status, 401);
    let foreign = post(&|_| {})
        .bearer(&world.alice)
        .header("origin", "https://evil.example");
    house.send(foreign).await.refused(403, "access_denied");
    let denied = house
        .send(answer(&page, &[], "deny").bearer(&world.alice))
        .await;
    assert_eq!(told(&denied)["error"], "access_denied");
    assert_eq!(
        house.last_event("grant.refused").await["facts"]["client"],
        world.client
    );
    let right = house.send(post(&|_| {}).bearer(&world.alice)).await;
    code_in(&right);
    house.advance(std::time::Duration::from_secs(601)).await;
    stays_here(
        &house
            .send(answer(&page, &["add"], "deny").bearer(&world.alice))
            .await,
        "",
    );
}

#[tokio::test]
async fn nothing_is_sent_anywhere_before_client_and_redirect_uri_are_proven() {
    let world = World::new().await;
    for (name, value) in [
        ("redirect_uri", "http://127.0.0.1:8976/cb/"),
        ("redirect_uri", "http://127.0.0.1:8976/cb?x"),
        ("redirect_uri", "http://localhost:8976/cb"),
        ("redirect_uri", "https://attacker.example/cb"),
        ("redirect_uri", ""),
        ("client_id", "https://127.0.0.1/client.json"),
        ("client_id", "cli_01hzy0000000000000000000aa"),
        ("client_id", "no-such-client"),
        // A registered agent pushes.
        ("client_id", "agt_01hzy0000000000000000000aa"),
    ] {
        let refused = world
            .authorize(&world.alice, &world.query(&world.client, &[(name, value)]))
            .await;
        stays_here(&refused, "Nothing was sent anywhere");
    }
    let twice = format!("{}&state=x", world.query(&world.client, &[]));
    stays_here(&world.authorize(&world.alice, &twice).await, "");
    // Whatever port it listens at.
    let port = world.query(
        &world.client,
        &[("redirect_uri", "http://127.0.0.1:5001/cb")],
    );
    assert_eq!(world.authorize(&world.alice, &port).await.status, 200);
    let local = world.app.put_client("/local.json", |document| {
        document["redirect_uris"] = json!(["http://localhost:3000/cb"]);
    });
    let at = |uri: &str| world.query(&local, &[("redirect_uri", uri)]);
    assert_eq!(
        world
            .authorize(&world.alice, &at("http://localhost:5001/cb"))
            .await
            .status,
        200
    );
    stays_here(
        &world
            .authorize(&world.alice, &at("http://127.0.0.1:3000/cb"))
            .await,
        "",
    );

    // From then on the client is told what is wrong.
    for (name, value, error) in [
        ("response_type", "token", "unsupported_response_type"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge_method", "", "invalid_request"),
        ("code_challenge", "", "invalid_request"),
        ("resource", "", "invalid_target"),
        (
            "resource",
            "http://127.0.0.1:7420/mcp/other",
            "invalid_target",
        ),
        (
            "resource",
            "https://elsewhere.example/mcp",
            "invalid_target",
        ),
        ("scope", "a  b", "invalid_scope"),
        ("request", "e30.e30.", "request_not_supported"),
        (
            "authorization_details",
            "[]",
            "invalid_authorization_details",
        ),
        ("response_mode", "fragment", "invalid_request"),
        ("prompt", "none", "consent_required"),
    ] {
        let refused = world
            .authorize(&world.alice, &world.query(&world.client, &[(name, value)]))
            .await;
        assert_eq!(offered(&refused)["error"], error, "{name}={value}");
    }
    let stateless = world.query(&world.client, &[("state", "")]);
    assert_eq!(world.authorize(&world.alice, &stateless).await.status, 200);
}

#[tokio::test]
async fn of_two_consents_at_once_one_agent_comes() {
    let world = World::new().await;
    let query = world.query(&world.client, &[]);
    let mut pages = Vec::new();
    for _ in 0..6 {
        pages.push(world.authorize(&world.alice, &query).await);
    }
    let posts = pages.iter().map(|page| {
        world
            .house
            .send(approve(page, &["add"]).bearer(&world.alice))
    });
    for answer in futures_util::future::join_all(posts).await {
        assert!(answer.headers.get("location").is_none(), "{answer:?}");
    }
    assert_eq!(world.house.events_of("agent.registered").await.len(), 1);
}

#[tokio::test]
async fn agent_of_a_client_stays_one_and_nothing_else_becomes_one() {
    let world = World::new().await;
    let house = &world.house;
    let document = json!({"name": "bot", "owner": "alice@example.com", "platform": "mcp_client"});
    house
        .admin("POST", "/v1/agents", json!({"document": document}))
        .await
        .refused(400, "invalid_request");
    let id = world.adopt(&world.alice, &world.client, &["add"]).await;
    let key = crate::house::new_key();
    let keys = json!({"jwks": crate::house::jwks(&key)});
    house
        .admin("PUT", &format!("/v1/agents/{id}/keys"), keys)
        .await
        .refused(409, "conflict");
    let uris = json!({"redirect_uris": ["https://evil.example/cb"]});
    house
        .admin("PUT", &format!("/v1/agents/{id}/redirect-uris"), uris)
        .await
        .refused(409, "conflict");
    house.add_person("bob@example.com").await;
    let to = json!({"owner": "bob@example.com"});
    house
        .admin("POST", &format!("/v1/agents/{id}/transfer"), to)
        .await
        .refused(409, "conflict");
    // Retired, it is gone, and the client begins as another agent.
    let because = json!({"reason": "no longer used"});
    house
        .admin("POST", &format!("/v1/agents/{id}/retire"), because)
        .await
        .ok();
    let next = world.adopt(&world.alice, &world.client, &["add"]).await;
    assert_ne!(next, id);
}

/// Consent made all of the agent: its person chooses tools, and describes nothing as what it is not. What an approver looked
/// at and what comes into force is one version.
#[tokio::test]
async fn idr_06_person_changes_nothing_of_their_client_but_its_tools() {
    let world = World::new().await;
    let house = &world.house;
    let query = world.query(&world.client, &[]);
    let waits = world.consent(&world.alice, &query, &["add"]).await;
    assert!(waits.text().contains("--version 1"), "{waits:?}");
    let registered = house.last_event("agent.registered").await;
    let id = registered["agent"]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let path = format!("/v1/agents/{id}");
    let seen = house.get(&path).await;
    let because = json!({"reason": "mine"});
    let reject = format!("{path}/versions/1/reject");
    house
        .as_login(&world.alice, "POST", &reject, because)
        .await
        .ok();
    let put = async |change: &dyn Fn(&mut serde_json::Value)| {
        let view = house.get(&path).await;
        let mut document = view["document"].clone();
        change(&mut document);
        let ask = ask("PUT", &path).bearer(&world.alice);
        let ask = ask.header("if-match", view["revision"].to_string());
        house.send(ask.json(&json!({"document": document}))).await
    };
    for (member, value) in [
        (
            "description",
            json!("known by a document at trusted.example"),
        ),
        ("autonomy_level", json!("autonomous")),
        (
            "data_access",
            json!([{"resource": "crm", "operations": ["read"], "classification": "restricted"}]),
        ),
        ("connected_systems", json!(["trusted.example"])),
    ] {
        let refused = put(&|document| document[member] = value.clone()).await;
        refused.refused(400, "invalid_request");
    }
    let all = json!([{"server": "desk", "tool": "*", "permissions": ["call"]}]);
    put(&|document| document["tools"] = all.clone()).await.ok();
    let seen = seen["revision"].to_string();
    house
        .activate_seen(ADMIN, &id, &seen)
        .await
        .refused(412, "precondition_failed");
    assert_eq!(house.get(&path).await["status"], "draft");
}

#[tokio::test]
async fn dos_06_person_has_only_so_many_clients() {
    let world = World::new().await;
    for number in 0..50 {
        let client = world.app.put_client(&format!("/{number}.json"), |_| ());
        let query = world.query(&client, &[]);
        let waits = world.consent(&world.alice, &query, &["add"]).await;
        assert_eq!(waits.status, 200, "{waits:?}");
    }
    let query = world.query(&world.client, &[]);
    let refused = world.consent(&world.alice, &query, &["add"]).await;
    stays_here(&refused, "fifty clients");
    let registered = world.house.last_event("agent.registered").await;
    let id = registered["agent"]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let path = format!("/v1/agents/{id}/retire");
    world
        .house
        .admin("POST", &path, json!({"reason": "unused"}))
        .await
        .ok();
    let waits = world.consent(&world.alice, &query, &["add"]).await;
    assert_eq!(waits.status, 200, "{waits:?}");
}
