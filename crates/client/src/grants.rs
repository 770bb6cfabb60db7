//! What people let agents do, over the API.

use chancery_api::agents::{Because, Stopped};
use chancery_api::grants::{GrantQuery, GrantView};
use chancery_api::page::{Page, PageQuery};

use crate::authority::{Authority, page_query};
use crate::error::ClientError;

impl Authority {
    /// Lists grants.
    pub async fn grant_list(&self, query: &GrantQuery) -> Result<Page<GrantView>, ClientError> {
        let mut pairs = page_query(&PageQuery {
            after: query.after.clone(),
            limit: query.limit,
        });
        pairs.extend(query.owner.clone().map(|owner| ("owner", owner)));
        self.get(&["grants"], &pairs).await
    }

    /// Takes a grant back.
    pub async fn grant_revoke(
        &self,
        grant: &str,
        because: &Because,
    ) -> Result<Stopped, ClientError> {
        self.post(&["grants", grant, "revoke"], because).await
    }
}
