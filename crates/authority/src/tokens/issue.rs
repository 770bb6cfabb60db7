//! Issuing: parse, authenticate the client, prove the key, decide, sign, look again, record, answer.

use axum::Json;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::Response;
use chancery_gateway::snapshot::{KnownAgent, Snapshot};
use chancery_model::decision::Permit;
use chancery_model::event::{Actor, ActorKind, DecisionFacts, Event, EventKind, TokenFacts};
use chancery_model::id::ClientId;
use chancery_model::time::Timestamp;
use chancery_model::tool_call::ToolCalls;
use chancery_policy::{PersonFacts, Question};
use chancery_wire::dpop::VerifiedProof;
use chancery_wire::metadata;
use chancery_wire::oauth::{DEVICE_CODE, ErrorCode, Form, JWT_BEARER, TokenResponse, TokenType};

use crate::grants::end::{CALLS, calls_text};
use crate::refresh::GRANT;
use crate::state::Authority;
use crate::tokens::Endpoints;
use crate::tokens::binding::{prove, require_binding};
use crate::tokens::bond::Bond;
use crate::tokens::calls;
use crate::tokens::client::{self, Client, FAILED, Who};
use crate::tokens::collect;
use crate::tokens::form;
use crate::tokens::mint::{Grant, Holder, Minted, mint};
use crate::tokens::public;
use crate::tokens::redeem::{self, uses};
use crate::tokens::refusal::{self, Refusal};
use crate::tokens::renew;
use crate::tokens::workload;

/// The scope of a resource server's token for our own endpoints.
pub(crate) const INTROSPECT: &str = "introspect";

/// `POST /oauth/token`.
pub(crate) async fn issue(endpoints: &Endpoints, head: &Parts, body: &[u8]) -> Response {
    let authority = &*endpoints.authority;
    let now = authority.clock.now();
    match try_issue(endpoints, head, body, now).await {
        Ok(response) => refusal::with_nonce(authority, now, Json(response)),
        Err(refused) => refusal::answer(authority, now, "token", refused).await,
    }
}

async fn try_issue(
    endpoints: &Endpoints,
    head: &Parts,
    body: &[u8],
    now: Timestamp,
) -> Result<TokenResponse, Refusal> {
    let authority = &*endpoints.authority;
    let headers = &head.headers;
    let form = form::parse(headers, body)?;
    let grant_type = form.require("grant_type", "`grant_type` is missing")?;
    // Who comes so does not authenticate: another issuer vouches for it.
    if grant_type == JWT_BEARER {
        return workload::issue(endpoints, head, &form, now).await;
    }
    let grant_type = GrantType::parse(grant_type).ok_or(Refusal::new(
        ErrorCode::UnsupportedGrantType,
        "the grant type is none of those that the metadata lists",
        "unsupported_grant_type",
    ))?;
    if let Some(client) = client::public(headers, &form) {
        let request = public::Request {
            endpoints,
            headers,
            form: &form,
            client,
            now,
        };
        return public::issue(&request, &grant_type).await;
    }
    let snapshot = authority.current.load_full();
    let client = client::authenticate(authority, &snapshot, head, &form, now)?;
    let request = Request {
        endpoints,
        headers,
        form: &form,
        client: &client,
        now,
    };
    let issued = match grant_type {
        GrantType::ClientCredentials => issue_to(&request, &snapshot).await,
        GrantType::AuthorizationCode => redeem::redeem(&request).await,
        GrantType::RefreshToken => renew::renew(&request).await,
        GrantType::DeviceCode => collect::collect(&request).await,
    };
    issued.map_err(|refused| refused.proven(client.who.id(), client.assertion))
}

/// By what a client asks for a token.
pub(crate) enum GrantType {
    AuthorizationCode,
    RefreshToken,
    ClientCredentials,
    DeviceCode,
}

impl GrantType {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "authorization_code" => Some(Self::AuthorizationCode),
            "refresh_token" => Some(Self::RefreshToken),
            "client_credentials" => Some(Self::ClientCredentials),
            DEVICE_CODE => Some(Self::DeviceCode),
            _ => None,
        }
    }
}

