//! A server behind streamable HTTP, of either era.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use bytes::{Bytes, BytesMut};
use chancery_wire::mcp::{
    Era, FromServer, Id, METHOD_HEADER, MODERN, NAME_HEADER, SESSION_HEADER, VERSION_HEADER,
    encode_header,
};
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::Map;
use tokio::sync::Mutex;

use super::asked::{Asked, Params, notice};
use super::sse::Events;
use super::{
    EraMemory, Exchange, Greeting, MESSAGE, Outcome, Reply, UpstreamError, answer_to_server,
    greeting_of_discover, greeting_of_initialize, incoming, initialize,
};
use crate::outbound::{Endpoint, Outbound};

const METHOD: HeaderName = HeaderName::from_static(METHOD_HEADER);
const TOOL: HeaderName = HeaderName::from_static(NAME_HEADER);
const VERSION: HeaderName = HeaderName::from_static(VERSION_HEADER);
const SESSION: HeaderName = HeaderName::from_static(SESSION_HEADER);

/// The connection of one principal to a server behind HTTP.
pub(crate) struct HttpLink {
    endpoint: Endpoint,
    outbound: Outbound,
    memory: Arc<EraMemory>,
    session: ArcSwapOption<Session>,
    opening: Mutex<()>,
    last_id: AtomicU64,
}

/// What a connection has agreed on.
struct Session {
    greeting: Greeting,
    /// What every request carries: the version, and the session of a legacy server.
    headers: Arc<HeaderMap>,
}

impl HttpLink {
    pub(crate) fn new(endpoint: Endpoint, outbound: Outbound, memory: Arc<EraMemory>) -> Self {
        Self {
            endpoint,
            outbound,
            memory,
            session: ArcSwapOption::empty(),
            opening: Mutex::new(()),
            last_id: AtomicU64::new(0),
        }
    }

    pub(crate) async fn greet(&self) -> Result<Greeting, UpstreamError> {
        Ok(self.open().await?.greeting.clone())
    }

    /// Sends a request and reads as far as the headers of the answer.
    pub(crate) async fn ask(&self, asked: Asked) -> Result<HttpExchange, UpstreamError> {
        let session = self.open().await?;
        let exchange = self.send(&session, &asked).await?;
        let has_session = session.headers.contains_key(SESSION);
        if !(has_session && exchange.status == StatusCode::NOT_FOUND) {
            return Ok(exchange);
        }
        // MCP 2025-11-25, session management: 404 means that the session is over and nothing was done.
        self.forget(&session);
        let session = self.open().await?;
        self.send(&session, &asked).await
    }

