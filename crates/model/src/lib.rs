//! The words and the rules of agent identity, pure.
//!
//! This crate knows what an agent, a version, an owner, a decision and an event *are*, and which
//! change of state is legal. It reads no clock, no randomness, no file and no network, and it names
//! no cryptography: digests and signatures arrive as values. Start reading at [`agent`] for the life
//! cycle, [`document`] for what an identity says, and [`event`] for what the record holds.

pub mod action;
pub mod agent;
pub mod assurance;
pub mod author;
pub mod bearer;
pub mod client_authentication;
pub mod decision;
pub mod digest;
pub mod document;
pub mod entropy;
pub mod event;
pub mod grant;
pub mod id;
pub mod mcp;
pub mod owner;
pub mod provider;
pub mod reason;
pub mod scope;
pub mod secret;
pub mod time;
pub mod tool_call;
pub mod trust;
pub mod version;
