//! The one place where tokens are made. Whether the whole chain is live is checked here, never by a grant (SI-1).

use chancery_gateway::snapshot::{Inactive, KnownAgent, Snapshot};
use chancery_model::assurance::Acr;
use chancery_model::entropy::Entropy;
use chancery_model::grant::{Binding, Grant as Consented};
use chancery_model::id::{ResourceId, TokenId};
use chancery_model::scope::Scope;
use chancery_model::time::Timestamp;
use chancery_model::tool_call::{self, ToolCalls};
use chancery_wire::access_token::{self, Act, AgentClaims, Claims, Cnf};
use chancery_wire::jwk::PrivateKey;
use chancery_wire::oauth::ErrorCode;

use crate::config::USERINFO;
use crate::grants::fit::Fit;
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
    /// The tool calls that it is limited to.
    pub calls: Option<&'a ToolCalls>,
    /// What it is bound to; `None` only under an explicit exception.
    pub cnf: Option<&'a Cnf>,
    /// The running copy that it is for, where an attester vouched for one.
    pub instance: Option<&'a str>,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Whom a token is for.
pub(crate) enum Holder<'a> {
    /// An agent that acts for itself.
    Agent(&'a KnownAgent),
    /// An agent that acts on behalf of a person.
    Delegate(Delegate<'a>),
    /// A resource server, for our own endpoints alone.
    Resource(ResourceId),
}

/// An agent that acts on behalf of a person, within what that person consented to.
pub(crate) struct Delegate<'a> {
    /// The agent.
    pub agent: &'a KnownAgent,
    /// What the person let it do.
    pub consented: &'a Consented,
    /// Evidence that the agent is no more than what the person consented to.
    pub fit: Fit,
    /// When the person signed in, where that is known.
    pub auth_time: Option<Timestamp>,
    /// How surely it was the person, where that is known.
    pub acr: Option<Acr>,
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
    let (id, known, delegate) = match &grant.holder {
        Holder::Agent(_) if grant.audience.strip_prefix(&snapshot.issuer) == Some(USERINFO) => {
            return Err(Refusal::new(
                ErrorCode::InvalidTarget,
                "who a person is, is told to a client that the person signs in to",
                "no_person",
            ));
        }
        Holder::Agent(known) => (known.agent.id.to_string(), Some(*known), None),
        Holder::Delegate(delegate) => {
            require_consent(snapshot, grant, delegate, now)?;
            let known = delegate.agent;
            (known.agent.id.to_string(), Some(known), Some(delegate))
        }
        Holder::Resource(id) => (id.to_string(), None, None),
    };
    let agent = match known {
        Some(known) => {
            known
                .live(now)
                .map_err(|_| inactive("principal_inactive"))?;
            let (_, version) = known
                .agent
                .version
                .ok_or_else(|| inactive("principal_inactive"))?;
            Some(AgentClaims {
                id: None,
                instance: grant.instance.map(str::to_owned),
                version,
                epoch: known.epoch(),
                owner: known.agent.owner_id.to_string(),
                name: known.agent.name.as_str().to_owned(),
                model: known.recorded.model.clone(),
            })
        }
        None => None,
    };
    let consented = delegate.map(|delegate| delegate.consented);
    let claims = Claims {
        iss: snapshot.issuer.clone(),
        sub: consented.map_or_else(|| id.clone(), |consented| consented.subject.to_string()),
        aud: grant.audience.to_owned(),
        client_id: known.map_or_else(|| id.clone(), |known| known.client_id()),
        iat: now.as_secs(),
        exp: grant.expires_at.as_secs(),
        jti: TokenId::generate(now, entropy),
        scope: grant.scope.map(str::to_owned),
        authorization_details: grant.calls.cloned(),
        cnf: grant.cnf.cloned(),
        auth_time: delegate
            .and_then(|delegate| delegate.auth_time)
            .map(Timestamp::as_secs),
        acr: delegate
            .and_then(|delegate| delegate.acr)
            .map(|acr| acr.name().to_owned()),
        act: delegate.map(|_| Act {
            sub: id,
            iss: snapshot.issuer.clone(),
        }),
        grant_id: consented.map(|consented| consented.id),
        agent,
    };
    // The one rule for every use of a token holds of a new one too.
    if let Some(known) = known {
        let upheld = snapshot.uphold_claims(known, &claims, now);
        upheld.map_err(|why| match delegate {
            Some(delegate) => no_consent(why).about(delegate.consented.id),
            None => inactive(why.code()),
        })?;
    }
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

/// Requires that the person is there, that the grant is in force, and that the token is no more than it: the same
/// resource, no more scope, no more calls, no looser binding, no longer life.
fn require_consent(
    snapshot: &Snapshot,
    grant: &Grant<'_>,
    delegate: &Delegate<'_>,
    now: Timestamp,
) -> Result<(), Refusal> {
    let Delegate { consented, fit, .. } = delegate;
    // Only who held the agent against what was consented to has one.
    let _: &Fit = fit;
    let live = snapshot.delegation(consented.subject, consented.id, now);
    let (_, present) = live.map_err(|why| no_consent(why).about(consented.id))?;
    let scope = Scope::parse(grant.scope.unwrap_or(""));
    let is_within = scope.is_ok_and(|scope| scope.is_within(&present.scope));
    let is_narrow = tool_call::is_within(grant.calls, present.calls.as_ref());
    let is_bound = present.binding != Binding::Key || grant.cnf.is_some();
    let is_shorter = grant.expires_at <= present.expires_at;
    let is_less = is_within && is_narrow && is_bound && is_shorter;
    if grant.audience != present.resource || !is_less {
        tracing::error!(grant.id = %consented.id, "a token would be more than its grant; it was not issued");
        return Err(no_consent(Inactive::Grant).about(consented.id));
    }
    Ok(())
}

fn no_consent(why: Inactive) -> Refusal {
    match why {
        Inactive::Subject | Inactive::Grant => Refusal::new(
            ErrorCode::InvalidGrant,
            "what the person consented to is not in force",
            why.code(),
        ),
        Inactive::Expired
        | Inactive::Revoked
        | Inactive::Agent
        | Inactive::Stopped
        | Inactive::Version => Refusal::new(ErrorCode::InvalidClient, FAILED, why.code()),
    }
}
