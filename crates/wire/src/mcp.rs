//! MCP messages: the strict envelope, the two eras, and the headers that must mirror the body.
//!
//! The legacy era (2024-11-05 to 2025-11-25) begins with `initialize`; the modern era (2026-07-28) is
//! stateless: every request carries its version and its client in `params._meta`, and the headers
//! `MCP-Protocol-Version`, `Mcp-Method`, `Mcp-Name` and `Mcp-Param-…` repeat what the body says.
//! Where the two disagree nothing may be forwarded. Start reading at [`parse_request`].

mod era;
mod error;
mod header;
mod message;
mod mirror;

pub use self::era::{
    Era, antiquate, check_meta, era, forbid_caching, http_status, modernise, stamp_meta,
};
pub use self::error::{
    DENIED, HEADER_MISMATCH, INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND,
    MISSING_CAPABILITY, PARSE_ERROR, REFUSED, RpcError, UNSUPPORTED_VERSION, mismatch,
};
pub use self::header::{HeaderSource, check_headers, decode_header, encode_header};
pub use self::message::{
    FromServer, Id, Request, parse_from_server, parse_request, result_response,
};
pub use self::mirror::{InvalidMirror, MirroredArgument, check_mirrors, mirrored_arguments};

/// The modern protocol version.
pub const MODERN: &str = "2026-07-28";

/// The legacy protocol versions, newest first.
pub const LEGACY: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

/// The header that names the protocol version.
pub const VERSION_HEADER: &str = "mcp-protocol-version";
/// The header that repeats the method of the body.
pub const METHOD_HEADER: &str = "mcp-method";
/// The header that repeats the name in the body.
pub const NAME_HEADER: &str = "mcp-name";
/// The prefix of headers that repeat an argument.
pub const PARAM_HEADER_PREFIX: &str = "mcp-param-";
/// The header that names a legacy session.
pub const SESSION_HEADER: &str = "mcp-session-id";

/// The member of `params._meta` that names the protocol version.
pub const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// The member of `params._meta` that says what the client can do.
pub const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// The member of `params._meta` that names the client.
pub const META_CLIENT: &str = "io.modelcontextprotocol/clientInfo";
/// The member of a result's `_meta` that names the server.
pub const META_SERVER: &str = "io.modelcontextprotocol/serverInfo";

#[cfg(test)]
mod tests;
