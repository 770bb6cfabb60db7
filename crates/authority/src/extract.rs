//! Strict bodies, queries and paths: limits before parsing, duplicates refused, errors without echo.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, header};
use chancery_wire::json::{self, JsonError};
use serde::de::DeserializeOwned;

use crate::error::Error;

/// A JSON body of at most 256 KiB, depth 32, without duplicate members.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        require_json(request.headers())?;
        let bytes = read(request.into_body()).await?;
        json::parse_as(&bytes, json::BODY)
            .map(Self)
            .map_err(|error| Error::Invalid(explain(&error)))
    }
}

/// The name that a request asks for: HTTP/2 says it with the URI, and HTTP/1.1 in a header.
pub(crate) fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    match uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok()),
    }
}

/// Whether the body says that it is of this media type; parameters such as `charset` do not count.
pub(crate) fn is_of_type(headers: &HeaderMap, media_type: &str) -> bool {
    let value = headers.get(header::CONTENT_TYPE);
    value
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.split(';').next())
        .is_some_and(|text| text.trim().eq_ignore_ascii_case(media_type))
}

/// The revision that a change was made from, as `If-Match` names it (IDR-07).
pub(crate) fn revision_seen(headers: &HeaderMap) -> Result<i64, Error> {
    let value = headers
        .get(header::IF_MATCH)
        .ok_or(Error::PreconditionRequired)?;
    let text = value.to_str().map_err(|_| Error::PreconditionFailed)?;
    text.trim_matches('"')
        .parse()
        .map_err(|_| Error::PreconditionFailed)
}

/// Refuses a body that does not say that it is JSON.
pub(crate) fn require_json(headers: &HeaderMap) -> Result<(), Error> {
    if is_of_type(headers, "application/json") {
        Ok(())
    } else {
        let sentence = "the body must be `application/json`";
        Err(Error::Invalid(sentence.to_owned()))
    }
}

/// Reads a body of at most 256 KiB.
pub(crate) async fn read(body: axum::body::Body) -> Result<Bytes, Error> {
    axum::body::to_bytes(body, json::BODY.bytes)
        .await
        .map_err(|_| Error::Invalid("the body is larger than 256 KiB or was cut off".to_owned()))
}

fn explain(error: &JsonError) -> String {
    format!("the body is not acceptable: {error}")
}

/// A query string, each parameter at most once and known.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let parsed = axum::extract::Query::<T>::try_from_uri(&parts.uri);
        parsed
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|_| {
                Error::Invalid(
                    "the query has an unknown, repeated or malformed parameter".to_owned(),
                )
            })
    }
}

/// The parameters of a path; what cannot be one names nothing.
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let parsed = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        parsed
            .map(|axum::extract::Path(path)| Self(path))
            .map_err(|_| Error::NotFound("page"))
    }
}
