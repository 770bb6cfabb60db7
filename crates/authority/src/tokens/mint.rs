//! The one place where tokens are made. Whether the whole chain is live is checked here, never by a grant (SI-1).

use chancery_gateway::snapshot::{KnownAgent, Snapshot};
use chancery_model::entropy::Entropy;
use chancery_model::id::{ResourceId, TokenId};
use chancery_model::time::Timestamp;
use chancery_wire::access_token::{self, AgentClaims, Claims, Cnf};
use chancery_wire::jwk::PrivateKey;
use chancery_wire::oauth::ErrorCode;

use crate::tokens::client::FAILED;
use crate::tokens::refusal::Refusal;

/// What a token is to be.
pub(crate) struct Grant<'a> {
    /// Whom it is for.
    pub holder: Holder<'a>,
    /// The one resource that it is for.
    pub audience: &'a str,
    /// What it is for, as a list with spaces.
    pub scope: Option<&'a str>,
    /// The thumbprint of the key that it is bound to; `None` only under an explicit exception.
    pub jkt: Option<&'a str>,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Whom a token is for.
pub(crate) enum Holder<'a> {
    /// An agent that acts for itself.
    Agent(&'a KnownAgent),
    /// A resource server, for our own endpoints alone.
    Resource(ResourceId),
}

/// A token that was made and looked at again, but not yet recorded: it may not leave.
pub(crate) struct Minted {
    pub token: String,
    pub claims: Claims,
}

/// Makes the token of a grant, if everything that it hangs on is live.
pub(crate) fn mint(
    snapshot: &Snapshot,
    key: &PrivateKey,
    grant: &Grant<'_>,
    entropy: &dyn Entropy,
    now: Timestamp,
) -> Result<Minted, Refusal> {
    // One answer for every state in which an agent may not act (TOK-10).
    let inactive = |code| Refusal::new(ErrorCode::InvalidClient, FAILED, code);
    if snapshot.freshness.is_stale(now) {
        return Err(Refusal::unavailable());
    }
    let (id, agent) = match &grant.holder {
        Holder::Agent(known) => {
            known
                .live(now)
                .map_err(|_| inactive("principal_inactive"))?;
            let (_, version) = known
                .agent
                .version
                .ok_or_else(|| inactive("principal_inactive"))?;
            let claims = AgentClaims {
                id: None,
                instance: None,
                version,
                epoch: known.epoch(),
                owner: known.agent.owner_id.to_string(),
                name: known.agent.name.as_str().to_owned(),
                model: known.recorded.model.clone(),
            };
            (known.agent.id.to_string(), Some(claims))
        }
        Holder::Resource(id) => (id.to_string(), None),
    };
    let claims = Claims {
        iss: snapshot.issuer.clone(),
        sub: id.clone(),
        aud: grant.audience.to_owned(),
        client_id: id,
        iat: now.as_secs(),
        exp: grant.expires_at.as_secs(),
        jti: TokenId::generate(now, entropy),
        scope: grant.scope.map(str::to_owned),
        cnf: grant.jkt.map(|jkt| Cnf {
            jkt: jkt.to_owned(),
        }),
        act: None,
        agent,
    };
    let token = access_token::sign(&claims, key);
    access_token::review(&token, &claims).map_err(|_| {
        tracing::error!("a token does not say what it was made to say; it was not issued");
        Refusal::new(
            ErrorCode::ServerError,
            "the authority refused to issue",
            "review_failed",
        )
    })?;
    Ok(Minted { token, claims })
}
