//! The room `accounts`: owners, and the logins of people.

pub(crate) mod authenticator;
mod logins;
mod owners;
mod passkeys;
mod sessions;
