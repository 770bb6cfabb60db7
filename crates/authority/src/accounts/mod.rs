//! Owners and the logins of people.
//!
//! A login is a random secret that is shown once and kept as a hash; it stands in until people sign in
//! with passkeys. Roles are words that policies read; nothing here knows what a role may do.

pub mod add;
pub mod disable;
pub mod list;
pub mod login;
pub mod logout;
pub mod resolve;
pub mod whoami;
