//! An authority on loopback, a provider, and a browser that goes back and forth between them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::idp::{CLIENT, Idp, SECRET, query_of};
use crate::house::House;
use crate::request::{Answer, Ask, ask};

/// Where people are on loopback.
pub(crate) const HOST: &str = "localhost:7420";
pub(crate) const ORIGIN: &str = "http://localhost:7420";
pub(crate) const CALLBACK: &str = "/sign-in/providers/corp/callback";

pub(crate) struct World {
    pub(crate) house: Arc<House>,
    pub(crate) idp: Idp,
}

impl World {
    /// A provider that lets people join.
    pub(crate) async fn new() -> Self {
        Self::with(json!({"join": true})).await
    }

    /// A provider with some members of the request changed.
    pub(crate) async fn with(settings: Value) -> Self {
        let house = House::found_with(|config| {
            config.issuer = "http://127.0.0.1:7420".to_owned();
            config.hosts.push(HOST.to_owned());
        })
        .await;
        let idp = Idp::start(Arc::clone(&house.clock)).await;
        let world = Self {
            house: Arc::new(house),
            idp,
        };
        world.add(settings).await.ok();
        world
    }

    pub(crate) async fn add(&self, settings: Value) -> Answer {
        let mut body = json!({
            "name": "corp", "issuer": self.idp.issuer, "client_id": CLIENT, "client_secret": SECRET,
        });
        for (name, value) in settings.as_object().expect("settings") {
            if value.is_null() {
                body.as_object_mut().expect("a body").remove(name);
            } else {
                body[name] = value.clone();
            }
        }
        self.house.admin("POST", "/v1/providers", body).await
    }

    /// Signs in with a new browser, all the way.
    pub(crate) async fn sign_in(&self) -> Visitor {
        let mut visitor = Visitor::default();
        let answer = visitor.sign_in(self).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        visitor
    }

    /// The last refusal of the record.
    pub(crate) async fn why(&self) -> String {
        let refused = self.house.last_event("request.refused").await;
        refused["outcome"].as_str().expect("an outcome").to_owned()
    }

    /// Waits until the watch has done something that `done` sees; time stands still meanwhile.
    pub(crate) async fn until(&self, what: &str, mut done: impl AsyncFnMut() -> bool) {
        for _ in 0..200 {
            if done().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{what}");
    }
}

/// A browser of somebody.
#[derive(Clone, Default)]
pub(crate) struct Visitor {
    /// The cookie of the session.
    pub(crate) session: String,
    /// The cookie of the attempt.
    pub(crate) attempt: String,
}

impl Visitor {
    /// A request that a link of ours, or a page of ours, makes.
    pub(crate) fn ask(&self, method: &str, path: &str) -> Ask {
        let ask = ask(method, path).without("host").header("host", HOST);
        let mut cookies = Vec::new();
        for (name, value) in [
            ("__Host-chancery", &self.session),
            ("__Host-chancery-provider", &self.attempt),
        ] {
            if !value.is_empty() {
                cookies.push(format!("{name}={value}"));
            }
        }
        match cookies.is_empty() {
            true => ask,
            false => ask.header("cookie", cookies.join("; ")),
        }
    }

    /// Takes the cookies of an answer.
    pub(crate) fn take(&mut self, answer: &Answer) {
        for cookie in answer.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().expect("ASCII");
            let (name, rest) = cookie.split_once('=').expect("a cookie");
            let value = rest.split(';').next().unwrap_or("").to_owned();
            match name {
                "__Host-chancery" => self.session = value,
                "__Host-chancery-provider" => self.attempt = value,
                other => panic!("a cookie `{other}`"),
            }
        }
    }

    /// Begins to sign in: where the provider asks.
    pub(crate) async fn begin(&mut self, world: &World, query: &str) -> String {
        let answer = self
            .get(world, &format!("/sign-in/providers/corp{query}"))
            .await;
        assert_eq!(answer.status, 303, "{answer:?}");
        self.take(&answer);
        answer.header("location").to_owned()
    }

    /// Comes back from the provider with these parameters.
    pub(crate) async fn come_back(
        &mut self,
        world: &World,
        path: &str,
        parameters: &[(&str, &str)],
    ) -> Answer {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters)
            .finish();
        let ask = self.ask("GET", &format!("{path}?{query}"));
        let answer = world.house.send(ask.header("sec-fetch-site", "cross-site"));
        let answer = answer.await;
        self.take(&answer);
        answer
    }

    /// Comes back as the provider would send it.
    pub(crate) async fn return_from(&mut self, world: &World, location: &str) -> Answer {
        let code = world.idp.agree(location);
        let state = query_of(location)["state"].clone();
        let issuer = world.idp.issuer.clone();
        let parameters = [("code", &*code), ("state", &*state), ("iss", &*issuer)];
        self.come_back(world, CALLBACK, &parameters).await
    }

    pub(crate) async fn sign_in(&mut self, world: &World) -> Answer {
        world.house.advance_unseen(Duration::from_millis(1));
        let location = self.begin(world, "").await;
        self.return_from(world, &location).await
    }

    /// What a page of ours asks for in the session.
    pub(crate) async fn get(&self, world: &World, path: &str) -> Answer {
        let ask = self.ask("GET", path);
        world
            .house
            .send(ask.header("sec-fetch-site", "same-origin"))
            .await
    }

    pub(crate) async fn post(&self, world: &World, path: &str, body: &Value) -> Answer {
        let ask = self.ask("POST", path).json(body);
        let ask = ask
            .header("sec-fetch-site", "same-origin")
            .header("origin", ORIGIN);
        world.house.send(ask).await
    }

    pub(crate) async fn is_signed_in(&self, world: &World) -> bool {
        self.get(world, "/v1/whoami").await.status == 200
    }
}
