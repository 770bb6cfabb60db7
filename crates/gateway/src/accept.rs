//! From a registered server and its accepted definitions to what enforcement checks calls with.

use std::collections::HashMap;

use chancery_model::mcp::{McpServer, ToolPin, is_legal_tool_name};
use chancery_wire::json;
use chancery_wire::mcp::mirrored_arguments;
use serde_json::Value;

use crate::arguments;
use crate::snapshot::{KnownServer, KnownTool};

/// How large and how deep one definition may be.
pub(crate) const DEFINITION: json::Limits = json::Limits {
    bytes: 256 * 1024,
    depth: 64,
};

/// Why the definition of a tool cannot be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the tool `{tool}` cannot be accepted: {fault}")]
pub struct Unacceptable {
    /// The name, with anything unusual escaped.
    pub tool: String,
    /// What is wrong with it.
    pub fault: DefinitionFault,
}

/// What is wrong with a definition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionFault {
    /// MCP allows 1 to 128 letters, digits, `_`, `-` and `.` (MCP-10).
    #[error("a tool name has 1 to 128 letters, digits, `_`, `-` and `.`")]
    Name,
    /// Two definitions of one server have this name.
    #[error("another tool of this server has the same name")]
    Twice,
    /// The text is no JSON object with that name.
    #[error("the definition is not a JSON object of that name")]
    Malformed,
    /// The digest is not that of the definition: the stored row was altered.
    #[error("the stored digest is not that of the stored definition")]
    Digest,
    /// Arguments cannot be checked against its input schema.
    #[error("its input schema cannot be used: {0}")]
    Schema(String),
}

impl KnownServer {
    /// Compiles a registered server; its resource identifier is `{issuer}/mcp/{name}`.
    pub fn build(server: McpServer, issuer: &str) -> Result<Self, Unacceptable> {
        let mut tools = HashMap::with_capacity(server.tools.len());
        for pin in &server.tools {
            let refuse = |fault| Unacceptable {
                tool: pin.name.escape_default().to_string(),
                fault,
            };
            let tool = compile(pin).map_err(refuse)?;
            if tools.insert(pin.name.clone(), tool).is_some() {
                return Err(refuse(DefinitionFault::Twice));
            }
        }
        let resource = format!("{issuer}/mcp/{}", server.name);
        Ok(Self {
            server,
            resource,
            tools,
        })
    }
}

fn compile(pin: &ToolPin) -> Result<KnownTool, DefinitionFault> {
    if !is_legal_tool_name(&pin.name) {
        return Err(DefinitionFault::Name);
    }
    let definition = json::parse(pin.definition.as_bytes(), DEFINITION)
        .map_err(|_| DefinitionFault::Malformed)?;
    if definition.get("name").and_then(Value::as_str) != Some(&pin.name) {
        return Err(DefinitionFault::Malformed);
    }
    if json::digest(&definition) != Ok(pin.digest) {
        return Err(DefinitionFault::Digest);
    }
    let schema = definition.get("inputSchema").unwrap_or(&Value::Null);
    let arguments = arguments::compile(schema).map_err(DefinitionFault::Schema)?;
    let mirrors =
        mirrored_arguments(schema).map_err(|error| DefinitionFault::Schema(error.to_string()))?;
    Ok(KnownTool {
        digest: pin.digest,
        definition,
        arguments,
        mirrors,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use chancery_model::mcp::Upstream;
    use chancery_model::time::Timestamp;
    use serde_json::json;

    fn server(definitions: &[Value]) -> McpServer {
        let at = Timestamp::from_secs(0);
        let pin = |definition: &Value| ToolPin {
            name: definition["name"].as_str().unwrap_or_default().to_owned(),
            digest: json::digest(definition).expect("a digest"),
            definition: definition.to_string(),
            accepted_at: at,
        };
        McpServer {
            id: "rsc_01hzy0000000000000000000aa".parse().expect("an id"),
            name: "desk".to_owned(),
            upstream: Upstream::Http {
                url: "http://127.0.0.1:1/mcp".to_owned(),
            },
            bearer_until: None,
            sign_in: Default::default(),
            created_at: at,
            removed_at: None,
            revision: 1,
            tools: definitions.iter().map(pin).collect(),
        }
    }

    fn tool(name: &str) -> Value {
        json!({"name": name, "inputSchema": {"type": "object"}})
    }

    #[test]
    fn an_accepted_server_has_its_tools_by_name_and_its_identifier() {
        let built = KnownServer::build(
            server(&[tool("add"), tool("list.all")]),
            "https://id.example",
        );
        let built = built.expect("a server");
        assert_eq!(built.resource, "https://id.example/mcp/desk");
        assert_eq!(built.tools.len(), 2);
    }

    #[test]
    fn mcp_10_names_that_could_be_confused_are_refused() {
        let long = "a".repeat(129);
        for name in [
            "github/create_issue",
            "send_emаil",
            long.as_str(),
            "",
            "a b",
        ] {
            let refused = KnownServer::build(server(&[tool(name)]), "https://id.example");
            let fault = refused.map(|_| ()).expect_err("a refusal").fault;
            assert_eq!(fault, DefinitionFault::Name, "{name}");
        }
        let twice = KnownServer::build(server(&[tool("add"), tool("add")]), "https://id.example");
        assert_eq!(
            twice.map(|_| ()).expect_err("a refusal").fault,
            DefinitionFault::Twice
        );
    }

    #[test]
    fn a_definition_that_is_not_what_was_accepted_is_refused() {
        let mut altered = server(&[tool("add")]);
        altered.tools[0].definition =
            json!({"name": "add", "description": "x", "inputSchema": {"type": "object"}})
                .to_string();
        let fault = KnownServer::build(altered, "https://id.example")
            .map(|_| ())
            .expect_err("a refusal")
            .fault;
        assert_eq!(fault, DefinitionFault::Digest);
        let schema = json!({"name": "add", "inputSchema": {"type": "object", "properties": {"a": {"$ref": "https://x.example/"}}}});
        let fault = KnownServer::build(server(&[schema]), "https://id.example")
            .map(|_| ())
            .expect_err("a refusal")
            .fault;
        assert!(matches!(fault, DefinitionFault::Schema(_)));
    }
}
