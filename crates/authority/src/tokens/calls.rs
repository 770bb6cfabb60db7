//! The tool calls that a token is limited to (RFC 9396): read from a request, and never more than what was given.

use chancery_model::tool_call::{self, ToolCall, ToolCalls};
use chancery_wire::json::{self, Limits};
use chancery_wire::oauth::{ErrorCode, Form};

use crate::tokens::refusal::Refusal;

/// What a list of details may be: it is in every token of it.
const DETAILS: Limits = Limits {
    bytes: 4 * 1024,
    ..json::TOKEN
};

/// The details of a request for `resource`; `None` when there are none, which is no limit.
pub(crate) fn read(form: &Form<'_>, resource: &str) -> Result<Option<ToolCalls>, Refusal> {
    let Some(text) = form.fetch("authorization_details") else {
        return Ok(None);
    };
    let details: Vec<ToolCall> = json::parse_as(text.as_bytes(), DETAILS)
        .map_err(|_| invalid("bad_authorization_details"))?;
    let calls = ToolCalls::of(details, resource);
    let calls = calls.map_err(|_| invalid("bad_authorization_details"))?;
    Ok(Some(calls))
}

/// The details of a request for a token of something that was given with `given`: those, or fewer.
pub(crate) fn shrunk(
    form: &Form<'_>,
    resource: &str,
    given: Option<&ToolCalls>,
) -> Result<Option<ToolCalls>, Refusal> {
    let asked = read(form, resource)?;
    match asked {
        None => Ok(given.cloned()),
        Some(asked) if tool_call::is_within(Some(&asked), given) => Ok(Some(asked)),
        Some(_) => Err(invalid("authorization_details_widened")),
    }
}

/// Details that are not understood, or more than what was given (RFC 9396 5).
pub(crate) fn invalid(code: &'static str) -> Refusal {
    Refusal::new(
        ErrorCode::InvalidAuthorizationDetails,
        "`authorization_details` is a list of `tool_call` objects for the resource, and no more than what was given",
        code,
    )
}
