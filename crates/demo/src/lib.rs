//! The demonstration: a support desk served over MCP, an agent that uses it, and the story told on a terminal.
//!
//! Nothing in it is staged. The [`desk`] is a real MCP server, the [`agent`] a real MCP client with a key of its own,
//! and the [`story`] talks to a running authority through its public API only, checking after each step that what it
//! says is what happened. It knows nothing of the authority's inside. Start reading at [`story`].

pub mod agent;
pub mod desk;
pub mod story;
