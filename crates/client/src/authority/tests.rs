use chancery_api::agents::{
    AgentQuery, Because, RegisterAgent, ReplaceKeys, ReplaceRedirects, TransferAgent, UpdateAgent,
};
use chancery_api::attesters::AddAttester;
use chancery_api::clients::OpenRegistration;
use chancery_api::grants::GrantQuery;
use chancery_api::issuers::{AddIssuer, AddTrust};
use chancery_api::keys::RotateKey;
use chancery_api::log::EventQuery;
use chancery_api::mcp::AddMcpServer;
use chancery_api::owners::{AddOwner, IssueLogin};
use chancery_api::page::PageQuery;
use chancery_api::people::InvitePerson;
use chancery_api::policies::{ExplainCall, PolicyKind, PolicyText};
use chancery_api::providers::{AddProvider, LinkPerson};
use chancery_api::resources::RegisterResource;
use chancery_api::routes::ROUTES;
use chancery_api::tokens::RevokeToken;
use chancery_model::mcp::Upstream;
use serde_json::json;

use super::*;
use crate::fake::{Answer, Asked, Fake};
use crate::presence;

fn at(fake: &Fake) -> Authority {
    let login = Secret::new("the-login".to_owned());
    Authority::at(&fake.url, Some(login)).expect("an address")
}

fn answering(answer: Answer) -> impl Fn(&str, &Asked) -> Answer + Send + Sync + 'static {
    move |_, _| (answer.0, answer.1, answer.2.clone())
}

#[tokio::test]
async fn every_endpoint_has_its_method_and_each_carries_the_login() {
    let fake = Fake::start(answering(("200 OK", "", "{}".to_owned()))).await;
    let authority = at(&fake);
    call_everything(&authority).await;
    let mut asked: Vec<String> = Vec::new();
    for request in fake.asked() {
        assert_eq!(
            request.header("authorization"),
            Some("Bearer the-login"),
            "{request:?}"
        );
        let path = request.target.split('?').next().unwrap_or_default();
        asked.push(format!("{} {path}", request.method));
    }
    let mut expected: Vec<String> = ROUTES
        .iter()
        .map(|route| {
            let path = route.path.split('/').map(|segment| match segment {
                "{number}" => "2",
                segment if segment.starts_with('{') => "x",
                segment => segment,
            });
            format!("{} {}", route.method, path.collect::<Vec<_>>().join("/"))
        })
        .collect();
    asked.sort();
    expected.sort();
    assert_eq!(asked, expected);
    let update = fake
        .asked()
        .into_iter()
        .find(|request| request.header("if-match").is_some());
    let update = update.expect("an update names its revision");
    assert_eq!(update.header("if-match"), Some("\"7\""));
    assert_eq!(
        (update.method.as_str(), update.target.as_str()),
        ("PUT", "/v1/agents/x")
    );
}

