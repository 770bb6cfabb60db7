//! MCP clients that nobody registered beforehand: how they are known, and which agents they become.
//!
//! A client is known by the URL of a document about it ([`find`]), or by an id of ours after it registered itself
//! ([`register`]) while an administrator lets clients do that ([`open`]). Neither says anything that is believed: it
//! is a name, and where answers may go. What a person lets a client do makes one governed agent of theirs out of it
//! ([`adopt`]), which no other person shares. This room issues nothing, asks nobody and sends nothing anywhere; that is
//! for the rooms `tokens` and `consent`.

pub(crate) mod adopt;
pub(crate) mod find;
pub mod list;
pub mod open;
pub mod register;
pub mod remove;
