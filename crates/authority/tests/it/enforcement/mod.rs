//! The room `enforcement`, and what stands in front of every room: who may do what, limits, secrets.

mod authzen;
pub(crate) mod coverage;
mod leap;
mod overload;
mod panics;
mod partition;
mod secrets;
mod skew;
mod surface;
