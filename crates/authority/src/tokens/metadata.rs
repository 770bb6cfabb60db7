//! Authorization server metadata (RFC 8414), and an honest answer at the endpoint that people will use.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chancery_wire::metadata::{AuthorizationServer, Endpoints};
use chancery_wire::oauth::{ErrorCode, OAuthError};

use crate::state::Authority;

/// `GET /.well-known/oauth-authorization-server`, and at the OpenID path where MCP clients look next.
pub async fn authorization_server(State(authority): State<Arc<Authority>>) -> Response {
    let issuer = &authority.config.issuer;
    let at = |path: &str| format!("{issuer}{path}");
    let snapshot = authority.current.load();
    let mut resources: Vec<String> = snapshot
        .servers
        .values()
        .map(|known| known.resource.clone())
        .collect();
    resources.sort();
    let endpoints = Endpoints {
        authorization: &at("/oauth/authorize"),
        token: &at("/oauth/token"),
        introspection: &at("/oauth/introspect"),
        revocation: &at("/oauth/revoke"),
        jwks: &at("/oauth/jwks"),
    };
    let metadata = AuthorizationServer::new(issuer, endpoints, Vec::new(), resources);
    let mut response = Json(metadata).into_response();
    let cache = HeaderValue::from_static("public, max-age=300");
    response.headers_mut().insert(header::CACHE_CONTROL, cache);
    response
}

/// `GET /oauth/authorize`: nobody can sign in yet, and no redirect goes anywhere because of it.
pub async fn authorize() -> Response {
    let error = OAuthError::new(
        ErrorCode::InvalidRequest,
        "this authority issues tokens to agents by client credentials; it has no sign-in",
    );
    (StatusCode::BAD_REQUEST, Json(error)).into_response()
}
