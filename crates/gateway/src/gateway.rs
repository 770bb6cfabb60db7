//! The gateway: its parts, its routes, and how it writes to the record.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use chancery_model::entropy::Entropy;
use chancery_model::event::{Actor, ActorKind, Event, EventKind};
use chancery_model::id::EventId;
use chancery_model::time::{Clock, Timestamp};
use chancery_wire::metadata::ProtectedResource;
use http::StatusCode;
use serde_json::json;
use tokio::runtime::Handle;

use crate::authenticate::Authenticator;
use crate::case::Case;
use crate::line;
use crate::links::Links;
use crate::noise::{Admission, Noise};
use crate::places::{Bounds, Places};
use crate::recorder::{RecordUnavailable, Recorded, Recorder};
use crate::refusal::json_response;
use crate::snapshot::Current;
use crate::upstream::Reach;

/// How long counted refusals wait until they are recorded together.
const COUNTED_FOR: Duration = Duration::from_secs(5);

/// What the roof decides about the gateway.
pub struct Config {
    /// What upstream servers are reached with.
    pub reach: Reach,
    /// Whether connections may be opened with a certificate.
    pub has_tls: bool,
    /// How many calls may be under way at once, three quarters of them to one server; more are sent away.
    pub in_flight: usize,
}

/// The enforcement point.
pub struct Gateway {
    pub(crate) current: Current,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) authenticator: Authenticator,
    pub(crate) links: Links,
    pub(crate) places: Places,
    recorder: Arc<dyn Recorder>,
    noise: Noise,
    has_tls: bool,
}

impl Gateway {
    /// Puts the parts together; nothing is opened yet.
    pub fn new(
        config: Config,
        current: Current,
        recorder: Arc<dyn Recorder>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            current,
            clock,
            authenticator: Authenticator::new(&*entropy),
            entropy,
            links: Links::new(config.reach),
            places: Places::new(Bounds::new(config.in_flight, workers())),
            recorder,
            noise: Noise::default(),
            has_tls: config.has_tls,
        }
    }

    /// The routes: the servers at `/mcp/{server}`, and what each says about itself (RFC 9728).
    pub fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/mcp/{server}", post(line::serve))
            .route(
                "/.well-known/oauth-protected-resource/mcp/{server}",
                get(describe),
            )
            .with_state(self)
    }

    /// Writes an event; resolves once it is durable.
    pub(crate) async fn record(&self, event: Event) -> Result<Recorded, RecordUnavailable> {
        self.recorder.record(event).await
    }

    /// Records that a request was refused, or counts it when there are too many.
    pub(crate) async fn record_refusal(
        self: &Arc<Self>,
        case: &Case,
        code: &'static str,
        now: Timestamp,
    ) {
        match self.noise.admit(case.source(), code, now) {
            Admission::Record => {
                let facts = BTreeMap::new();
                let event = case.event(EventKind::CallRefused, code, facts, now, &*self.entropy);
                if self.record(event).await.is_err() {
                    tracing::error!(refusal.code = code, "a refusal could not be recorded");
                }
            }
            Admission::Count { is_first: true } => {
                let gateway = Arc::clone(self);
                tokio::spawn(async move {
                    tokio::time::sleep(COUNTED_FOR).await;
                    gateway.record_counted().await;
                });
            }
            Admission::Count { is_first: false } => {}
        }
    }

    async fn record_counted(&self) {
        let now = self.clock.now();
        for (code, count) in self.noise.take_counted() {
            let event = Event {
                actor: Actor {
                    id: String::new(),
                    kind: ActorKind::Unknown,
                },
                agent: None,
                at: now,
                call: None,
                decision: None,
                facts: [("count".to_owned(), count.to_string())].into(),
                id: EventId::generate(now, &*self.entropy),
                kind: EventKind::CallRefused,
                outcome: code.to_owned(),
                reason: None,
                subject: None,
                token: None,
                traceparent: None,
            };
            if self.record(event).await.is_err() {
                tracing::error!(refusal.code = code, count, "refusals could not be recorded");
            }
        }
    }
}

/// How many threads do the work of this process.
fn workers() -> usize {
    Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers())
}

/// `GET /.well-known/oauth-protected-resource/mcp/{server}`
async fn describe(State(gateway): State<Arc<Gateway>>, Path(name): Path<String>) -> Response {
    let now = gateway.clock.now();
    let snapshot = gateway.current.load();
    let Some(server) = snapshot.servers.get(&name) else {
        return json_response(StatusCode::NOT_FOUND, &json!({"error": "not found"}));
    };
    let bound = !server.takes_bearer(now);
    let document = ProtectedResource::new(&server.resource, &snapshot.issuer, Vec::new(), bound)
        .with_certificates(gateway.has_tls);
    match serde_json::to_value(&document) {
        Ok(document) => json_response(StatusCode::OK, &document),
        Err(_) => json_response(
            StatusCode::INTERNAL_SERVER_ERROR,
            &json!({"error": "internal"}),
        ),
    }
}
