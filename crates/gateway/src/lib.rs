//! The enforcement point in front of MCP servers.

pub mod accept;
mod address;
mod arguments;
mod authenticate;
mod call;
mod case;
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
pub mod probe;
pub mod recorder;
mod refusal;
mod reply;
pub mod review;
pub mod snapshot;
mod spent;
pub mod upstream;
mod watch;