/// A request for a token by a client that proved who it is.
pub(crate) struct Request<'a> {
    pub(crate) endpoints: &'a Endpoints,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) form: &'a Form<'a>,
    pub(crate) client: &'a Client,
    pub(crate) now: Timestamp,
}

/// What follows once it is known who asks.
async fn issue_to(request: &Request<'_>, snapshot: &Snapshot) -> Result<TokenResponse, Refusal> {
    let Request {
        endpoints,
        headers,
        form,
        client,
        now,
    } = *request;
    let authority = &*endpoints.authority;
    let proof = prove(endpoints, &endpoints.token_url, headers, now)?;
    let resource = resource(form)?;
    let scope = form.fetch("scope");
    let calls = calls::read(form, resource)?;
    let bond = Bond::of(proof.as_ref().map(VerifiedProof::jkt), client);
    let (minted, permit) = match &client.who {
        Who::Agent(known) => {
            let own = Own {
                resource,
                scope,
                calls: calls.as_ref(),
                held: &bond,
            };
            let (minted, permit) = own.mint(authority, snapshot, known, now)?;
            (minted, Some(permit))
        }
        Who::Resource(known) => {
            // A resource server gets tokens for our endpoints and for nothing else.
            if resource != snapshot.issuer || scope.is_some_and(|scope| scope != INTROSPECT) {
                return Err(Refusal::new(
                    ErrorCode::InvalidTarget,
                    "a resource server's token is for the issuer alone",
                    "bad_resource",
                ));
            }
            let holder = Holder::Resource(known.resource.id);
            let scope = Some(INTROSPECT);
            let grant = Grant {
                holder,
                audience: resource,
                scope,
                calls: None,
                cnf: bond.cnf.as_ref(),
                instance: bond.instance.as_deref(),
                expires_at: now.after(authority.config.access_token_lifetime),
            };
            let key = &authority.keys.load().access_token;
            (mint(snapshot, key, &grant, &*authority.entropy, now)?, None)
        }
    };

    let uses = uses(client.assertion, proof.as_ref());
    let event = issued(authority, &client.who, &minted, permit.as_ref(), now);
    authority
        .journal
        .append_once(event, uses)
        .await
        .map_err(Refusal::from)?;
    // A stop that was committed while we wrote wins: what was made is void and does not leave (SI-12).
    if let Who::Agent(known) = &client.who {
        let present = authority.current.load();
        let known = present.agents.get(&known.agent.id);
        let upheld = known.map(|known| present.uphold_claims(known, &minted.claims, now));
        if !matches!(upheld, Some(Ok(()))) {
            return Err(Refusal::new(ErrorCode::InvalidClient, FAILED, "stopped"));
        }
    }
    Ok(TokenResponse {
        access_token: minted.token,
        token_type: TokenType::of(minted.claims.cnf.as_ref()),
        expires_in: authority.config.access_token_lifetime.as_secs(),
        scope: minted.claims.scope,
        authorization_details: minted.claims.authorization_details,
        refresh_token: None,
        id_token: None,
    })
}

/// A token of an agent of its own, as it is asked for.
pub(crate) struct Own<'a> {
    /// Whom it is for.
    pub(crate) resource: &'a str,
    /// What for.
    pub(crate) scope: Option<&'a str>,
    /// The tool calls that it is limited to.
    pub(crate) calls: Option<&'a ToolCalls>,
    /// What the client proved to hold.
    pub(crate) held: &'a Bond,
}

impl Own<'_> {
    /// Makes the token, if the resource takes one so bound and policy permits it.
    pub(crate) fn mint(
        &self,
        authority: &Authority,
        snapshot: &Snapshot,
        known: &KnownAgent,
        now: Timestamp,
    ) -> Result<(Minted, Permit), Refusal> {
        let (resource, scope) = (self.resource, self.scope);
        let cnf = self.held.cnf.as_ref();
        require_binding(authority, snapshot, resource, cnf, now)?;
        let permit = decide(authority, snapshot, known, resource, scope, None, now)?;
        let grant = Grant {
            holder: Holder::Agent(known),
            audience: resource,
            scope,
            calls: self.calls,
            cnf,
            instance: self.held.instance.as_deref(),
            expires_at: now.after(authority.config.access_token_lifetime),
        };
        let key = &authority.keys.load().access_token;
        let minted = mint(snapshot, key, &grant, &*authority.entropy, now)?;
        Ok((minted, permit))
    }
}

