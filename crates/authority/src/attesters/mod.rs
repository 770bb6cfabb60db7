//! Those who vouch for running copies of agents (draft-ietf-oauth-attestation-based-client-auth): which keys they sign with.
//!
//! An attester says nothing about agents that are not registered with its name, and what it says is held to in the room
//! `tokens`, by [`client`](crate::tokens). Once it is removed, nobody gets a token by its word.

pub mod add;
pub mod list;
pub mod remove;
