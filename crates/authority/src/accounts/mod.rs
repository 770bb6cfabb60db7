//! Owners, and how people sign in.
//!
//! A person signs in with a passkey, which they enrol by an invitation, and is then in a session of a browser. A login is
//! a random secret for programs and command lines; it is shown once and kept as a hash. Both lead through the one place
//! that finds out who asks, [`crate::ctx::Ctx::authenticate`]. Roles are words that policies read; nothing here knows
//! what a role may do. Start at [`invite`], then [`enrol`] and [`sign_in`].

pub mod add;
pub mod begin;
pub mod disable;
pub mod enrol;
pub mod invite;
pub mod list;
pub mod login;
pub mod logout;
pub mod passkeys;
pub mod recover;
pub mod resolve;
pub mod sessions;
pub mod sign_in;
pub mod whoami;
