//! The room `accounts`: owners, and the logins of people.

mod logins;
mod owners;
