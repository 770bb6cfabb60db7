//! The room `enforcement`, and what stands in front of every room: who may do what, limits, secrets.

mod authzen;
mod coverage;
mod leap;
mod secrets;
mod surface;
