//! The authority as its API shows it: one method for each entry of the table of endpoints.
//!
//! The methods are written beside the shapes that they carry: `agents.rs`, `owners.rs` and so on.

use std::sync::Arc;

use bytes::Bytes;
use chancery_api::owners::WhoAmI;
use chancery_api::problem::Problem;
use chancery_model::entropy::Entropy;
use chancery_model::secret::Secret;
use chancery_wire::json;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use http::request::Builder;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::address;
use crate::error::ClientError;
use crate::presence::{Nonce, PresenceKey};
use crate::transport::{Answer, MAX_ANSWER, Transport};

/// Answers are our own, but a client believes nobody: limits before the parse.
const ANSWER: json::Limits = json::Limits {
    bytes: MAX_ANSWER,
    depth: 64,
};

/// An authority at an address, with the login that calls are made by.
pub struct Authority {
    pub(crate) base: Url,
    pub(crate) transport: Transport,
    login: Login,
}

/// By what calls are made.
enum Login {
    /// By nothing: only what anybody may ask is answered.
    Nobody,
    /// By the secret of a person, who says whom it is for.
    Person(Secret<String>),
    /// By the credential of a data folder.
    Local(Local),
}

/// The credential of a data folder, and what tells the authority of that folder from others.
pub struct Local {
    /// The credential.
    pub credential: Secret<String>,
    /// The key of the process that runs on the folder.
    pub key: PresenceKey,
    /// Makes the nonces.
    pub entropy: Arc<dyn Entropy>,
}

impl Authority {
    /// The authority at `url`; without a login, only what anybody may ask is answered.
    pub fn at(url: &str, login: Option<Secret<String>>) -> Result<Self, ClientError> {
        Self::with(url, login.map_or(Login::Nobody, Login::Person))
    }

    /// The authority that runs on a data folder of this machine, at the address that it left there.
    ///
    /// It proves that it is that authority before each call, because a process may end between two of them. Whoever
    /// does not is refused with [`ClientError::Unproven`] and never sees the credential.
    pub fn of_folder(url: &str, local: Local) -> Result<Self, ClientError> {
        Self::with(url, Login::Local(local))
    }

    fn with(url: &str, login: Login) -> Result<Self, ClientError> {
        Ok(Self {
            base: address::parse(url)?,
            transport: Transport::new(),
            login,
        })
    }

    /// Its address.
    pub fn url(&self) -> &Url {
        &self.base
    }

    /// Says who the caller is: `GET /v1/whoami`.
    pub async fn whoami(&self) -> Result<WhoAmI, ClientError> {
        self.get(&["whoami"], &[]).await
    }

    pub(crate) async fn get<A: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<A, ClientError> {
        let mut call = Call::new(Method::GET, path);
        call.query = query;
        self.call(call).await
    }

    pub(crate) async fn post<A: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<A, ClientError> {
        let mut call = Call::new(Method::POST, path);
        call.body = Some(written(body)?);
        self.call(call).await
    }

    pub(crate) async fn act<A: DeserializeOwned>(&self, path: &[&str]) -> Result<A, ClientError> {
        self.call(Call::new(Method::POST, path)).await
    }

    pub(crate) async fn put<A: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<A, ClientError> {
        let mut call = Call::new(Method::PUT, path);
        call.body = Some(written(body)?);
        self.call(call).await
    }

    pub(crate) async fn delete<A: DeserializeOwned>(
        &self,
        path: &[&str],
    ) -> Result<A, ClientError> {
        self.call(Call::new(Method::DELETE, path)).await
    }

    pub(crate) async fn call<A: DeserializeOwned>(&self, call: Call<'_>) -> Result<A, ClientError> {
        let path: Vec<&str> = ["v1"].iter().chain(call.path).copied().collect();
        let mut url = address::join(&self.base, &path)?;
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(call.query);
        }
        let mut request = self.request(call.method, &url).await?;
        if let Some((name, value)) = call.header {
            request = request.header(name, value);
        }
        if call.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(Full::new(call.body.unwrap_or_default()))
            .map_err(|error| not_ours(&url, error.to_string()))?;
        let answer = self.transport.send(request).await?;
        understand(&url, &answer)
    }

    /// A request to the authority with the login, if there is one.
    pub(crate) async fn request(&self, method: Method, url: &Url) -> Result<Builder, ClientError> {
        let request = Request::builder().method(method).uri(url.as_str());
        let secret = match &self.login {
            Login::Nobody => return Ok(request),
            Login::Person(secret) => secret,
            Login::Local(local) => {
                let nonce = Nonce::generate(&*local.entropy);
                let asked = local.key.challenge(&self.transport, &self.base, &nonce);
                asked.await?;
                &local.credential
            }
        };
        Ok(request.header(AUTHORIZATION, bearer(secret)?))
    }
}

/// One request, before it has an address.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a [&'a str],
    pub(crate) query: &'a [(&'a str, String)],
    pub(crate) header: Option<(HeaderName, HeaderValue)>,
    pub(crate) body: Option<Bytes>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(method: Method, path: &'a [&'a str]) -> Self {
        Self {
            method,
            path,
            query: &[],
            header: None,
            body: None,
        }
    }
}

/// The JSON text of a body of ours.
pub(crate) fn written(body: &impl Serialize) -> Result<Bytes, ClientError> {
    let text = serde_json::to_vec(body);
    text.map(Bytes::from).map_err(|error| ClientError::NotOurs {
        url: "the request".to_owned(),
        why: error.to_string(),
    })
}

fn bearer(login: &Secret<String>) -> Result<HeaderValue, ClientError> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", login.expose()))
        .map_err(|_| ClientError::BadName("the login token".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn understand<A: DeserializeOwned>(url: &Url, answer: &Answer) -> Result<A, ClientError> {
    if answer.status == StatusCode::OK || answer.status == StatusCode::CREATED {
        return json::parse_as(&answer.body, ANSWER)
            .map_err(|error| not_ours(url, error.to_string()));
    }
    Err(refusal(url, answer))
}

/// The problem document of `answer`, or why there is none.
pub(crate) fn refusal(url: &Url, answer: &Answer) -> ClientError {
    if answer.status.is_redirection() {
        return not_ours(
            url,
            "it redirects, and redirects are not followed".to_owned(),
        );
    }
    match json::parse_as::<Problem>(&answer.body, json::BODY) {
        Ok(problem) => ClientError::Refused(Box::new(problem)),
        Err(_) => not_ours(
            url,
            format!("status {} without a problem document", answer.status),
        ),
    }
}

pub(crate) fn not_ours(url: &Url, why: String) -> ClientError {
    let mut url = url.clone();
    url.set_query(None);
    ClientError::NotOurs {
        url: url.into(),
        why,
    }
}

/// The query of a page.
pub(crate) fn page_query(query: &chancery_api::page::PageQuery) -> Vec<(&'static str, String)> {
    [
        ("after", query.after.clone()),
        ("limit", query.limit.map(|limit| limit.to_string())),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

#[cfg(test)]
mod tests;
