//! The support desk: a small but real MCP server, with customers, orders and refunds held in memory.
//!
//! It is built with the official Rust SDK and speaks every protocol version that the SDK speaks, over
//! Streamable HTTP ([`http`]) and over standard streams ([`stdio`]). It authenticates nobody: whoever reaches it
//! may do everything, which is why it belongs behind a gateway. The rules of its data are in [`records`], what it
//! offers to the world in [`tools`].

pub mod http;
pub mod ready;
pub mod records;
pub mod stdio;
pub mod tools;
