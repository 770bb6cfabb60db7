//! The connection to an MCP server over Streamable HTTP: every request with a credential of its own.
//!
//! It waits for no messages that the server begins: a server may refuse `GET`, and nothing that the demonstration
//! does needs one. An answer is read whole, within the limits of the one outbound client.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use chancery_client::error::ClientError;
use chancery_client::transport::{Answer, Transport};
use futures_util::stream::{self, BoxStream, StreamExt};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_client::{
    AuthRequiredError, SseError, StreamableHttpClient, StreamableHttpError,
    StreamableHttpPostResponse,
};
use sse_stream::{Sse, SseStream};
use url::Url;

use crate::agent::credential::{Credential, challenge};

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

type Failure = StreamableHttpError<LinkError>;

/// Requests that carry a credential.
#[derive(Clone)]
pub struct Link {
    transport: Arc<Transport>,
    credential: Credential,
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It could not be sent, or its answer could not be read.
    #[error(transparent)]
    Exchange(#[from] ClientError),
    /// It could not be put together.
    #[error("the request cannot be written: {0}")]
    Request(String),
}

impl Link {
    /// Requests over `transport` that show `credential`.
    pub fn new(transport: Arc<Transport>, credential: Credential) -> Self {
        Self {
            transport,
            credential,
        }
    }

    /// Sends one request; once more, with a fresh proof, when the server only wanted its nonce.
    pub async fn send(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, LinkError> {
        let url = Url::parse(url).map_err(|error| LinkError::Request(error.to_string()))?;
        let first = self
            .exchange(&method, &url, headers.clone(), body.clone())
            .await?;
        if self.credential.learn(&url, first.status, &first.headers) {
            let second = self.exchange(&method, &url, headers, body).await?;
            self.credential.learn(&url, second.status, &second.headers);
            return Ok(second);
        }
        Ok(first)
    }

    async fn exchange(
        &self,
        method: &Method,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, LinkError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method.clone();
        *request.uri_mut() = url
            .as_str()
            .parse()
            .map_err(|error: http::uri::InvalidUri| LinkError::Request(error.to_string()))?;
        *request.headers_mut() = headers;
        request
            .headers_mut()
            .extend(self.credential.headers(method.as_str(), url));
        Ok(self.transport.send(request).await?)
    }
}

impl StreamableHttpClient for Link {
    type Error = LinkError;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let mut headers: HeaderMap = custom_headers.into_iter().collect();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        headers.insert(
            ACCEPT,
            HeaderValue::from_static("application/json, text/event-stream"),
        );
        let in_session = session_id.is_some();
        if let Some(session_id) = session_id {
            headers.insert(SESSION, session_header(&session_id)?);
        }
        let body = Bytes::from(serde_json::to_vec(&message)?);
        let answer = self
            .send(Method::POST, &uri, headers, body)
            .await
            .map_err(StreamableHttpError::Client)?;
        understand(&message, in_session, answer)
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Failure> {
        let mut headers: HeaderMap = custom_headers.into_iter().collect();
        headers.insert(SESSION, session_header(&session_id)?);
        let answer = self
            .send(Method::DELETE, &uri, headers, Bytes::new())
            .await
            .map_err(StreamableHttpError::Client)?;
        match answer.status {
            StatusCode::METHOD_NOT_ALLOWED => {
                Err(StreamableHttpError::ServerDoesNotSupportDeleteSession)
            }
            status if status.is_success() => Ok(()),
            status => Err(unexpected(format!("HTTP {status}"))),
        }
    }

    async fn get_stream(
        &self,
        _uri: Arc<str>,
        _session_id: Option<Arc<str>>,
        _last_event_id: Option<String>,
        _auth_header: Option<String>,
        _custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Failure> {
        Err(StreamableHttpError::ServerDoesNotSupportSse)
    }
}

/// Reads an answer to a POST as the transport of the SDK wants it.
fn understand(
    message: &ClientJsonRpcMessage,
    in_session: bool,
    answer: Answer,
) -> Result<StreamableHttpPostResponse, Failure> {
    let Answer {
        status,
        headers,
        body,
    } = answer;
    match status {
        StatusCode::UNAUTHORIZED => {
            return Err(StreamableHttpError::AuthRequired(AuthRequiredError::new(
                challenge(&headers),
            )));
        }
        StatusCode::ACCEPTED | StatusCode::NO_CONTENT => {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        StatusCode::NOT_FOUND if in_session => return Err(StreamableHttpError::SessionExpired),
        _ => {}
    }
    let session_id = headers
        .get(SESSION)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if status.is_success() && kind.starts_with(EVENTS) {
        let chunks = stream::iter([Ok::<_, std::convert::Infallible>(body)]);
        return Ok(StreamableHttpPostResponse::Sse(
            SseStream::from_bytes_stream(chunks).boxed(),
            session_id,
        ));
    }
    if !kind.starts_with(JSON) {
        return Err(unexpected(format!("HTTP {status} with `{kind}`")));
    }
    let parsed: ServerJsonRpcMessage = serde_json::from_slice(&body)?;
    let parsed = match (parsed, message) {
        // An error that could not name the request it is about is about the one that was just sent.
        (ServerJsonRpcMessage::Error(error), ClientJsonRpcMessage::Request(request))
            if error.id.is_none() =>
        {
            ServerJsonRpcMessage::error(error.error, Some(request.id.clone()))
        }
        (ServerJsonRpcMessage::Error(error), _) => ServerJsonRpcMessage::Error(error),
        (_, _) if !status.is_success() => return Err(unexpected(format!("HTTP {status}"))),
        (parsed, _) => parsed,
    };
    Ok(StreamableHttpPostResponse::Json(parsed, session_id))
}

fn session_header(session_id: &str) -> Result<HeaderValue, Failure> {
    HeaderValue::try_from(session_id)
        .map_err(|_| unexpected("a session id that no header can carry".to_owned()))
}

fn unexpected(what: String) -> Failure {
    StreamableHttpError::UnexpectedServerResponse(Cow::Owned(what))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use axum::Router;
    use axum::extract::State;
    use axum::response::{IntoResponse, Response};
    use axum::routing::post;
    use chancery_client::agent::dpop::DpopSession;
    use chancery_model::entropy::Entropy;
    use chancery_model::secret::Secret;
    use chancery_model::time::{Clock, Timestamp};
    use chancery_wire::json;
    use chancery_wire::jwk::{Algorithm, PrivateKey};
    use chancery_wire::jws::Unverified;
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::agent::credential::BoundToken;
    use crate::agent::session::{Era, Session, SessionError};

    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp::from_secs(1_800_000_000)
        }
    }

