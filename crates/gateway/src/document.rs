//! Fetches the small document at a URL that a stranger wrote: bounded in size and time, from the public network alone (in development also from this machine),
//! without redirects, and the same answer for whatever goes wrong (SSRF-03, SSRF-04).

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, Limited};

use crate::outbound::Endpoint;
use crate::upstream::Reach;

/// How long all of it may take, and how long everything that goes wrong takes.
const PATIENCE: Duration = Duration::from_secs(5);

/// A document that was fetched and read.
#[derive(Debug, Clone)]
pub struct Fetched<T> {
    /// What is in it.
    pub read: T,
    /// For how long its server lets others keep it; `None` when it says nothing.
    pub max_age: Option<Duration>,
}

/// There is no such document, or none that may be looked at: which, is for our log alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the document cannot be had")]
pub struct NoDocument;

/// Fetches the JSON document of at most `most` bytes at `url`, and reads it, while it holds its `turn`. Failing takes the
/// same time whatever the reason, also when it is there and `read` refuses it.
pub async fn fetch<T, E: std::fmt::Display>(
    reach: &Reach,
    url: &str,
    is_development: bool,
    most: usize,
    read: impl FnOnce(&[u8]) -> Result<T, E>,
    turn: impl Send,
) -> Result<Fetched<T>, NoDocument> {
    let over = tokio::time::Instant::now() + PATIENCE;
    let fetching = try_fetch(reach, url, is_development, most);
    let why = match tokio::time::timeout_at(over, fetching).await {
        Ok(Ok((bytes, max_age))) => match read(&bytes) {
            Ok(read) => return Ok(Fetched { read, max_age }),
            Err(error) => {
                tracing::info!(url, %error, "the document of a client is not acceptable");
                "not_acceptable"
            }
        },
        Ok(Err(why)) => why,
        Err(_) => "took_too_long",
    };
    tracing::info!(url, why, "the document of a client cannot be had");
    // Nobody waits for a turn that is only waited out.
    drop(turn);
    tokio::time::sleep_until(over).await;
    Err(NoDocument)
}

async fn try_fetch(
    reach: &Reach,
    url: &str,
    is_development: bool,
    most: usize,
) -> Result<(Bytes, Option<Duration>), &'static str> {
    let endpoint = Endpoint::parse_of_stranger(url, is_development).map_err(|_| "forbidden_url")?;
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let answer = reach.outbound.get_of_stranger(&endpoint, headers).await;
    let answer = answer.map_err(|_| "no_answer")?;
    if answer.status() != StatusCode::OK {
        return Err("not_status_200");
    }
    let headers = answer.headers();
    if headers.contains_key(header::CONTENT_ENCODING) || !is_json(headers) {
        return Err("not_json");
    }
    let max_age = max_age(headers);
    let body = Limited::new(answer.into_body(), most).collect().await;
    let bytes = body.map_err(|_| "too_large_or_cut_off")?.to_bytes();
    Ok((bytes, max_age))
}

/// `application/json`, or `application/` with anything that ends in `+json`.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let kind = value
        .and_then(|value| value.split(';').next())
        .unwrap_or("");
    let kind = kind.trim().to_ascii_lowercase();
    let of_application = kind.strip_prefix("application/");
    of_application.is_some_and(|kind| kind == "json" || kind.ends_with("+json"))
}

fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let value = headers
        .get(header::CACHE_CONTROL)?
        .to_str()
        .ok()?
        .to_ascii_lowercase();
    let mut directives = value.split(',').map(str::trim);
    if directives
        .clone()
        .any(|directive| matches!(directive, "no-store" | "no-cache"))
    {
        return Some(Duration::ZERO);
    }
    let seconds = directives.find_map(|directive| directive.strip_prefix("max-age="))?;
    seconds.parse().ok().map(Duration::from_secs)
}
