//! A code for tokens: what a person consented to, fetched by the client that the code was sent to, with the key and the
//! secret that it is bound to, once.

use std::sync::Arc;
use std::time::Duration;

use chancery_gateway::snapshot::{KnownAgent, Snapshot};
use chancery_model::assurance::Acr;
use chancery_model::decision::Permit;
use chancery_model::digest::Digest;
use chancery_model::event::{Actor, ActorKind, Event, EventKind};
use chancery_model::grant::{Binding, Grant as Consented};
use chancery_model::scope::Scope;
use chancery_model::time::Timestamp;
use chancery_model::tool_call::ToolCalls;
use chancery_store::authentications::Authentication;
use chancery_store::journal::{AppendError, Step};
use chancery_store::one_time::OneTime;
use chancery_store::refresh_tokens::RefreshToken;
use chancery_wire::dpop::VerifiedProof;
use chancery_wire::oauth::{ErrorCode, Form, TokenResponse, TokenType};
use chancery_wire::{base64url, hash};

use crate::grants::end;
use crate::grants::fit::{self, Fit};
use crate::refresh;
use crate::state::Authority;
use crate::tokens::binding::{prove, require_binding};
use crate::tokens::bond::Bond;
use crate::tokens::calls;
use crate::tokens::client::{self, FAILED, Who};
use crate::tokens::code::{self, Bonds};
use crate::tokens::id_token;
use crate::tokens::issue::{self, Request};
use crate::tokens::mint::{Delegate, Grant, Holder, Minted, mint};
use crate::tokens::refusal::Refusal;

/// How long a refresh token lives without being used.
pub(crate) const IDLE: Duration = Duration::from_secs(8 * 3_600);

/// The form of refresh tokens, which nothing takes for one of another kind (TOK-03).
pub(crate) const REFRESH: &str = "chr_";

/// The hash by which a refresh token is kept.
pub(crate) fn refresh_hash(token: &str) -> Digest {
    hash::sha256_for("refresh token", &[token])
}

/// `grant_type=authorization_code`.
pub(crate) async fn redeem(request: &Request<'_>) -> Result<TokenResponse, Refusal> {
    let Request {
        endpoints,
        headers,
        form,
        client,
        now,
    } = *request;
    let authority = &*endpoints.authority;
    let agent = require_agent(&client.who)?;
    let proof = prove(endpoints, &endpoints.token_url, headers, now)?;
    let (code, consented) = code::find(authority, form).await?;
    let held = Bond::of(proof.as_ref(), client);
    let bonds = Bonds {
        form,
        code: &code,
        consented: &consented,
        held: &held,
    };
    let agent = bonds.require(authority, Some(agent), now).await?;
    let calls = calls::shrunk(form, &consented.resource, code.calls.as_ref())?;
    let step = |refresh| Step::Redeem {
        code: code.code_hash,
        grant: consented.id,
        refresh,
    };
    let fetch = Fetch {
        consented: &consented,
        scope: &code.scope,
        calls: calls.as_ref(),
        given: code.calls.as_ref(),
        held: &held,
        auth_time: code.auth_time,
        acr: code.authentication.acr,
    };
    let (minted, permit) = fetch.mint(authority, agent, now).await?;
    let (refresh_token, kept) = fetch.refresh(authority, now).unzip();
    let nonce = code.authentication.nonce.as_deref();
    let id_token = id_token::make(authority, &minted, &code.scope, nonce, now)?;
    let uses = uses(client.assertion, proof.as_ref());
    let event = issue::issued(authority, &client.who, &minted, Some(&permit), now);
    let event = id_token::told(event, id_token.is_some());
    match authority.journal.append_step(event, uses, step(kept)).await {
        Ok(()) => {}
        // Of several who came with the same code one was faster, or the grant ended meanwhile.
        Err(AppendError::Lost) => {
            return Err(code::replayed(authority, agent, &consented, now).await);
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

/// Ends a grant because of what came for it, and refuses with the same reason.
pub(crate) async fn end_because(
    why: &'static str,
    authority: &Authority,
    agent: &KnownAgent,
    consented: &Consented,
    now: Timestamp,
) -> Refusal {
    let actor = Actor {
        id: agent.agent.id.to_string(),
        kind: ActorKind::Agent,
    };
    let entropy = &*authority.entropy;
    let event = Event {
        agent: Some(agent.recorded.clone()),
        outcome: why.to_owned(),
        ..Event::new(EventKind::GrantRevoked, actor, now, entropy)
    };
    match end::end(authority, consented.id, &event).await {
        Ok(()) => refuse(why).about(consented.id),
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                grant.id = %consented.id,
                why, "the grant could not be ended"
            );
            Refusal::unavailable()
        }
    }
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

/// What a client is told whose code or refresh token is of no use; the record has the reason.
pub(crate) fn refuse(code: &'static str) -> Refusal {
    let description = "the code or refresh token is of no use to this client";
    Refusal::new(ErrorCode::InvalidGrant, description, code)
}

/// Only agents act on behalf of people.
pub(crate) fn require_agent(who: &Who) -> Result<&Arc<KnownAgent>, Refusal> {
    match who {
        Who::Agent(known) => Ok(known),
        Who::Resource(_) => Err(Refusal::new(
            ErrorCode::UnauthorizedClient,
            "only an agent acts on behalf of a person",
            "not_an_agent",
        )),
    }
}

/// A resource that is named must be that of the grant (RFC 8707 2.2, TOK-12).
pub(crate) fn require_resource(form: &Form<'_>, consented: &Consented) -> Result<(), Refusal> {
    let named = form.fetch("resource");
    if named.is_none_or(|resource| resource == consented.resource) {
        return Ok(());
    }
    let refused = Refusal::new(
        ErrorCode::InvalidTarget,
        "the person consented to another resource",
        "resource_mismatch",
    );
    Err(refused.about(consented.id))
}

/// What a request used up that led to a token.
pub(crate) fn uses(assertion: Option<OneTime>, proof: Option<&VerifiedProof>) -> Vec<OneTime> {
    let proof = proof.map(|proof| client::once(proof.jti_hash(), proof.expires_at()));
    // Of a client that authenticates by its proof, both are one.
    let proof = proof.filter(|proof| assertion.is_none_or(|used| used.hash != proof.hash));
    assertion.into_iter().chain(proof).collect()
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
