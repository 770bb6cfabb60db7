//! Public clients: they have no key, so nothing but a code or a refresh token says that somebody is one. A code is of use
//! to whoever has the secret that it was asked for with; a refresh token is of use once.
//!
//! A refresh token that comes twice is in two hands, and nobody can tell whose is the wrong one: the grant ends, with all
//! that came of it (RFC 9700 4.14.2). There is no grace, so a client that loses an answer asks its person again.

use std::sync::Arc;

use axum::http::HeaderMap;
use chancery_gateway::snapshot::KnownAgent;
use chancery_model::grant::Grant as Consented;
use chancery_model::scope::Scope;
use chancery_model::time::Timestamp;
use chancery_store::authentications::Authentication;
use chancery_store::journal::{AppendError, Step};
use chancery_store::rotating_tokens::{self, RotatingToken};
use chancery_store::{grants, registered_clients};
use chancery_wire::base64url;
use chancery_wire::dpop::VerifiedProof;
use chancery_wire::oauth::{ErrorCode, Form, TokenResponse};

use crate::refresh;
use crate::state::Authority;
use crate::tokens::Endpoints;
use crate::tokens::binding::prove;
use crate::tokens::bond::{Bond, PROOF_MISSING};
use crate::tokens::calls;
use crate::tokens::client::Who;
use crate::tokens::code::{self, Bonds};
use crate::tokens::fetch::{Fetch, Issued, Once, answer};
use crate::tokens::issue::{self, GrantType};
use crate::tokens::redeem::{IDLE, end_because, refresh_hash, refuse, require_resource, uses};
use crate::tokens::refusal::Refusal;
use crate::tokens::renew::{proof_missing, shrunk};

/// The form of refresh tokens of public clients, which nothing takes for one of another kind (TOK-03).
const ROTATING: &str = "chp_";

/// A request for a token by a client that proves nothing by its name.
pub(crate) struct Request<'a> {
    pub(crate) endpoints: &'a Endpoints,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) form: &'a Form<'a>,
    /// What the client calls itself.
    pub(crate) client: &'a str,
    pub(crate) now: Timestamp,
}

/// Issues by a code or a refresh token; on its own behalf a public client has nothing.
pub(crate) async fn issue(
    request: &Request<'_>,
    grant_type: &GrantType,
) -> Result<TokenResponse, Refusal> {
    let issued = match grant_type {
        GrantType::AuthorizationCode => redeem(request).await,
        GrantType::RefreshToken => rotate(request).await,
        // Whoever waits for a person elsewhere shows no redirect URI that would say who it is (RFC 8628 5.6).
        GrantType::ClientCredentials | GrantType::DeviceCode => Err(Refusal::new(
            ErrorCode::UnauthorizedClient,
            "a client without a key acts on behalf of a person, or not at all",
            "public_client",
        )),
    };
    issued.map_err(|refused| {
        match refused.error.code {
            // Nothing is wrong with the client, which did not authenticate: it is its agent that may not act.
            ErrorCode::InvalidClient => Refusal {
                grant: refused.grant,
                ..refuse(refused.code)
            },
            _ => refused,
        }
        .named(request.client)
    })
}

async fn redeem(request: &Request<'_>) -> Result<TokenResponse, Refusal> {
    let Request {
        endpoints,
        headers,
        form,
        client: _,
        now,
    } = *request;
    let authority = &*endpoints.authority;
    let proof = prove(endpoints, &endpoints.token_url, headers, now)?;
    let (code, consented) = code::find(authority, form).await?;
    let agent = find_agent(request, &consented).await?;
    let held = Bond::of_parts(proof.as_ref().map(VerifiedProof::jkt), None);
    let bonds = Bonds {
        form,
        code: &code,
        consented: &consented,
        held: &held,
    };
    let agent = bonds.require(authority, agent.as_ref(), now).await?;
    let calls = calls::shrunk(form, &consented.resource, code.calls.as_ref())?;
    let fetch = Fetch {
        consented: &consented,
        scope: &code.scope,
        calls: calls.as_ref(),
        given: code.calls.as_ref(),
        held: &held,
        auth_time: code.auth_time,
        acr: code.authentication.acr,
    };
    let once = Once {
        uses: uses(None, proof.as_ref()),
        nonce: code.authentication.nonce.as_deref(),
        replayed: code::REPLAYED,
    };
    let keep = || {
        let (refresh_token, refresh) = new_token(authority, &fetch, &code.scope, now);
        let step = Step::RedeemPublic {
            code: code.code_hash,
            refresh,
        };
        (Some(refresh_token), step)
    };
    fetch.give(authority, agent, once, keep, now).await
}

