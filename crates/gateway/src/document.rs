//! Fetches the small document at a URL that a stranger or another document wrote, and asks questions there: bounded in
//! size and time, on the networks that the caller names, without redirects, and the same answer for whatever goes wrong
//! (SSRF-03, SSRF-04).

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, Limited};

use crate::outbound::{Endpoint, Network};
use crate::upstream::Reach;

/// How long all of it may take, and how long everything that goes wrong takes.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the answer to a question may take: whoever answers looks something up.
const PATIENCE_FOR_QUESTIONS: Duration = Duration::from_secs(10);

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

/// What a question was answered with: JSON, whatever the status is.
#[derive(Debug)]
pub struct Answered {
    /// The HTTP status.
    pub status: StatusCode,
    /// The body, of type `application/json`.
    pub body: Bytes,
}

/// Fetches the JSON document of at most `most` bytes at `url`, and reads it, while it holds its `turn`. Failing takes the
/// same time whatever the reason, also when it is there and `read` refuses it.
pub async fn fetch<T, E: std::fmt::Display>(
    reach: &Reach,
    url: &str,
    network: Network,
    most: usize,
    read: impl FnOnce(&[u8]) -> Result<T, E>,
    turn: impl Send,
) -> Result<Fetched<T>, NoDocument> {
    let over = tokio::time::Instant::now() + PATIENCE;
    let fetching = try_fetch(reach, url, network, most);
    let why = match tokio::time::timeout_at(over, fetching).await {
        Ok(Ok((bytes, max_age))) => match read(&bytes) {
            Ok(read) => return Ok(Fetched { read, max_age }),
            Err(error) => {
                tracing::info!(url, %error, "a document is not acceptable");
                "not_acceptable"
            }
        },
        Ok(Err(why)) => why,
        Err(_) => "took_too_long",
    };
    tracing::info!(url, why, "a document cannot be had");
    // Nobody waits for a turn that is only waited out.
    drop(turn);
    tokio::time::sleep_until(over).await;
    Err(NoDocument)
}

async fn try_fetch(
    reach: &Reach,
    url: &str,
    network: Network,
    most: usize,
) -> Result<(Bytes, Option<Duration>), &'static str> {
    let endpoint = Endpoint::parse_within(url, network).map_err(|_| "forbidden_url")?;
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let answer = reach.outbound.get_within(network, &endpoint, headers).await;
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

/// A question to a server that knows us, at a URL that a document named.
pub struct Question<'a> {
    /// Where it goes.
    pub url: &'a str,
    /// Where that may lead.
    pub network: Network,
    /// What we prove ourselves with, or what we were given for it.
    pub authorization: Option<HeaderValue>,
    /// What is posted, URL-encoded; without it, the question is a GET.
    pub form: Option<String>,
    /// How many bytes the answer may have.
    pub most: usize,
}

/// Asks, and takes an answer in JSON. What goes wrong is told to our log, without anything that was sent.
pub async fn ask(reach: &Reach, question: Question<'_>) -> Result<Answered, NoDocument> {
    let url = question.url;
    let why = match tokio::time::timeout(PATIENCE_FOR_QUESTIONS, try_ask(reach, question)).await {
        Ok(Ok(answered)) => return Ok(answered),
        Ok(Err(why)) => why,
        Err(_) => "took_too_long",
    };
    tracing::info!(url, why, "a question got no answer");
    Err(NoDocument)
}

async fn try_ask(reach: &Reach, question: Question<'_>) -> Result<Answered, &'static str> {
    let network = question.network;
    let endpoint = Endpoint::parse_within(question.url, network).map_err(|_| "forbidden_url")?;
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(authorization) = question.authorization {
        headers.insert(header::AUTHORIZATION, authorization);
    }
    let outbound = &reach.outbound;
    let answer = match question.form {
        Some(form) => {
            let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert(header::CONTENT_TYPE, kind);
            let form = Bytes::from(form);
            outbound
                .post_within(network, &endpoint, headers, form)
                .await
        }
        None => outbound.get_within(network, &endpoint, headers).await,
    };
    let answer = answer.map_err(|_| "no_answer")?;
    let status = answer.status();
    if answer.headers().contains_key(header::CONTENT_ENCODING) || !is_json(answer.headers()) {
        return Err("not_json");
    }
    let body = Limited::new(answer.into_body(), question.most)
        .collect()
        .await;
    let body = body.map_err(|_| "too_large_or_cut_off")?.to_bytes();
    Ok(Answered { status, body })
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
