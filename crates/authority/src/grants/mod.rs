//! What people let agents do in their names: seen and taken back one by one.
//!
//! A grant is given in the room `consent`. Everything that came of it names it, so ending it is one row, and no
//! token is looked for.

pub(crate) mod end;
pub(crate) mod fit;
pub mod list;
pub mod revoke;
