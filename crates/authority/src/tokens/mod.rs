//! The authorization server: `client_credentials` with `private_key_jwt` and DPoP, introspection, revocation.
//!
//! [`issue`] is the first straight line of the design. Who a client is, is found out in [`client`] alone;
//! whether a token may exist at all, in [`mint`] alone, whatever asks for it.

pub(crate) mod client;
pub mod introspect;
pub mod issue;
pub mod metadata;
pub(crate) mod mint;
pub(crate) mod refusal;
pub mod revoke;