async fn rotate(request: &Request<'_>) -> Result<TokenResponse, Refusal> {
    let Request {
        endpoints,
        headers,
        form,
        client: _,
        now,
    } = *request;
    let authority = &*endpoints.authority;
    let proof = prove(endpoints, &endpoints.token_url, headers, now)?;
    let text = form.require("refresh_token", "`refresh_token` is missing")?;
    let unknown = refuse("unknown_refresh_token");
    if !text.starts_with(ROTATING) {
        return Err(unknown);
    }
    let mut tx = authority.store.read().await?;
    let token = rotating_tokens::fetch(&mut tx, refresh_hash(text)).await?;
    let token = token.ok_or(unknown)?;
    let consented = grants::fetch(&mut tx, token.grant).await?;
    let consented = consented.ok_or(Refusal::unavailable())?;
    drop(tx);
    let refuse = |code| refuse(code).about(consented.id);
    let agent = find_agent(request, &consented).await?;
    let agent = agent.ok_or_else(|| refuse("refresh_token_of_another_client"))?;
    let held = Bond::of_parts(proof.as_ref().map(VerifiedProof::jkt), None);
    // What was not bound may be from now on.
    match Bond::of_parts(token.jkt.as_deref(), None).require(&held) {
        Ok(()) => {}
        Err(PROOF_MISSING) => return Err(proof_missing()),
        Err(why) => return Err(refuse(why)),
    }
    if token.used_at.is_some() {
        return Err(reused(authority, &agent, &consented, now).await);
    }
    if !token.is_in_time(now) || !consented.is_in_force(now) {
        return Err(refuse("grant_not_in_force"));
    }
    require_resource(form, &consented)?;
    let scope = shrunk(form.fetch("scope"), &token.scope)?;
    let calls = calls::shrunk(form, &consented.resource, token.calls.as_ref())?;
    let fetch = Fetch {
        consented: &consented,
        scope: &scope,
        calls: calls.as_ref(),
        given: token.calls.as_ref(),
        held: &held,
        auth_time: token.auth_time,
        acr: token.authentication.acr,
    };
    let (minted, permit) = fetch.mint(authority, &agent, now).await?;
    let (next_token, next) = new_token(authority, &fetch, &token.scope, now);
    let who = Who::Agent(Arc::clone(&agent));
    let event = issue::issued(authority, &who, &minted, Some(&permit), now);
    let step = Step::Rotate {
        token: token.token_hash,
        next,
    };
    match authority
        .journal
        .append_step(event, uses(None, proof.as_ref()), step)
        .await
    {
        Ok(()) => {}
        // Somebody else was faster with the same token.
        Err(AppendError::Lost) => return Err(reused(authority, &agent, &consented, now).await),
        Err(error) => return Err(Refusal::from(error)),
    }
    let issued = Issued {
        minted,
        refresh_token: Some(next_token),
        id_token: None,
    };
    answer(authority, &agent, issued, now)
}

/// The agent that a grant is to, if it is what the client that asks became; the name proves nothing, but no client has
/// any use of what is another's.
async fn find_agent(
    request: &Request<'_>,
    consented: &Consented,
) -> Result<Option<Arc<KnownAgent>>, Refusal> {
    let authority = &*request.endpoints.authority;
    let mut snapshot = authority.current.load_full();
    if !snapshot.agents.contains_key(&consented.agent) && consented.is_in_force(request.now) {
        // Another process has just heard of it.
        refresh::catch_up(authority).await?;
        snapshot = authority.current.load_full();
    }
    if let Ok(id) = request.client.parse() {
        // One that registered itself and was removed renews nothing (REG-04).
        let mut tx = authority.store.read().await?;
        if registered_clients::fetch(&mut tx, id, request.now)
            .await?
            .is_none()
        {
            return Ok(None);
        }
    }
    let agent = snapshot.agents.get(&consented.agent);
    let agent = agent.filter(|agent| agent.client.as_deref() == Some(request.client));
    Ok(agent.cloned())
}

/// A refresh token came twice: everything that came of its grant ends.
async fn reused(
    authority: &Authority,
    agent: &KnownAgent,
    consented: &Consented,
    now: Timestamp,
) -> Refusal {
    end_because("refresh_token_reused", authority, agent, consented, now).await
}

fn new_token(
    authority: &Authority,
    fetch: &Fetch<'_>,
    scope: &Scope,
    now: Timestamp,
) -> (String, RotatingToken) {
    let mut random = [0; 32];
    authority.entropy.fill(&mut random);
    let text = format!("{ROTATING}{}", base64url::encode(&random));
    let token = RotatingToken {
        token_hash: refresh_hash(&text),
        grant: fetch.consented.id,
        scope: scope.clone(),
        calls: fetch.given.cloned(),
        jkt: fetch.held.cnf.as_ref().and_then(|cnf| cnf.jkt.clone()),
        auth_time: fetch.auth_time,
        authentication: Authentication {
            nonce: None,
            acr: fetch.acr,
            must_ask: false,
        },
        idle_until: now.after(IDLE),
        expires_at: fetch.consented.expires_at,
        used_at: None,
    };
    (text, token)
}
