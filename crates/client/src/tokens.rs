//! Tokens as administrators act on them, over the API.

use chancery_api::agents::Stopped;
use chancery_api::tokens::RevokeToken;

use crate::authority::Authority;
use crate::error::ClientError;

impl Authority {
    /// Revokes a token.
    pub async fn token_revoke(&self, revoke: &RevokeToken) -> Result<Stopped, ClientError> {
        self.post(&["tokens", "revoke"], revoke).await
    }
}
