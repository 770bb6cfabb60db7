//! The command line: nouns, then verbs; one file for each group of commands.
//!
//! It is a stranger to the server. Every command parses its flags, makes calls of the public API or reads
//! files that anybody could have downloaded, and prints; no rule lives here. With `--json` it prints the
//! API's own shapes, and refusals as JSON on the standard error.
//!
//! The roles that serve (`up`, `serve`, `demo`, `desk`, `doctor`) are only parsed here: the roof runs them.
//! Start reading at [`args`] for what can be said, and at [`run`] for what happens then.

mod agent;
pub mod args;
mod attester;
mod authentication;
mod client;
mod completions;
mod documents;
mod duration;
pub mod exit;
mod failure;
mod grant;
mod issuer;
mod key;
mod layout;
mod log;
mod login;
mod man;
mod mcp;
mod output;
mod owner;
mod policy;
mod provider;
pub mod presence;
#[cfg(test)]
mod reference;
mod resource;
pub mod roles;
pub mod run;
mod session;
mod status;
mod token;
#[cfg(test)]
mod trial;
