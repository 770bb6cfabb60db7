//! The flow in the ordinary way, each step open to change.

use chancery_wire::client_assertion::ASSERTION_TYPE;
use chancery_wire::pkce::{Challenge, Verifier};
use serde_json::{Value, json};

use crate::house::{House, Party};
use crate::request::{Answer, Ask, ask};

pub(crate) const R1: &str = "https://r1.example";
pub(crate) const CALLBACK: &str = "https://app.example/cb";
pub(crate) const VERIFIER: &str = "a-verifier-that-nobody-else-knows-0123456789";
pub(crate) const STATE: &str = "s-0123456789abcdef";
pub(crate) const BOB: &str = "bob@example.com";

/// An agent of alice's that acts for bob, at one resource.
pub(crate) struct Flow {
    pub(crate) house: House,
    pub(crate) agent: Party,
    pub(crate) server: Party,
    /// Bob's login.
    pub(crate) login: String,
}

pub(crate) type Pairs = Vec<(&'static str, String)>;

/// Takes the place of a parameter, or takes it away.
pub(crate) fn put(pairs: &mut Pairs, name: &'static str, value: &str) {
    pairs.retain(|(own, _)| *own != name);
    if !value.is_empty() {
        pairs.push((name, value.to_owned()));
    }
}

pub(crate) async fn furnished() -> Flow {
    let house = House::found().await;
    let agent = house.register("refund-bot").await;
    let server = house.resource(R1).await;
    house.add_person(BOB).await;
    let login = house.login(BOB, &["auditor"]).await;
    let flow = Flow {
        house,
        agent,
        server,
        login,
    };
    flow.set_redirects(&[CALLBACK]).await.ok();
    flow
}

pub(crate) fn challenge(verifier: &str) -> String {
    let verifier = Verifier::parse(verifier).expect("a verifier");
    Challenge::of(&verifier).as_str().to_owned()
}

pub(crate) fn pairs_of<'a>(pairs: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    pairs
        .iter()
        .map(|(name, value)| (*name, &**value))
        .collect()
}

/// The parameters with which an answer came back to the client.
pub(crate) fn landed(answer: &Answer) -> std::collections::HashMap<String, String> {
    assert_eq!(answer.status.as_u16(), 303, "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store", "{answer:?}");
    let location = answer.header("location");
    let url = url::Url::parse(location).expect("a URL");
    let mut found = std::collections::HashMap::new();
    for (name, value) in url.query_pairs() {
        assert!(
            found
                .insert(name.into_owned(), value.into_owned())
                .is_none()
        );
    }
    found
}

/// A page of ours that sends nobody anywhere.
#[track_caller]
pub(crate) fn stays_here(answer: &Answer, status: u16) {
    assert_eq!(answer.status.as_u16(), status, "{answer:?}");
    assert!(answer.headers.get("location").is_none(), "{answer:?}");
    assert!(
        answer.header("content-type").starts_with("text/html"),
        "{answer:?}"
    );
    assert_eq!(answer.header("cache-control"), "no-store", "{answer:?}");
}

/// The page says where to sign in, and asks nothing.
pub(crate) fn asks_to_sign_in(answer: &Answer) {
    stays_here(answer, 200);
    assert!(
        answer.text().contains("<h1>Sign in first</h1>"),
        "{answer:?}"
    );
    assert!(!answer.text().contains("<form"), "{answer:?}");
}

/// The value of a hidden field of a page.
pub(crate) fn field(page: &Answer, name: &str) -> String {
    let text = page.text();
    let begin = format!("name=\"{name}\" value=\"");
    let rest = text
        .split(&begin)
        .nth(1)
        .unwrap_or_else(|| panic!("no `{name}`: {page:?}"));
    rest.split('"').next().expect("a value").to_owned()
}

impl Flow {
    pub(crate) async fn set_redirects(&self, uris: &[&str]) -> Answer {
        let path = "/v1/agents/refund-bot/redirect-uris";
        let body = json!({"redirect_uris": uris});
        self.house.admin("PUT", path, body).await
    }

    pub(crate) fn request(&self) -> Pairs {
        vec![
            ("response_type", "code".to_owned()),
            ("redirect_uri", CALLBACK.to_owned()),
            ("scope", "read write".to_owned()),
            ("resource", R1.to_owned()),
            ("state", STATE.to_owned()),
            ("code_challenge", challenge(VERIFIER)),
            ("code_challenge_method", "S256".to_owned()),
            ("dpop_jkt", self.agent.key.public().thumbprint().to_owned()),
        ]
    }

    pub(crate) async fn push_as(&self, party: &Party, pairs: &Pairs) -> Answer {
        let mut all = vec![
            ("client_assertion_type", ASSERTION_TYPE.to_owned()),
            ("client_assertion", self.house.assertion(party)),
            ("client_id", party.id.clone()),
        ];
        all.extend(pairs.iter().cloned());
        let ask = ask("POST", "/oauth/par").form(&pairs_of(&all));
        self.house.send(ask).await
    }

    pub(crate) async fn push_with(&self, change: impl FnOnce(&mut Pairs)) -> Answer {
        let mut pairs = self.request();
        change(&mut pairs);
        self.push_as(&self.agent, &pairs).await
    }

    /// The name of a request that was pushed.
    pub(crate) async fn pushed(&self, change: impl FnOnce(&mut Pairs)) -> String {
        let answer = self.push_with(change).await;
        assert_eq!(answer.status.as_u16(), 201, "{answer:?}");
        answer.json()["request_uri"]
            .as_str()
            .expect("a name")
            .to_owned()
    }