    fn forget(&self, session: &Arc<Session>) {
        let current = self.session.load();
        if current
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, session))
        {
            self.session.store(None);
        }
    }

    async fn open(&self) -> Result<Arc<Session>, UpstreamError> {
        if let Some(session) = self.session.load_full() {
            return Ok(session);
        }
        let _one_at_a_time = self.opening.lock().await;
        if let Some(session) = self.session.load_full() {
            return Ok(session);
        }
        let session = match self.memory.recall() {
            Some(Era::Legacy) => self.initialize().await?,
            // The modern era has no state: what one link learnt holds for all.
            Some(Era::Modern) | None => match self.discover().await? {
                Some(session) => session,
                None => self.initialize().await?,
            },
        };
        self.memory.remember(Some(session.greeting.era));
        let session = Arc::new(session);
        self.session.store(Some(Arc::clone(&session)));
        Ok(session)
    }

    /// Tries the modern era; `None` when the server does not know it.
    async fn discover(&self) -> Result<Option<Session>, UpstreamError> {
        let asked = Asked {
            method: "server/discover",
            ..Asked::default()
        };
        let session = Session::new(super::greeting(Era::Modern, MODERN, None), None);
        let exchange = self.send(&session, &asked).await?;
        if matches!(
            exchange.status,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
        ) {
            return Err(UpstreamError::Status(exchange.status.as_u16()));
        }
        let outcome = match Exchange::Http(Box::new(exchange)).answer().await {
            Ok(outcome) => outcome,
            Err(UpstreamError::Status(400..=499) | UpstreamError::Protocol(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let greeting = outcome.ok().as_ref().and_then(greeting_of_discover);
        Ok(greeting.map(|greeting| Session::new(greeting, None)))
    }

    async fn initialize(&self) -> Result<Session, UpstreamError> {
        let asked = Asked {
            method: "initialize",
            params: Params::Own(initialize()),
            ..Asked::default()
        };
        let (id, headers) = (self.next_id(), Arc::new(plain_headers()));
        let body = asked.message(id, Era::Legacy);
        let response = self.post(HeaderMap::clone(&headers), body).await?;
        let session_id = response.headers().get(SESSION).cloned();
        let exchange = HttpExchange::read(self, response, id, headers);
        let result = match Exchange::Http(Box::new(exchange)).answer().await? {
            Ok(result) => result,
            Err(error) => return Err(UpstreamError::Handshake(error.code)),
        };
        let session = Session::new(greeting_of_initialize(&result)?, session_id);
        let told = notice("notifications/initialized", Map::new());
        let response = self.post(HeaderMap::clone(&session.headers), told).await?;
        if !response.status().is_success() {
            return Err(UpstreamError::Status(response.status().as_u16()));
        }
        Ok(session)
    }

    async fn send(&self, session: &Session, asked: &Asked) -> Result<HttpExchange, UpstreamError> {
        let mut headers = HeaderMap::clone(&session.headers);
        match session.greeting.era {
            Era::Legacy => {}
            Era::Modern => mirror(asked, &mut headers)?,
        }
        let id = self.next_id();
        let body = asked.message(id, session.greeting.era);
        let response = self.post(headers, body).await?;
        let headers = Arc::clone(&session.headers);
        Ok(HttpExchange::read(self, response, id, headers))
    }

    async fn post(
        &self,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let sent = self
            .outbound
            .post(&self.endpoint, headers, Bytes::from(body));
        sent.await.map_err(|error| {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "upstream server unreachable"
            );
            UpstreamError::Unreachable
        })
    }

    fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl Session {
    fn new(greeting: Greeting, id: Option<HeaderValue>) -> Self {
        let mut headers = plain_headers();
        // The versions are constants of ours: one of `MODERN` and `LEGACY`.
        if let Ok(version) = HeaderValue::from_str(&greeting.version) {
            headers.insert(VERSION, version);
        }
        if let Some(id) = id {
            headers.insert(SESSION, id);
        }
        Self {
            greeting,
            headers: Arc::new(headers),
        }
    }
}

/// The headers of every request of ours; nothing that a client sent is among them (MCP-01).
fn plain_headers() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(
        ACCEPT,
        HeaderValue::from_static("application/json, text/event-stream"),
    );
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("chancery/", env!("CARGO_PKG_VERSION"))),
    );
    headers
}

/// Repeats in headers what the modern era wants repeated.
fn mirror(asked: &Asked, headers: &mut HeaderMap) -> Result<(), UpstreamError> {
    const UNUSABLE: UpstreamError = UpstreamError::Protocol("a header that cannot be sent");
    let written = |value| HeaderValue::try_from(encode_header(value)).map_err(|_| UNUSABLE);
    headers.insert(METHOD, HeaderValue::from_static(asked.method));
    if let Some(name) = asked.name() {
        headers.insert(TOOL, written(name)?);
    }
    for (name, value) in &asked.mirrored {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| UNUSABLE)?;
        headers.insert(name, written(value)?);
    }
    Ok(())
}

/// A request on its way over HTTP; dropping it closes the connection or the stream.
pub(crate) struct HttpExchange {
    id: Id,
    status: StatusCode,
    content: Content,
    body: Limited<Incoming>,
    events: Events,
    answered_back: usize,
    /// Where and how to answer what the server asks of its client.
    back: (Outbound, Endpoint, Arc<HeaderMap>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Json,
    Stream,
    Other,
}

/// How much a server may ask of its client before it tells anything; each is answered by a request of ours.
const ANSWERS_BACK: usize = 64;
/// How much a whole stream of events may carry.
const STREAM_BYTES: usize = 64 * 1024 * 1024;

impl HttpExchange {
    fn read(
        link: &HttpLink,
        response: Response<Incoming>,
        id: u64,
        headers: Arc<HeaderMap>,
    ) -> Self {
        let kind = response.headers().get(CONTENT_TYPE);
        let kind = kind.and_then(|value| value.to_str().ok()).unwrap_or("");
        let kind = kind.split(';').next().unwrap_or("").trim();
        let content = if kind.eq_ignore_ascii_case("application/json") {
            Content::Json
        } else if kind.eq_ignore_ascii_case("text/event-stream") {
            Content::Stream
        } else {
            Content::Other
        };
        let limit = match content {
            Content::Json | Content::Other => MESSAGE.bytes,
            Content::Stream => STREAM_BYTES,
        };
        Self {
            // Our ids count from one and never reach the sign bit.
            id: Id::Number(i64::try_from(id).unwrap_or(i64::MAX)),
            status: response.status(),
            content,
            body: Limited::new(response.into_body(), limit),
            events: Events::new(MESSAGE.bytes),
            answered_back: 0,
            back: (link.outbound.clone(), link.endpoint.clone(), headers),
        }
    }

