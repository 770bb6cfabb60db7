//! `POST /oauth/device_authorization`: what an agent without a browser is given, and what it is refused.

use std::time::Duration;

use chancery_wire::client_assertion::ASSERTION_TYPE;
use serde_json::json;

use super::flow::{BOB, Flow, Pairs, R1, field, furnished, pairs_of, put};
use crate::house::{ISSUER, Party, new_key};
use crate::request::{Answer, ask};

pub(crate) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// What a device shows, and what it asks with.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) code: String,
    pub(crate) shown: String,
}

impl Flow {
    pub(crate) fn wish(&self) -> Pairs {
        vec![
            ("scope", "read write".to_owned()),
            ("resource", R1.to_owned()),
            ("dpop_jkt", self.agent.key.public().thumbprint().to_owned()),
        ]
    }

    pub(crate) async fn wait_as(&self, party: &Party, pairs: &Pairs) -> Answer {
        self.house.advance_unseen(Duration::from_millis(1));
        let mut all = vec![
            ("client_assertion_type", ASSERTION_TYPE.to_owned()),
            ("client_assertion", self.house.assertion(party)),
        ];
        all.extend(pairs.iter().cloned());
        let ask = ask("POST", "/oauth/device_authorization").form(&pairs_of(&all));
        self.house.send(ask).await
    }

    pub(crate) async fn wait_with(&self, change: impl FnOnce(&mut Pairs)) -> Answer {
        let mut pairs = self.wish();
        change(&mut pairs);
        self.wait_as(&self.agent, &pairs).await
    }

    /// A device that waits.
    pub(crate) async fn device_with(&self, change: impl FnOnce(&mut Pairs)) -> Device {
        let answer = self.wait_with(change).await.ok();
        let text = |name: &str| answer[name].as_str().expect("a text").to_owned();
        Device {
            code: text("device_code"),
            shown: text("user_code"),
        }
    }

    pub(crate) async fn device(&self) -> Device {
        self.device_with(|_| ()).await
    }

    /// Enters a code in the form.
    pub(crate) async fn enter_as(&self, login: &str, typed: &str) -> Answer {
        // Two requests are never at the same moment, so that events are in their order.
        self.house.advance_unseen(Duration::from_millis(1));
        let post = ask("POST", "/device").header("origin", ISSUER);
        let post = post.form(&[("user_code", typed)]);
        let post = match login {
            "" => post,
            login => post.bearer(login),
        };
        self.house.send(post).await
    }

    pub(crate) async fn enter(&self, typed: &str) -> Answer {
        self.enter_as(&self.login, typed).await
    }

    /// Enters the code and answers what the page asks.
    pub(crate) async fn answer(&self, device: &Device, answer: &str) -> Answer {
        let page = self.enter(&device.shown).await;
        assert_eq!(page.status.as_u16(), 200, "{page:?}");
        let (name, form) = (field(&page, "request_uri"), field(&page, "form"));
        self.decide(&self.login, &name, &form, answer).await
    }

    /// The device asks whether there is an answer.
    pub(crate) async fn poll_with(
        &self,
        party: &Party,
        key: &Party,
        device: &Device,
        change: impl FnOnce(&mut Pairs),
    ) -> Answer {
        self.house.advance_unseen(Duration::from_millis(1));
        let mut pairs = vec![
            ("grant_type", GRANT_TYPE.to_owned()),
            ("device_code", device.code.clone()),
        ];
        change(&mut pairs);
        let ask = self.ask_with(party, key, &pairs).await;
        self.house.send(ask).await
    }

    pub(crate) async fn poll(&self, device: &Device) -> Answer {
        self.poll_with(&self.agent, &self.agent, device, |_| ())
            .await
    }

    /// Moves the clock, and forgets the nonce that is too old then.
    pub(crate) async fn pass(&self, seconds: u64) {
        self.house.advance(Duration::from_secs(seconds)).await;
        self.house.forget_nonce();
    }
}

#[tokio::test]
async fn device_is_given_two_codes_and_where_to_enter_the_short_one() {
    let flow = furnished().await;
    let answer = flow.wait_with(|_| ()).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let told = answer.ok();
    let device_code = told["device_code"].as_str().expect("a code");
    assert_eq!(device_code.len(), "chd_".len() + 43);
    assert!(device_code.starts_with("chd_"));
    let shown = told["user_code"].as_str().expect("a code");
    let is_letter = |letter: char| "BCDFGHJKLMNPQRSTVWXZ".contains(letter);
    assert_eq!(shown.len(), 9);
    for (place, letter) in shown.chars().enumerate() {
        assert!(
            if place == 4 {
                letter == '-'
            } else {
                is_letter(letter)
            },
            "{shown}"
        );
    }
    assert_eq!(told["verification_uri"], "https://id.example/device");
    let complete = format!("https://id.example/device?user_code={shown}");
    assert_eq!(told["verification_uri_complete"], complete);
    assert_eq!(
        (&told["expires_in"], &told["interval"]),
        (&json!(600), &json!(5))
    );

    let metadata = "/.well-known/oauth-authorization-server";
    let metadata = flow.house.send(ask("GET", metadata)).await.ok();
    let endpoint = "https://id.example/oauth/device_authorization";
    assert_eq!(metadata["device_authorization_endpoint"], endpoint);
    let grants = metadata["grant_types_supported"]
        .as_array()
        .expect("a list");
    assert!(grants.contains(&json!(GRANT_TYPE)));

    let event = flow.house.last_event("client.authenticated").await;
    assert_eq!(event["actor"]["id"], flow.agent.id);
    assert_eq!(event["facts"]["endpoint"], "device_authorization");
    assert_eq!(event["facts"]["resource"], R1);
    // Neither code is in the record or in the log of the program.
    let events = flow.house.events().await;
    let logged = crate::house::logged();
    for secret in [device_code, shown, &shown.replace('-', "")] {
        let is_clean = |event: &serde_json::Value| !event.to_string().contains(secret);
        assert!(events.iter().all(is_clean));
        assert!(!logged.contains(secret));
    }
}

