//! The room `tokens`: issuing, proofs of possession, introspection, revocation, races.

mod attestation;
mod certificates;
mod dpop;
mod guesses;
mod introspect;
mod issue;
mod race;
mod revoke;
