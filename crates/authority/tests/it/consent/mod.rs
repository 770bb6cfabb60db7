//! The rooms `consent` and `grants`, and what comes of them at the token endpoint: an agent acts on behalf of a person.

mod authorize;
mod decide;
pub(crate) mod flow;
mod grants;
mod push;
mod race;
mod redeem;
mod renew;
