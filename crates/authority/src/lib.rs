//! Issues, judges, records, stops: one room per capability, one file per verb.
//!
//! A room uses the rooms above it in the list below, never those beneath. What any room may use stands
//! before the rooms: the state of the authority, the context of a request, errors, and the refresh that
//! makes a committed change visible to all who enforce. No room holds SQL, and no rule that `model` or
//! `policy` could hold.

pub mod config;
mod cookie;
pub mod ctx;
pub mod directory;
pub mod documents;
pub mod error;
pub mod extract;
mod html;
pub mod issuers;
pub mod keyring;
pub mod pressure;
mod refresh;
pub mod state;
mod text;

// rooms
pub mod audit;
pub mod keys;
pub mod accounts;
pub mod agents;
pub mod policies;
pub mod resources;
pub mod attesters;
pub mod workloads;
pub mod grants;
pub mod tokens;
pub mod clients;
pub mod consent;
pub mod providers;
pub mod enforcement;

// roof of the rooms
pub mod console;
pub mod found;
pub mod router;
