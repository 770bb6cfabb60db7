//! The only way to an upstream server for a call: through evidence that it was permitted and recorded.

use chancery_model::decision::Permit;
use serde_json::{Map, Value};

use crate::recorder::Recorded;
use crate::upstream::{Asked, Exchange, Link, UpstreamError};

/// A tool call in the form that was judged.
pub(crate) struct JudgedCall {
    pub(crate) tool: String,
    pub(crate) arguments: Map<String, Value>,
    /// What passes of the client's `_meta`: trace context and the progress token.
    pub(crate) meta: Map<String, Value>,
    /// Arguments that the schema wants repeated in headers.
    pub(crate) mirrored: Vec<(String, String)>,
}

/// Sends the call on; it is written anew from the values that were judged (MCP-06).
pub(crate) async fn forward(
    permit: Permit,
    recorded: Recorded,
    link: &Link,
    call: JudgedCall,
) -> Result<Exchange, UpstreamError> {
    let mut params = Map::new();
    params.insert("name".to_owned(), call.tool.as_str().into());
    params.insert("arguments".to_owned(), Value::Object(call.arguments));
    if !call.meta.is_empty() {
        params.insert("_meta".to_owned(), Value::Object(call.meta));
    }
    let asked = Asked {
        method: "tools/call",
        params,
        name: Some(call.tool),
        mirrored: call.mirrored,
    };
    let exchange = link.ask(asked).await;
    // One permit and one record are good for one call.
    drop((permit, recorded));
    exchange
}
