//! The room `tokens`: issuing, proofs of possession, introspection, revocation, races.

mod attestation;
pub(crate) mod certificates;
mod dpop;
mod guesses;
mod introspect;
mod issue;
mod matrix;
mod race;
mod ready;
mod revoke;
