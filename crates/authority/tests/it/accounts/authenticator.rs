//! An authenticator in software, and the browser of a person who has it.

use chancery_wire::jwk::{Algorithm, PrivateKey};
use chancery_wire::{base64url, hash};
use serde_json::{Value, json};

use crate::house::{House, ISSUER};
use crate::request::{Answer, Ask, ask};

/// A passkey, with what it says open to change.
pub(crate) struct Authenticator {
    pub(crate) key: PrivateKey,
    pub(crate) id: Vec<u8>,
    pub(crate) counter: u32,
    pub(crate) user_handle: String,
    pub(crate) flags: u8,
    pub(crate) origin: String,
    pub(crate) cross_origin: bool,
    pub(crate) rp_id: String,
}

/// The person is there and was verified.
const PRESENT_AND_VERIFIED: u8 = 0x05;
const ATTESTED: u8 = 0x40;

impl Authenticator {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            key: PrivateKey::generate(Algorithm::EdDsa).expect("a key"),
            id: hash::sha256(name.as_bytes()).as_bytes().to_vec(),
            counter: 0,
            user_handle: String::new(),
            flags: PRESENT_AND_VERIFIED,
            origin: ISSUER.to_owned(),
            cross_origin: false,
            rp_id: "id.example".to_owned(),
        }
    }

    fn client_data(&self, kind: &str, challenge: &Value) -> String {
        json!({
            "type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": self.cross_origin,
        })
        .to_string()
    }

    fn data(&self, flags: u8, attested: &[u8]) -> Vec<u8> {
        let hash = hash::sha256(self.rp_id.as_bytes());
        let counter = self.counter.to_be_bytes();
        [hash.as_bytes(), &[flags][..], &counter, attested].concat()
    }

    /// Makes the credential that `options` ask for.
    pub(crate) fn create(&mut self, options: &Value) -> Value {
        self.user_handle = options["user_handle"]
            .as_str()
            .expect("a handle")
            .to_owned();
        let x = self.key.public().bare_jwk()["x"].clone();
        let x = base64url::decode(x.as_str().expect("a text")).expect("base64url");
        let cose = [&b"\xa4\x01\x01\x03\x27\x20\x06\x21\x58\x20"[..], &x].concat();
        let length = u16::try_from(self.id.len())
            .expect("a length")
            .to_be_bytes();
        let attested = [&[0; 16][..], &length, &self.id, &cose].concat();
        let data = self.data(self.flags | ATTESTED, &attested);
        let length = u16::try_from(data.len()).expect("a length").to_be_bytes();
        let head = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59";
        let object = [&head[..], &length, &data].concat();
        let client_data = self.client_data("webauthn.create", &options["challenge"]);
        json!({
            "id": base64url::encode(&self.id),
            "client_data_json": base64url::encode(client_data.as_bytes()),
            "attestation_object": base64url::encode(&object),
        })
    }

    /// Signs the challenge of `options`.
    pub(crate) fn get(&mut self, options: &Value) -> Value {
        let data = self.data(self.flags, &[]);
        let client_data = self.client_data("webauthn.get", &options["challenge"]);
        let hash = hash::sha256(client_data.as_bytes());
        let signature = self.key.sign(&[&data[..], hash.as_bytes()].concat());
        json!({
            "id": base64url::encode(&self.id),
            "client_data_json": base64url::encode(client_data.as_bytes()),
            "authenticator_data": base64url::encode(&data),
            "signature": base64url::encode(&signature),
            "user_handle": self.user_handle,
        })
    }
}

/// A browser that shows a page of ours, and keeps the cookie.
#[derive(Clone, Default)]
pub(crate) struct Browser {
    pub(crate) cookie: String,
    /// The host and the origin of the page, when it is not that of the issuer of the tests.
    pub(crate) at: Option<(&'static str, &'static str)>,
}

impl Browser {
    pub(crate) fn ask(&self, method: &str, path: &str, body: &Value) -> Ask {
        let ask = ask(method, path).header("sec-fetch-site", "same-origin");
        let (host, origin) = self.at.unwrap_or(("id.example", ISSUER));
        let ask = ask.without("host").header("host", host);
        let ask = if method == "GET" {
            ask
        } else {
            ask.header("origin", origin)
        };
        let ask = if self.cookie.is_empty() {
            ask
        } else {
            ask.header("cookie", format!("__Host-chancery={}", self.cookie))
        };
        if body.is_null() { ask } else { ask.json(body) }
    }

