//! Every endpoint is tried with no credential, with a wrong one, and with each role; who may do what is the
//! table in `roles.txt`, read like code.

use std::path::Path;

use chancery_api::routes::{OPEN, OWN, ROUTES, Route};
use chancery_model::action::{self, Action};
use serde_json::{Value, json};

use crate::house::{ADMIN, House};
use crate::request::{Answer, Ask, ask};

/// A path of the route that leads to things that exist; `agent` has a version 2 that waits.
fn path(route: &Route, agent: &str) -> String {
    route
        .path
        .replace("{agent}", agent)
        .replace("{number}", "2")
        .replace("{owner}", "alice@example.com")
        .replace("{server}", "desk")
        .replace("{policy}", "limit")
        .replace("{passkey}", "pky_01hzy0000000000000000000aa")
        .replace("{session}", "ses_01hzy0000000000000000000aa")
        .replace("{event}", "evt_01hzy0000000000000000000aa")
        .replace("{attester}", "fleet")
        .replace("{client}", "cli_01hzy0000000000000000000aa")
        .replace("{trust}", "trs_01hzy0000000000000000000aa")
        .replace("{issuer}", "ci")
        .replace("{provider}", "corp")
        .replace("{grant}", "grt_01hzy0000000000000000000aa")
}

/// A body that gets past its parser, so that what refuses is the decision.
fn body(route: &Route, agent: &str) -> Option<Value> {
    let document = json!({"name": agent, "owner": "alice@example.com"});
    Some(match route.request? {
        "RegisterAgent" => json!({"document": {"name": "new-bot", "owner": "alice@example.com"}}),
        "UpdateAgent" => json!({"document": document}),
        "ReplaceKeys" => json!({"jwks": crate::house::jwks(&crate::house::new_key())}),
        "ClientAuthenticationMetadata" => {
            json!({"token_endpoint_auth_method": "self_signed_tls_client_auth"})
        }
        "ReplaceRedirects" => json!({"redirect_uris": ["https://app.example/cb"]}),
        "Because" => json!({"reason": "a test"}),
        "TransferAgent" => json!({"owner": "alice@example.com"}),
        "AddOwner" => json!({"handle": "new@example.com"}),
        "IssueLogin" => json!({"roles": ["auditor"]}),
        "InvitePerson" => json!({"roles": ["auditor"]}),
        "OpenInvitation" => json!({"invitation": "chi_x"}),
        "EnrolPasskey" => json!({"name": "x", "credential": new_credential()}),
        "AcceptInvitation" => {
            json!({"invitation": "chi_x", "name": "x", "credential": new_credential()})
        }
        "RenamePasskey" => json!({"name": "x"}),
        "SignIn" => json!({"credential": {
            "id": "AA", "client_data_json": "AA", "authenticator_data": "AA", "signature": "AA", "user_handle": "AA",
        }}),
        "SignInByCode" => json!({"code": "x"}),
        "AddAttester" => {
            json!({"name": "fleet", "jwks": crate::house::jwks(&crate::house::new_key())})
        }
        "AddIssuer" => {
            let jwks = crate::house::jwks(&crate::house::new_key());
            json!({"name": "ci", "issuer": "https://ci.example", "jwks": jwks})
        }
        "AddTrust" => json!({"issuer": "no-such", "subject": "repo:acme/x"}),
        // Not looked up: an authority that is not on loopback knows no issuer there.
        "AddProvider" => json!({
            "name": "corp", "issuer": "http://127.0.0.1:1", "client_id": "x", "client_secret": "x",
        }),
        "LinkPerson" => json!({"provider": "corp", "subject": "x"}),
        "LinkOwn" => json!({"provider": "corp"}),
        "OpenRegistration" => json!({"seconds": 60}),
        "RegisterResource" => json!({"url": "https://new.example"}),
        "AddMcpServer" => {
            json!({"name": "new", "upstream": {"kind": "http", "url": "http://127.0.0.1:1/mcp"}})
        }
        "PolicyText" => json!({"text": "permit("}),
        "ExplainCall" => json!({"agent": "refund-bot", "server": "desk", "tool": "add"}),
        "RotateKey" => json!({"purpose": "document"}),
        "RevokeToken" => json!({"jti": "tok_01hzy0000000000000000000aa", "reason": "a test"}),
        other => panic!("no test makes a `{other}`"),
    })
}

