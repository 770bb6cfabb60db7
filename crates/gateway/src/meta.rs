//! What passes of a client's `params._meta`: trace context and the progress token, nothing else.

use http::HeaderMap;
use serde_json::{Map, Value};

/// How long the lists of trace context may be.
const LONGEST: usize = 8192;

/// What passes, with the trace context of the headers where the body has none.
pub(crate) fn passing(params: &Map<String, Value>, headers: &HeaderMap) -> Map<String, Value> {
    let given = params.get("_meta").and_then(Value::as_object);
    let mut passing = Map::new();
    let member = |name: &str| given.and_then(|given| given.get(name));
    if let Some(traceparent) = traceparent(params, headers) {
        passing.insert("traceparent".to_owned(), traceparent.into());
        for name in ["tracestate", "baggage"] {
            let text = member(name).and_then(Value::as_str);
            if let Some(text) = text.filter(|text| text.len() <= LONGEST && is_plain(text)) {
                passing.insert(name.to_owned(), text.into());
            }
        }
    }
    if let Some(token) = member("progressToken").filter(|token| is_progress_token(token)) {
        passing.insert("progressToken".to_owned(), token.clone());
    }
    passing
}

/// The W3C trace context of a request: in the body (MCP 2026-07-28), else in the header.
pub(crate) fn traceparent<'a>(
    params: &'a Map<String, Value>,
    headers: &'a HeaderMap,
) -> Option<&'a str> {
    let body = params.get("_meta").and_then(|meta| meta.get("traceparent"));
    let header = || {
        headers
            .get("traceparent")
            .and_then(|value| value.to_str().ok())
    };
    let text = body.and_then(Value::as_str).or_else(header)?;
    is_traceparent(text).then_some(text)
}

fn is_progress_token(token: &Value) -> bool {
    match token {
        Value::String(text) => text.len() <= 256,
        Value::Number(number) => number.is_i64() || number.is_u64(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

/// W3C Trace Context §3.2: `00-` trace id `-` parent id `-` flags, lower-case hexadecimal.
fn is_traceparent(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 55
        && text.starts_with("00-")
        && bytes.iter().enumerate().all(|(place, &byte)| match place {
            2 | 35 | 52 => byte == b'-',
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn only_trace_context_and_the_progress_token_pass() {
        let params = json!({"_meta": {
            "traceparent": TRACE, "tracestate": "a=b", "baggage": "k=v", "progressToken": 7,
            "io.modelcontextprotocol/protocolVersion": "2026-07-28", "secret": "x",
        }});
        let params = params.as_object().expect("an object");
        let expected = json!({"traceparent": TRACE, "tracestate": "a=b", "baggage": "k=v", "progressToken": 7});
        assert_eq!(Value::Object(passing(params, &HeaderMap::new())), expected);
    }

    #[test]
    fn what_is_malformed_does_not_pass() {
        for meta in [
            json!({"traceparent": "00-xyz", "tracestate": "a=b"}),
            json!({"traceparent": 1, "progressToken": {"a": 1}}),
            json!({"progressToken": 1.5}),
            json!("text"),
        ] {
            let params = json!({ "_meta": meta });
            let params = params.as_object().expect("an object");
            assert!(passing(params, &HeaderMap::new()).is_empty(), "{params:?}");
        }
    }

    #[test]
    fn the_header_serves_where_the_body_is_silent() {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", TRACE.parse().expect("a value"));
        assert_eq!(traceparent(&Map::new(), &headers), Some(TRACE));
    }
}
