//! The body of a request to the OAuth endpoints: a form, and no larger than one can be.

use axum::body::{Body, Bytes, to_bytes};
use axum::http::HeaderMap;
use chancery_wire::oauth::{ErrorCode, FORM_LIMIT, Form, OAuthError};

use crate::extract;
use crate::tokens::refusal::Refusal;

/// The form of a request, which must say that it is one.
pub(crate) fn parse<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<Form<'a>, Refusal> {
    require_form(headers)?;
    Ok(Form::parse(body)?)
}

/// The same for a form with at most so many parameters.
pub(crate) fn parse_up_to<'a>(
    headers: &HeaderMap,
    body: &'a [u8],
    most: usize,
) -> Result<Form<'a>, Refusal> {
    require_form(headers)?;
    Ok(Form::parse_up_to(body, most)?)
}

fn require_form(headers: &HeaderMap) -> Result<(), Refusal> {
    if !extract::is_of_type(headers, "application/x-www-form-urlencoded") {
        return Err(Refusal::new(
            ErrorCode::InvalidRequest,
            "the body must be `application/x-www-form-urlencoded`",
            "content_type",
        ));
    }
    Ok(())
}

/// Reads a body that is no larger than a form may be.
pub(crate) async fn read(body: Body) -> Result<Bytes, OAuthError> {
    to_bytes(body, FORM_LIMIT).await.map_err(|_| {
        OAuthError::new(
            ErrorCode::InvalidRequest,
            "the form is too large or was cut off",
        )
    })
}
