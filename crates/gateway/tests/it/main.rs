//! The gateway through its router, in front of real servers on loopback and on standard streams.
#![allow(
    clippy::disallowed_methods,
    reason = "tests open the world for themselves"
)]

mod calls;
mod certificates;
mod credentials;
mod delegated;
mod eras;
mod limits;
mod proofs;
mod stdio;
mod stops;
mod tools;
mod upstream;
mod world;
