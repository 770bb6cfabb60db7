//! Authorization server metadata (RFC 8414).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use chancery_wire::metadata::{AuthorizationServer, Endpoints};

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
    let keys = authority.keys.load();
    let registration = at("/oauth/register");
    let takes_registrations =
        (authority.directory.load()).takes_registrations(authority.clock.now());
    let registration = &*registration;
    let endpoints = Endpoints {
        authorization: &at("/oauth/authorize"),
        pushed_authorization_request: &at("/oauth/par"),
        device_authorization: &at("/oauth/device_authorization"),
        token: &at("/oauth/token"),
        introspection: &at("/oauth/introspect"),
        revocation: &at("/oauth/revoke"),
        challenge: &at("/oauth/challenge"),
        jwks: &at("/oauth/jwks"),
        registration: takes_registrations.then_some(registration),
        userinfo: &authority.config.userinfo(),
        end_session: &at("/oauth/logout"),
        signing: keys.access_token.public().algorithm(),
        id_token_signing: keys.id_token.public().algorithm(),
        has_tls: authority.config.has_tls,
    };
    let metadata = AuthorizationServer::new(issuer, endpoints, resources);
    let mut response = Json(metadata).into_response();
    // An exception begins and ends: what is in here then is not to be believed for long.
    let cache = HeaderValue::from_static("public, max-age=60");
    response.headers_mut().insert(header::CACHE_CONTROL, cache);
    response
}
