//! The one line that a desk prints on standard output once it can be reached.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Says where the desk is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Always true.
    pub ready: bool,
    /// The MCP endpoint.
    pub url: String,
}

impl Ready {
    /// A desk that listens on `address`.
    pub fn at(address: SocketAddr) -> Self {
        Self {
            ready: true,
            url: format!("http://{address}/mcp"),
        }
    }

    /// The line, without its end.
    pub fn to_line(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// Reads the line back; `None` when it says anything else.
    pub fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok().filter(|it: &Self| it.ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_can_be_read_back() {
        let ready = Ready::at(([127, 0, 0, 1], 7421).into());
        assert_eq!(
            ready.to_line(),
            r#"{"ready":true,"url":"http://127.0.0.1:7421/mcp"}"#
        );
        assert_eq!(Ready::parse(&ready.to_line()), Some(ready));
        assert_eq!(
            Ready::parse(r#"{"ready":false,"url":"http://127.0.0.1:7421/mcp"}"#),
            None
        );
        assert_eq!(Ready::parse("listening"), None);
    }
}
