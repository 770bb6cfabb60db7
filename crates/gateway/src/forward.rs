//! The only way to an upstream server for a call: through evidence that it was permitted and recorded.

use std::sync::Arc;

use chancery_model::decision::Permit;
use serde_json::{Map, Value};

use crate::recorder::Recorded;
use crate::upstream::asked::{Asked, Params};
use crate::upstream::{Exchange, Link, UpstreamError};

/// A tool call in the form that was judged.
pub(crate) struct JudgedCall {
    pub(crate) tool: Arc<str>,
    pub(crate) arguments: Arc<Map<String, Value>>,
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
    let asked = Asked {
        method: "tools/call",
        params: Params::Call {
            tool: call.tool,
            arguments: call.arguments,
        },
        meta: call.meta,
        mirrored: call.mirrored,
    };
    let exchange = link.ask(asked).await;
    // One permit and one record are good for one call.
    drop((permit, recorded));
    exchange
}