/// The one resource that a token is asked for.
pub(crate) fn resource<'a>(form: &'a Form<'_>) -> Result<&'a str, Refusal> {
    let target = |description, code| Refusal::new(ErrorCode::InvalidTarget, description, code);
    let resource = form.fetch("resource").ok_or(target(
        "say with `resource` whom the token is for",
        "no_resource",
    ))?;
    let bad = "`resource` is not a resource identifier";
    metadata::resource_uri(resource).map_err(|_| target(bad, "bad_resource"))
}

/// Asks policy for exactly this token; on behalf of `subject`, or for the agent itself.
pub(crate) fn decide(
    authority: &Authority,
    snapshot: &Snapshot,
    known: &KnownAgent,
    resource: &str,
    scope: Option<&str>,
    subject: Option<&PersonFacts>,
    now: Timestamp,
) -> Result<Permit, Refusal> {
    let scopes: Vec<&str> = scope
        .unwrap_or("")
        .split(' ')
        .filter(|scope| !scope.is_empty())
        .collect();
    let question = Question::IssueToken {
        agent: &known.facts,
        resource,
        scopes: &scopes,
        subject,
    };
    let decision = snapshot
        .policy
        .decide(authority.decision_id(now), &question);
    decision.into_permit().map_err(|_| {
        if known.live(now).is_err() {
            // The mint says the same to every inactive agent; policy must not give it away first (TOK-10).
            return Refusal::new(ErrorCode::InvalidClient, FAILED, "principal_inactive");
        }
        if scopes.is_empty() {
            Refusal::new(
                ErrorCode::AccessDenied,
                "policy does not permit this token",
                "policy_denies",
            )
        } else {
            Refusal::new(
                ErrorCode::InvalidScope,
                "policy does not permit this scope",
                "policy_denies",
            )
        }
    })
}

/// The event of a token that was issued; its subject is the person when it is on behalf of one.
pub(crate) fn issued(
    authority: &Authority,
    who: &Who,
    minted: &Minted,
    permit: Option<&Permit>,
    now: Timestamp,
) -> Event {
    let (kind, agent) = match who {
        Who::Agent(known) => (ActorKind::Agent, Some(known.recorded.clone())),
        Who::Resource(_) => (ActorKind::Resource, None),
    };
    let claims = &minted.claims;
    let id: ClientId = who.id();
    let scope = claims.scope.clone().map(|scope| ("scope", scope));
    let grant = claims.grant_id.map(|grant| (GRANT, grant.to_string()));
    let details = calls_text(claims.authorization_details.as_ref());
    let details = Some(details).filter(|text| !text.is_empty());
    let details = details.map(|text| (CALLS, text));
    let instance = claims
        .agent
        .as_ref()
        .and_then(|agent| agent.instance.clone());
    let instance = instance.map(|instance| ("instance", instance));
    let facts = scope
        .into_iter()
        .chain(details)
        .chain(grant)
        .chain(instance);
    Event {
        agent,
        decision: permit.map(|permit| DecisionFacts::from(permit.decision())),
        facts: facts
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        subject: claims.grant_id.map(|_| claims.sub.clone()),
        token: Some(TokenFacts {
            audience: claims.aud.clone(),
            expires_at: claims.exp,
            jkt: claims.cnf.as_ref().and_then(|cnf| cnf.jkt.clone()),
            jti: claims.jti,
            x5t: claims.cnf.as_ref().and_then(|cnf| cnf.x5t.clone()),
        }),
        ..Event::new(
            EventKind::TokenIssued,
            Actor {
                id: id.to_string(),
                kind,
            },
            now,
            &*authority.entropy,
        )
    }
}