    pub(crate) async fn open_as(&self, login: &str, client: &str, uri: &str) -> Answer {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("client_id", client)
            .append_pair("request_uri", uri);
        let path = format!("/oauth/authorize?{}", query.finish());
        let ask = ask("GET", &path);
        let ask = if login.is_empty() {
            ask
        } else {
            ask.bearer(login)
        };
        self.house.send(ask).await
    }

    pub(crate) async fn open(&self, uri: &str) -> Answer {
        self.open_as(&self.login, &self.agent.id, uri).await
    }

    pub(crate) async fn decide(&self, login: &str, uri: &str, form: &str, answer: &str) -> Answer {
        let form = [("request_uri", uri), ("form", form), ("answer", answer)];
        let ask = ask("POST", "/oauth/authorize/decide");
        let ask = ask.header("origin", "https://id.example").form(&form);
        let ask = if login.is_empty() {
            ask
        } else {
            ask.bearer(login)
        };
        self.house.send(ask).await
    }

    /// Opens the page and says yes.
    pub(crate) async fn approve(&self, uri: &str) -> Answer {
        let page = self.open(uri).await;
        assert_eq!(page.status.as_u16(), 200, "{page:?}");
        let form = field(&page, "form");
        self.decide(&self.login, uri, &form, "approve").await
    }

    /// A code that bob let the agent have.
    pub(crate) async fn code_with(&self, change: impl FnOnce(&mut Pairs)) -> String {
        let uri = self.pushed(change).await;
        landed(&self.approve(&uri).await)["code"].clone()
    }

    pub(crate) async fn code(&self) -> String {
        self.code_with(|_| ()).await
    }

    /// A request of `party` to the token endpoint with a fresh proof of `key`.
    pub(crate) async fn ask_with(&self, party: &Party, key: &Party, pairs: &Pairs) -> Ask {
        let nonce = self.house.nonce(&self.agent).await;
        let assertion = self.house.assertion(party);
        let mut all = pairs.clone();
        all.push(("client_assertion", assertion));
        let grant_type = all.iter().find(|(name, _)| *name == "grant_type");
        let grant_type = grant_type
            .map(|(_, value)| value.clone())
            .expect("a grant type");
        all.retain(|(name, _)| *name != "grant_type");
        let mut form = vec![
            ("grant_type", grant_type),
            ("client_assertion_type", ASSERTION_TYPE.to_owned()),
        ];
        form.extend(all);
        let ask = ask("POST", "/oauth/token").form(&pairs_of(&form));
        ask.header("dpop", self.house.proof(&key.key, &nonce))
    }

    pub(crate) fn redemption(code: &str) -> Pairs {
        vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", code.to_owned()),
            ("code_verifier", VERIFIER.to_owned()),
            ("redirect_uri", CALLBACK.to_owned()),
        ]
    }

    pub(crate) async fn redeem_with(&self, code: &str, change: impl FnOnce(&mut Pairs)) -> Answer {
        let mut pairs = Self::redemption(code);
        change(&mut pairs);
        let ask = self.ask_with(&self.agent, &self.agent, &pairs).await;
        self.house.send(ask).await
    }

    pub(crate) async fn redeem(&self, code: &str) -> Answer {
        self.redeem_with(code, |_| ()).await
    }

    pub(crate) async fn renew_with(
        &self,
        refresh: &str,
        change: impl FnOnce(&mut Pairs),
    ) -> Answer {
        let mut pairs = vec![
            ("grant_type", "refresh_token".to_owned()),
            ("refresh_token", refresh.to_owned()),
        ];
        change(&mut pairs);
        let ask = self.ask_with(&self.agent, &self.agent, &pairs).await;
        self.house.send(ask).await
    }

    pub(crate) async fn renew(&self, refresh: &str) -> Answer {
        self.renew_with(refresh, |_| ()).await
    }

    /// The tokens of a grant that bob just gave: the access token and the refresh token.
    pub(crate) async fn tokens(&self) -> (String, String) {
        let answer = self.redeem(&self.code().await).await.ok();
        let text = |name: &str| answer[name].as_str().expect("a token").to_owned();
        (text("access_token"), text("refresh_token"))
    }

    pub(crate) async fn is_active(&self, token: &str) -> bool {
        self.house.is_active(&self.server, token).await
    }

    /// The grants that bob sees.
    pub(crate) async fn grants(&self) -> Vec<Value> {
        let path = "/v1/grants?owner=bob@example.com";
        let page = self
            .house
            .as_login(&self.login, "GET", path, Value::Null)
            .await
            .ok();
        page["items"].as_array().expect("a list").clone()
    }

    /// The reason that the record has for the last refusal at an OAuth endpoint.
    pub(crate) async fn refused_because(&self) -> String {
        let event = self.house.last_event("token.refused").await;
        event["outcome"].as_str().expect("a reason").to_owned()
    }
}

impl Flow {
    /// Somebody else accepts the version that waits.
    pub(crate) async fn accept_as_second_person(&self) {
        let view = self.house.get("/v1/agents/refund-bot").await;
        let Some(number) = view["pending_version"].as_i64() else {
            return;
        };
        for handle in ["carol@example.com", "dora@example.com"] {
            self.house.add_person(handle).await;
        }
        let carol = self
            .house
            .login("carol@example.com", &["administrator"])
            .await;
        let dora = self
            .house
            .login_by(&carol, "dora@example.com", &["approver"])
            .await;
        let path = format!("/v1/agents/refund-bot/versions/{number}/accept");
        self.house
            .as_login(&dora, "POST", &path, Value::Null)
            .await
            .ok();
    }
}
