//! The agent at work: it sees tools and calls them.

use std::error::Error;

use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, ClientConfig, Implementation, ProtocolVersion,
};
use rmcp::service::{ClientInitializeError, RunningService, ServiceError};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::{
    AuthRequiredError, StreamableHttpClientTransportConfig,
};
use rmcp::{ClientLifecycleMode, ClientServiceExt, RoleClient};
use serde_json::{Map, Value};

use crate::agent::link::Link;

/// An agent that is connected to an MCP server.
pub struct Session {
    running: RunningService<RoleClient, ClientConfig>,
}

/// Why the agent did not get what it asked for.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Its credential was not accepted.
    #[error("401 {0}")]
    Unauthorized(String),
    /// It was understood and refused.
    #[error("{message}")]
    Refused {
        /// The JSON-RPC error code.
        code: i32,
        /// Why, for people.
        message: String,
        /// Why, for machines.
        data: Option<Value>,
    },
    /// The tool itself would not do it.
    #[error("{0}")]
    Tool(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// Which of the two ways of speaking MCP the agent begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// `server/discover`, then requests that stand alone: 2026-07-28.
    Modern,
    /// `initialize` first: 2025-11-25.
    Legacy,
}

impl Session {
    /// Connects to the MCP server at `url` through `link`.
    pub async fn connect(url: &str, link: Link, era: Era) -> Result<Self, SessionError> {
        let config = StreamableHttpClientTransportConfig::with_uri(url);
        let transport = StreamableHttpClientTransport::with_client(link, config);
        let name = Implementation::new("refund-bot", env!("CARGO_PKG_VERSION"));
        let client = ClientConfig::new(ClientCapabilities::default(), name);
        let lifecycle = match era {
            Era::Modern => ClientLifecycleMode::Discover {
                preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            },
            Era::Legacy => ClientLifecycleMode::Initialize,
        };
        let running = client.serve_with_lifecycle(transport, lifecycle).await;
        Ok(Self {
            running: running.map_err(|error| not_connected(&error))?,
        })
    }

    /// The names of the tools that the agent is shown, in the order of the server.
    pub async fn tools(&self) -> Result<Vec<String>, SessionError> {
        let tools = self.running.list_all_tools().await.map_err(not_served)?;
        Ok(tools
            .into_iter()
            .map(|tool| tool.name.into_owned())
            .collect())
    }

    /// Calls a tool and gives its structured result.
    pub async fn call(
        &self,
        tool: &'static str,
        arguments: Map<String, Value>,
    ) -> Result<Value, SessionError> {
        let call = CallToolRequestParams::new(tool).with_arguments(arguments);
        let result = self.running.call_tool(call).await.map_err(not_served)?;
        if result.is_error == Some(true) {
            let texts = result.content.iter().filter_map(|block| block.as_text());
            let words: Vec<&str> = texts.map(|text| text.text.as_str()).collect();
            return Err(SessionError::Tool(words.join(" ")));
        }
        result
            .structured_content
            .ok_or_else(|| SessionError::Other("the result has no structure".to_owned()))
    }

    /// Ends the connection.
    pub async fn close(self) {
        // A task that panicked has nothing left to close.
        let _ = self.running.cancel().await;
    }
}

fn not_connected(error: &ClientInitializeError) -> SessionError {
    match error {
        ClientInitializeError::JsonRpcError(error) => refused(error),
        ClientInitializeError::TransportError { error, .. } => unauthorized(error.error.as_ref()),
        other => SessionError::Other(other.to_string()),
    }
}

fn not_served(error: ServiceError) -> SessionError {
    match &error {
        ServiceError::McpError(error) => refused(error),
        ServiceError::TransportSend(error) => unauthorized(error.error.as_ref()),
        other => SessionError::Other(other.to_string()),
    }
}

fn refused(error: &rmcp::ErrorData) -> SessionError {
    SessionError::Refused {
        code: error.code.0,
        message: error.message.to_string(),
        data: error.data.clone(),
    }
}

/// Looks for the challenge of a 401 among the causes of a failed request.
fn unauthorized(error: &(dyn Error + 'static)) -> SessionError {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let mut challenges = causes.filter_map(|cause| cause.downcast_ref::<AuthRequiredError>());
    match challenges.next() {
        Some(challenge) => SessionError::Unauthorized(challenge.www_authenticate_header.clone()),
        None => SessionError::Other(error.to_string()),
    }
}
