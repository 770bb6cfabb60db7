//! The authorization server: `client_credentials`, `authorization_code`, `device_code`, `refresh_token` and `jwt-bearer`, for
//! clients that prove who they are and for public ones, with DPoP; introspection, revocation, userinfo.
//!
//! [`issue`] is the first straight line of the design; [`redeem`], [`collect`] and [`renew`] issue on behalf of people, to
//! whom the room `consent` speaks, and [`fetch`] is what they have in common. [`workload`] issues to what another issuer
//! vouches for, and [`public`] to clients that have no key to prove who they are. Who a client is, is found out in [`client`]
//! alone; whether a token may exist at all, in [`mint`] alone, whatever asks for it.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::state::Authority;
use crate::tokens::memory::Memory;

pub(crate) mod attestation;
pub(crate) mod binding;
pub(crate) mod bond;
pub(crate) mod calls;
pub mod challenge;
pub(crate) mod client;
pub(crate) mod code;
pub(crate) mod collect;
pub(crate) mod fetch;
pub(crate) mod form;
pub(crate) mod id_token;
pub mod introspect;
pub mod issue;
pub(crate) mod memory;
pub mod metadata;
pub(crate) mod mint;
pub(crate) mod public;
pub(crate) mod redeem;
pub(crate) mod refusal;
pub(crate) mod renew;
pub mod revoke;
pub mod userinfo;
pub(crate) mod workload;

/// The authority at the endpoints that take tokens and proofs, with what these remember.
pub struct Endpoints {
    /// The authority.
    pub(crate) authority: Arc<Authority>,
    /// What verified before.
    pub(crate) memory: Memory,
    /// The URL of the token endpoint, as proofs name it.
    pub(crate) token_url: String,
    /// The URL of the endpoint for pushed requests, as proofs name it.
    pub(crate) push_url: String,
    /// The URL where clients ask who signed in, as proofs and tokens name it.
    pub(crate) userinfo_url: String,
    /// The URL of the endpoint for devices, as proofs name it.
    pub(crate) device_url: String,
    /// Turns of those who wait for what another issuer says.
    pub(crate) vouched: Semaphore,
}

impl Endpoints {
    /// The endpoints of an authority, which remember nothing yet.
    pub fn new(authority: Arc<Authority>) -> Self {
        Self {
            memory: Memory::new(),
            vouched: Semaphore::new(workload::MOST_AT_ONCE),
            device_url: format!("{}/oauth/device_authorization", authority.config.issuer),
            push_url: format!("{}/oauth/par", authority.config.issuer),
            userinfo_url: authority.config.userinfo(),
            token_url: format!("{}/oauth/token", authority.config.issuer),
            authority,
        }
    }
}