fn new_credential() -> Value {
    json!({"id": "AA", "client_data_json": "AA", "attestation_object": "AA"})
}

pub(crate) fn request(route: &Route, agent: &str) -> Ask {
    let ask = ask(route.method, &path(route, agent)).header("if-match", "1");
    match body(route, agent) {
        Some(body) => ask.json(&body),
        None => ask,
    }
}

#[tokio::test]
async fn every_endpoint_refuses_strangers_before_it_looks_at_anything() {
    let house = House::found().await;
    house.register("refund-bot").await;
    for route in ROUTES.iter().chain(OWN) {
        let name = format!("{} {}", route.method, route.path);
        let wrong = "chl_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let mut answers: Vec<Answer> = Vec::new();
        for ask in [
            request(route, "refund-bot"),
            request(route, "refund-bot").bearer(wrong),
            request(route, "refund-bot").header("authorization", format!("DPoP {ADMIN}")),
            ask(route.method, &path(route, "refund-bot")).body("application/json", "{not json"),
            ask(route.method, &path(route, "no-such-bot")).body("application/json", "{}"),
        ] {
            let answer = house.send(ask).await;
            answer.refused(401, "unauthenticated");
            assert_eq!(answer.header("www-authenticate"), "Bearer", "{name}");
            answers.push(answer);
        }
        answers.dedup_by(|one, other| one.bytes == other.bytes);
        assert_eq!(answers.len(), 1, "{name} tells strangers apart");
        house.advance_unseen(std::time::Duration::from_millis(100));
    }
    assert!(
        house.events_of("owner.added").await.len() == 1,
        "nothing changed"
    );
    let refused = house.events_of("request.refused").await;
    assert!(
        refused.len() >= ROUTES.len() + OWN.len(),
        "each refusal is recorded"
    );
    assert!(
        refused
            .iter()
            .all(|event| event["outcome"] == "unauthenticated")
    );
}

#[tokio::test]
async fn router_and_table_of_endpoints_name_the_same() {
    let house = House::found().await;
    for route in ROUTES.iter().chain(OWN) {
        let answer = house.send(request(route, "refund-bot")).await;
        assert_eq!(
            answer.status, 401,
            "{} {} is not routed: {answer:?}",
            route.method, route.path
        );
    }
    for route in OPEN {
        let ours = request(route, "refund-bot").header("sec-fetch-site", "same-origin");
        let answer = house.send(ours).await;
        let expected = if route.request.is_some() { 401 } else { 200 };
        assert_eq!(answer.status, expected, "{}: {answer:?}", route.path);
        // Only for pages of our own.
        let answer = house.send(request(route, "refund-bot")).await;
        answer.refused(403, "access_denied");
    }
    // Beside those of the tables no method of any path under /v1 answers anybody.
    let routes = || ROUTES.iter().chain(OWN).chain(OPEN);
    let paths: std::collections::BTreeSet<&str> = routes().map(|route| route.path).collect();
    for path_of in paths {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
            let named = routes().find(|route| route.method == method && route.path == path_of);
            if named.is_some() {
                continue;
            }
            // `/v1/policies/check` is also a policy of that name, which only its own methods reach.
            let is_shadow =
                path_of.starts_with("/v1/policies/") && path_of != "/v1/policies/{policy}";
            let like = routes()
                .find(|route| route.path == path_of)
                .expect("a route");
            let answer = house
                .send(ask(method, &path(like, "refund-bot")).bearer(ADMIN))
                .await;
            let refused = [404, 405].contains(&answer.status.as_u16());
            assert!(refused || is_shadow, "{method} {path_of}: {answer:?}");
        }
    }
    // The source of the router names no path under /v1 that the table does not.
    let source = include_str!("../../../src/router.rs");
    for quoted in source.split('"').filter(|text| text.starts_with("/v1/")) {
        let known = routes()
            .any(|route| route.path == quoted || route.path.starts_with(&format!("{quoted}/")));
        assert!(
            known || quoted == "/v1/mcp",
            "`{quoted}` is not in the table"
        );
    }
    let described = house.send(ask("GET", "/openapi.json")).await.ok();
    for route in routes() {
        let method = route.method.to_ascii_lowercase();
        assert!(
            described["paths"][route.path][&method].is_object(),
            "{} {}",
            route.method,
            route.path
        );
    }
}

