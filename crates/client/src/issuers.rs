//! Issuers whose workloads may act as agents, over the API.

use chancery_api::agents::AgentView;
use chancery_api::issuers::{AddIssuer, AddTrust, IssuerView};
use chancery_api::page::{Page, PageQuery};

use crate::authority::{Authority, page_query};
use crate::error::ClientError;

impl Authority {
    /// Names an issuer.
    pub async fn issuer_add(&self, issuer: &AddIssuer) -> Result<IssuerView, ClientError> {
        self.post(&["issuers"], issuer).await
    }

    /// Lists the issuers.
    pub async fn issuer_list(&self, query: &PageQuery) -> Result<Page<IssuerView>, ClientError> {
        self.get(&["issuers"], &page_query(query)).await
    }

    /// Shows an issuer.
    pub async fn issuer_show(&self, name: &str) -> Result<IssuerView, ClientError> {
        self.get(&["issuers", name], &[]).await
    }

    /// Removes an issuer, and every trust in its workloads.
    pub async fn issuer_remove(&self, name: &str) -> Result<IssuerView, ClientError> {
        self.delete(&["issuers", name]).await
    }

    /// Lets a workload act as an agent.
    pub async fn agent_trust(
        &self,
        agent: &str,
        trust: &AddTrust,
    ) -> Result<AgentView, ClientError> {
        self.post(&["agents", agent, "trusts"], trust).await
    }

    /// Lets a workload no longer act as an agent.
    pub async fn agent_distrust(&self, agent: &str, trust: &str) -> Result<AgentView, ClientError> {
        self.delete(&["agents", agent, "trusts", trust]).await
    }
}
