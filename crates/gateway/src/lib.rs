//! The enforcement point in front of MCP servers.
//!
//! An agent calls tools only through here: the call is parsed once, its caller recognised, its arguments
//! checked against what a person accepted, decided on one immutable snapshot, recorded, and only then
//! forwarded, written anew from the values that were judged. Nothing here reaches a database; no inbound
//! credential goes out; whatever is uncertain is refused. Both sides may speak either era of MCP.
//!
//! Start reading at [`gateway`] for the parts and routes, then follow a request through `line` and
//! `call`; `upstream` is the far side. README.md has the choices that the protocol leaves open.

pub mod accept;
mod address;
mod arguments;
mod authenticate;
mod call;
mod case;
pub mod document;
mod door;
mod forward;
pub mod gateway;
mod greeting;
mod guard;
mod line;
mod links;
mod listing;
mod meta;
mod noise;
pub mod outbound;
mod places;
pub mod probe;
pub mod recorder;
mod refusal;
mod reply;
pub mod review;
pub mod snapshot;
mod spent;
pub mod upstream;
mod watch;
