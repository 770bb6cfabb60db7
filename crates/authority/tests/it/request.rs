//! Requests with everything in them open to change, and answers read to their end.

use axum::Router;
use axum::body::Body;
use chancery_wire::certificate::PeerCertificate;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

/// A request to be made.
#[derive(Clone)]
pub(crate) struct Ask {
    method: String,
    uri: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    peer: Option<PeerCertificate>,
}

pub(crate) fn ask(method: &str, uri: &str) -> Ask {
    Ask {
        method: method.to_owned(),
        uri: uri.to_owned(),
        headers: vec![("host".to_owned(), b"id.example".to_vec())],
        body: Vec::new(),
        peer: None,
    }
}

impl Ask {
    pub(crate) fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sends it over a connection that was opened with this certificate.
    pub(crate) fn over(mut self, peer: &PeerCertificate) -> Self {
        self.peer = Some(peer.clone());
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(own, _)| own != name);
        self
    }

    pub(crate) fn bearer(self, secret: &str) -> Self {
        self.header("authorization", format!("Bearer {secret}"))
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    pub(crate) fn form(self, pairs: &[(&str, &str)]) -> Self {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(pairs);
        self.body("application/x-www-form-urlencoded", form.finish())
    }

    pub(crate) fn body(mut self, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("content-type", kind)
    }

    /// Sends the request; when it is sent away only because this machine is slow, again.
    pub(crate) async fn send(&self, router: &Router) -> Answer {
        loop {
            let answer = self.send_once(router).await;
            let is_shed = answer.status == StatusCode::SERVICE_UNAVAILABLE
                && (self.uri.starts_with("/access/")
                    || answer.text().contains("has too much to do"));
            if !is_shed {
                return answer;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// Sends the request once, and gives what was answered.
    pub(crate) async fn send_once(&self, router: &Router) -> Answer {
        let mut request = Request::builder().method(&*self.method).uri(&self.uri);
        for (name, value) in &self.headers {
            request = request.header(name, value.as_slice());
        }
        let mut request = request
            .body(Body::from(self.body.clone()))
            .expect("a request");
        // What the roof says of the connection, after its handshake.
        if let Some(peer) = &self.peer {
            request.extensions_mut().insert(peer.clone());
        }
        let response = match router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes().to_vec();
        Answer {
            status: parts.status,
            headers: parts.headers,
            bytes,
        }
    }
}

/// An answer.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The body, which must be JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
    }

    /// The body of an answer that must be a success.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        self.json()
    }

    /// Holds an answer of `/v1` to be this refusal, as a problem document.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{self:?}"
        );
        assert_eq!(self.header("cache-control"), "no-store", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{self:?}");
        assert_eq!(problem["status"], status, "{self:?}");
        problem
    }

    /// Holds an answer of an OAuth endpoint to be this refusal, with what TOK-11 asks of all of them.
    #[track_caller]
    pub(crate) fn oauth_error(&self, status: u16, error: &str) {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.json()["error"], error, "{self:?}");
        assert_eq!(self.header("cache-control"), "no-store", "{self:?}");
        assert!(self.headers.get("location").is_none(), "{self:?}");
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?} {}", self.status, self.headers, self.text())
    }
}
