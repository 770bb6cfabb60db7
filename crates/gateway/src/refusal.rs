//! Refusals: a stable code for the record, and an answer that every kind of client can show.

use axum::body::Body;
use axum::response::Response;
use chancery_wire::mcp::{self, Era, Id, REFUSED, RpcError};
use chancery_wire::oauth::{Challenge, OAuthError, Scheme};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

/// The header that carries a fresh nonce (RFC 9449 §8).
pub(crate) const NONCE_HEADER: HeaderName = HeaderName::from_static("dpop-nonce");

/// Why a request goes no further.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    /// The stable code of the record.
    pub(crate) code: &'static str,
    /// The HTTP status; where it is absent the error and the era decide.
    pub(crate) status: Option<StatusCode>,
    /// What the client is told.
    pub(crate) error: RpcError,
    /// How the client could do better.
    pub(crate) advice: Advice,
    /// Whether it is still to be recorded.
    pub(crate) entry: Entry,
}

/// Whether a refusal still belongs into the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It does.
    Due,
    /// It does not: it was recorded with its decision, or is a step that every client takes.
    Settled,
}

/// What beside the error helps the client on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Nothing.
    None,
    /// To authenticate; the error is absent when no credentials came at all (RFC 6750 §3.1).
    Authenticate(Option<OAuthError>),
    /// To ask its person for more, by these parameters.
    AskPerson(OAuthError, Vec<(&'static str, String)>),
    /// To come again later.
    ComeAgain,
}

impl Refusal {
    /// A refusal that HTTP itself can express.
    pub(crate) fn http(status: StatusCode, code: &'static str, message: &'static str) -> Self {
        Self {
            code,
            status: Some(status),
            error: RpcError::new(REFUSED, message),
            advice: Advice::None,
            entry: Entry::Due,
        }
    }

    /// A refusal for now: overload, or a state that is being repaired.
    pub(crate) fn for_now(status: StatusCode, code: &'static str, message: &'static str) -> Self {
        Self {
            advice: Advice::ComeAgain,
            ..Self::http(status, code, message)
        }
    }

    /// No credentials, or ones that do not pass.
    pub(crate) fn credentials(code: &'static str, error: Option<OAuthError>) -> Self {
        let message = error.map_or("credentials are required", |error| error.description);
        Self {
            advice: Advice::Authenticate(error),
            ..Self::http(StatusCode::UNAUTHORIZED, code, message)
        }
    }

    /// Credentials that pass, but not for this: the person has to be asked (RFC 9470 3, RFC 9396 remediation).
    pub(crate) fn ask_person(error: OAuthError, remedy: Vec<(&'static str, String)>) -> Self {
        let status = StatusCode::from_u16(error.code.status());
        let status = status.unwrap_or(StatusCode::FORBIDDEN);
        Self {
            advice: Advice::AskPerson(error, remedy),
            ..Self::http(status, error.code.name(), error.description)
        }
    }

    /// A JSON-RPC error.
    pub(crate) fn rpc(code: &'static str, error: RpcError) -> Self {
        Self {
            code,
            status: None,
            error,
            advice: Advice::None,
            entry: Entry::Due,
        }
    }

    /// The same refusal, which is not to be recorded any more.
    pub(crate) fn settled(self) -> Self {
        Self {
            entry: Entry::Settled,
            ..self
        }
    }
}

/// What a challenge needs to know about the resource.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Challenger<'a> {
    pub(crate) resource_metadata: &'a str,
    pub(crate) takes_bearer: bool,
    pub(crate) nonce: &'a str,
}

impl Refusal {
    /// The answer to the request `id`.
    pub(crate) fn to_response(
        &self,
        era: Era,
        id: Option<&Id>,
        challenger: Option<Challenger<'_>>,
    ) -> Response {
        let by_code = || StatusCode::from_u16(mcp::http_status(era, self.error.code));
        let status = self.status.or_else(|| by_code().ok());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = json_response(status, &self.error.to_response(id));
        let headers = response.headers_mut();
        match (&self.advice, challenger) {
            (Advice::None, _) | (Advice::Authenticate(_) | Advice::AskPerson(..), None) => {}
            (Advice::ComeAgain, _) => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            (Advice::Authenticate(error), Some(challenger)) => {
                challenge(headers, *error, &[], challenger);
            }
            (Advice::AskPerson(error, remedy), Some(challenger)) => {
                challenge(headers, Some(*error), remedy, challenger);
            }
        }
        response
    }
}

fn challenge(
    headers: &mut HeaderMap,
    error: Option<OAuthError>,
    remedy: &[(&'static str, String)],
    challenger: Challenger<'_>,
) {
    let bearer = challenger.takes_bearer.then_some(Scheme::Bearer);
    for scheme in std::iter::once(Scheme::Dpop).chain(bearer) {
        let mut challenge = Challenge::new(scheme)
            .resource_metadata(challenger.resource_metadata)
            .more(remedy);
        if let Some(error) = error {
            challenge = challenge.error(error);
        }
        // A challenge holds printable ASCII only; its writer leaves everything else out.
        if let Ok(value) = HeaderValue::from_str(&challenge.to_string()) {
            headers.append(WWW_AUTHENTICATE, value);
        }
    }
    offer_nonce(headers, challenger.nonce);
}

/// Gives the client the nonce for its next proof.
pub(crate) fn offer_nonce(headers: &mut HeaderMap, nonce: &str) {
    if let Ok(nonce) = HeaderValue::from_str(nonce) {
        headers.insert(NONCE_HEADER, nonce);
    }
}

/// An answer of one JSON text, never to be cached.
pub(crate) fn json_response(status: StatusCode, body: &Value) -> Response {
    json_text(status, body.to_string())
}

/// An answer of one JSON text that is written already.
pub(crate) fn json_text(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use chancery_wire::oauth::ErrorCode;

    fn challenges(takes_bearer: bool, error: Option<OAuthError>) -> Vec<String> {
        let challenger = Challenger {
            resource_metadata: "https://id.example/.well-known/oauth-protected-resource/mcp/desk",
            takes_bearer,
            nonce: "n",
        };
        let refusal = Refusal::credentials("x", error);
        let response = refusal.to_response(Era::Modern, None, Some(challenger));
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(
            response
                .headers()
                .get(NONCE_HEADER)
                .map(HeaderValue::as_bytes),
            Some(&b"n"[..])
        );
        let values = response.headers().get_all(WWW_AUTHENTICATE).into_iter();
        values
            .map(|value| value.to_str().expect("text").to_owned())
            .collect()
    }

    #[test]
    fn a_challenge_names_the_metadata_and_the_error() {
        let plain = challenges(false, None);
        assert_eq!(plain.len(), 1);
        assert!(
            plain[0].starts_with("DPoP resource_metadata=\"https://id.example/"),
            "{plain:?}"
        );
        assert!(!plain[0].contains("error"));
        let error = OAuthError::new(ErrorCode::InvalidToken, "the access token has expired");
        let both = challenges(true, Some(error));
        assert_eq!(both.len(), 2);
        assert!(
            both[1].starts_with("Bearer error=\"invalid_token\""),
            "{both:?}"
        );
    }
}
