//! The laws of the house, checked on the sources and on what cargo says about the workspace.
//!
//! [`arrows`]: every dependency goes down a floor, and a heavy crate stays behind its wall.
//! [`attacks`]: the table of attacks names tests that exist.
//! [`rooms`]: a room of the authority uses only the rooms before it.
//! [`secrets`]: what is secret is compared in one place, and randomness comes through one door.
//! [`walls`]: what is pure stays pure, SQL stays in `store`, every crate says what it is for.
//! Each law is a function from what was read to the list of its violations, so that it can itself be
//! tested on a small house that breaks it.

#![allow(
    clippy::disallowed_methods,
    reason = "outside the house: it reads the environment and the file system"
)]

mod arrows;
mod attacks;
mod rooms;
mod secrets;
mod source;
mod walls;

use std::path::{Path, PathBuf};

/// The root of the workspace.
fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask
        .parent()
        .expect("xtask lies in the workspace")
        .to_owned()
}

/// Fails with all violations at once, one a line.
#[track_caller]
fn assert_none(violations: &[String]) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}