    pub(crate) async fn send(
        &mut self,
        house: &House,
        method: &str,
        path: &str,
        body: Value,
    ) -> Answer {
        // Two requests are never at the same moment, so that events are in their order.
        house.advance_unseen(std::time::Duration::from_millis(1));
        let answer = house.send(self.ask(method, path, &body)).await;
        if let Some((_, rest)) = answer.header("set-cookie").split_once("__Host-chancery=") {
            rest.split(';')
                .next()
                .unwrap_or("")
                .clone_into(&mut self.cookie);
        }
        answer
    }

    pub(crate) async fn get(&mut self, house: &House, path: &str) -> Answer {
        self.send(house, "GET", path, Value::Null).await
    }

    pub(crate) async fn post(&mut self, house: &House, path: &str, body: Value) -> Answer {
        self.send(house, "POST", path, body).await
    }

    /// Follows an invitation with a new passkey.
    /// Puts the draft into force as this browser sees it.
    pub(crate) async fn activate(&mut self, house: &House, agent: &str) -> Answer {
        let path = format!("/v1/agents/{agent}");
        let seen = self.get(house, &path).await.ok()["revision"].to_string();
        let ask = self.ask("POST", &format!("{path}/activate"), &Value::Null);
        house.send(ask.header("if-match", seen)).await
    }

    pub(crate) async fn accept(
        &mut self,
        house: &House,
        invitation: &str,
        passkey: &mut Authenticator,
    ) -> Answer {
        let asked = json!({"invitation": invitation});
        let options = self.post(house, "/v1/enrolment/options", asked).await;
        if options.status != 200 {
            return options;
        }
        let credential = passkey.create(&options.json());
        let body = json!({"invitation": invitation, "name": "laptop", "credential": credential});
        self.post(house, "/v1/enrolment", body).await
    }

    /// Signs in.
    pub(crate) async fn sign_in(&mut self, house: &House, passkey: &mut Authenticator) -> Answer {
        let options = self
            .post(house, "/v1/sign-in/options", Value::Null)
            .await
            .ok();
        let body = json!({"credential": passkey.get(&options)});
        self.post(house, "/v1/sign-in", body).await
    }

    /// Enrols one more passkey.
    pub(crate) async fn enrol(&mut self, house: &House, passkey: &mut Authenticator) -> Answer {
        let options = self.post(house, "/v1/passkeys/options", Value::Null).await;
        if options.status != 200 {
            return options;
        }
        let body = json!({"name": "phone", "credential": passkey.create(&options.json())});
        self.post(house, "/v1/passkeys", body).await
    }
}

/// The secret of an invitation that the holder of `maker` makes.
pub(crate) async fn invite(house: &House, maker: &str, handle: &str, roles: &[&str]) -> String {
    let path = format!("/v1/owners/{handle}/invitations");
    let answer = house
        .as_login(maker, "POST", &path, json!({"roles": roles}))
        .await;
    secret_of(&answer.ok())
}

pub(crate) fn secret_of(invitation: &Value) -> String {
    let link = invitation["link"].as_str().expect("a link");
    let (page, secret) = link.split_once("#invite=").expect("a secret");
    assert_eq!(page, "https://id.example/console/");
    secret.to_owned()
}

/// A person with a passkey who is signed in, invited by the local administrator.
pub(crate) async fn signed_in(
    house: &House,
    handle: &str,
    roles: &[&str],
) -> (Browser, Authenticator) {
    house.add_person(handle).await;
    let invitation = invite(house, crate::house::ADMIN, handle, roles).await;
    let (mut browser, mut passkey) = (Browser::default(), Authenticator::new(handle));
    browser.accept(house, &invitation, &mut passkey).await.ok();
    (browser, passkey)
}

/// The id of the passkey of that name.
pub(crate) fn id_of(list: &Value, name: &str) -> String {
    let items = list["items"].as_array().expect("a list");
    let found = items.iter().find(|item| item["name"] == name);
    let id = found.and_then(|item| item["id"].as_str());
    id.expect("a passkey of that name").to_owned()
}
