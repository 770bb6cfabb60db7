//! The record: seals durable events into the log, serves the log, proves and finds what is in it.
//!
//! Start at [`sequence`], which is the third straight line of the design. Nothing here can change an entry.

pub mod find;
pub(crate) mod patrol;
pub mod prove;
pub mod sequence;
pub mod serve;
