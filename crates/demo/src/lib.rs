//! The demonstration: a support desk served over MCP, an agent that uses it, and the story told on a terminal.
