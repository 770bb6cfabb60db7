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

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// A token endpoint, ours or a peer's, and what is asked of it.
pub(crate) struct TokenEndpoint {
    /// Where it is.
    pub(crate) address: SocketAddr,
    /// Its path.
    pub(crate) path: &'static str,
    /// The audience of assertions: the issuer.
    pub(crate) audience: String,
    /// Who asks.
    pub(crate) client_id: String,
    /// Whom the token is for.
    pub(crate) resource: String,
}

impl TokenEndpoint {
    /// A request for a token: `client_credentials`, an assertion and a DPoP proof, both of `key`.
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
        let now = MachineClock.now();
        let claims = json!({
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.audience,
            "iat": now.as_secs(),
            "exp": now.after(client_assertion::LIFETIME).as_secs(),
            "jti": names.name(),
        });
        let assertion = jws::sign(key, client_assertion::TYP, claims.to_string().as_bytes());
        let proof = dpop::proof(
            key,
            &dpop::Request {
                method: "POST",
                url: &format!("http://{}{}", self.address, self.path),
                jti: &names.name(),
                now,
                nonce,
                access_token: None,
            },
        );
        let form = form(&assertion, &self.resource);
        let headers = format!("{FORM}DPoP: {proof}\r\n");
        http1::request("POST", self.address, self.path, &headers, &form)
    }
}

/// The form of a request for a token that is bound to no key.
pub(crate) fn bearer_form(
    client_id: impl Into<ClientId>,
    key: &PrivateKey,
    issuer: &str,
    resource: &str,
) -> String {
    let name = Distinct::default().name();
    let assertion = client_assertion::sign(client_id, issuer, &name, MachineClock.now(), key);
    form(&assertion, resource)
}

fn form(assertion: &str, resource: &str) -> String {
    let (kind, resource) = (escaped(ASSERTION_TYPE), escaped(resource));
    format!(
        "grant_type=client_credentials&client_assertion_type={kind}&client_assertion={assertion}&resource={resource}"
    )
}

/// A value as it stands in a form.
pub(crate) fn escaped(text: &str) -> String {
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
