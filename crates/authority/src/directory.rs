//! Who may speak to us beside agents: logins of people, resource servers.

use std::collections::HashMap;
use std::sync::Arc;

use chancery_model::author::Hands;
use chancery_model::digest::Digest;
use chancery_model::id::{OwnerId, ResourceId};
use chancery_model::time::Timestamp;
use chancery_store::resources::Resource;
use chancery_wire::jwk::KeySet;

/// The logins and resource servers of one moment; swapped as a whole after a change.
#[derive(Default)]
pub struct Directory {
    /// Live logins by the hash of their secret.
    pub logins: HashMap<Digest, Arc<KnownLogin>>,
    /// Resource servers by id.
    pub resources: HashMap<ResourceId, Arc<KnownResource>>,
    /// Resource servers by resource identifier.
    pub by_url: HashMap<String, Arc<KnownResource>>,
}

/// A login of a person who has not left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownLogin {
    /// The id of the person.
    pub owner_id: OwnerId,
    /// Who the person is, and who had the login made.
    pub hands: Hands,
    /// What the login may do.
    pub roles: Vec<String>,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A resource server with its keys parsed.
pub struct KnownResource {
    /// The resource server.
    pub resource: Resource,
    /// The keys that it introspects with.
    pub keys: Option<KeySet>,
}
