//! Agents and their versions, over the API.

use chancery_api::agents::{
    AgentQuery, AgentView, Because, RegisterAgent, ReplaceKeys, ReplaceRedirects, Stopped,
    TransferAgent, UpdateAgent, VersionView,
};
use chancery_api::page::{Page, PageQuery};
use chancery_model::client_authentication::ClientAuthenticationMetadata;
use http::header::IF_MATCH;
use http::{HeaderName, HeaderValue, Method};

use crate::authority::{Authority, Call, page_query, written};
use crate::error::ClientError;

impl Authority {
    /// Registers an agent.
    pub async fn agent_register(&self, agent: &RegisterAgent) -> Result<AgentView, ClientError> {
        self.post(&["agents"], agent).await
    }

    /// Lists agents.
    pub async fn agent_list(&self, query: &AgentQuery) -> Result<Page<AgentView>, ClientError> {
        let mut pairs = page_query(&PageQuery {
            after: query.after.clone(),
            limit: query.limit,
        });
        pairs.extend(query.status.clone().map(|status| ("status", status)));
        self.get(&["agents"], &pairs).await
    }

    /// Shows an agent, by name or id.
    pub async fn agent_show(&self, agent: &str) -> Result<AgentView, ClientError> {
        self.get(&["agents", agent], &[]).await
    }

    /// Proposes a new version; refused when the agent is no longer at `revision`.
    pub async fn agent_update(
        &self,
        agent: &str,
        revision: i64,
        update: &UpdateAgent,
    ) -> Result<AgentView, ClientError> {
        let path = ["agents", agent];
        let mut call = Call::new(Method::PUT, &path);
        call.header = seen(revision);
        call.body = Some(written(update)?);
        self.call(call).await
    }

    /// Replaces how an agent authenticates.
    pub async fn agent_authentication(
        &self,
        agent: &str,
        authentication: &ClientAuthenticationMetadata,
    ) -> Result<AgentView, ClientError> {
        self.put(&["agents", agent, "authentication"], authentication)
            .await
    }

    /// Replaces an agent's keys.
    pub async fn agent_keys(
        &self,
        agent: &str,
        keys: &ReplaceKeys,
    ) -> Result<AgentView, ClientError> {
        self.put(&["agents", agent, "keys"], keys).await
    }

    /// Replaces where answers for an agent may be sent.
    pub async fn agent_redirects(
        &self,
        agent: &str,
        redirects: &ReplaceRedirects,
    ) -> Result<AgentView, ClientError> {
        self.put(&["agents", agent, "redirect-uris"], redirects)
            .await
    }

    /// Lists the versions of an agent.
    pub async fn agent_versions(
        &self,
        agent: &str,
        query: &PageQuery,
    ) -> Result<Page<VersionView>, ClientError> {
        self.get(&["agents", agent, "versions"], &page_query(query))
            .await
    }

    /// Puts a proposed version into force.
    pub async fn agent_accept(&self, agent: &str, number: i64) -> Result<AgentView, ClientError> {
        self.act(&["agents", agent, "versions", &number.to_string(), "accept"])
            .await
    }

    /// Refuses a proposed version.
    pub async fn agent_reject(
        &self,
        agent: &str,
        number: i64,
        because: &Because,
    ) -> Result<AgentView, ClientError> {
        let number = number.to_string();
        self.post(&["agents", agent, "versions", &number, "reject"], because)
            .await
    }

    /// Puts a draft into force; refused when the agent is no longer at `revision`.
    pub async fn agent_activate(
        &self,
        agent: &str,
        revision: i64,
    ) -> Result<AgentView, ClientError> {
        let path = ["agents", agent, "activate"];
        let mut call = Call::new(Method::POST, &path);
        call.header = seen(revision);
        self.call(call).await
    }

    /// Stops an agent for now.
    pub async fn agent_suspend(
        &self,
        agent: &str,
        because: &Because,
    ) -> Result<Stopped, ClientError> {
        self.post(&["agents", agent, "suspend"], because).await
    }

    /// Lets a suspended agent act again.
    pub async fn agent_resume(&self, agent: &str) -> Result<AgentView, ClientError> {
        self.act(&["agents", agent, "resume"]).await
    }

    /// Stops an agent for good.
    pub async fn agent_retire(
        &self,
        agent: &str,
        because: &Because,
    ) -> Result<Stopped, ClientError> {
        self.post(&["agents", agent, "retire"], because).await
    }

    /// Gives an agent to another owner.
    pub async fn agent_transfer(
        &self,
        agent: &str,
        transfer: &TransferAgent,
    ) -> Result<AgentView, ClientError> {
        self.post(&["agents", agent, "transfer"], transfer).await
    }
}

/// The header that names the revision of the agent that a change was made from.
fn seen(revision: i64) -> Option<(HeaderName, HeaderValue)> {
    let tag = HeaderValue::try_from(format!("\"{revision}\"")).ok();
    tag.map(|tag| (IF_MATCH, tag))
}
