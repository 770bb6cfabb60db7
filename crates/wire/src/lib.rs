//! Other people's formats: strict JSON, JOSE, OAuth, DPoP, X.509, MCP, AuthZEN and WebAuthn.
//!
//! Everything here is pure: bytes in, typed values or a refusal out. Beside `ledger` this is the only
//! crate that names a crypto library. What arrives from the network is parsed once, with limits
//! before the parse, and nothing that was not verified can be mistaken for something that was:
//! verification returns another type. Start reading at [`json`] for what may be parsed at all and
//! at [`access_token`] for what a token is.

pub mod access_token;
pub mod authzen;
pub mod base64url;
pub mod certificate;
mod claim;
pub mod client_assertion;
pub mod client_attestation;
pub mod client_metadata;
pub mod document;
pub mod dpop;
pub mod hash;
pub mod id_token;
pub mod issuer;
pub mod json;
pub mod jwk;
pub mod jws;
pub mod mcp;
pub mod metadata;
pub mod nonce;
pub mod oauth;
pub mod openid;
pub mod origin;
pub mod pkce;
pub mod redirect_uri;
pub mod request_object;
pub mod seal;
pub mod signed_introspection;
pub mod user_code;
#[cfg(test)]
mod vectors;
pub mod webauthn;
pub mod workload;
