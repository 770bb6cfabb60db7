//! Typed client of the Chancery API, and the standard OAuth calls that an agent makes.
//!
//! [`authority::Authority`] has one method for each entry of [`chancery_api::routes::ROUTES`], and reads the
//! record as a stranger would. [`agent`] speaks only standards: discovery, `private_key_jwt`, DPoP; nothing
//! in it knows our own API.
//!
//! This crate reads no file, no environment and no clock: addresses, credentials and the present moment
//! come in as values. It follows no redirect, waits for no answer longer than its time-out, keeps no
//! answer larger than its limit, and sends nothing in the clear to another machine.

pub mod address;
pub mod agent;
mod agents;
mod attesters;
pub mod authority;
mod clients;
pub mod error;
#[cfg(test)]
mod fake;
mod grants;
mod issuers;
mod keys;
mod mcp;
mod owners;
mod policies;
pub mod presence;
mod providers;
pub mod record;
mod resources;
mod tokens;
pub mod transport;
