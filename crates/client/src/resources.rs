//! Resource servers, over the API.

use chancery_api::page::{Page, PageQuery};
use chancery_api::resources::{RegisterResource, ResourceView};

use crate::authority::{Authority, page_query};
use crate::error::ClientError;

impl Authority {
    /// Registers a resource server.
    pub async fn resource_register(
        &self,
        resource: &RegisterResource,
    ) -> Result<ResourceView, ClientError> {
        self.post(&["resources"], resource).await
    }

    /// Lists resource servers.
    pub async fn resource_list(
        &self,
        query: &PageQuery,
    ) -> Result<Page<ResourceView>, ClientError> {
        self.get(&["resources"], &page_query(query)).await
    }
}
