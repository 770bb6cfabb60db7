//! The room `clients`, and what is behind it in `consent` and `tokens`: clients that nobody registered beforehand.

mod adopt;
mod fetch;
mod register;
mod tokens;
pub(crate) mod world;
