//! Our own HTTP JSON: what `/v1` takes and gives, its errors, and the table of its endpoints.
//!
//! Shapes only: no rule and no I/O. The table in [`routes`] is the single list of endpoints from which
//! the OpenAPI document is made and against which tests hold the router. Errors are RFC 9457 problem
//! documents with a stable `code`.

pub mod agents;
pub mod attesters;
pub mod clients;
pub mod grants;
pub mod issuers;
pub mod keys;
pub mod log;
pub mod mcp;
pub mod openapi;
pub mod owners;
pub mod page;
pub mod people;
pub mod policies;
pub mod problem;
pub mod providers;
pub mod resources;
pub mod routes;
pub mod tokens;
