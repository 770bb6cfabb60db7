//! MCP messages: the strict envelope, the two eras, and the headers that must mirror the body.
//!
//! The legacy era (2024-11-05 to 2025-11-25) begins with `initialize`; the modern era (2026-07-28) is
//! stateless: every request carries its version and its client in `params._meta`, and the headers
//! `MCP-Protocol-Version`, `Mcp-Method`, `Mcp-Name` and `Mcp-Param-…` repeat what the body says.
//! Where the two disagree nothing may be forwarded. Start reading at [`parse_request`].

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// The modern protocol version.
pub const MODERN: &str = "2026-07-28";

/// The legacy protocol versions, newest first.
pub const LEGACY: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

/// The header that names the protocol version.
pub const VERSION_HEADER: &str = "mcp-protocol-version";
/// The header that repeats the method of the body.
pub const METHOD_HEADER: &str = "mcp-method";
/// The header that repeats the name in the body.
pub const NAME_HEADER: &str = "mcp-name";
/// The prefix of headers that repeat an argument.
pub const PARAM_HEADER_PREFIX: &str = "mcp-param-";
/// The header that names a legacy session.
pub const SESSION_HEADER: &str = "mcp-session-id";

/// The member of `params._meta` that names the protocol version.
pub const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// The member of `params._meta` that says what the client can do.
pub const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// The member of `params._meta` that names the client.
pub const META_CLIENT: &str = "io.modelcontextprotocol/clientInfo";
/// The member of a result's `_meta` that names the server.
pub const META_SERVER: &str = "io.modelcontextprotocol/serverInfo";

/// JSON-RPC: the body is not JSON.
pub const PARSE_ERROR: i64 = -32700;
/// JSON-RPC: the body is no request.
pub const INVALID_REQUEST: i64 = -32600;
/// JSON-RPC: there is no such method here.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// JSON-RPC: the parameters do not fit the method.
pub const INVALID_PARAMS: i64 = -32602;
/// JSON-RPC: the server failed.
pub const INTERNAL_ERROR: i64 = -32603;
/// MCP: a header disagrees with the body.
pub const HEADER_MISMATCH: i64 = -32020;
/// MCP: the server needs something that the client cannot do.
pub const MISSING_CAPABILITY: i64 = -32021;
/// MCP: the protocol version is not spoken here.
pub const UNSUPPORTED_VERSION: i64 = -32022;
/// Ours, from the implementation-defined range: policy denies the call.
pub const DENIED: i64 = -32010;
/// Ours, from the implementation-defined range: the call was refused before policy.
pub const REFUSED: i64 = -32011;

/// The two ways in which MCP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// `initialize` first; 2024-11-05 to 2025-11-25.
    Legacy,
    /// Stateless; 2026-07-28.
    Modern,
}

/// The id of a request, echoed with its type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Id {
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
}

impl Id {
    /// Reads an id; only texts and whole numbers are ids.
    pub fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self::Text(text.clone())),
            Value::Number(number) => number.as_i64().map(Self::Number),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// The id as JSON.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Number(number) => Value::from(*number),
            Self::Text(text) => Value::from(text.as_str()),
        }
    }
}

/// A message from a client: one request or one notification.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Names the request; `None` for a notification.
    pub id: Option<Id>,
    /// The method.
    pub method: String,
    /// The parameters; empty when absent.
    pub params: Map<String, Value>,
}

/// A JSON-RPC error that answers a message.
#[derive(Debug, Clone, PartialEq)]
pub struct RpcError {
    /// The code.
    pub code: i64,
    /// One plain sentence.
    pub message: String,
    /// Details for machines.
    pub data: Option<Box<Value>>,
}

impl RpcError {
    /// An error without details.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    /// The same error with details.
    pub fn with_data(mut self, data: Value) -> Self {
        self.data = Some(Box::new(data));
        self
    }

