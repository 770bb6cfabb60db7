//! The enforcement point in front of MCP servers.
