//! All the tools of a server, page by page, bounded.

use serde_json::{Map, Value};

use super::asked::{Asked, Params};
use super::{Link, UpstreamError};

/// How many tools one server may have.
const TOOLS: usize = 500;
/// How many bytes all definitions of one server may have.
const BYTES: usize = 1024 * 1024;
/// How many pages a list may have.
const PAGES: usize = 100;

/// The definitions of all tools, as the server gives them.
pub(crate) async fn tools(link: &Link) -> Result<Vec<Value>, UpstreamError> {
    let mut found: Vec<Value> = Vec::new();
    let mut bytes = 0;
    let mut cursor: Option<String> = None;
    for _ in 0..PAGES {
        let mut result = page(link, cursor.take()).await?;
        let Some(Value::Array(tools)) = result.remove("tools") else {
            return Err(UpstreamError::Protocol("a list of tools without tools"));
        };
        for tool in tools {
            bytes += tool.to_string().len();
            if found.len() == TOOLS || bytes > BYTES {
                return Err(UpstreamError::TooLarge);
            }
            found.push(tool);
        }
        match result.remove("nextCursor") {
            None | Some(Value::Null) => return Ok(found),
            Some(Value::String(next)) => cursor = Some(next),
            Some(_) => return Err(UpstreamError::Protocol("a cursor that is not a text")),
        }
    }
    Err(UpstreamError::TooLarge)
}

async fn page(link: &Link, cursor: Option<String>) -> Result<Map<String, Value>, UpstreamError> {
    let cursor = cursor.map(|cursor| ("cursor".to_owned(), Value::from(cursor)));
    let asked = Asked {
        method: "tools/list",
        params: Params::Own(cursor.into_iter().collect()),
        ..Asked::default()
    };
    let outcome = link.ask(asked).await?.answer().await?;
    outcome.map_err(|_| UpstreamError::Protocol("the list of tools was refused"))
}
