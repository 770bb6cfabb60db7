//! Resource servers.

use chancery_model::client_authentication::ClientAuthentication;
use chancery_model::id::ResourceId;
use chancery_model::time::Timestamp;

use crate::client_authentications;
use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::{Row, params};

/// A registered resource server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Never reused; also its OAuth `client_id`.
    pub id: ResourceId,
    /// Its resource identifier.
    pub url: String,
    /// The public keys that it introspects with, as a canonical JWK Set.
    pub jwks: Option<String>,
    /// How it authenticates.
    pub authentication: ClientAuthentication,
    /// Until when plain bearer tokens are issued for it.
    pub bearer_until: Option<Timestamp>,
    /// When it was registered.
    pub created_at: Timestamp,
}

/// Adds a resource server; [`StoreError::Constraint`] when its URL is registered.
pub async fn insert(tx: &mut Tx, resource: &Resource) -> Result<(), StoreError> {
    let sql = "INSERT INTO resource (id, url, jwks, bearer_until, created_at) VALUES ($1, $2, $3, $4, $5)";
    let values = params![
        resource.id.to_string(),
        resource.url.as_str(),
        resource.jwks.clone(),
        resource.bearer_until,
        resource.created_at,
    ];
    tx.execute(sql, values).await?;
    client_authentications::insert(tx, resource.id, &resource.authentication).await
}

/// A page of resource servers in the order of their ids.
pub async fn list(tx: &mut Tx, after: &str, limit: i64) -> Result<Vec<Resource>, StoreError> {
    let sql = "SELECT id, url, jwks, bearer_until, created_at, \
               (SELECT metadata FROM client_authentication WHERE client_id = resource.id) AS authentication FROM resource \
               WHERE id > $1 ORDER BY id LIMIT $2";
    let rows = tx.query("resource", sql, params![after, limit]).await?;
    let read = |row: &Row| {
        Ok(Resource {
            id: row.parse("id")?,
            url: row.text("url")?.to_owned(),
            jwks: row.text_or_null("jwks")?.map(str::to_owned),
            authentication: client_authentications::read(row)?,
            bearer_until: row.time_or_null("bearer_until")?,
            created_at: row.time("created_at")?,
        })
    };
    rows.iter().map(read).collect()
}
