//! The two eras: which one a request speaks, and what crosses from one to the other.

use serde_json::{Map, Value, json};

use super::{
    HEADER_MISMATCH, HeaderSource, INVALID_PARAMS, INVALID_REQUEST, LEGACY, META_CAPABILITIES,
    META_CLIENT, META_VERSION, METHOD_NOT_FOUND, MISSING_CAPABILITY, MODERN, PARSE_ERROR, Request,
    RpcError, UNSUPPORTED_VERSION, VERSION_HEADER, mismatch,
};

/// The two ways in which MCP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// `initialize` first; 2024-11-05 to 2025-11-25.
    Legacy,
    /// Stateless; 2026-07-28.
    Modern,
}

/// Which era a request speaks; headers and body must agree on it (MCP-05).
///
/// A header or `_meta` that names the modern version makes a request modern; then both must.
pub fn era(headers: &impl HeaderSource, request: &Request) -> Result<Era, RpcError> {
    let header = headers.single(VERSION_HEADER)?;
    let meta = request.params.get("_meta");
    let stated = match meta.and_then(|meta| meta.get(META_VERSION)) {
        None => None,
        Some(Value::String(version)) => Some(version.as_str()),
        Some(_) => {
            let message = format!("`{META_VERSION}` must be a string");
            return Err(RpcError::new(INVALID_PARAMS, message));
        }
    };
    match (header, stated) {
        (Some(header), Some(stated)) if header != stated => Err(mismatch(
            "the mcp-protocol-version header does not match the body's protocol version",
        )),
        (None, Some(_)) => Err(mismatch("the mcp-protocol-version header is missing")),
        (Some(MODERN), _) => Ok(Era::Modern),
        (Some(version), None) if LEGACY.contains(&version) => Ok(Era::Legacy),
        (Some(version), _) => Err(RpcError::new(
            UNSUPPORTED_VERSION,
            "this protocol version is not supported",
        )
        .with_data(json!({"supported": [MODERN], "requested": clipped(version)}))),
        (None, None) => Ok(Era::Legacy),
    }
}

/// What was asked for, cut to a length that an answer may repeat.
fn clipped(text: &str) -> String {
    text.chars().take(64).collect()
}

/// Checks the two members of `params._meta` that every modern request carries.
pub fn check_meta(request: &Request) -> Result<(), RpcError> {
    let meta = request.params.get("_meta");
    let version = meta.and_then(|meta| meta.get(META_VERSION));
    let capabilities = meta.and_then(|meta| meta.get(META_CAPABILITIES));
    if version.is_some_and(Value::is_string) && capabilities.is_some_and(Value::is_object) {
        return Ok(());
    }
    let message = format!("`params._meta` must carry `{META_VERSION}` and `{META_CAPABILITIES}`");
    Err(RpcError::new(INVALID_PARAMS, message))
}

/// The `params._meta` that a modern request of ours carries, on top of what passes through.
pub fn stamp_meta(meta: &mut Map<String, Value>, client: &str, version: &str) {
    meta.insert(META_VERSION.to_owned(), MODERN.into());
    meta.insert(META_CAPABILITIES.to_owned(), json!({}));
    let client = json!({"name": client, "version": version});
    meta.insert(META_CLIENT.to_owned(), client);
}

/// Gives a result the members that the modern era demands; what a list says about caching is ours to say.
pub fn modernise(result: &mut Map<String, Value>) {
    result.insert("resultType".to_owned(), "complete".into());
}

/// Marks a modern list as private and never to be cached: a stopped agent must not read from a cache.
pub fn forbid_caching(result: &mut Map<String, Value>) {
    result.insert("ttlMs".to_owned(), 0.into());
    result.insert("cacheScope".to_owned(), "private".into());
}

/// Takes from a result the members that only the modern era knows.
pub fn antiquate(result: &mut Map<String, Value>) {
    for member in ["resultType", "ttlMs", "cacheScope"] {
        result.remove(member);
    }
}

/// The HTTP status of an error answer: modern transports signal a bad envelope, everything else is 200.
pub fn http_status(era: Era, code: i64) -> u16 {
    match (era, code) {
        (_, PARSE_ERROR | INVALID_REQUEST) => 400,
        (_, HEADER_MISMATCH | MISSING_CAPABILITY | UNSUPPORTED_VERSION) => 400,
        (Era::Modern, METHOD_NOT_FOUND) => 404,
        (Era::Legacy | Era::Modern, _) => 200,
    }
}
