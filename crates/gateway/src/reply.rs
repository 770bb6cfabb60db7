//! The way back: from the server's replies to the client, and the record of how it ended.
//!
//! An answer that comes alone is sent as JSON; when the server tells of progress first, the answer is
//! a stream of events. Whatever ends the call is recorded, also a client that goes away.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use chancery_model::event::EventKind;
use chancery_model::time::Timestamp;
use chancery_wire::hash;
use chancery_wire::mcp::{self, Era, INTERNAL_ERROR, Id, REFUSED, RpcError, antiquate, modernise};
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value, json};

use crate::case::Case;
use crate::gateway::Gateway;
use crate::guard::{Fallen, Guard};
use crate::places::Place;
use crate::refusal::json_text;
use crate::upstream::{Exchange, Outcome, Reply, UpstreamError};

/// How long a server may say nothing.
const SILENCE: Duration = Duration::from_secs(120);
/// How often it is looked at whether the call may still run.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A call that was forwarded, or is about to be.
pub(crate) struct Answering {
    pub(crate) guard: Guard,
    pub(crate) completion: Completion,
    pub(crate) era: Era,
    pub(crate) id: Id,
    pub(crate) takes_stream: bool,
    pub(crate) progress_token: Option<Value>,
}

/// What comes next for the client.
enum Step {
    /// A notification, as one line of JSON.
    Tidings(String),
    /// The end, as one line of JSON.
    End(String),
}

impl Answering {
    /// Waits for the server and answers the client.
    pub(crate) async fn answer(
        mut self,
        sent: impl Future<Output = Result<Exchange, UpstreamError>>,
    ) -> Response {
        let opening = async {
            let mut exchange = sent.await?;
            let reply = exchange.next().await?;
            Ok((exchange, reply))
        };
        let (mut exchange, first) = match self.guarded(opening).await {
            Ok(begun) => begun,
            Err(answer) => return json_text(StatusCode::OK, answer),
        };
        let mut step = self.step(first);
        loop {
            match step {
                Some(Step::End(answer)) => return json_text(StatusCode::OK, answer),
                Some(Step::Tidings(told)) if self.takes_stream => {
                    self.guard.ends_with_token = true;
                    return stream_response(self, exchange, told);
                }
                Some(Step::Tidings(_)) | None => {}
            }
            step = Some(self.next(&mut exchange).await);
        }
    }

    /// What comes next for the client, once it has come.
    async fn next(&mut self, exchange: &mut Exchange) -> Step {
        loop {
            match self.guarded(exchange.next()).await {
                Ok(reply) => {
                    if let Some(step) = self.step(reply) {
                        return step;
                    }
                }
                Err(answer) => return Step::End(answer),
            }
        }
    }

    /// Waits for `work` while the call may run and the server is not silent for too long; the error is
    /// what the client is answered then.
    async fn guarded<T>(
        &mut self,
        work: impl Future<Output = Result<T, UpstreamError>>,
    ) -> Result<T, String> {
        let mut work = std::pin::pin!(work);
        let mut waited = Duration::ZERO;
        loop {
            let done = tokio::time::timeout(LOOK_AGAIN, &mut work).await;
            // Nothing reaches the client that was stopped meanwhile.
            if let Err(fallen) = self.guard.check() {
                return Err(self.withdrawn(fallen));
            }
            match done {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(error)) => return Err(self.failed(&error)),
                Err(_) => waited += LOOK_AGAIN,
            }
            if waited >= SILENCE {
                return Err(self.failed(&UpstreamError::Timeout));
            }
        }
    }

    fn step(&mut self, reply: Reply) -> Option<Step> {
        match reply {
            Reply::Answer(outcome) => Some(Step::End(self.ended(outcome))),
            Reply::Tidings { method, params } => self.passes(&method, &params).then(|| {
                let told = json!({"jsonrpc": "2.0", "method": method, "params": params});
                Step::Tidings(told.to_string())
            }),
        }
    }

    /// Only what belongs to this request passes: its progress and the server's log of it.
    fn passes(&self, method: &str, params: &Map<String, Value>) -> bool {
        match method {
            "notifications/progress" => {
                self.progress_token.is_some()
                    && params.get("progressToken") == self.progress_token.as_ref()
            }
            "notifications/message" => true,
            _ => false,
        }
    }

    fn ended(&mut self, outcome: Outcome) -> String {
        match outcome {
            Ok(result) => self.result(result),
            Err(error) => {
                let fact = ("rpc_code", error.code.to_string());
                self.finish("upstream_error", Some(fact));
                presentable(error).to_response(Some(&self.id)).to_string()
            }
        }
    }

    fn result(&mut self, mut result: Map<String, Value>) -> String {
        let kind = result.get("resultType").map(Value::as_str);
        if kind.is_some_and(|kind| kind != Some("complete")) {
            // The client would have to answer the server, past every check; that is not offered.
            self.finish("input_required", None);
            let message = "the tool asks for further input, which the gateway does not pass on";
            let error = RpcError::new(INTERNAL_ERROR, message);
            return error.to_response(Some(&self.id)).to_string();
        }
        match self.era {
            Era::Legacy => antiquate(&mut result),
            Era::Modern => modernise(&mut result),
        }
        let failed = result.get("isError") == Some(&Value::Bool(true));
        // Writing into memory fails only for maps with keys that are not texts; there are none.
        let result = serde_json::to_string(&result).expect("a result has only text keys");
        let digest = hash::sha256(result.as_bytes()).to_string();
        let outcome = if failed { "tool_error" } else { "ok" };
        self.finish(outcome, Some(("result_digest", digest)));
        // The result is text already, and its digest is of exactly these bytes.
        let id = self.id.to_value();
        format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}")
    }

    fn failed(&mut self, error: &UpstreamError) -> String {
        self.finish(error.code(), None);
        let error = RpcError::new(INTERNAL_ERROR, error.to_string());
        error.to_response(Some(&self.id)).to_string()
    }

    fn withdrawn(&mut self, fallen: Fallen) -> String {
        let fact = ("stopped_by", fallen.code.to_owned());
        self.finish("stopped", Some(fact));
        let error = RpcError::new(REFUSED, fallen.message);
        error.to_response(Some(&self.id)).to_string()
    }

    fn finish(&mut self, outcome: &str, fact: Option<(&str, String)>) {
        let now = self.guard.now();
        self.completion.finish(outcome, fact, now);
    }
}

