//! Tokens on behalf of a person: what a code or a refresh token gives, whichever way it came, and when everything behind it
//! is as it was.

use std::sync::Arc;

use chancery_gateway::snapshot::{KnownAgent, Snapshot};
use chancery_model::assurance::Acr;
use chancery_model::decision::Permit;
use chancery_model::grant::{Binding, Grant as Consented};
use chancery_model::scope::Scope;
use chancery_model::time::Timestamp;
use chancery_model::tool_call::ToolCalls;
use chancery_store::authentications::Authentication;
use chancery_store::journal::{AppendError, Step};
use chancery_store::one_time::OneTime;
use chancery_store::refresh_tokens::RefreshToken;
use chancery_wire::base64url;
use chancery_wire::oauth::{ErrorCode, TokenResponse, TokenType};

use crate::grants::fit::{self, Fit};
use crate::refresh;
use crate::state::Authority;
use crate::tokens::binding::require_binding;
use crate::tokens::bond::Bond;
use crate::tokens::client::{FAILED, Who};
use crate::tokens::id_token;
use crate::tokens::issue;
use crate::tokens::mint::{Delegate, Grant, Holder, Minted, mint};
use crate::tokens::redeem::{IDLE, REFRESH, end_because, refresh_hash, refuse};
use crate::tokens::refusal::Refusal;

/// What belongs to a code that is of use once.
pub(crate) struct Once<'a> {
    /// What the request used up.
    pub(crate) uses: Vec<OneTime>,
    /// What the client sent along for its ID token.
    pub(crate) nonce: Option<&'a str>,
    /// The reason for the record when the code came twice.
    pub(crate) replayed: &'static str,
}

/// What is to be fetched on behalf of a person.
pub(crate) struct Fetch<'a> {
    pub(crate) consented: &'a Consented,
    pub(crate) scope: &'a Scope,
    /// The tool calls that this token is limited to.
    pub(crate) calls: Option<&'a ToolCalls>,
    /// Those that later ones are limited to.
    pub(crate) given: Option<&'a ToolCalls>,
    /// What the client proved to hold.
    pub(crate) held: &'a Bond,
    pub(crate) auth_time: Option<Timestamp>,
    pub(crate) acr: Option<Acr>,
}