    pub(crate) async fn next(&mut self) -> Result<Reply, UpstreamError> {
        match (self.content, self.status.is_success()) {
            (Content::Json, true) => {
                let body = self.whole_body().await?;
                match incoming(&body)? {
                    FromServer::Answer { id, outcome } => self.checked(id, outcome),
                    FromServer::Request { .. } | FromServer::Notification { .. } => {
                        Err(UpstreamError::Protocol("something else than the answer"))
                    }
                }
            }
            (Content::Json, false) => {
                // A refusal of the transport may carry a JSON-RPC error, with or without the id.
                let body = self.whole_body().await?;
                match incoming(&body) {
                    Ok(FromServer::Answer {
                        outcome: Err(error),
                        ..
                    }) => Ok(Reply::Answer(Err(error))),
                    Ok(_) | Err(_) => Err(UpstreamError::Status(self.status.as_u16())),
                }
            }
            (Content::Stream, true) => self.next_event().await,
            (Content::Stream | Content::Other, false) => {
                Err(UpstreamError::Status(self.status.as_u16()))
            }
            (Content::Other, true) => Err(UpstreamError::Protocol(
                "neither JSON nor a stream of events",
            )),
        }
    }

    async fn next_event(&mut self) -> Result<Reply, UpstreamError> {
        loop {
            while let Some(data) = self.events.next() {
                match incoming(&data)? {
                    FromServer::Answer { id, outcome } => return self.checked(id, outcome),
                    FromServer::Notification { method, params } => {
                        self.answered_back = 0;
                        return Ok(Reply::Tidings { method, params });
                    }
                    FromServer::Request { id, method } => self.answer_back(&id, &method)?,
                }
            }
            let piece = self.piece().await?.ok_or(UpstreamError::Closed)?;
            self.events
                .push(&piece)
                .map_err(|_| UpstreamError::TooLarge)?;
        }
    }

    fn checked(&self, id: Option<Id>, outcome: Outcome) -> Result<Reply, UpstreamError> {
        // A server that could not read our id may answer an error without one.
        if id.as_ref() == Some(&self.id) || (id.is_none() && outcome.is_err()) {
            return Ok(Reply::Answer(outcome));
        }
        Err(UpstreamError::Protocol("an answer to something else"))
    }

    async fn whole_body(&mut self) -> Result<Bytes, UpstreamError> {
        let Some(first) = self.piece().await? else {
            return Ok(Bytes::new());
        };
        // What comes in one piece, as most answers do, is not copied.
        let Some(second) = self.piece().await? else {
            return Ok(first);
        };
        let mut whole = BytesMut::from(&first[..]);
        whole.extend_from_slice(&second);
        while let Some(piece) = self.piece().await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) if error.is::<LengthLimitError>() => {
                    return Err(UpstreamError::TooLarge);
                }
                Some(Err(_)) => return Err(UpstreamError::Closed),
            }
        }
    }

    /// Answers a request of the server beside the stream, so that it does not hang.
    fn answer_back(&mut self, id: &Id, method: &str) -> Result<(), UpstreamError> {
        self.answered_back += 1;
        if self.answered_back > ANSWERS_BACK {
            return Err(UpstreamError::Protocol("it asks for more than is answered"));
        }
        let (outbound, endpoint, headers) = self.back.clone();
        let body = Bytes::from(answer_to_server(id, method).to_string());
        tokio::spawn(async move {
            let headers = HeaderMap::clone(&headers);
            if let Err(error) = outbound.post(&endpoint, headers, body).await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "answer to server not sent"
                );
            }
        });
        Ok(())
    }
}
