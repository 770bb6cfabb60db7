//! The registry: agents, their signed versions, their life, and the stop.
//!
//! A version that is wider than the one in force waits for a second person; the one in force stays so
//! until then. Whether a second person is needed is for policies to say. A stop commits, is visible to
//! all who enforce before it is answered, and answers with a receipt.

pub mod accept;
pub mod activate;
pub mod authentication;
pub mod keys;
pub mod list;
pub(crate) mod load;
pub mod redirects;
pub mod register;
pub mod reject;
pub mod resume;
pub mod show;
pub mod stop;
pub mod transfer;
pub mod trust;
pub mod update;
pub mod versions;
pub(crate) mod view;
