//! Tokens, as administrators act on them; agents use the OAuth endpoints.

use chancery_model::id::TokenId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Revokes a token: `POST /v1/tokens/revoke`. Give the token itself or its `jti`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeToken {
    /// The token's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<TokenId>,
    /// The token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Why, in words.
    pub reason: String,
}
