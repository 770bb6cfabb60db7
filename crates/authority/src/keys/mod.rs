//! Signing keys: one per purpose, wrapped at rest, rotated without an outage.
//!
//! The log's key is the log's identity and is not rotated; whoever pinned it keeps verifying.

pub mod create;
pub mod list;
pub mod publish;
pub mod rotate;