/// Whether the decision point let the request through, whatever became of it afterwards.
fn is_let_through(answer: &Answer, name: &str) -> bool {
    match answer.status.as_u16() {
        403 => {
            assert_eq!(answer.json()["code"], "access_denied", "{name}: {answer:?}");
            false
        }
        401 | 405 | 500 => panic!("{name}: {answer:?}"),
        _ => true,
    }
}

#[tokio::test]
async fn who_may_do_what_is_the_table_that_was_reviewed() {
    const ROLES: [(&str, usize); 5] = [
        ("administrator", 15),
        ("approver", 10),
        ("operator", 10),
        ("auditor", 9),
        ("nothing", 9),
    ];
    let mut table = String::from(
        "# Who may do what under /v1 by the shipped policies: `+` let through, `-` refused. Written by\n\
         # `who_may_do_what_is_the_table_that_was_reviewed`; a change of it is a change of who holds power.\n",
    );
    let heading: String = ROLES
        .iter()
        .map(|(role, width)| format!("{role:>width$}"))
        .collect();
    table.push_str(&format!("{:<52}{heading}\n", ""));
    let mut lines: Vec<String> = ROUTES
        .iter()
        .map(|route| format!("{:<52}", format!("{} {}", route.method, route.path)))
        .collect();
    for (role, width) in ROLES {
        let (house, login) = house_for(role).await;
        for (number, route) in ROUTES.iter().enumerate() {
            let agent = format!("bot-{number}");
            agent_with_a_version_that_waits(&house, &agent).await;
            let answer = house.send(request(route, &agent).bearer(&login)).await;
            let name = format!("{role}: {} {}", route.method, route.path);
            let sign = if is_let_through(&answer, &name) {
                "+"
            } else {
                "-"
            };
            lines[number].push_str(&format!("{sign:>width$}"));
        }
    }
    for line in lines {
        table.push_str(&line);
        table.push('\n');
    }
    let actions: Vec<_> = ROUTES.iter().filter_map(|route| route.action).collect();
    // Asked where no role decides: of the person who consents, and of the one who takes their own consent back.
    let own = [Action::GrantGive, Action::GrantWithdraw];
    for action in action::ALL
        .into_iter()
        .filter(|action| !own.contains(action))
    {
        assert!(actions.contains(&action), "no endpoint asks for {action:?}");
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/roles.txt");
    let reviewed = std::fs::read_to_string(&file).unwrap_or_default();
    if reviewed != table {
        let found = file.with_extension("found.txt");
        std::fs::write(&found, &table).expect("a file");
        panic!(
            "who may do what has changed; compare {} with {}",
            file.display(),
            found.display()
        );
    }
}

/// A house for one role, with the login of a person who has it; `nothing` is a role that no policy knows.
async fn house_for(role: &str) -> (House, String) {
    let house = House::found().await;
    house.add_person("alice@example.com").await;
    house.add_person("bob@example.com").await;
    let is_role = role != "nothing";
    // What the local administrator proposes is not accepted with a login that it gave out itself.
    let alice = house.login("alice@example.com", &["administrator"]).await;
    let roles = [if is_role { role } else { "auditor" }];
    let login = house.login_by(&alice, "bob@example.com", &roles).await;
    if !is_role {
        house
            .database
            .run("UPDATE login SET roles = 'nothing'")
            .await;
        // The next change of people reads the logins anew.
        house.add_person("carol@example.com").await;
    }
    (house, login)
}

/// An agent of its own for each request, so that none meets what another one left.
async fn agent_with_a_version_that_waits(house: &House, name: &str) {
    let owner = format!("{name}@example.com");
    house
        .register_document(json!({"name": name, "owner": owner}))
        .await;
    let wider = json!({"name": name, "owner": owner, "tools": [{"server": "desk", "tool": "add"}]});
    let update = ask("PUT", &format!("/v1/agents/{name}"))
        .bearer(ADMIN)
        .header("if-match", "1");
    let view = house
        .send(update.json(&json!({"document": wider})))
        .await
        .ok();
    assert_eq!(view["pending_version"], 2);
}
