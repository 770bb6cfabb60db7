//! People sign in with an OpenID provider that knows them, and leave here when they leave there.
//!
//! An administrator adds a provider. What it says of a person counts for signing in and for nothing else: a session that
//! it begins has no role, and makes no way to sign in that would outlast it. A person is known by the issuer and the name
//! that it has for them (`sub`), never by an e-mail address. Nothing is kept for whoever only begins: what the answer must
//! fit goes along in a sealed cookie. Start at [`add`], then [`start`], [`callback`] and [`watch`].

pub mod add;
mod arrive;
mod attempt;
pub mod callback;
mod credential;
mod exchange;
pub mod link;
pub mod list;
pub mod logout;
mod page;
pub mod remove;
pub mod start;
pub mod watch;
