//! The routes: which verb answers where, and what stands in front of all of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use chancery_api::openapi;
use chancery_model::document::Document;
use chancery_model::event::{Actor, ActorKind, Event, EventKind};
use chancery_model::time::Timestamp;
use chancery_wire::json;
use chancery_wire::oauth::{ErrorCode, OAuthError};

use crate::accounts;
use crate::agents;
use crate::audit::{find, prove, serve};
use crate::console;
use crate::ctx::Ctx;
use crate::enforcement::authzen;
use crate::error::{Error, RunAgain, ToRecord};
use crate::keys;
use crate::policies;
use crate::resources;
use crate::state::Authority;
use crate::tokens;

/// How often a unit of work is run when another one wins.
const ATTEMPTS: usize = 4;

/// Everything that the authority answers; the gateway's routes join it at the roof.
pub fn router(authority: Arc<Authority>) -> Router {
    let v1 = v1().layer(from_fn_with_state(Arc::clone(&authority), run_again));
    let oauth = Router::new()
        .route("/oauth/token", post(tokens::issue::issue))
        .route("/oauth/introspect", post(tokens::introspect::introspect))
        .route("/oauth/revoke", post(tokens::revoke::revoke))
        .route("/oauth/authorize", get(tokens::metadata::authorize))
        .route("/oauth/jwks", get(keys::publish::access_token_keys))
        .route(
            "/.well-known/oauth-authorization-server",
            get(tokens::metadata::authorization_server),
        )
        .route(
            "/.well-known/openid-configuration",
            get(tokens::metadata::authorization_server),
        )
        .route(
            "/.well-known/chancery/document-keys",
            get(keys::publish::document_keys),
        )
        .route(
            "/.well-known/authzen-configuration",
            get(authzen::configuration),
        )
        .route("/access/v1/evaluation", post(authzen::evaluation))
        .route("/access/v1/evaluations", post(authzen::evaluations))
        .route("/log/key", get(prove::key))
        .route("/log/{*path}", get(serve::serve))
        .route("/schemas/agent-identity/1", get(schema))
        .route("/openapi.json", get(description))
        .route("/console", get(console::enter))
        .route("/console/", get(console::index))
        .route("/console/{file}", get(console::file))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready));
    v1.merge(oauth)
        .fallback(|| async { Error::NotFound("page") })
        .method_not_allowed_fallback(|| async { StatusCode::METHOD_NOT_ALLOWED })
        .layer(DefaultBodyLimit::max(json::BODY.bytes))
        .layer(from_fn_with_state(Arc::clone(&authority), guard))
        .with_state(authority)
}