    /// The whole answer to the request `id`; a body whose id could not be read is answered with null.
    pub fn to_response(&self, id: Option<&Id>) -> Value {
        let mut error = Map::new();
        error.insert("code".to_owned(), self.code.into());
        error.insert("message".to_owned(), self.message.as_str().into());
        if let Some(data) = &self.data {
            error.insert("data".to_owned(), Value::clone(data));
        }
        json!({"jsonrpc": "2.0", "id": id.map_or(Value::Null, Id::to_value), "error": error})
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

/// The answer to the request `id` with a result.
pub fn result_response(id: &Id, result: Map<String, Value>) -> Value {
    let mut response = Map::new();
    response.insert("jsonrpc".to_owned(), "2.0".into());
    response.insert("id".to_owned(), id.to_value());
    response.insert("result".to_owned(), Value::Object(result));
    Value::Object(response)
}

/// Reads the one request or notification in a parsed body.
///
/// No batch, no response, no member that JSON-RPC does not define, in its exact case (MCP-06).
/// The error comes with the id when that could be read.
pub fn parse_request(body: Value) -> Result<Request, (Option<Id>, RpcError)> {
    let Value::Object(mut members) = body else {
        let message = "the body must be a single JSON-RPC request or notification";
        return Err((None, RpcError::new(INVALID_REQUEST, message)));
    };
    let id = match members.remove("id") {
        None => None,
        Some(value) => match Id::read(&value) {
            Some(id) => Some(id),
            None => {
                let message = "`id` must be a string or an integer";
                return Err((None, RpcError::new(INVALID_REQUEST, message)));
            }
        },
    };
    let refuse = |id: Option<Id>, message: &str| Err((id, RpcError::new(INVALID_REQUEST, message)));
    if members.remove("jsonrpc") != Some(Value::from("2.0")) {
        return refuse(id, "`jsonrpc` must be \"2.0\"");
    }
    let Some(Value::String(method)) = members.remove("method") else {
        return refuse(id, "`method` must be a string");
    };
    let params = match members.remove("params") {
        None => Map::new(),
        Some(Value::Object(params)) => params,
        Some(_) => return refuse(id, "`params` must be an object"),
    };
    if !members.is_empty() {
        return refuse(id, "the request has a member that JSON-RPC does not define");
    }
    Ok(Request { id, method, params })
}

/// A message from a server.
#[derive(Debug, Clone, PartialEq)]
pub enum FromServer {
    /// The answer to one of our requests.
    Answer {
        /// The request that it answers; `None` when the server could not read the id.
        id: Option<Id>,
        /// The result, or the error.
        outcome: Result<Map<String, Value>, RpcError>,
    },
    /// The server asks the client for something.
    Request {
        /// Names the request.
        id: Id,
        /// What it asks for.
        method: String,
    },
    /// The server tells something.
    Notification {
        /// What it tells.
        method: String,
        /// The details.
        params: Map<String, Value>,
    },
}

/// Reads a message of a server; `None` when it is no JSON-RPC message.
pub fn parse_from_server(message: Value) -> Option<FromServer> {
    let Value::Object(mut members) = message else {
        return None;
    };
    let id = members.remove("id");
    if let Some(method) = members.remove("method") {
        let Value::String(method) = method else {
            return None;
        };
        if let Some(id) = id {
            let id = Id::read(&id)?;
            return Some(FromServer::Request { id, method });
        }
        let params = match members.remove("params") {
            None => Map::new(),
            Some(Value::Object(params)) => params,
            Some(_) => return None,
        };
        return Some(FromServer::Notification { method, params });
    }
    let id = id.as_ref().and_then(Id::read);
    let outcome = match (members.remove("result"), members.remove("error")) {
        (Some(Value::Object(result)), None) => Ok(result),
        (None, Some(Value::Object(error))) => Err(RpcError {
            code: error.get("code").and_then(Value::as_i64)?,
            message: error.get("message")?.as_str()?.to_owned(),
            data: error.get("data").cloned().map(Box::new),
        }),
        _ => return None,
    };
    Some(FromServer::Answer { id, outcome })
}

/// How a request reads one header: absent, once, or an error when it is there more than once or not text.
pub trait HeaderSource {
    /// The single value of `name` (lower case).
    fn single(&self, name: &str) -> Result<Option<&str>, RpcError>;

    /// The names of all headers, lower case.
    fn names(&self) -> impl Iterator<Item = &str>;
}

/// The refusal of a header that disagrees with the body.
pub fn mismatch(message: impl Into<String>) -> RpcError {
    RpcError::new(HEADER_MISMATCH, message)
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

/// An argument that a tool's schema wants repeated in a header (`x-mcp-header`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirroredArgument {
    /// The header, lower case, with its prefix.
    pub header: String,
    /// The members that lead to the argument.
    path: Vec<String>,
}

/// A schema asks for headers in a way that MCP does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`x-mcp-header` at `{at}` is not usable")]
pub struct InvalidMirror {
    /// Where in the arguments.
    pub at: String,
}

/// The arguments that `schema` wants repeated: texts, whole numbers and flags on a pure chain of `properties`.
pub fn mirrored_arguments(schema: &Value) -> Result<Vec<MirroredArgument>, InvalidMirror> {
    let mut found = Vec::new();
    collect_mirrors(schema, &mut Vec::new(), &mut found)?;
    Ok(found)
}

fn collect_mirrors(
    schema: &Value,
    path: &mut Vec<String>,
    found: &mut Vec<MirroredArgument>,
) -> Result<(), InvalidMirror> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return Ok(());
    };
    // A schema nested deeper than a body may be can never match.
    if path.len() >= 32 {
        return Ok(());
    }
    for (name, property) in properties {
        path.push(name.clone());
        if let Some(wanted) = property.get("x-mcp-header") {
            let invalid = || InvalidMirror { at: path.join(".") };
            let wanted = wanted.as_str().filter(|text| is_token(text));
            let header = format!(
                "{PARAM_HEADER_PREFIX}{}",
                wanted.ok_or_else(invalid)?.to_ascii_lowercase()
            );
            let kind = property.get("type").and_then(Value::as_str);
            let usable = matches!(kind, Some("string" | "integer" | "boolean"));
            if !usable || found.iter().any(|mirror| mirror.header == header) {
                return Err(invalid());
            }
            found.push(MirroredArgument {
                header,
                path: path.clone(),
            });
        }
        collect_mirrors(property, path, found)?;
        path.pop();
    }
    Ok(())
}

