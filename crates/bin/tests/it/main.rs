//! The real program from outside: killed, without disk, with a clock that leaps, and in front of hostile clients.
#![allow(
    clippy::disallowed_methods,
    reason = "a test outside the program has the machine's clock, environment and randomness"
)]

mod caller;
mod clock;
mod crash;
mod database;
mod disk;
mod faults;
mod limits;
mod load;
mod log_copy;
mod program;
mod random;
mod resets;
mod test_login;
mod tls;
mod torn;
