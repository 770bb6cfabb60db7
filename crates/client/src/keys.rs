//! Signing keys, over the API.

use chancery_api::keys::{KeyView, RotateKey};
use chancery_api::page::{Page, PageQuery};

use crate::authority::{Authority, page_query};
use crate::error::ClientError;

impl Authority {
    /// Lists signing keys.
    pub async fn key_list(&self, query: &PageQuery) -> Result<Page<KeyView>, ClientError> {
        self.get(&["keys"], &page_query(query)).await
    }

    /// Rotates a signing key.
    pub async fn key_rotate(&self, rotate: &RotateKey) -> Result<KeyView, ClientError> {
        self.post(&["keys", "rotate"], rotate).await
    }
}
