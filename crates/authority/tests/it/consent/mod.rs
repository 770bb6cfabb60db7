//! The rooms `consent` and `grants`, and what comes of them at the token endpoint: an agent acts on behalf of a person.

mod authorize;
mod certificates;
mod collect;
mod decide;
mod details;
pub(crate) mod device;
mod enter;
pub(crate) mod flow;
mod grants;
mod openid;
mod push;
mod race;
mod redeem;
mod renew;
mod signed;
