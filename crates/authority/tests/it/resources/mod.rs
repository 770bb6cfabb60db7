//! The room `resources`: resource servers, and MCP servers behind the gateway.

mod mcp;
mod register;
