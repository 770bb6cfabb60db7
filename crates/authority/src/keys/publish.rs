//! Publishes the keys that verify tokens and identity documents.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::keyring::Purpose;
use crate::state::Authority;

/// `GET /oauth/jwks`: the keys of access tokens and of ID tokens, which their `typ` tells apart; of nothing else, so that
/// no other signature passes for one.
pub async fn token_keys(State(authority): State<Arc<Authority>>) -> Response {
    publish(&authority, &[Purpose::AccessToken, Purpose::IdToken])
}

/// `GET /.well-known/chancery/document-keys`: the keys of identity documents.
pub async fn document_keys(State(authority): State<Arc<Authority>>) -> Response {
    publish(&authority, &[Purpose::Document])
}

fn publish(authority: &Authority, purposes: &[Purpose]) -> Response {
    let now = authority.clock.now();
    let ring = authority.keys.load();
    let keys = purposes
        .iter()
        .flat_map(|purpose| ring.verifying(*purpose, now));
    let keys: Vec<Value> = keys.map(|key| key.to_jwk()).collect();
    let mut response = Json(json!({"keys": keys})).into_response();
    // A withdrawn key is out of use everywhere within this time (JWKS-04).
    let cache = HeaderValue::from_static("public, max-age=300");
    response.headers_mut().insert(header::CACHE_CONTROL, cache);
    response
}
