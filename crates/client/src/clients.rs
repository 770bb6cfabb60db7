//! MCP clients that registered themselves, over the API.

use chancery_api::clients::{ClientView, OpenRegistration, RegistrationView};
use chancery_api::page::{Page, PageQuery};

use crate::authority::{Authority, page_query};
use crate::error::ClientError;

impl Authority {
    /// Lets clients register themselves for a while.
    pub async fn client_open(
        &self,
        opening: &OpenRegistration,
    ) -> Result<RegistrationView, ClientError> {
        self.post(&["clients", "open"], opening).await
    }

    /// Lists the clients that registered themselves.
    pub async fn client_list(&self, query: &PageQuery) -> Result<Page<ClientView>, ClientError> {
        self.get(&["clients"], &page_query(query)).await
    }

    /// Removes a client that registered itself.
    pub async fn client_remove(&self, client: &str) -> Result<ClientView, ClientError> {
        self.delete(&["clients", client]).await
    }
}