/// Calls each method once; what comes back is no answer of ours, which is not the point here.
async fn call_everything(authority: &Authority) {
    let document: chancery_model::document::Document =
        serde_json::from_value(json!({"name": "bot", "owner": "a@b.example"})).expect("a document");
    let because = Because {
        reason: "test".to_owned(),
    };
    let page = PageQuery::default();
    let x = "x".to_owned();
    let link = LinkPerson {
        provider: x.clone(),
        subject: x.clone(),
    };
    let provider: AddProvider =
        serde_json::from_value(json!({"name": "x", "issuer": "x", "client_id": "x"}))
            .expect("a provider");
    let policy = PolicyText {
        text: x.clone(),
        kind: PolicyKind::Policies,
        name: None,
    };
    let mut answers = vec![
        authority.whoami().await.is_ok(),
        authority
            .agent_register(&RegisterAgent {
                document: document.clone(),
                jwks: None,
                authentication: None,
            })
            .await
            .is_ok(),
        authority.agent_list(&AgentQuery::default()).await.is_ok(),
        authority.agent_show("x").await.is_ok(),
        authority
            .agent_update("x", 7, &UpdateAgent { document })
            .await
            .is_ok(),
        authority
            .agent_keys("x", &ReplaceKeys { jwks: json!({}) })
            .await
            .is_ok(),
        authority
            .agent_authentication("x", &Default::default())
            .await
            .is_ok(),
        authority
            .agent_redirects(
                "x",
                &ReplaceRedirects {
                    redirect_uris: Vec::new(),
                    post_logout_redirect_uris: Vec::new(),
                },
            )
            .await
            .is_ok(),
        authority.grant_list(&GrantQuery::default()).await.is_ok(),
        authority.grant_revoke("x", &because).await.is_ok(),
        authority.agent_versions("x", &page).await.is_ok(),
        authority.agent_accept("x", 2).await.is_ok(),
        authority.agent_reject("x", 2, &because).await.is_ok(),
        authority.agent_activate("x", 1).await.is_ok(),
        authority.agent_suspend("x", &because).await.is_ok(),
        authority.agent_resume("x").await.is_ok(),
        authority.agent_retire("x", &because).await.is_ok(),
        authority
            .agent_transfer("x", &TransferAgent { owner: x.clone() })
            .await
            .is_ok(),
        authority
            .owner_add(&AddOwner {
                handle: x.clone(),
                members: Vec::new(),
            })
            .await
            .is_ok(),
        authority.owner_list(&page).await.is_ok(),
        authority.owner_disable("x", &because).await.is_ok(),
        authority.owner_logout("x", &because).await.is_ok(),
        authority
            .owner_invite(
                "x",
                &InvitePerson {
                    roles: Vec::new(),
                    lifetime: None,
                },
            )
            .await
            .is_ok(),
        authority.owner_passkeys("x").await.is_ok(),
        authority
            .owner_revoke_passkey("x", "x", &because)
            .await
            .is_ok(),
        authority.owner_sessions("x").await.is_ok(),
        authority.owner_links("x").await.is_ok(),
        authority.owner_link("x", &link).await.is_ok(),
        authority.owner_unlink("x", &link).await.is_ok(),
        authority.provider_add(&provider).await.is_ok(),
        authority.provider_list().await.is_ok(),
        authority.provider_show("x").await.is_ok(),
        authority.provider_remove("x").await.is_ok(),
        authority
            .owner_end_session("x", "x", &because)
            .await
            .is_ok(),
        authority
            .owner_login(
                "x",
                &IssueLogin {
                    roles: Vec::new(),
                    lifetime: None,
                },
            )
            .await
            .is_ok(),
        authority
            .resource_register(&RegisterResource {
                url: x.clone(),
                jwks: None,
                authentication: None,
                allow_bearer: None,
            })
            .await
            .is_ok(),
        authority.resource_list(&page).await.is_ok(),
    ];
    let server = AddMcpServer {
        name: x.clone(),
        upstream: Upstream::Http { url: x.clone() },
        allow_bearer: None,
        max_auth_age: None,
        acr: None,
        accept_findings: false,
    };
    let call = ExplainCall {
        agent: x.clone(),
        server: x.clone(),
        tool: x.clone(),
        arguments: serde_json::Map::new(),
        sender_constrained: true,
    };
    let revoke = RevokeToken {
        jti: None,
        token: Some(x.clone()),
        reason: x.clone(),
    };
    answers.extend([
        authority.mcp_add(&server).await.is_ok(),
        authority.mcp_list(&page).await.is_ok(),
        authority.mcp_show("x").await.is_ok(),
        authority.mcp_accept("x").await.is_ok(),
        authority
            .client_open(&OpenRegistration { seconds: 60 })
            .await
            .is_ok(),
        authority.client_list(&page).await.is_ok(),
        authority
            .attester_add(&AddAttester {
                name: x.clone(),
                issuer: None,
                jwks: json!({}),
            })
            .await
            .is_ok(),
        authority.attester_list(&page).await.is_ok(),
        authority.attester_remove("x").await.is_ok(),
        authority.client_remove("x").await.is_ok(),
        authority
            .issuer_add(&AddIssuer {
                name: "x".to_owned(),
                issuer: "https://ci.example".to_owned(),
                audience: None,
                jwks: None,
                private_network: false,
            })
            .await
            .is_ok(),
        authority.issuer_list(&page).await.is_ok(),
        authority.issuer_show("x").await.is_ok(),
        authority.issuer_remove("x").await.is_ok(),
        authority
            .agent_trust(
                "x",
                &AddTrust {
                    issuer: "x".to_owned(),
                    subject: "x".to_owned(),
                    claims: Default::default(),
                },
            )
            .await
            .is_ok(),
        authority.agent_distrust("x", "x").await.is_ok(),
        authority.mcp_remove("x").await.is_ok(),
        authority.policy_put("x", &policy).await.is_ok(),
        authority.policy_list(&page).await.is_ok(),
        authority.policy_remove("x").await.is_ok(),
        authority.policy_check(&policy).await.is_ok(),
        authority.policy_explain(&call).await.is_err(),
        authority.policy_schema().await.is_ok(),
        authority.key_list(&page).await.is_ok(),
        authority
            .key_rotate(&RotateKey {
                purpose: x,
                withdraw: false,
            })
            .await
            .is_ok(),
        authority.token_revoke(&revoke).await.is_ok(),
        authority.log_state().await.is_ok(),
        authority.event_list(&EventQuery::default()).await.is_ok(),
        authority.receipt("x").await.is_ok(),
    ]);
    assert!(
        answers.iter().all(|ok| !ok),
        "`{{}}` is the shape of no answer"
    );
}

