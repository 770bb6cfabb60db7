//! The straight line of a request: door, parse, authenticate, method, and then what the method asks.
//!
//! Each step is a file of its own and either hands on what the next one needs or refuses. Start here,
//! then read [`crate::call`] for how a tool call is judged, recorded and forwarded.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::response::Response;
use chancery_model::time::Timestamp;
use chancery_wire::json::{self, JsonError};
use chancery_wire::mcp::{
    self, Era, HeaderSource, INTERNAL_ERROR, INVALID_REQUEST, Id, METHOD_NOT_FOUND, PARSE_ERROR,
    RpcError,
};
use chancery_wire::metadata::{WellKnown, well_known};
use futures_util::FutureExt;
use http::request::Parts;
use http::{HeaderMap, StatusCode};

use crate::authenticate::{Caller, Came};
use crate::call;
use crate::case::Case;
use crate::door;
use crate::gateway::Gateway;
use crate::greeting;
use crate::listing;
use crate::places::Working;
use crate::refusal::{Advice, Challenger, Entry, Refusal, offer_nonce};
use crate::snapshot::{KnownServer, Snapshot};

/// A request that passed the door and was parsed, with whom it comes from.
pub(crate) struct Accepted {
    pub(crate) now: Timestamp,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) server: Arc<KnownServer>,
    pub(crate) headers: HeaderMap,
    pub(crate) caller: Caller,
    pub(crate) era: Era,
    pub(crate) id: Id,
    pub(crate) params: serde_json::Map<String, serde_json::Value>,
    /// Its turn, and its place among the calls under way.
    pub(crate) working: Working,
}

/// What must be known to answer, whatever happens: filled as the line goes on.
#[derive(Default)]
pub(crate) struct Envelope {
    era: Option<Era>,
    id: Option<Id>,
    /// The nonce for the client's next proof, when it is time for one.
    next_nonce: Option<String>,
}

/// `POST /mcp/{server}`
pub(crate) async fn serve(
    State(gateway): State<Arc<Gateway>>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    let now = gateway.clock.now();
    let snapshot = gateway.current.load_full();
    let (parts, body) = request.into_parts();
    let mut envelope = Envelope::default();
    let mut case = Case {
        remote: remote(&parts),
        server: snapshot.servers.get(&name).cloned(),
        ..Case::default()
    };
    let walking = walk(
        &gateway,
        now,
        snapshot,
        parts,
        body,
        &mut envelope,
        &mut case,
    );
    // Whatever panicked is gone with the walk; only what it had learnt is read afterwards.
    let walked = AssertUnwindSafe(walking).catch_unwind().await;
    let mut response = match walked.unwrap_or_else(|_| Err(panicked())) {
        Ok(response) => response,
        Err(refusal) => refuse(&gateway, &refusal, &envelope, &case, now).await,
    };
    if let Some(nonce) = &envelope.next_nonce {
        offer_nonce(response.headers_mut(), nonce);
    }
    response
}

fn unknown_server() -> Refusal {
    let message = "there is no such server here";
    Refusal::http(StatusCode::NOT_FOUND, "unknown_server", message)
}

fn require_fresh(snapshot: &Snapshot, now: Timestamp) -> Result<(), Refusal> {
    if snapshot.freshness.is_stale(now) {
        let message = "the gateway has not heard from its authority";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        return Err(Refusal::for_now(status, "snapshot_stale", message));
    }
    Ok(())
}

/// A fault of ours: the client is told that much, and the panic hook has told the operator.
fn panicked() -> Refusal {
    Refusal {
        status: Some(StatusCode::INTERNAL_SERVER_ERROR),
        ..Refusal::rpc("internal", RpcError::new(INTERNAL_ERROR, "internal error"))
    }
}

async fn walk(
    gateway: &Arc<Gateway>,
    now: Timestamp,
    snapshot: Arc<Snapshot>,
    parts: Parts,
    body: Body,
    envelope: &mut Envelope,
    case: &mut Case,
) -> Result<Response, Refusal> {
    door::check(&parts, &snapshot.issuer)?;
    let Some(server) = case.server.clone() else {
        return Err(unknown_server());
    };
    require_fresh(&snapshot, now)?;
    if !gateway.places.has_room(server.server.id) {
        return Err(overloaded());
    }
    let body = door::body(body).await?;
    // A body may take its time: what is judged is judged by what holds now, not when it began.
    let now = gateway.clock.now();
    let snapshot = gateway.current.load_full();
    require_fresh(&snapshot, now)?;
    let server = snapshot.servers.get(&server.server.name).cloned();
    let server = server.ok_or_else(unknown_server)?;
    let working = gateway.places.take(server.server.id);
    let working = working.ok_or_else(overloaded)?;
    let headers = Headers(&parts.headers);
    let parsed = parse(&body, envelope).map(|request| {
        case.method = Some(known_method(&request.method));
        let era = mcp::era(&headers, &request);
        envelope.era = era.as_ref().ok().copied();
        (request, era)
    });
    // A stranger is told how to come back before anything is said about the message.
    let authenticator = &gateway.authenticator;
    let came = Came {
        headers: &parts.headers,
        peer: parts.extensions.get(),
    };
    let (caller, next_nonce) = authenticator.recognise(&snapshot, &server, came, now, case)?;
    envelope.next_nonce = next_nonce;
    let (request, era) = parsed?;
    let era = era.map_err(envelope_error)?;
    mcp::check_headers(era, &headers, &request).map_err(envelope_error)?;
    if request.id.is_some() && era == Era::Modern {
        mcp::check_meta(&request).map_err(envelope_error)?;
    }
    let Some(id) = request.id else {
        return told(&request.method);
    };
    let accepted = Accepted {
        now,
        snapshot,
        server,
        headers: parts.headers,
        caller,
        era,
        id,
        params: request.params,
        working,
    };
    match (era, request.method.as_str()) {
        (_, "tools/call") => call::call(gateway, accepted, case).await,
        (_, "tools/list") => listing::list(gateway, accepted).await,
        (Era::Legacy, "initialize") => Ok(greeting::initialize(&accepted)),
        (Era::Legacy, "ping") => Ok(greeting::ping(&accepted)),
        (Era::Modern, "server/discover") => Ok(greeting::discover(&accepted)),
        // Prompts, resources and completion are not judged yet, so they do not exist here.
        _ => {
            let error = RpcError::new(METHOD_NOT_FOUND, "method not found");
            Err(Refusal::rpc("method_not_found", error))
        }
    }
}

