//! What stands in front of every route: strangers' pages and names are refused, no answer takes for ever,
//! refusals are recorded, and what every answer carries is set.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use chancery_model::event::{Actor, ActorKind, Event, EventKind};
use chancery_model::time::Timestamp;

use crate::error::{Error, NotSignedIn, ToRecord};
use crate::extract;
use crate::state::Authority;

/// Answers a request with `work`, if it may be asked at all.
pub(super) async fn guard<W>(
    authority: &Authority,
    request: Request,
    work: impl FnOnce(Request) -> W,
) -> Response
where
    W: Future<Output = Response>,
{
    let asked = Asked::of(&request);
    let response = match check_origin(authority, &request) {
        Some(error) => error.into_response(),
        None => in_time(request, work).await,
    };
    let mut response = record_refusal(authority, asked, response).await;
    let headers = response.headers_mut();
    for (name, value) in FIXED {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Where we end TLS ourselves, browsers come back over nothing else; on this machine other programs have that name too.
    if authority.config.has_tls && authority.relying_party.id() != "localhost" {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
    // A page with a form needs its origin to be told to us when the form is sent; no other page of ours does.
    headers
        .entry(header::REFERRER_POLICY)
        .or_insert(HeaderValue::from_static("no-referrer"));
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

const FIXED: [(HeaderName, &str); 2] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Refuses what a web page of another origin caused, or reached us under a name that is not ours (MCP-07).
fn check_origin(authority: &Authority, request: &Request) -> Option<Error> {
    let refuse = |reason: &str| {
        Some(Error::Denied {
            reason: reason.to_owned(),
            event: None,
        })
    };
    let origin = request.headers().get(header::ORIGIN);
    // On loopback people sign in at `localhost`, which is another origin than the address that tokens name.
    let own = [&*authority.config.issuer, authority.relying_party.origin()];
    let is_foreign =
        origin.is_some_and(|origin| own.iter().all(|own| origin.as_bytes() != own.as_bytes()));
    if is_foreign && !is_for_clients(request) {
        return refuse("requests from web pages of other origins are refused");
    }
    let host = extract::host(request.uri(), request.headers());
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

/// Whether a page of a client may send its person here with a form (OpenID Connect Core 3.1.2.1, RP-Initiated Logout 1.0 2).
/// No cookie counts in such a request, and it does what following a link does.
fn is_for_clients(request: &Request) -> bool {
    request.method() == Method::POST
        && matches!(request.uri().path(), "/oauth/authorize" | "/oauth/logout")
}

/// Where browsers come back to from providers.
const PROVIDERS: &str = "/sign-in/";

/// How long an answer may take, a slow body included; reaching an MCP server that is added, or a provider, has its own
/// limits.
const IN_TIME: Duration = Duration::from_secs(90);
/// The same for requests that need nobody else.
const SOON: Duration = Duration::from_secs(20);

async fn in_time<W>(request: Request, work: impl FnOnce(Request) -> W) -> Response
where
    W: Future<Output = Response>,
{
    let path = request.uri().path();
    let asks_others = ["/v1/mcp", "/v1/providers", "/v1/links", PROVIDERS];
    let limit = if asks_others.iter().any(|start| path.starts_with(start)) {
        IN_TIME
    } else {
        SOON
    };
    tokio::time::timeout(limit, work(request))
        .await
        .unwrap_or_else(|_| Error::TooLate.into_response())
}

/// What was asked, as far as a refusal records it.
struct Asked {
    method: Method,
    uri: Uri,
}

impl Asked {
    fn of(request: &Request) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
        }
    }
}

/// Records a refusal before it is answered: who it was when that is known, else only as far as the gate lets it.
async fn record_refusal(authority: &Authority, asked: Asked, mut response: Response) -> Response {
    let known = response
        .extensions_mut()
        .remove::<ToRecord>()
        .map(|ToRecord(event)| *event);
    let why = response.extensions().get::<NotSignedIn>().copied();
    let is_stranger = response.status() == StatusCode::UNAUTHORIZED
        || (response.status() == StatusCode::FORBIDDEN && known.is_none());
    let mut event = match known {
        Some(event) => event,
        None if why.is_some() || is_stranger && asked.uri.path().starts_with("/v1") => {
            let now = authority.clock.now();
            let Some(suppressed) = authority.refusals.admit(now) else {
                return response;
            };
            stranger(authority, response.status(), why, suppressed, now)
        }
        None => return response,
    };
    let method = asked.method.as_str().to_owned();
    let path = asked.uri.path().chars().take(200).collect();
    event.facts.insert("method".to_owned(), method);
    event.facts.insert("path".to_owned(), path);
    match authority.journal.append(event).await {
        Ok(()) => response,
        Err(error) => Error::from(error).into_response(),
    }
}

fn stranger(
    authority: &Authority,
    status: StatusCode,
    why: Option<NotSignedIn>,
    suppressed: u64,
    now: Timestamp,
) -> Event {
    let outcome = match why {
        Some(why) => why.code,
        None if status == StatusCode::UNAUTHORIZED => "unauthenticated",
        None => "foreign_origin",
    };
    let mut facts = BTreeMap::new();
    if let Some(passkey) = why.and_then(|why| why.passkey) {
        facts.insert("passkey".to_owned(), passkey.to_string());
    }
    if suppressed > 0 {
        facts.insert("not_recorded_before".to_owned(), suppressed.to_string());
    }
    Event {
        facts,
        outcome: outcome.to_owned(),
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