fn v1() -> Router<Arc<Authority>> {
    Router::new()
        .route("/v1/whoami", get(accounts::whoami::whoami))
        .route(
            "/v1/agents",
            post(agents::register::register).get(agents::list::list),
        )
        .route(
            "/v1/agents/{agent}",
            get(agents::show::show).put(agents::update::update),
        )
        .route("/v1/agents/{agent}/keys", put(agents::keys::replace))
        .route("/v1/agents/{agent}/versions", get(agents::versions::list))
        .route(
            "/v1/agents/{agent}/versions/{number}/accept",
            post(agents::accept::accept),
        )
        .route(
            "/v1/agents/{agent}/versions/{number}/reject",
            post(agents::reject::reject),
        )
        .route(
            "/v1/agents/{agent}/activate",
            post(agents::activate::activate),
        )
        .route("/v1/agents/{agent}/suspend", post(agents::stop::suspend))
        .route("/v1/agents/{agent}/resume", post(agents::resume::resume))
        .route("/v1/agents/{agent}/retire", post(agents::stop::retire))
        .route(
            "/v1/agents/{agent}/transfer",
            post(agents::transfer::transfer),
        )
        .route(
            "/v1/owners",
            post(accounts::add::add).get(accounts::list::list),
        )
        .route(
            "/v1/owners/{owner}/disable",
            post(accounts::disable::disable),
        )
        .route("/v1/owners/{owner}/logins", post(accounts::login::issue))
        .route("/v1/owners/{owner}/logout", post(accounts::logout::logout))
        .route(
            "/v1/resources",
            post(resources::register::register).get(resources::list::list),
        )
        .route(
            "/v1/mcp",
            post(resources::add_mcp::add).get(resources::show_mcp::list),
        )
        .route(
            "/v1/mcp/{server}",
            get(resources::show_mcp::show).delete(resources::remove_mcp::remove),
        )
        .route(
            "/v1/mcp/{server}/accept",
            post(resources::accept_tools::accept),
        )
        .route("/v1/policies", get(policies::list::list))
        .route("/v1/policies/check", post(policies::check::check))
        .route("/v1/policies/explain", post(policies::explain::explain))
        .route("/v1/policies/schema", get(policies::schema::schema))
        .route("/v1/policies/{policy}", put(policies::add::put))
        .route("/v1/policies/{policy}", delete(policies::remove::remove))
        .route("/v1/keys", get(keys::list::list))
        .route("/v1/keys/rotate", post(keys::rotate::rotate))
        .route("/v1/tokens/revoke", post(tokens::revoke::administer))
        .route("/v1/log", get(prove::state))
        .route("/v1/events", get(find::find))
        .route("/v1/receipts/{event}", get(prove::show))
}

/// Runs a request of `/v1` again as a whole when another transaction won; a handler does nothing that
/// could be seen before its commit, so running it again is running it once.
async fn run_again(
    State(authority): State<Arc<Authority>>,
    request: Request,
    next: Next,
) -> Response {
    // A stranger's body is not even read.
    if let Err(error) = Ctx::authenticate(authority, request.headers()) {
        return error.into_response();
    }
    let (parts, body) = request.into_parts();
    let Ok(bytes) = to_bytes(body, json::BODY.bytes).await else {
        return Error::Invalid("the body is larger than 256 KiB or was cut off".to_owned())
            .into_response();
    };
    let mut attempt = 1;
    loop {
        let request = Request::from_parts(parts.clone(), Body::from(bytes.clone()));
        let response = next.clone().run(request).await;
        if attempt == ATTEMPTS || response.extensions().get::<RunAgain>().is_none() {
            return response;
        }
        attempt += 1;
    }
}

/// Stands in front of everything: strangers' pages and names are refused, load is shed, refusals are recorded,
/// and what every answer carries is set.
async fn guard(State(authority): State<Arc<Authority>>, request: Request, next: Next) -> Response {
    let asked = Asked::of(&request);
    let response = if let Some(error) = check_origin(&authority, &request) {
        error.into_response()
    } else if must_shed(&authority, &request) {
        shed(&request)
    } else {
        in_time(request, next).await
    };
    let mut response = record_refusal(&authority, asked, response).await;
    let headers = response.headers_mut();
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Refuses what a web page of another origin caused, or reached us under a name that is not ours (MCP-07).
fn check_origin(authority: &Authority, request: &Request) -> Option<Error> {
    let refuse = |reason: &str| {
        Some(Error::Denied {
            reason: reason.to_owned(),
            event: None,
        })
    };
    let origin = request.headers().get(header::ORIGIN);
    if origin.is_some_and(|origin| origin.as_bytes() != authority.config.issuer.as_bytes()) {
        return refuse("requests from web pages of other origins are refused");
    }
    let host = match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => request
            .headers()
            .get(header::HOST)
            .and_then(|host| host.to_str().ok()),
    };
    let is_ours = host.is_some_and(|host| {
        authority
            .config
            .hosts
            .iter()
            .any(|own| own.eq_ignore_ascii_case(host))
    });
    if is_ours {
        None
    } else {
        refuse("the authority does not answer under that name")
    }
}

