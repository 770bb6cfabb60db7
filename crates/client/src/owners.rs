//! Owners and their logins, over the API.

use chancery_api::agents::Because;
use chancery_api::owners::{AddOwner, IssueLogin, Login, OwnerView};
use chancery_api::page::{Page, PageQuery};

use crate::authority::{Authority, page_query};
use crate::error::ClientError;

impl Authority {
    /// Adds a person or a team, or changes a team's members.
    pub async fn owner_add(&self, owner: &AddOwner) -> Result<OwnerView, ClientError> {
        self.post(&["owners"], owner).await
    }

    /// Lists owners.
    pub async fn owner_list(&self, query: &PageQuery) -> Result<Page<OwnerView>, ClientError> {
        self.get(&["owners"], &page_query(query)).await
    }

    /// Records that an owner left.
    pub async fn owner_disable(
        &self,
        owner: &str,
        because: &Because,
    ) -> Result<OwnerView, ClientError> {
        self.post(&["owners", owner, "disable"], because).await
    }

    /// Gives a person a login.
    pub async fn owner_login(&self, owner: &str, login: &IssueLogin) -> Result<Login, ClientError> {
        self.post(&["owners", owner, "logins"], login).await
    }

    /// Ends every login of a person.
    pub async fn owner_logout(
        &self,
        owner: &str,
        because: &Because,
    ) -> Result<OwnerView, ClientError> {
        self.post(&["owners", owner, "logout"], because).await
    }
}
