//! The agent: a real MCP client that proves possession of its key with every request.
//!
//! [`link`] is the connection that an MCP client of the official SDK speaks through; [`credential`] is what the
//! agent shows on each request; [`session`] is the agent at work: it sees tools and calls them.

pub mod credential;
pub mod link;
pub mod session;
