//! MCP servers behind the gateway, over the API.

use chancery_api::mcp::{AddMcpServer, McpServerView};
use chancery_api::page::{Page, PageQuery};

use crate::authority::{Authority, page_query};
use crate::error::ClientError;

impl Authority {
    /// Puts an MCP server behind the gateway.
    pub async fn mcp_add(&self, server: &AddMcpServer) -> Result<McpServerView, ClientError> {
        self.post(&["mcp"], server).await
    }

    /// Lists MCP servers.
    pub async fn mcp_list(&self, query: &PageQuery) -> Result<Page<McpServerView>, ClientError> {
        self.get(&["mcp"], &page_query(query)).await
    }

    /// Shows an MCP server and its tools.
    pub async fn mcp_show(&self, server: &str) -> Result<McpServerView, ClientError> {
        self.get(&["mcp", server], &[]).await
    }

    /// Accepts the server's tools as they are now.
    pub async fn mcp_accept(&self, server: &str) -> Result<McpServerView, ClientError> {
        self.act(&["mcp", server, "accept"]).await
    }

    /// Removes an MCP server.
    pub async fn mcp_remove(&self, server: &str) -> Result<McpServerView, ClientError> {
        self.delete(&["mcp", server]).await
    }
}
