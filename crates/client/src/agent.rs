//! What an agent does, by the standards alone: find its authorization server, prove who it is, ask for a
//! token for one resource, and prove possession of its key with every call.
//!
//! An agent of another language does the same with any OAuth library; this one serves `token mint`, the
//! demonstration and tests. Start reading at [`token::request`]; [`behalf`] is for a token on behalf of a person, and
//! [`device`] for one where no browser is.

pub mod behalf;
pub mod device;
pub mod discovery;
pub mod dpop;
pub mod token;
pub mod workload;

use crate::error::ClientError;

/// Why an agent got no token.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A server could not be asked, or did not answer as it should.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The authorization server refused, with an error of RFC 6749.
    #[error("the authorization server answered `{error}`: {description}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The code, such as `invalid_client`.
        error: String,
        /// What it says about that; may be empty.
        description: String,
    },
    /// Metadata that must not be used.
    #[error("the metadata at {url} cannot be used: {why}")]
    Metadata {
        /// Where it was found.
        url: String,
        /// Which rule it breaks.
        why: String,
    },
}
