//! The door: what is checked of a request before its body is read (MCP-07, DOS-01).

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use url::Url;

use crate::address::names_loopback;
use crate::refusal::Refusal;

/// How long a client may take to send the body.
const PATIENCE: Duration = Duration::from_secs(10);
const BODY: usize = chancery_wire::json::BODY.bytes;

/// Refuses requests of other sites and other hosts, and bodies that are not JSON.
pub(crate) fn check(parts: &Parts, issuer: &str) -> Result<(), Refusal> {
    if !is_plainly_ours(parts, issuer) {
        check_site(parts, issuer)?;
    }
    let unsupported = |message| {
        Refusal::http(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content_type_not_allowed",
            message,
        )
    };
    let kind = single(&parts.headers, CONTENT_TYPE).unwrap_or("");
    let kind = kind.split(';').next().unwrap_or("").trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(unsupported("the content type must be application/json"));
    }
    if parts.headers.contains_key(CONTENT_ENCODING) {
        return Err(unsupported("the body must not be encoded"));
    }
    let length = single(&parts.headers, CONTENT_LENGTH).and_then(|length| length.parse().ok());
    if length.is_some_and(|length: usize| length > BODY) {
        return Err(too_large());
    }
    Ok(())
}

/// Whether the host is ours to the letter and no page is involved: what every program sends.
fn is_plainly_ours(parts: &Parts, issuer: &str) -> bool {
    let own = issuer.split_once("://").map(|(_, own)| own);
    let named = parts
        .uri
        .authority()
        .is_none()
        .then(|| single(&parts.headers, HOST));
    own.is_some() && named == Some(own) && !parts.headers.contains_key(ORIGIN)
}

fn check_site(parts: &Parts, issuer: &str) -> Result<(), Refusal> {
    let forbidden = |code, message| Refusal::http(StatusCode::FORBIDDEN, code, message);
    let Some(issuer) = Url::parse(issuer)
        .ok()
        .filter(|issuer| host_is_ours(parts, issuer))
    else {
        return Err(forbidden(
            "host_not_allowed",
            "this host is not served here",
        ));
    };
    if !origin_is_ours(&parts.headers, &issuer) {
        return Err(forbidden(
            "origin_not_allowed",
            "calls from this site are not allowed",
        ));
    }
    Ok(())
}

/// Reads the body, bounded in size and time.
pub(crate) async fn body(body: Body) -> Result<Bytes, Refusal> {
    let reading = Limited::new(body, BODY).collect();
    match tokio::time::timeout(PATIENCE, reading).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => {
            let message = "the body could not be read";
            Err(Refusal::http(
                StatusCode::BAD_REQUEST,
                "body_unreadable",
                message,
            ))
        }
        Err(_) => {
            let message = "the body did not arrive in time";
            Err(Refusal::http(
                StatusCode::REQUEST_TIMEOUT,
                "body_too_slow",
                message,
            ))
        }
    }
}

fn too_large() -> Refusal {
    let message = "the body is too large";
    Refusal::http(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
}

/// The value of a header that must be there at most once.
pub(crate) fn single(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).into_iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        (_, _) => None,
    }
}

fn host_is_ours(parts: &Parts, issuer: &Url) -> bool {
    let named = match parts.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => single(&parts.headers, HOST),
    };
    let Some(named) = named else { return false };
    // Parsed like the issuer, so that case and the default port do not matter.
    let Ok(url) = Url::parse(&format!("{}://{named}/", issuer.scheme())) else {
        return false;
    };
    let plain = url.username().is_empty() && url.password().is_none() && url.path() == "/";
    let same = url.host() == issuer.host()
        && url.port_or_known_default() == issuer.port_or_known_default();
    plain && (same || url.host_str().is_some_and(names_loopback))
}

/// A page of another site may not call (MCP-07). A page on this machine may, when we are on it too.
fn origin_is_ours(headers: &HeaderMap, issuer: &Url) -> bool {
    if !headers.contains_key(ORIGIN) {
        return true;
    }
    let Some(origin) = single(headers, ORIGIN).and_then(|origin| Url::parse(origin).ok()) else {
        return false;
    };
    let is_local = |url: &Url| url.host_str().is_some_and(names_loopback);
    origin.origin() == issuer.origin() || (is_local(issuer) && is_local(&origin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    #[track_caller]
    fn verdict(issuer: &str, headers: &[(&str, &str)]) -> Result<(), &'static str> {
        let mut request = Request::builder().method("POST").uri("/mcp/desk");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        check(&parts, issuer).map_err(|refusal| refusal.code)
    }

    const JSON: (&str, &str) = ("content-type", "application/json");

    #[test]
    fn mcp_07_only_our_host_and_our_origin_pass() {
        let issuer = "https://id.example";
        let host = ("host", "id.example");
        assert_eq!(verdict(issuer, &[host, JSON]), Ok(()));
        assert_eq!(verdict(issuer, &[("host", "ID.example:443"), JSON]), Ok(()));
        assert_eq!(verdict(issuer, &[("host", "127.0.0.1:7420"), JSON]), Ok(()));
        assert_eq!(verdict(issuer, &[host, JSON, ("origin", issuer)]), Ok(()));
        for bad in [
            "evil.example",
            "id.example.evil.example",
            "id.example:8080",
            "",
            "x@id.example",
        ] {
            assert_eq!(
                verdict(issuer, &[("host", bad), JSON]),
                Err("host_not_allowed"),
                "{bad}"
            );
        }
        assert_eq!(verdict(issuer, &[JSON]), Err("host_not_allowed"));
        let twice = [host, ("host", "evil.example"), JSON];
        assert_eq!(verdict(issuer, &twice), Err("host_not_allowed"));
        for bad in [
            "https://evil.example",
            "null",
            "http://localhost:3000",
            "http://id.example",
        ] {
            let refused = verdict(issuer, &[host, JSON, ("origin", bad)]);
            assert_eq!(refused, Err("origin_not_allowed"), "{bad}");
        }
        let local = "http://127.0.0.1:7420";
        let page = ("origin", "http://localhost:3000");
        assert_eq!(
            verdict(local, &[("host", "127.0.0.1:7420"), JSON, page]),
            Ok(())
        );
        let rebound = [("host", "evil.example:7420"), JSON];
        assert_eq!(verdict(local, &rebound), Err("host_not_allowed"));
    }

    #[test]
    fn mcp_07_only_plain_json_is_read() {
        let host = ("host", "id.example");
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/jsonp",
            "",
        ] {
            let refused = verdict("https://id.example", &[host, ("content-type", kind)]);
            assert_eq!(refused, Err("content_type_not_allowed"), "{kind}");
        }
        let zipped = [host, JSON, ("content-encoding", "gzip")];
        assert_eq!(
            verdict("https://id.example", &zipped),
            Err("content_type_not_allowed")
        );
        let huge = [host, JSON, ("content-length", "300000")];
        assert_eq!(verdict("https://id.example", &huge), Err("body_too_large"));
        let charset = [host, ("content-type", "application/json; charset=utf-8")];
        assert_eq!(verdict("https://id.example", &charset), Ok(()));
    }
}
