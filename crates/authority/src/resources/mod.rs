//! What tokens are for: resource servers that check them, and MCP servers behind the gateway.

pub mod accept_tools;
pub mod add_mcp;
pub mod list;
pub mod register;
pub mod remove_mcp;
pub mod show_mcp;
