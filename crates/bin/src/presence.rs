//! Proves that this process is the one that serves its data folder, before commands trust it with the credential.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chancery_client::presence::{Nonce, PATH, PresenceKey};

/// What proxies add to a request.
const PROXIES: [&str; 4] = ["forwarded", "via", "x-forwarded-for", "x-real-ip"];

/// A process with its key, and where it listens.
struct Present {
    key: PresenceKey,
    address: SocketAddr,
}

/// `GET /.well-known/chancery/presence?nonce=…`, for everyone: the answer is of use only to who knows `key`.
pub(crate) fn router(key: PresenceKey, address: SocketAddr) -> Router {
    Router::new()
        .route(PATH, get(prove))
        .with_state(Arc::new(Present { key, address }))
}

async fn prove(
    State(present): State<Arc<Present>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    // Only who asks at the address itself is answered: a proxy in between could be asked by a stranger for a proof.
    let is_direct = headers
        .get(header::HOST)
        .is_some_and(|host| host.as_bytes() == present.address.to_string().as_bytes());
    let is_relayed = PROXIES.iter().any(|name| headers.contains_key(*name));
    if !is_direct || is_relayed {
        return StatusCode::MISDIRECTED_REQUEST.into_response();
    }
    let nonce = query
        .as_deref()
        .and_then(|query| query.strip_prefix("nonce="));
    let Some(Ok(nonce)) = nonce.map(Nonce::parse) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let proof = present.key.prove(&nonce, present.address);
    let fixed = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    let body = serde_json::json!(proof).to_string();
    (fixed, body).into_response()
}
