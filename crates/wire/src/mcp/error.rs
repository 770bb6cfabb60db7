//! JSON-RPC errors: the codes of JSON-RPC, of MCP and of ours, and the answer that carries one.

use std::fmt;

use serde_json::{Map, Value, json};

use super::Id;

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

/// The refusal of a header that disagrees with the body.
pub fn mismatch(message: impl Into<String>) -> RpcError {
    RpcError::new(HEADER_MISMATCH, message)
}
