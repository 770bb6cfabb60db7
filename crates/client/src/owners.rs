//! Owners, and how people sign in, over the API. What a person does to their own sign-in needs a browser.

use chancery_api::agents::Because;
use chancery_api::owners::{AddOwner, IssueLogin, Login, OwnerView};
use chancery_api::page::{Page, PageQuery};
use chancery_api::people::{Invitation, InvitePerson, PasskeyView, SessionView};
use chancery_api::providers::{LinkPerson, LinkView};

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

    /// Invites a person to enrol a passkey.
    pub async fn owner_invite(
        &self,
        owner: &str,
        invite: &InvitePerson,
    ) -> Result<Invitation, ClientError> {
        self.post(&["owners", owner, "invitations"], invite).await
    }

    /// Lists the passkeys of a person.
    pub async fn owner_passkeys(&self, owner: &str) -> Result<Page<PasskeyView>, ClientError> {
        self.get(&["owners", owner, "passkeys"], &[]).await
    }

    /// Ends a passkey of a person, and what it began.
    pub async fn owner_revoke_passkey(
        &self,
        owner: &str,
        passkey: &str,
        because: &Because,
    ) -> Result<PasskeyView, ClientError> {
        let path = ["owners", owner, "passkeys", passkey, "revoke"];
        self.post(&path, because).await
    }

    /// Lists by which providers a person is known.
    pub async fn owner_links(&self, owner: &str) -> Result<Page<LinkView>, ClientError> {
        self.get(&["owners", owner, "links"], &[]).await
    }

    /// Lets a person sign in with a provider.
    pub async fn owner_link(
        &self,
        owner: &str,
        link: &LinkPerson,
    ) -> Result<LinkView, ClientError> {
        self.post(&["owners", owner, "links"], link).await
    }

    /// Lets a person no longer sign in with a provider.
    pub async fn owner_unlink(
        &self,
        owner: &str,
        link: &LinkPerson,
    ) -> Result<LinkView, ClientError> {
        self.post(&["owners", owner, "links", "remove"], link).await
    }

    /// Lists the sessions of a person.
    pub async fn owner_sessions(&self, owner: &str) -> Result<Page<SessionView>, ClientError> {
        self.get(&["owners", owner, "sessions"], &[]).await
    }

    /// Ends a session of a person.
    pub async fn owner_end_session(
        &self,
        owner: &str,
        session: &str,
        because: &Because,
    ) -> Result<SessionView, ClientError> {
        let path = ["owners", owner, "sessions", session, "end"];
        self.post(&path, because).await
    }
}
