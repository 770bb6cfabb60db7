//! The JSON-RPC envelope: what a client and a server may send, and nothing beside it.

use serde_json::{Map, Value};

use super::{INVALID_REQUEST, RpcError};

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
