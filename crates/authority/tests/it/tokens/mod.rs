//! The room `tokens`: issuing, proofs of possession, introspection, revocation, races.

mod certificates;
mod dpop;
mod guesses;
mod introspect;
mod issue;
mod race;
mod revoke;
