//! Those who vouch for running copies of clients, over the API.

use chancery_api::attesters::{AddAttester, AttesterView};
use chancery_api::page::{Page, PageQuery};

use crate::authority::{Authority, page_query};
use crate::error::ClientError;

impl Authority {
    /// Adds an attester.
    pub async fn attester_add(&self, attester: &AddAttester) -> Result<AttesterView, ClientError> {
        self.post(&["attesters"], attester).await
    }

    /// Lists attesters.
    pub async fn attester_list(
        &self,
        query: &PageQuery,
    ) -> Result<Page<AttesterView>, ClientError> {
        self.get(&["attesters"], &page_query(query)).await
    }

    /// Removes an attester.
    pub async fn attester_remove(&self, name: &str) -> Result<AttesterView, ClientError> {
        self.delete(&["attesters", name]).await
    }
}
