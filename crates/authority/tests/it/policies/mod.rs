//! The room `policies`: what comes into force, when, and what is refused with its place.

mod cost;
mod live;
mod refused;
