//! Names are unique among the living, and free again afterwards.

use std::time::Duration;

use chancery_model::assurance::Acr;
use chancery_model::author::Author;
use chancery_model::client_authentication::{CertificateName, ClientAuthentication, Method};
use chancery_model::digest::Digest;
use chancery_model::id::{PolicyId, ResourceId};
use chancery_model::mcp::{McpServer, SignIn, ToolPin, Upstream};
use chancery_model::version::VersionState;
use chancery_store::attesters::Attester;
use chancery_store::error::StoreError;
use chancery_store::policy_texts::PolicyText;
use chancery_store::signing_keys::SigningKey;
use chancery_store::{
    agents, attesters, client_authentications, mcp_servers, owners, policy_texts, signing_keys,
    versions,
};

use crate::make::{self, Counter, NOW};
use crate::place::everywhere;

#[tokio::test]
async fn idr_08_name_of_an_agent_is_free_once_it_is_retired() {
    everywhere(async |place| {
        let store = place.open().await;
        let (owner, first) = make::inhabited(&store).await;
        let second = make::agent("refund-bot", &owner);
        let mut tx = store.begin().await.expect("a transaction");
        let refused = agents::insert(&mut tx, &second).await;
        assert!(
            matches!(refused, Err(StoreError::Constraint)),
            "{refused:?}"
        );
        drop(tx);

        let mut tx = store.begin().await.expect("a transaction");
        assert!(
            agents::update(&mut tx, &make::retired(first.clone()), Some(NOW))
                .await
                .expect("an update")
        );
        agents::insert(&mut tx, &second).await.expect("an agent");
        tx.commit(make::event(), Vec::new())
            .await
            .expect("a commit");
        let mut tx = store.begin().await.expect("a transaction");
        let found = agents::fetch_by_name(&mut tx, "refund-bot")
            .await
            .expect("a row");
        assert_eq!(found.expect("an agent").agent.id, second.id);
        // What is retired stays as it is, whatever is tried.
        let read = agents::fetch(&mut tx, first.id)
            .await
            .expect("a row")
            .expect("an agent");
        assert_eq!(read.stopped_at, Some(NOW));
        assert!(
            !agents::update(&mut tx, &read.agent, None)
                .await
                .expect("an update")
        );
        // And its id is never given again.
        let again = make::agent("other-bot", &owner);
        let refused = agents::insert(
            &mut tx,
            &chancery_model::agent::Agent {
                id: first.id,
                ..again
            },
        )
        .await;
        assert!(
            matches!(refused, Err(StoreError::Constraint)),
            "{refused:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn agent_has_one_version_in_force_and_one_waiting_at_most() {
    everywhere(async |place| {
        let store = place.open().await;
        let (owner, agent) = make::inhabited(&store).await;
        let mut tx = store.begin().await.expect("a transaction");
        let refused = versions::insert(&mut tx, &make::version(&agent, &owner, 2)).await;
        assert!(
            matches!(refused, Err(StoreError::Constraint)),
            "two wait: {refused:?}"
        );
        drop(tx);
        let mut tx = store.begin().await.expect("a transaction");
        let mut first = make::version(&agent, &owner, 1);
        first.state = VersionState::InForce {
            since: NOW,
            accepted_by: Author::LocalAdministrator,
        };
        assert!(
            versions::update_state(&mut tx, &first, "pending")
                .await
                .expect("an update")
        );
        // IDR-09: a move from a state that it is no longer in does nothing.
        assert!(
            !versions::update_state(&mut tx, &first, "pending")
                .await
                .expect("an update")
        );
        tx.commit(make::event(), Vec::new())
            .await
            .expect("a commit");
        let mut tx = store.begin().await.expect("a transaction");
        let mut second = make::version(&agent, &owner, 2);
        second.state = first.state.clone();
        let refused = versions::insert(&mut tx, &second).await;
        assert!(
            matches!(refused, Err(StoreError::Constraint)),
            "two in force: {refused:?}"
        );
        drop(tx);
        let mut tx = store.begin().await.expect("a transaction");
        // IDR-02: a number is given once.
        let refused = versions::insert(&mut tx, &first).await;
        assert!(
            matches!(refused, Err(StoreError::Constraint)),
            "a number twice: {refused:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn handle_of_an_owner_is_given_once_for_good() {
    everywhere(async |place| {
        let store = place.open().await;
        let (owner, _) = make::inhabited(&store).await;
        let mut tx = store.begin().await.expect("a transaction");
        assert!(
            owners::disable(&mut tx, owner.id, NOW)
                .await
                .expect("an update")
        );
        assert!(
            !owners::disable(&mut tx, owner.id, NOW)
                .await
                .expect("an update")
        );
        tx.commit(make::event(), Vec::new())
            .await
            .expect("a commit");
        let mut tx = store.begin().await.expect("a transaction");
        let refused = owners::insert(&mut tx, &make::person("alice@example.com")).await;
        assert!(
            matches!(refused, Err(StoreError::Constraint)),
            "{refused:?}"
        );
    })
    .await;
}

fn server(name: &str) -> McpServer {
    let pin = |name: &str| ToolPin {
        name: name.to_owned(),
        digest: Digest::from_bytes([1; 32]),
        definition: format!("{{\"name\":\"{name}\"}}"),
        accepted_at: NOW,
    };
    McpServer {
        id: ResourceId::generate(NOW, &Counter),
        name: name.to_owned(),
        upstream: Upstream::Http {
            url: "https://desk.example/mcp".to_owned(),
        },
        bearer_until: None,
        sign_in: SignIn {
            max_age: Some(Duration::from_secs(300)),
            acr: Some(Acr::PhishingResistant),
        },
        created_at: NOW,
        removed_at: None,
        revision: 1,
        tools: vec![pin("add"), pin("look")],
    }
}

#[tokio::test]
async fn name_of_an_mcp_server_is_free_once_it_is_removed() {
    everywhere(async |place| {
        let store = place.open().await;
        let first = server("desk");
        let mut tx = store.begin().await.expect("a transaction");
        mcp_servers::insert(&mut tx, &first)
            .await
            .expect("a server");
        tx.commit(make::event(), Vec::new())
            .await
            .expect("a commit");
        let mut tx = store.begin().await.expect("a transaction");
        let read = mcp_servers::fetch_by_name(&mut tx, "desk")
            .await
            .expect("a row");
        assert_eq!(read.as_ref(), Some(&first));
        // MCP-03: pins are accepted for the revision that was looked at, and for no other.
        assert!(
            mcp_servers::accept(&mut tx, first.id, 1, &first.tools[..1])
                .await
                .expect("an update")
        );
        assert!(
            !mcp_servers::accept(&mut tx, first.id, 1, &first.tools)
                .await
                .expect("an update")
        );
        let read = mcp_servers::fetch_by_name(&mut tx, "desk")
            .await
            .expect("a row")
            .expect("a server");
        assert_eq!(read.tools, first.tools[..1]);
        assert!(
            mcp_servers::remove(&mut tx, first.id, NOW)
                .await
                .expect("an update")
        );
        assert!(
            !mcp_servers::remove(&mut tx, first.id, NOW)
                .await
                .expect("an update")
        );
        mcp_servers::insert(&mut tx, &server("desk"))
            .await
            .expect("a server");
        let refused = mcp_servers::insert(&mut tx, &server("desk")).await;
        assert!(
            matches!(refused, Err(StoreError::Constraint)),
            "{refused:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn name_of_a_policy_is_free_once_it_is_removed() {
    everywhere(async |place| {
        let store = place.open().await;
        let text = || PolicyText {
            id: PolicyId::generate(NOW, &Counter),
            name: "limit".to_owned(),
            is_schema: false,
            text: "// nothing".to_owned(),
            created_at: NOW,
        };
        let mut tx = store.begin().await.expect("a transaction");
        policy_texts::insert(&mut tx, &text())
            .await
            .expect("a text");
        assert!(
            policy_texts::remove(&mut tx, "limit", NOW)
                .await
                .expect("an update")
        );
        assert!(
            !policy_texts::remove(&mut tx, "limit", NOW)
                .await
                .expect("an update")
        );
        let second = text();
        policy_texts::insert(&mut tx, &second)
            .await
            .expect("a text");
        assert_eq!(policy_texts::list(&mut tx).await.expect("rows"), [second]);
        let refused = policy_texts::insert(&mut tx, &text()).await;
        assert!(
            matches!(refused, Err(StoreError::Constraint)),
            "{refused:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn name_of_an_attester_is_free_once_it_is_removed() {
    everywhere(async |place| {
        let store = place.open().await;
        let attester = |seconds, issuer: Option<&str>| Attester {
            name: "fleet".to_owned(),
            issuer: issuer.map(str::to_owned),
            jwks: "{}".to_owned(),
            created_at: NOW.after(std::time::Duration::from_secs(seconds)),
        };
        let first = attester(0, Some("https://fleet.example"));
        let second = attester(1, None);
        let mut tx = store.begin().await.expect("a transaction");
        attesters::insert(&mut tx, &first).await.expect("a row");
        assert_eq!(attesters::list(&mut tx).await.expect("rows"), [first]);
        for is_removed in [true, false] {
            let removed = attesters::remove(&mut tx, "fleet", NOW).await;
            assert_eq!(removed.expect("an update"), is_removed);
        }
        attesters::insert(&mut tx, &second).await.expect("a row");
        assert_eq!(attesters::list(&mut tx).await.expect("rows"), [second]);
        let refused = attesters::insert(&mut tx, &attester(2, None)).await;
        assert!(
            matches!(refused, Err(StoreError::Constraint)),
            "{refused:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn how_a_client_authenticates_is_read_with_it_and_replaced() {
    everywhere(async |place| {
        let store = place.open().await;
        let (_, agent) = make::inhabited(&store).await;
        let registered = ClientAuthentication {
            method: Method::Certificate(CertificateName::Uri("spiffe://a/b".to_owned())),
            is_certificate_bound: true,
        };
        let mut tx = store.begin().await.expect("a transaction");
        let found = agents::fetch(&mut tx, agent.id).await.expect("a row");
        let found = found.expect("an agent").agent.authentication;
        assert_eq!(found, ClientAuthentication::default());
        for one in [&registered, &ClientAuthentication::default(), &registered] {
            client_authentications::put(&mut tx, agent.id, one)
                .await
                .expect("a row");
            let found = agents::fetch(&mut tx, agent.id).await.expect("a row");
            assert_eq!(found.expect("an agent").agent.authentication, *one);
        }
        let living = agents::list_living(&mut tx).await.expect("rows");
        assert_eq!(living[0].agent.authentication, registered);
    })
    .await;
}

#[tokio::test]
async fn purpose_has_one_signing_key_that_signs() {
    everywhere(async |place| {
        let store = place.open().await;
        let key = |kid: &str| SigningKey {
            kid: kid.to_owned(),
            purpose: "access_token".to_owned(),
            alg: "ES256".to_owned(),
            public_jwk: "{}".to_owned(),
            sealed: "sealed".to_owned(),
            created_at: NOW,
            verifies_until: None,
        };
        let later = NOW.after(std::time::Duration::from_secs(60));
        let mut tx = store.begin().await.expect("a transaction");
        assert!(
            !signing_keys::retire(&mut tx, "access_token", later)
                .await
                .expect("an update")
        );
        signing_keys::insert(&mut tx, &key("one"))
            .await
            .expect("a key");
        assert!(
            signing_keys::retire(&mut tx, "access_token", later)
                .await
                .expect("an update")
        );
        signing_keys::insert(&mut tx, &key("two"))
            .await
            .expect("a key");
        let kids = |keys: Vec<SigningKey>| keys.into_iter().map(|key| key.kid).collect::<Vec<_>>();
        // JWKS-04: both during the overlap, one afterwards.
        assert_eq!(
            kids(signing_keys::list(&mut tx, NOW).await.expect("rows")),
            ["one", "two"]
        );
        assert_eq!(
            kids(signing_keys::list(&mut tx, later).await.expect("rows")),
            ["two"]
        );
        let refused = signing_keys::insert(&mut tx, &key("three")).await;
        assert!(
            matches!(refused, Err(StoreError::Constraint)),
            "{refused:?}"
        );
    })
    .await;
}
