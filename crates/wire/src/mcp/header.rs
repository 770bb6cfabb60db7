//! The headers that repeat the body: how they are read and written, and that they do not lie.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Era, METHOD_HEADER, NAME_HEADER, Request, RpcError, mismatch};

/// How a request reads one header: absent, once, or an error when it is there more than once or not text.
pub trait HeaderSource {
    /// The single value of `name` (lower case).
    fn single(&self, name: &str) -> Result<Option<&str>, RpcError>;

    /// The names of all headers, lower case.
    fn names(&self) -> impl Iterator<Item = &str>;
}

/// Checks that the headers say what the body says, before anything is judged or forwarded (MCP-05).
///
/// In the modern era `Mcp-Method` and, where the method has a name, `Mcp-Name` must be there; in the
/// legacy era they may be absent, but if they are there they must not lie.
pub fn check_headers(
    era: Era,
    headers: &impl HeaderSource,
    request: &Request,
) -> Result<(), RpcError> {
    let required = era == Era::Modern && request.id.is_some();
    match headers.single(METHOD_HEADER)? {
        Some(method) if method != request.method => {
            return Err(mismatch(
                "the mcp-method header does not match the body's method",
            ));
        }
        None if required => return Err(mismatch("the mcp-method header is missing")),
        Some(_) | None => {}
    }
    let expected = name_of(request);
    match (headers.single(NAME_HEADER)?, expected) {
        (Some(_), None) => Err(mismatch(
            "the mcp-name header is there but the body has no name",
        )),
        (None, Some(_)) if required => Err(mismatch("the mcp-name header is missing")),
        (Some(raw), Some(expected)) => match decode_header(raw) {
            Some(name) if name == expected => Ok(()),
            Some(_) | None => Err(mismatch(
                "the mcp-name header does not match the name in the body",
            )),
        },
        (None, Some(_) | None) => Ok(()),
    }
}

/// What the `Mcp-Name` header of a request repeats.
fn name_of(request: &Request) -> Option<&str> {
    let member = match request.method.as_str() {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        _ => return None,
    };
    request.params.get(member).and_then(Value::as_str)
}

const SENTINEL_START: &str = "=?base64?";
const SENTINEL_END: &str = "?=";

/// Writes a header value: as it is when it is plain, else between the Base64 sentinels.
pub fn encode_header(value: &str) -> String {
    let printable = value.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    let plain = printable && value.trim() == value && !value.starts_with(SENTINEL_START);
    if plain && !value.is_empty() {
        return value.to_owned();
    }
    format!("{SENTINEL_START}{}{SENTINEL_END}", STANDARD.encode(value))
}

/// Reads a header value; `None` when it has the sentinels and is not canonical Base64 of UTF-8.
pub fn decode_header(raw: &str) -> Option<String> {
    let Some(inner) = raw.strip_prefix(SENTINEL_START) else {
        return Some(raw.to_owned());
    };
    let inner = inner.strip_suffix(SENTINEL_END)?;
    let bytes = STANDARD.decode(inner).ok()?;
    String::from_utf8(bytes).ok()
}