impl Fetch<'_> {
    /// Makes the token, if the resource takes one so bound, the agent is still what the person consented to, policy
    /// permits it, and everything is live.
    pub(crate) async fn mint(
        &self,
        authority: &Authority,
        agent: &KnownAgent,
        now: Timestamp,
    ) -> Result<(Minted, Permit), Refusal> {
        let consented = self.consented;
        let about = |refused: Refusal| refused.about(consented.id);
        let mut snapshot = authority.current.load_full();
        if !snapshot.grants.contains_key(&consented.id) && consented.is_in_force(now) {
            // Another process has just heard of it.
            refresh::catch_up(authority).await?;
            snapshot = authority.current.load_full();
        }
        let snapshot: &Snapshot = &snapshot;
        let known = snapshot.agents.get(&agent.agent.id);
        let known = known.ok_or(Refusal::new(ErrorCode::InvalidClient, FAILED, "stopped"))?;
        let resource = &*consented.resource;
        require_binding(authority, snapshot, resource, self.held.cnf.as_ref(), now)?;
        let fit = self.fit(authority, known).await.map_err(about)?;
        let live = snapshot.delegation(consented.subject, consented.id, now);
        let (person, _) = live.map_err(|why| about(refuse(why.code())))?;
        let scope = Some(self.scope.to_string()).filter(|scope| !scope.is_empty());
        let scope = scope.as_deref();
        let permit = issue::decide(
            authority,
            snapshot,
            known,
            resource,
            scope,
            Some(person),
            now,
        );
        let permit = permit.map_err(about)?;
        let end = now.after(authority.config.access_token_lifetime);
        let grant = Grant {
            holder: Holder::Delegate(Delegate {
                agent: known,
                consented,
                fit,
                auth_time: self.auth_time,
                acr: self.acr,
            }),
            audience: resource,
            scope,
            calls: self.calls,
            cnf: self.held.cnf.as_ref(),
            instance: self.held.instance.as_deref(),
            expires_at: end.min(consented.expires_at),
        };
        let key = &authority.keys.load().access_token;
        let minted = mint(snapshot, key, &grant, &*authority.entropy, now)?;
        Ok((minted, permit))
    }

    /// Gives the tokens of a code, of whichever kind, once. `keep` says what is written with them: the refresh token, if there is
    /// one, and the step.
    pub(crate) async fn give(
        &self,
        authority: &Authority,
        agent: &Arc<KnownAgent>,
        once: Once<'_>,
        keep: impl FnOnce() -> (Option<String>, Step),
        now: Timestamp,
    ) -> Result<TokenResponse, Refusal> {
        let (minted, permit) = self.mint(authority, agent, now).await?;
        let (refresh_token, step) = keep();
        let id_token = id_token::make(authority, &minted, self.scope, once.nonce, now)?;
        let who = Who::Agent(Arc::clone(agent));
        let event = issue::issued(authority, &who, &minted, Some(&permit), now);
        let event = id_token::told(event, id_token.is_some());
        match authority.journal.append_step(event, once.uses, step).await {
            Ok(()) => {}
            // Of several who came with the same code one was faster, or the grant ended meanwhile.
            Err(AppendError::Lost) => {
                let why = once.replayed;
                return Err(end_because(why, authority, agent, self.consented, now).await);
            }
            Err(error) => return Err(Refusal::from(error)),
        }
        let issued = Issued {
            minted,
            refresh_token,
            id_token,
        };
        answer(authority, agent, issued, now)
    }

    /// What the next token is fetched with. Without a key there is nothing that would keep a token of such a life from
    /// whoever finds it, and the person was told of one short token: a key that is shown only now does not make more of it.
    pub(crate) fn refresh(
        &self,
        authority: &Authority,
        now: Timestamp,
    ) -> Option<(String, RefreshToken)> {
        let consented = self.consented;
        let cnf = match consented.binding {
            Binding::Key => self.held.to_text()?,
            Binding::Bearer | Binding::Rotation => return None,
        };
        let mut random = [0; 32];
        authority.entropy.fill(&mut random);
        let text = format!("{REFRESH}{}", base64url::encode(&random));
        let token = RefreshToken {
            token_hash: refresh_hash(&text),
            grant: consented.id,
            scope: self.scope.clone(),
            calls: self.given.cloned(),
            cnf,
            auth_time: self.auth_time,
            authentication: Authentication {
                nonce: None,
                acr: self.acr,
                must_ask: false,
            },
            idle_until: now.after(IDLE),
            expires_at: consented.expires_at,
        };
        Some((text, token))
    }

    async fn fit(&self, authority: &Authority, known: &KnownAgent) -> Result<Fit, Refusal> {
        let mut tx = authority.store.read().await?;
        let fit = fit::fit(&mut tx, known, self.consented).await?;
        fit.ok_or_else(|| refuse("version_widened"))
    }
}

/// What a client gets.
pub(crate) struct Issued {
    pub(crate) minted: Minted,
    pub(crate) refresh_token: Option<String>,
    pub(crate) id_token: Option<String>,
}

/// The answer with a token. A stop that was committed while we wrote wins: what was made is void then and does not leave
/// (SI-12).
pub(crate) fn answer(
    authority: &Authority,
    agent: &KnownAgent,
    issued: Issued,
    now: Timestamp,
) -> Result<TokenResponse, Refusal> {
    let Minted { token, claims } = issued.minted;
    let present = authority.current.load();
    let known = present.agents.get(&agent.agent.id);
    let known = known.ok_or_else(|| refuse("stopped"))?;
    let upheld = present.uphold_claims(known, &claims, now);
    upheld.map_err(|why| refuse(why.code()))?;
    Ok(TokenResponse {
        access_token: token,
        token_type: TokenType::of(claims.cnf.as_ref()),
        expires_in: u64::try_from(claims.exp - claims.iat).unwrap_or(0),
        scope: claims.scope,
        authorization_details: claims.authorization_details,
        refresh_token: issued.refresh_token,
        id_token: issued.id_token,
    })
}
