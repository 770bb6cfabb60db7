//! Enforcement: keeps what the gateway sees current, records for it, and answers outside enforcement points.

pub mod authzen;
pub mod record;
pub mod watch;
