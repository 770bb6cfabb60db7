//! The room `workloads`, trust in workloads as part of an agent's registration, and the tokens that come of it.

mod issuers;
mod tokens;
mod trusts;
pub(crate) mod world;