/// An upstream error in a form that cannot be taken for one of ours: codes about the transport are
/// between the server and us.
fn presentable(error: RpcError) -> RpcError {
    let about_transport = matches!(
        error.code,
        mcp::PARSE_ERROR
            | mcp::INVALID_REQUEST
            | mcp::METHOD_NOT_FOUND
            | mcp::HEADER_MISMATCH
            | mcp::MISSING_CAPABILITY
            | mcp::UNSUPPORTED_VERSION
            | mcp::DENIED
            | mcp::REFUSED
    );
    if about_transport {
        let message = format!("the server refused the call (code {})", error.code);
        return RpcError::new(INTERNAL_ERROR, message);
    }
    error
}

/// A stream of events: what was told first, what is told next, the answer.
fn stream_response(answering: Answering, exchange: Exchange, first: String) -> Response {
    let first = stream::once(async move { Ok::<_, Infallible>(event(&first)) });
    let state = Some((answering, exchange));
    let rest = stream::unfold(state, |state| async move {
        let (mut answering, mut exchange) = state?;
        Some(match answering.next(&mut exchange).await {
            Step::Tidings(told) => (Ok(event(&told)), Some((answering, exchange))),
            Step::End(answer) => (Ok(event(&answer)), None),
        })
    });
    let events = futures_util::StreamExt::chain(first, rest);
    let mut response = Response::new(Body::from_stream(events));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("no-store, no-transform"),
    );
    // Asks proxies not to hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// One event; JSON on one line has no line ends that would have to be escaped.
fn event(data: &str) -> Bytes {
    Bytes::from(format!("event: message\ndata: {data}\n\n"))
}

/// The duty to record how a call ended, kept also when the client goes away.
pub(crate) struct Completion {
    gateway: Arc<Gateway>,
    began_at: Timestamp,
    open: Option<(Case, Place)>,
}

impl Completion {
    /// Begins with the record of the permission; holds the call's place among those in flight.
    pub(crate) fn begin(
        gateway: &Arc<Gateway>,
        case: &Case,
        place: Place,
        began_at: Timestamp,
    ) -> Self {
        Self {
            gateway: Arc::clone(gateway),
            began_at,
            open: Some((case.clone(), place)),
        }
    }

    /// Ends a call that may no longer be made, before it was forwarded.
    pub(crate) fn withdrawn(mut self, fallen: Fallen, era: Era, id: &Id) -> Response {
        let now = self.gateway.clock.now();
        let fact = ("stopped_by", fallen.code.to_owned());
        self.finish("stopped", Some(fact), now);
        let error = RpcError::new(REFUSED, fallen.message);
        let status = StatusCode::from_u16(mcp::http_status(era, error.code));
        let answer = error.to_response(Some(id)).to_string();
        json_text(status.unwrap_or(StatusCode::OK), answer)
    }

    /// Records the end behind the answer; the call keeps its place until that is done, so a slow record
    /// slows down the calls.
    fn finish(&mut self, outcome: &str, fact: Option<(&str, String)>, now: Timestamp) {
        let Some((case, place)) = self.open.take() else {
            return;
        };
        let duration = now.since(self.began_at).as_millis().to_string();
        let mut facts = BTreeMap::from([("duration_ms".to_owned(), duration)]);
        facts.extend(fact.map(|(name, value)| (name.to_owned(), value)));
        let event = case.event(
            EventKind::CallCompleted,
            outcome,
            facts,
            now,
            &*self.gateway.entropy,
        );
        // Without a runtime the process is ending, and there is nobody to write.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let gateway = Arc::clone(&self.gateway);
        runtime.spawn(async move {
            if gateway.record(event).await.is_err() {
                tracing::error!("the end of a call could not be recorded");
            }
            drop(place);
        });
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        if self.open.is_some() {
            let now = self.gateway.clock.now();
            let outcome = if std::thread::panicking() {
                "internal"
            } else {
                "client_closed"
            };
            self.finish(outcome, None, now);
        }
    }
}
