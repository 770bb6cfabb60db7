//! Requests that are signed before they are sent, so that the client's signatures are nobody's load.

use std::net::SocketAddr;
use std::rc::Rc;

use anyhow::{Context, Result};
use bytes::Bytes;
use chancery_model::id::ClientId;
use chancery_model::time::Clock;
use chancery_wire::client_assertion::{self, ASSERTION_TYPE};
use chancery_wire::dpop;
use chancery_wire::jwk::PrivateKey;
use chancery_wire::jws;
use serde_json::json;

use crate::http1::{self, Connection};
use crate::world::{Distinct, MachineClock};

/// The header of a form.
pub(crate) const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// A token endpoint, ours or a peer's, and what is asked of it again and again.
pub(crate) struct TokenEndpoint {
    /// Where it is.
    pub(crate) address: SocketAddr,
    /// Its path.
    pub(crate) path: &'static str,
    /// The audience of assertions: the issuer.
    pub(crate) audience: String,
    /// Who asks.
    pub(crate) client_id: String,
    /// What is asked, as a form in which who asks is not yet proved.
    pub(crate) asks: String,
}

impl TokenEndpoint {
    /// A request for a token, with an assertion and a DPoP proof, both of `key`.
    pub(crate) fn request(&self, key: &PrivateKey, nonce: Option<&str>) -> Bytes {
        self.request_named(key, nonce, &Distinct::default())
    }

    /// So many requests, each good once.
    pub(crate) fn requests(&self, key: &PrivateKey, nonce: &str, count: usize) -> Rc<[Bytes]> {
        let names = Distinct::default();
        (0..count)
            .map(|_| self.request_named(key, Some(nonce), &names))
            .collect()
    }

    /// Asks without a nonce, and takes the one that comes with the refusal.
    pub(crate) async fn fetch_nonce(&self, key: &PrivateKey) -> Result<String> {
        let request = self.request(key, None);
        let answer = Connection::open(self.address)
            .await?
            .exchange(&request)
            .await?;
        let nonce = answer.header("dpop-nonce");
        Ok(nonce
            .with_context(|| format!("no nonce: {}", answer.beginning()))?
            .to_owned())
    }

    fn request_named(&self, key: &PrivateKey, nonce: Option<&str>, names: &Distinct) -> Bytes {
        let assertion = assertion(&self.client_id, key, &self.audience, names);
        let url = format!("http://{}{}", self.address, self.path);
        let proof = proof(key, &url, nonce, names);
        let form = format!("{}&{}", self.asks, asserted(&assertion));
        let headers = format!("{FORM}DPoP: {proof}\r\n");
        http1::request("POST", self.address, self.path, &headers, &form)
    }
}

/// The assertion by which a client proves who it is; good once, for a minute.
pub(crate) fn assertion(
    client_id: &str,
    key: &PrivateKey,
    audience: &str,
    names: &Distinct,
) -> String {
    let now = MachineClock.now();
    let claims = json!({
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": now.as_secs(),
        "exp": now.after(client_assertion::LIFETIME).as_secs(),
        "jti": names.name(),
    });
    jws::sign(key, client_assertion::TYP, claims.to_string().as_bytes())
}

/// A DPoP proof for a `POST` to `url`; good once, for a minute.
pub(crate) fn proof(key: &PrivateKey, url: &str, nonce: Option<&str>, names: &Distinct) -> String {
    dpop::proof(
        key,
        &dpop::Request {
            method: "POST",
            url,
            jti: &names.name(),
            now: MachineClock.now(),
            nonce,
            access_token: None,
        },
    )
}

/// The form of a request for a token that is bound to no key.
pub(crate) fn bearer_form(
    client_id: impl Into<ClientId>,
    key: &PrivateKey,
    issuer: &str,
    resource: &str,
) -> String {
    let client_id = client_id.into().to_string();
    let assertion = assertion(&client_id, key, issuer, &Distinct::default());
    format!("{}&{}", for_itself(resource), asserted(&assertion))
}

/// A client asks for a token for itself.
pub(crate) fn for_itself(resource: &str) -> String {
    form(&[("grant_type", "client_credentials"), ("resource", resource)])
}

/// The assertion as it stands in a form.
pub(crate) fn asserted(assertion: &str) -> String {
    form(&[
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", assertion),
    ])
}

/// These parameters as a form.
pub(crate) fn form(parameters: &[(&str, &str)]) -> String {
    let parameters = parameters.iter();
    let parameters = parameters.map(|(name, value)| format!("{name}={}", escaped(value)));
    parameters.collect::<Vec<_>>().join("&")
}

/// A value as it stands in a form.
fn escaped(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    text.bytes().fold(String::new(), |mut escaped, byte| {
        if plain(&byte) {
            escaped.push(byte.into());
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
        escaped
    })
}

/// So many calls of `url` with a DPoP-bound token, each with a proof of its own.
pub(crate) fn proven_calls(call: &ProvenCall<'_>, count: usize) -> Rc<[Bytes]> {
    let names = Distinct::default();
    (0..count).map(|_| call.request(&names)).collect()
}

/// A call that is proven anew each time.
pub(crate) struct ProvenCall<'a> {
    /// Where to.
    pub(crate) address: SocketAddr,
    /// The path.
    pub(crate) path: &'a str,
    /// The URL as the proof names it.
    pub(crate) url: &'a str,
    /// The key that the token is bound to.
    pub(crate) key: &'a PrivateKey,
    /// The token.
    pub(crate) token: &'a str,
    /// The nonce of the server.
    pub(crate) nonce: Option<&'a str>,
    /// Further headers, each with its line end.
    pub(crate) headers: &'a str,
    /// The body.
    pub(crate) body: &'a str,
}

impl ProvenCall<'_> {
    /// The request with the next proof.
    pub(crate) fn request(&self, names: &Distinct) -> Bytes {
        let proof = dpop::proof(
            self.key,
            &dpop::Request {
                method: "POST",
                url: self.url,
                jti: &names.name(),
                now: MachineClock.now(),
                nonce: self.nonce,
                access_token: Some(self.token),
            },
        );
        let headers = format!(
            "Authorization: DPoP {}\r\nDPoP: {proof}\r\n{}",
            self.token, self.headers
        );
        http1::request("POST", self.address, self.path, &headers, self.body)
    }
}