fn overloaded() -> Refusal {
    let message = "too many calls are under way";
    Refusal::for_now(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message)
}

fn parse(body: &[u8], envelope: &mut Envelope) -> Result<mcp::Request, Refusal> {
    let body = json::parse(body, json::BODY).map_err(|error| {
        let (code, message) = match error {
            JsonError::TooLarge => ("body_too_large", "the body is too large"),
            JsonError::TooDeep => ("body_too_deep", "the body is nested too deeply"),
            JsonError::DuplicateMember => ("duplicate_member", "the body repeats a member name"),
            JsonError::NotJson | JsonError::NotIJson | JsonError::Shape(_) => {
                ("not_json", "the body is not JSON")
            }
        };
        Refusal::rpc(code, RpcError::new(PARSE_ERROR, message))
    })?;
    match mcp::parse_request(body) {
        Ok(request) => {
            envelope.id = request.id.clone();
            Ok(request)
        }
        Err((id, error)) => {
            envelope.id = id;
            Err(Refusal::rpc("envelope_malformed", error))
        }
    }
}

fn envelope_error(error: RpcError) -> Refusal {
    let code = match error.code {
        mcp::HEADER_MISMATCH => "header_mismatch",
        mcp::UNSUPPORTED_VERSION => "version_not_supported",
        _ => "envelope_malformed",
    };
    Refusal {
        status: Some(StatusCode::BAD_REQUEST),
        ..Refusal::rpc(code, error)
    }
}

/// A notification is taken note of; a request without id is neither.
fn told(method: &str) -> Result<Response, Refusal> {
    if !method.starts_with("notifications/") {
        let error = RpcError::new(INVALID_REQUEST, "a request must have an id");
        return Err(Refusal::rpc("id_missing", error));
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

/// The method, when it is one that MCP knows: the record repeats no other text.
fn known_method(method: &str) -> &'static str {
    const KNOWN: [&str; 17] = [
        "initialize",
        "ping",
        "server/discover",
        "tools/list",
        "tools/call",
        "prompts/list",
        "prompts/get",
        "resources/list",
        "resources/templates/list",
        "resources/read",
        "resources/subscribe",
        "resources/unsubscribe",
        "completion/complete",
        "logging/setLevel",
        "subscriptions/listen",
        "notifications/initialized",
        "notifications/cancelled",
    ];
    let known = KNOWN.into_iter().find(|known| *known == method);
    known.unwrap_or("unknown")
}

async fn refuse(
    gateway: &Arc<Gateway>,
    refusal: &Refusal,
    envelope: &Envelope,
    case: &Case,
    now: Timestamp,
) -> Response {
    tracing::debug!(refusal.code, "call refused");
    match refusal.entry {
        Entry::Due => gateway.record_refusal(case, refusal.code, now).await,
        Entry::Settled => {}
    }
    let era = envelope.era.unwrap_or(Era::Legacy);
    let id = envelope.id.as_ref();
    let challenges = matches!(
        refusal.advice,
        Advice::Authenticate(_) | Advice::AskPerson(..)
    );
    let Some(server) = case.server.as_ref().filter(|_| challenges) else {
        return refusal.to_response(era, id, None);
    };
    let metadata = well_known(WellKnown::ProtectedResource, &server.resource).unwrap_or_default();
    let nonce = gateway.authenticator.nonce(now);
    let challenger = Challenger {
        resource_metadata: &metadata,
        takes_bearer: server.takes_bearer(now),
        nonce: &nonce,
    };
    refusal.to_response(era, id, Some(challenger))
}

fn remote(parts: &Parts) -> Option<std::net::IpAddr> {
    let connected = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    connected.map(|ConnectInfo(address)| address.ip())
}

/// The headers of a request, as the rules of MCP read them.
pub(crate) struct Headers<'a>(pub(crate) &'a HeaderMap);

impl HeaderSource for Headers<'_> {
    fn single(&self, name: &str) -> Result<Option<&str>, RpcError> {
        let mut values = self.0.get_all(name).into_iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => match value.to_str() {
                Ok(value) => Ok(Some(value.trim())),
                Err(_) => Err(mcp::mismatch(format!("the {name} header is not text"))),
            },
            (Some(_), Some(_)) => Err(mcp::mismatch(format!("the {name} header is repeated"))),
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(http::HeaderName::as_str)
    }
}