    /// Counts, so that no two draws are the same.
    #[derive(Default)]
    struct Counting(Mutex<u8>);

    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            let mut count = self.0.lock().unwrap();
            *count += 1;
            bytes.fill(*count);
        }
    }

    fn bound() -> Credential {
        Credential::Bound(Arc::new(BoundToken {
            token: Secret::new("the-token".to_owned()),
            dpop: DpopSession::new(PrivateKey::generate(Algorithm::Es256).unwrap()),
            clock: Arc::new(Fixed),
            entropy: Arc::new(Counting::default()),
        }))
    }

    type Seen = Arc<Mutex<Vec<HeaderMap>>>;

    /// Wants its nonce in the proof, discovers in JSON, lists tools in an event stream, and refuses calls.
    async fn strict(State(seen): State<Seen>, headers: HeaderMap, body: Bytes) -> Response {
        let proof = headers["dpop"].to_str().unwrap();
        let claims: Value = Unverified::parse(proof, json::TOKEN)
            .unwrap()
            .untrusted_claims(json::TOKEN)
            .unwrap();
        seen.lock().unwrap().push(headers);
        if claims["nonce"] != "n-1" {
            let challenge = r#"DPoP error="use_dpop_nonce", error_description="give the nonce""#;
            let headers = [("www-authenticate", challenge), ("dpop-nonce", "n-1")];
            return (StatusCode::UNAUTHORIZED, headers).into_response();
        }
        let request: Value = serde_json::from_slice(&body).unwrap();
        let meta = json!({"resultType": "complete", "ttlMs": 0, "cacheScope": "private"});
        let mut result = meta.as_object().unwrap().clone();
        let json = [("content-type", "application/json")];
        match request["method"].as_str().unwrap() {
            "server/discover" => {
                result.insert("supportedVersions".to_owned(), json!(["2026-07-28"]));
                result.insert("capabilities".to_owned(), json!({"tools": {}}));
                let answer = json!({"jsonrpc": "2.0", "id": request["id"], "result": result});
                (json, answer.to_string()).into_response()
            }
            "tools/list" => {
                let tool = json!({"name": "ping", "inputSchema": {"type": "object"}});
                result.insert("tools".to_owned(), json!([tool]));
                let answer = json!({"jsonrpc": "2.0", "id": request["id"], "result": result});
                (
                    [("content-type", "text/event-stream")],
                    format!("data: {answer}\n\n"),
                )
                    .into_response()
            }
            "tools/call" if request["params"]["name"] == "expired" => {
                let challenge =
                    r#"DPoP error="invalid_token", error_description="the token has expired""#;
                (StatusCode::UNAUTHORIZED, [("www-authenticate", challenge)]).into_response()
            }
            _ => {
                let error = json!({"code": -32020, "message": "a header disagrees with the body"});
                let answer = json!({"jsonrpc": "2.0", "id": null, "error": error});
                (StatusCode::BAD_REQUEST, json, answer.to_string()).into_response()
            }
        }
    }

    async fn strict_server() -> (String, Seen) {
        let seen = Seen::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/mcp", post(strict))
            .with_state(seen.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (url, seen)
    }

    #[tokio::test]
    async fn a_wanted_nonce_costs_one_more_request_and_no_two_proofs_are_the_same() {
        let (url, seen) = strict_server().await;
        let link = Link::new(Arc::new(Transport::new()), bound());
        let session = Session::connect(&url, link, Era::Modern).await.unwrap();
        assert_eq!(session.tools().await.unwrap(), ["ping"]);

        let seen = seen.lock().unwrap();
        assert_eq!(
            seen.len(),
            3,
            "one discovery without the nonce, one with it, one list"
        );
        assert!(
            seen.iter()
                .all(|headers| headers["authorization"] == "DPoP the-token")
        );
        let mut proofs: Vec<&[u8]> = seen
            .iter()
            .map(|headers| headers["dpop"].as_bytes())
            .collect();
        proofs.sort_unstable();
        proofs.dedup();
        assert_eq!(proofs.len(), 3);
    }

    #[tokio::test]
    async fn refusals_keep_their_reason() {
        let (url, _) = strict_server().await;
        let link = Link::new(Arc::new(Transport::new()), bound());
        let session = Session::connect(&url, link, Era::Modern).await.unwrap();

        let error = session.call("expired", Map::new()).await.unwrap_err();
        assert!(
            matches!(&error, SessionError::Unauthorized(said) if said.contains("the token has expired")),
            "{error:?}"
        );
        let error = session.call("other", Map::new()).await.unwrap_err();
        assert!(
            matches!(&error, SessionError::Refused { code: -32020, .. }),
            "{error:?}"
        );
    }
}