#[tokio::test]
async fn tok_09_device_endpoint_takes_agents_that_prove_who_they_are() {
    let flow = furnished().await;
    let server = &flow.server;
    flow.wait_as(server, &flow.wish())
        .await
        .oauth_error(400, "unauthorized_client");
    let bare = [("client_id", &*flow.agent.id), ("resource", R1)];
    for form in [
        &bare[..],
        &[
            ("client_id", "https://client.example/it.json"),
            ("resource", R1),
        ],
        &[],
    ] {
        let post = ask("POST", "/oauth/device_authorization").form(form);
        flow.house
            .send(post)
            .await
            .oauth_error(401, "invalid_client");
    }
    let stranger = Party {
        id: flow.agent.id.clone(),
        key: new_key(),
    };
    flow.wait_as(&stranger, &flow.wish())
        .await
        .oauth_error(401, "invalid_client");
    flow.house.suspend("refund-bot").await.ok();
    let answer = flow.wait_with(|_| ()).await;
    answer.oauth_error(401, "invalid_client");
    flow.house.resume("refund-bot").await.ok();
    flow.wait_with(|_| ()).await.ok();
    // A public client has nothing to prove itself with, here as at the token endpoint.
    let form = [
        ("grant_type", GRANT_TYPE),
        ("client_id", "https://client.example/it.json"),
        ("device_code", "chd_x"),
    ];
    let poll = ask("POST", "/oauth/token").form(&form);
    let answer = flow.house.send(poll).await;
    answer.oauth_error(400, "unauthorized_client");
}

#[tokio::test]
async fn what_a_device_asks_is_read_like_a_pushed_request() {
    let flow = furnished().await;
    for (name, value, error) in [
        ("resource", "", "invalid_target"),
        ("resource", "https://nowhere.example", "invalid_target"),
        ("resource", "nowhere", "invalid_target"),
        ("scope", "read  write", "invalid_scope"),
        ("dpop_jkt", "x", "invalid_request"),
        ("dpop_jkt", "", "invalid_dpop_proof"),
        ("max_age", "soon", "invalid_request"),
        ("prompt", "none", "invalid_request"),
        ("request", "x", "request_not_supported"),
        ("request_uri", "x", "invalid_request"),
        (
            "authorization_details",
            "[]",
            "invalid_authorization_details",
        ),
    ] {
        let answer = flow.wait_with(|form| put(form, name, value)).await;
        answer.oauth_error(400, error);
    }
    // A proof says which key as well as the parameter, and both must say the same.
    let nonce = flow.house.nonce(&flow.agent).await;
    let other = new_key();
    for (key, status) in [(&flow.agent.key, 200), (&other, 400)] {
        let jti = flow.house.fresh();
        let request = chancery_wire::dpop::Request {
            method: "POST",
            url: "https://id.example/oauth/device_authorization",
            jti: &jti,
            now: flow.house.now(),
            nonce: Some(&nonce),
            access_token: None,
        };
        let mut form = flow.wish();
        form.push(("client_assertion_type", ASSERTION_TYPE.to_owned()));
        form.push(("client_assertion", flow.house.assertion(&flow.agent)));
        let post = ask("POST", "/oauth/device_authorization").form(&pairs_of(&form));
        let post = post.header("dpop", chancery_wire::dpop::proof(key, &request));
        let answer = flow.house.send(post).await;
        assert_eq!(answer.status.as_u16(), status, "{answer:?}");
    }
}

#[tokio::test]
async fn dos_06_client_has_only_so_many_devices_waiting() {
    let flow = furnished().await;
    for _ in 0..100 {
        flow.device().await;
    }
    let answer = flow.wait_with(|_| ()).await;
    answer.oauth_error(503, "temporarily_unavailable");
    assert_eq!(flow.refused_because().await, "too_many_requests");
    // Another client is not concerned, and time makes room.
    let other = flow.house.register("other-bot").await;
    flow.wait_as(&other, &flow.wish()).await.ok();
    flow.pass(600).await;
    flow.device().await;
    // What ended is gone a day later, whoever looks.
    flow.pass(100_000).await;
    let store = &flow.house.authority.store;
    let now = flow.house.now();
    let gone = chancery_store::device_requests::sweep(store, now).await;
    let left = chancery_store::device_requests::sweep(store, now).await;
    assert!(gone.expect("swept") <= 102 && left.expect("swept") == 0);
}

#[tokio::test]
async fn grant_says_that_it_was_given_to_a_device() {
    let flow = furnished().await;
    let device = flow.device().await;
    flow.answer(&device, "approve").await;
    let grants = flow.grants().await;
    assert_eq!(grants.len(), 1);
    assert_eq!(grants[0]["owner"], BOB);
    assert_eq!(grants[0]["redirect_uri"], GRANT_TYPE);
    assert_eq!(grants[0]["scope"], json!(["read", "write"]));
    let given = flow.house.last_event("grant.given").await;
    assert_eq!(given["actor"]["id"], BOB);
    assert_eq!(given["facts"]["redirect_uri"], GRANT_TYPE);
    assert_eq!(given["decision"]["policies"][0], "person-consents");
    // It answers for nothing that a browser would be sent to.
    let uri = flow.pushed(|form| put(form, "prompt", "none")).await;
    let told = super::flow::landed(&flow.open(&uri).await);
    assert_eq!(told["error"], "consent_required");
}