/// RFC 9110 §5.6.2: the characters of a header name.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

impl MirroredArgument {
    /// The value that the header carries for `arguments`; `None` when the argument is absent or null.
    pub fn value(&self, arguments: &Map<String, Value>) -> Option<String> {
        let (last, chain) = self.path.split_last()?;
        let mut members = arguments;
        for step in chain {
            members = members.get(step)?.as_object()?;
        }
        match members.get(last)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }
}

/// Checks that every `Mcp-Param-…` header repeats an argument exactly, and none is there beside them.
pub fn check_mirrors(
    era: Era,
    headers: &impl HeaderSource,
    mirrors: &[MirroredArgument],
    arguments: &Map<String, Value>,
) -> Result<(), RpcError> {
    for name in headers.names() {
        if name.starts_with(PARAM_HEADER_PREFIX)
            && !mirrors.iter().any(|mirror| mirror.header == name)
        {
            return Err(mismatch("an mcp-param header repeats no argument"));
        }
    }
    for mirror in mirrors {
        let expected = mirror.value(arguments);
        let given = headers.single(&mirror.header)?;
        let agree = match (given, &expected) {
            (None, None) => true,
            (None, Some(_)) => era == Era::Legacy,
            (Some(_), None) => false,
            (Some(raw), Some(expected)) => {
                decode_header(raw).is_some_and(|value| value == *expected)
            }
        };
        if !agree {
            return Err(mismatch(format!(
                "the {} header does not match the argument",
                mirror.header
            )));
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Pairs(Vec<(&'static str, &'static str)>);

    impl HeaderSource for Pairs {
        fn single(&self, name: &str) -> Result<Option<&str>, RpcError> {
            let mut values = self.0.iter().filter(|(key, _)| *key == name);
            match (values.next(), values.next()) {
                (_, Some(_)) => Err(mismatch("twice")),
                (first, None) => Ok(first.map(|(_, value)| *value)),
            }
        }

        fn names(&self) -> impl Iterator<Item = &str> {
            self.0.iter().map(|(key, _)| *key)
        }
    }

    fn call(extra: Value) -> Request {
        let mut params = json!({"name": "add", "arguments": {"a": 1}});
        for (key, value) in extra.as_object().expect("an object") {
            params[key] = value.clone();
        }
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        parse_request(body).expect("a request")
    }

    fn modern() -> Value {
        json!({"_meta": {META_VERSION: MODERN, META_CAPABILITIES: {}}})
    }

    #[track_caller]
    fn check_refused(body: Value, code: i64, id: Option<Id>) {
        let (read, error) = parse_request(body).expect_err("a refusal");
        assert_eq!((error.code, read), (code, id));
    }

    #[test]
    fn mcp_06_the_envelope_has_exactly_the_members_of_json_rpc() {
        let one = Some(Id::Number(1));
        check_refused(json!([]), INVALID_REQUEST, None);
        check_refused(json!("x"), INVALID_REQUEST, None);
        check_refused(
            json!({"jsonrpc": "2.0", "id": 1}),
            INVALID_REQUEST,
            one.clone(),
        );
        check_refused(
            json!({"id": 1, "method": "x"}),
            INVALID_REQUEST,
            one.clone(),
        );
        for id in [
            json!(null),
            json!(1.5),
            json!({}),
            json!(true),
            json!(1e300),
        ] {
            let body = json!({"jsonrpc": "2.0", "id": id, "method": "x"});
            check_refused(body, INVALID_REQUEST, None);
        }
        let cased =
            json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "Method": "tools/call"});
        check_refused(cased, INVALID_REQUEST, one.clone());
        let params = json!({"jsonrpc": "2.0", "id": 1, "method": "x", "params": [1]});
        check_refused(params, INVALID_REQUEST, one);
    }

    #[test]
    fn ids_are_echoed_with_their_type() {
        for id in [json!(0), json!("server-discover-probe-1"), json!(-7)] {
            let read = Id::read(&id).expect("an id");
            assert_eq!(read.to_value(), id);
        }
    }

    #[test]
    fn the_era_follows_from_header_and_body_and_they_agree() {
        let header = |version| Pairs(vec![(VERSION_HEADER, version)]);
        let none = Pairs(vec![]);
        assert_eq!(era(&none, &call(json!({}))), Ok(Era::Legacy));
        assert_eq!(
            era(&header("2025-06-18"), &call(json!({}))),
            Ok(Era::Legacy)
        );
        assert_eq!(era(&header(MODERN), &call(modern())), Ok(Era::Modern));
        assert_eq!(era(&header(MODERN), &call(json!({}))), Ok(Era::Modern));
        let code = |headers: &Pairs, request| era(headers, &request).map_err(|error| error.code);
        assert_eq!(code(&none, call(modern())), Err(HEADER_MISMATCH));
        assert_eq!(
            code(&header("2025-11-25"), call(modern())),
            Err(HEADER_MISMATCH)
        );
        assert_eq!(
            code(&header("2030-01-01"), call(json!({}))),
            Err(UNSUPPORTED_VERSION)
        );
        let twice = Pairs(vec![(VERSION_HEADER, MODERN), (VERSION_HEADER, MODERN)]);
        assert_eq!(code(&twice, call(modern())), Err(HEADER_MISMATCH));
    }

    #[test]
    fn mcp_05_headers_that_disagree_with_the_body_are_refused() {
        let check = |pairs: Vec<(&'static str, &'static str)>, era| {
            check_headers(era, &Pairs(pairs), &call(modern())).map_err(|error| error.code)
        };
        let good = vec![(METHOD_HEADER, "tools/call"), (NAME_HEADER, "add")];
        assert_eq!(check(good.clone(), Era::Modern), Ok(()));
        assert_eq!(check(good, Era::Legacy), Ok(()));
        assert_eq!(check(vec![], Era::Legacy), Ok(()));
        let sentinel = vec![
            (METHOD_HEADER, "tools/call"),
            (NAME_HEADER, "=?base64?YWRk?="),
        ];
        assert_eq!(check(sentinel, Era::Modern), Ok(()));
        for bad in [
            vec![],
            vec![(METHOD_HEADER, "tools/call")],
            vec![(METHOD_HEADER, "tools/list"), (NAME_HEADER, "add")],
            vec![(METHOD_HEADER, "tools/call"), (NAME_HEADER, "safe")],
            vec![
                (METHOD_HEADER, "tools/call"),
                (NAME_HEADER, "=?base64?YWRk"),
            ],
            vec![
                (METHOD_HEADER, "tools/call"),
                (NAME_HEADER, "=?base64?YWRl?="),
            ],
            vec![
                (METHOD_HEADER, "tools/call"),
                (NAME_HEADER, "=?base64?YWR=?="),
            ],
            vec![
                (METHOD_HEADER, "tools/call"),
                (NAME_HEADER, "add"),
                (NAME_HEADER, "add"),
            ],
        ] {
            assert_eq!(
                check(bad.clone(), Era::Modern),
                Err(HEADER_MISMATCH),
                "{bad:?}"
            );
        }
        let lie = vec![(METHOD_HEADER, "tools/list")];
        assert_eq!(check(lie, Era::Legacy), Err(HEADER_MISMATCH));
    }

    #[test]
    fn arguments_that_a_schema_mirrors_are_compared() {
        let schema = json!({"type": "object", "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "deep": {"type": "object", "properties": {"n": {"type": "integer", "x-mcp-header": "N"}}},
        }});
        let mirrors = mirrored_arguments(&schema).expect("mirrors");
        let arguments = json!({"region": "eu", "deep": {"n": 7}});
        let arguments = arguments.as_object().expect("an object");
        let check = |pairs, era| {
            check_mirrors(era, &Pairs(pairs), &mirrors, arguments).map_err(|error| error.code)
        };
        let good = vec![("mcp-param-region", "eu"), ("mcp-param-n", "7")];
        assert_eq!(check(good, Era::Modern), Ok(()));
        assert_eq!(check(vec![], Era::Legacy), Ok(()));
        for bad in [
            vec![],
            vec![("mcp-param-region", "us"), ("mcp-param-n", "7")],
            vec![("mcp-param-region", "eu"), ("mcp-param-n", "07")],
            vec![
                ("mcp-param-region", "eu"),
                ("mcp-param-n", "7"),
                ("mcp-param-x", "1"),
            ],
        ] {
            assert_eq!(
                check(bad.clone(), Era::Modern),
                Err(HEADER_MISMATCH),
                "{bad:?}"
            );
        }
        let none = check_mirrors(
            Era::Modern,
            &Pairs(vec![("mcp-param-region", "eu")]),
            &mirrors,
            &Map::new(),
        );
        assert!(none.is_err());
    }

    #[test]
    fn mirrors_that_could_be_confused_are_refused() {
        for properties in [
            json!({"a": {"type": "string", "x-mcp-header": "X"}, "b": {"type": "string", "x-mcp-header": "x"}}),
            json!({"a": {"type": "number", "x-mcp-header": "X"}}),
            json!({"a": {"type": "string", "x-mcp-header": "X: y"}}),
            json!({"a": {"type": "string", "x-mcp-header": 1}}),
        ] {
            assert!(mirrored_arguments(&json!({"properties": properties})).is_err());
        }
    }

    #[test]
    fn messages_of_servers_are_told_apart() {
        let answer = json!({"jsonrpc": "2.0", "id": 1, "result": {"x": 1}});
        assert!(matches!(
            parse_from_server(answer),
            Some(FromServer::Answer {
                outcome: Ok(_),
                id: Some(Id::Number(1))
            })
        ));
        let error = json!({"jsonrpc": "2.0", "id": null, "error": {"code": -1, "message": "m"}});
        assert!(matches!(
            parse_from_server(error),
            Some(FromServer::Answer {
                outcome: Err(_),
                id: None
            })
        ));
        let request = json!({"jsonrpc": "2.0", "id": "a", "method": "roots/list"});
        assert!(matches!(
            parse_from_server(request),
            Some(FromServer::Request { .. })
        ));
        let told = json!({"jsonrpc": "2.0", "method": "notifications/progress"});
        assert!(matches!(
            parse_from_server(told),
            Some(FromServer::Notification { .. })
        ));
        for bad in [
            json!([]),
            json!({"id": 1}),
            json!({"id": 1, "result": {}, "error": {"code": 1, "message": "m"}}),
            json!({"id": 1, "result": 5}),
        ] {
            assert!(parse_from_server(bad).is_none());
        }
    }

    #[test]
    fn results_cross_between_the_eras() {
        let mut result = Map::new();
        modernise(&mut result);
        forbid_caching(&mut result);
        let expected = json!({"resultType": "complete", "ttlMs": 0, "cacheScope": "private"});
        assert_eq!(Value::Object(result.clone()), expected);
        antiquate(&mut result);
        assert!(result.is_empty());
    }

    proptest! {
        #[test]
        fn a_header_value_written_then_read_is_the_same(value in any::<String>()) {
            let header = encode_header(&value);
            prop_assert!(header.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
            prop_assert_eq!(header.trim(), header.as_str());
            prop_assert_eq!(decode_header(&header), Some(value));
        }

        #[test]
        fn any_header_is_read_or_refused_without_panic(raw in ".{0,60}") {
            let _ = decode_header(&raw);
        }
    }
}
