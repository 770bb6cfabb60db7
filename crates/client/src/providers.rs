//! Providers that people sign in with, over the API.

use chancery_api::page::Page;
use chancery_api::providers::{AddProvider, ProviderView};

use crate::authority::Authority;
use crate::error::ClientError;

impl Authority {
    /// Adds a provider that people may sign in with.
    pub async fn provider_add(&self, provider: &AddProvider) -> Result<ProviderView, ClientError> {
        self.post(&["providers"], provider).await
    }

    /// Lists providers that people sign in with.
    pub async fn provider_list(&self) -> Result<Page<ProviderView>, ClientError> {
        self.get(&["providers"], &[]).await
    }

    /// Shows a provider.
    pub async fn provider_show(&self, provider: &str) -> Result<ProviderView, ClientError> {
        self.get(&["providers", provider], &[]).await
    }

    /// Removes a provider, and ends the sessions that it began.
    pub async fn provider_remove(&self, provider: &str) -> Result<ProviderView, ClientError> {
        self.delete(&["providers", provider]).await
    }
}
