//! Policies, over the API.

use chancery_api::page::{Page, PageQuery};
use chancery_api::policies::{CheckReport, ExplainCall, PolicyText, PolicyView};

use crate::authority::{Authority, page_query};
use crate::error::ClientError;

impl Authority {
    /// Adds or replaces a policy text.
    pub async fn policy_put(
        &self,
        name: &str,
        policy: &PolicyText,
    ) -> Result<PolicyView, ClientError> {
        self.put(&["policies", name], policy).await
    }

    /// Lists policy texts.
    pub async fn policy_list(&self, query: &PageQuery) -> Result<Page<PolicyView>, ClientError> {
        self.get(&["policies"], &page_query(query)).await
    }

    /// Removes a policy text.
    pub async fn policy_remove(&self, name: &str) -> Result<PolicyView, ClientError> {
        self.delete(&["policies", name]).await
    }

    /// Checks a text against what is in force.
    pub async fn policy_check(&self, policy: &PolicyText) -> Result<CheckReport, ClientError> {
        self.post(&["policies", "check"], policy).await
    }

    /// Explains what would be decided; the shape is the decision point's own.
    pub async fn policy_explain(
        &self,
        call: &ExplainCall,
    ) -> Result<serde_json::Value, ClientError> {
        self.post(&["policies", "explain"], call).await
    }

    /// The Cedar schema that policies are checked against.
    pub async fn policy_schema(&self) -> Result<SchemaText, ClientError> {
        self.get(&["policies", "schema"], &[]).await
    }
}

/// A Cedar schema.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SchemaText {
    /// In Cedar's own notation.
    pub text: String,
}