/// How long an answer may take, a slow body included; reaching an MCP server that is added has its own limits.
const IN_TIME: Duration = Duration::from_secs(90);
/// The same for requests that need nobody else.
const SOON: Duration = Duration::from_secs(20);

async fn in_time(request: Request, next: Next) -> Response {
    let limit = if request.uri().path().starts_with("/v1/mcp") {
        IN_TIME
    } else {
        SOON
    };
    let late = || StatusCode::REQUEST_TIMEOUT.into_response();
    tokio::time::timeout(limit, next.run(request))
        .await
        .unwrap_or_else(|_| late())
}

/// Whether work is sent away because more waits than is done; stops and everything under `/v1` keep their lane.
fn must_shed(authority: &Authority, request: &Request) -> bool {
    let path = request.uri().path();
    let can_wait = ["/oauth/token", "/oauth/introspect", "/access/"]
        .iter()
        .any(|lane| path.starts_with(lane));
    can_wait && authority.pressure.is_high()
}

fn shed(request: &Request) -> Response {
    if !request.uri().path().starts_with("/oauth/") {
        return Error::Unavailable.into_response();
    }
    let error = OAuthError::new(
        ErrorCode::TemporarilyUnavailable,
        "the authority has too much to do",
    );
    let retry = (header::RETRY_AFTER, HeaderValue::from_static("1"));
    (StatusCode::SERVICE_UNAVAILABLE, [retry], axum::Json(error)).into_response()
}

/// What was asked, as far as a refusal records it.
struct Asked {
    method: String,
    path: String,
}

impl Asked {
    fn of(request: &Request) -> Self {
        let path = request.uri().path().chars().take(200).collect();
        Self {
            method: request.method().as_str().to_owned(),
            path,
        }
    }
}

/// Records a refusal before it is answered: who it was when that is known, else only as far as the gate lets it.
async fn record_refusal(authority: &Authority, asked: Asked, mut response: Response) -> Response {
    let now = authority.clock.now();
    let known = response
        .extensions_mut()
        .remove::<ToRecord>()
        .map(|ToRecord(event)| *event);
    let is_stranger = response.status() == StatusCode::UNAUTHORIZED
        || (response.status() == StatusCode::FORBIDDEN && known.is_none());
    let mut event = match known {
        Some(event) => event,
        None if is_stranger && asked.path.starts_with("/v1") => {
            let Some(suppressed) = authority.refusals.admit(now) else {
                return response;
            };
            stranger(authority, response.status(), suppressed, now)
        }
        None => return response,
    };
    event.facts.insert("method".to_owned(), asked.method);
    event.facts.insert("path".to_owned(), asked.path);
    match authority.journal.append(event).await {
        Ok(()) => response,
        Err(error) => Error::from(error).into_response(),
    }
}

fn stranger(authority: &Authority, status: StatusCode, suppressed: u64, now: Timestamp) -> Event {
    let is_unauthenticated = status == StatusCode::UNAUTHORIZED;
    let mut facts = BTreeMap::new();
    if suppressed > 0 {
        facts.insert("not_recorded_before".to_owned(), suppressed.to_string());
    }
    Event {
        facts,
        outcome: if is_unauthenticated {
            "unauthenticated"
        } else {
            "foreign_origin"
        }
        .to_owned(),
        ..Event::new(
            EventKind::RequestRefused,
            Actor {
                id: String::new(),
                kind: ActorKind::Unknown,
            },
            now,
            &*authority.entropy,
        )
    }
}

async fn schema() -> axum::Json<serde_json::Value> {
    axum::Json(Document::json_schema())
}

async fn description() -> axum::Json<serde_json::Value> {
    axum::Json(openapi::document(env!("CARGO_PKG_VERSION")))
}

/// Ready while the database was followed recently.
async fn ready(State(authority): State<Arc<Authority>>) -> Result<&'static str, Error> {
    let is_stale = authority.freshness.is_stale(authority.clock.now());
    if is_stale {
        Err(Error::Unavailable)
    } else {
        Ok("ready\n")
    }
}