#[tokio::test]
async fn a_refusal_is_the_problem_that_was_sent() {
    let problem = r#"{"status":404,"code":"agent_not_found","title":"no agent `x`","fix":"look"}"#;
    let json = "content-type: application/problem+json\r\n";
    let fake = Fake::start(answering(("404 Not Found", json, problem.to_owned()))).await;
    match at(&fake).agent_show("x").await {
        Err(ClientError::Refused(problem)) => {
            assert_eq!(problem.code, "agent_not_found");
            assert_eq!(ClientError::Refused(problem).fix(), Some("look"));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_not_ours_is_told_apart() {
    let redirect = "location: http://127.0.0.1:1/v1/whoami\r\n";
    let twice = r#"{"kind":"human","kind":"agent","id":"x"}"#;
    for answer in [
        ("200 OK", "", "<html>".to_owned()),
        ("200 OK", "", twice.to_owned()),
        ("302 Found", redirect, String::new()),
        ("502 Bad Gateway", "", "oops".to_owned()),
    ] {
        let fake = Fake::start(answering(answer.clone())).await;
        let error = at(&fake).whoami().await.expect_err("not ours");
        assert!(
            matches!(error, ClientError::NotOurs { .. }),
            "{answer:?}: {error:?}"
        );
        assert_eq!(fake.asked().len(), 1, "no redirect is followed");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let huge = "x".repeat(MAX_ANSWER + 1);
    let fake = Fake::start(answering(("200 OK", "", huge))).await;
    let error = at(&fake).whoami().await.expect_err("too large");
    assert!(error.to_string().contains("larger than"), "{error}");
}

#[tokio::test]
async fn nobody_there_is_unreachable_and_says_what_to_do() {
    let fake = Fake::start(answering(("200 OK", "", String::new()))).await;
    let port = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}", port.local_addr().expect("an address"));
    drop(port);
    let error = Authority::at(&url, None)
        .expect("an address")
        .whoami()
        .await;
    let error = error.expect_err("nobody");
    assert!(
        matches!(error, ClientError::Unreachable { .. }),
        "{error:?}"
    );
    assert!(error.fix().is_some_and(|fix| fix.contains("chancery up")));
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn a_login_never_leaves_the_machine_in_the_clear() {
    let login = Secret::new("the-login".to_owned());
    let refused = Authority::at("http://id.example.com", Some(login));
    assert!(matches!(
        refused.err(),
        Some(ClientError::BadAddress { .. })
    ));
}

#[tokio::test]
async fn a_name_cannot_reach_another_endpoint() {
    let fake = Fake::start(answering(("200 OK", "", "{}".to_owned()))).await;
    let authority = at(&fake);
    for bad in ["", ".", ".."] {
        let error = authority.agent_show(bad).await.expect_err("no name");
        assert!(matches!(error, ClientError::BadName(_)), "{bad}");
    }
    let _ = authority.agent_show("x/../../log?a#b").await;
    let asked: Vec<String> = fake
        .asked()
        .into_iter()
        .map(|request| request.target)
        .collect();
    assert_eq!(asked, ["/v1/agents/x%2F..%2F..%2Flog%3Fa%23b"]);
}

/// Gives every byte another value than the one before.
#[derive(Default)]
struct Counting(std::sync::atomic::AtomicU8);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

fn of_folder(url: &str, key: PresenceKey) -> Authority {
    let local = Local {
        credential: Secret::new("the-credential".to_owned()),
        key,
        entropy: Arc::new(Counting::default()),
    };
    Authority::of_folder(url, local).expect("an address")
}

fn copied(key: &PresenceKey) -> PresenceKey {
    PresenceKey::parse(key.to_text().expose()).expect("a key")
}

/// The answer of the process that has `key` and listens at `url`; everything else is answered `{}`.
fn proving(key: &PresenceKey, url: &str, asked: &Asked) -> Answer {
    let Some(nonce) = asked
        .target
        .strip_prefix(presence::PATH)
        .and_then(|query| query.strip_prefix("?nonce="))
    else {
        return ("200 OK", "", "{}".to_owned());
    };
    let address = url.strip_prefix("http://").expect("plain HTTP");
    let address = address.parse().expect("an address");
    let proof = key.prove(&Nonce::parse(nonce).expect("a nonce"), address);
    let proof = serde_json::to_string(&proof).expect("JSON");
    ("200 OK", "", proof)
}

#[tokio::test]
async fn the_authority_of_the_folder_proves_itself_before_each_call_and_is_given_the_credential() {
    let key = PresenceKey::generate(&Counting::default());
    let own = copied(&key);
    let fake = Fake::start(move |url, asked| proving(&own, url, asked)).await;
    let authority = of_folder(&fake.url, key);
    // `{}` is the shape of neither answer.
    let _ = authority.whoami().await;
    let _ = authority.log_file("checkpoint").await;
    let asked = fake.asked();
    let targets: Vec<&str> = asked.iter().map(|asked| asked.target.as_str()).collect();
    assert!(targets[0].starts_with(presence::PATH), "{targets:?}");
    assert_eq!(targets[1], "/v1/whoami");
    assert!(targets[2].starts_with(presence::PATH), "{targets:?}");
    assert_eq!(targets[3], "/log/checkpoint");
    assert_ne!(targets[0], targets[2], "a nonce serves once");
    let credentials: Vec<_> = asked
        .iter()
        .map(|asked| asked.header("authorization"))
        .collect();
    let given = Some("Bearer the-credential");
    assert_eq!(credentials, [None, given, None, given]);
}

#[tokio::test]
async fn whatever_else_listens_there_is_never_given_the_credential() {
    let key = PresenceKey::generate(&Counting::default());
    let another = PresenceKey::parse(&"A".repeat(43)).expect("a key");
    let real = copied(&key);
    let real = Fake::start(move |url, asked| proving(&real, url, asked)).await;
    let (own, passed_on) = (copied(&key), real.url.clone());
    let fakes = [
        Fake::start(answering(("200 OK", "", "{}".to_owned()))).await,
        Fake::start(answering(("404 Not Found", "", "<html>".to_owned()))).await,
        Fake::start(answering((
            "302 Found",
            "location: http://127.0.0.1:1/\r\n",
            String::new(),
        )))
        .await,
        Fake::start(answering(("200 OK", "", r#"{"proof":""}"#.to_owned()))).await,
        Fake::start(move |url, asked| proving(&another, url, asked)).await,
        // One that has the process with the key answer for it.
        Fake::start(move |_, asked| proving(&own, &passed_on, asked)).await,
    ];
    for (number, fake) in fakes.iter().enumerate() {
        let refused = of_folder(&fake.url, copied(&key)).whoami().await;
        let refused = refused.expect_err("unproven");
        assert!(
            matches!(refused, ClientError::Unproven { .. }),
            "{number}: {refused:?}"
        );
        assert!(refused.fix().is_some_and(|fix| fix.contains("chancery up")));
        let asked = fake.asked();
        assert_eq!(
            asked.len(),
            1,
            "{number}: it was asked for a proof and nothing more"
        );
        assert!(
            asked
                .iter()
                .all(|asked| !asked.head.contains("the-credential"))
        );
    }
    let _ = of_folder(&real.url, key).whoami().await;
    assert_eq!(real.asked().len(), 2, "the twin is believed");
}
