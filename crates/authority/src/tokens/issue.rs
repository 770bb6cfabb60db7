//! Issuing: parse, authenticate the client, prove the key, decide, sign, look again, record, answer.

use std::sync::Arc;

use axum::Json;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use chancery_gateway::snapshot::{KnownAgent, Snapshot};
use chancery_model::bearer;
use chancery_model::decision::Permit;
use chancery_model::event::{Actor, ActorKind, DecisionFacts, Event, EventKind, TokenFacts};
use chancery_model::id::ClientId;
use chancery_model::time::Timestamp;
use chancery_policy::Question;
use chancery_wire::dpop::{self, NonceRule, VerifiedProof};
use chancery_wire::metadata;
use chancery_wire::oauth::{ErrorCode, Form, TokenResponse, TokenType};

use crate::state::Authority;
use crate::tokens::Endpoints;
use crate::tokens::client::{self, Client, FAILED, Who};
use crate::tokens::form;
use crate::tokens::mint::{Grant, Holder, Minted, mint};
use crate::tokens::refusal::{self, Refusal};

/// How old a DPoP nonce may be.
const NONCE_AGE: std::time::Duration = std::time::Duration::from_secs(60);
/// The scope of a resource server's token for our own endpoints.
pub(crate) const INTROSPECT: &str = "introspect";

/// `POST /oauth/token`.
pub(crate) async fn issue(endpoints: &Endpoints, headers: &HeaderMap, body: &[u8]) -> Response {
    let authority = &*endpoints.authority;
    let now = authority.clock.now();
    match try_issue(endpoints, headers, body, now).await {
        Ok(response) => {
            let mut response = Json(response).into_response();
            refusal::no_store(response.headers_mut());
            // The next proof can carry the next nonce without a round trip.
            if let Ok(nonce) = HeaderValue::from_str(&authority.nonces.issue(now)) {
                response.headers_mut().insert("DPoP-Nonce", nonce);
            }
            response
        }
        Err(refused) => refusal::answer(authority, now, "token", refused).await,
    }
}

async fn try_issue(
    endpoints: &Endpoints,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<TokenResponse, Refusal> {
    let authority = &*endpoints.authority;
    let form = form::parse(headers, body)?;
    if form.require("grant_type", "`grant_type` is missing")? != "client_credentials" {
        return Err(Refusal::new(
            ErrorCode::UnsupportedGrantType,
            "the grant type is `client_credentials`",
            "unsupported_grant_type",
        ));
    }
    let snapshot = authority.current.load_full();
    let client = client::authenticate(authority, &snapshot, headers, &form, now)?;
    issue_to(endpoints, headers, &snapshot, &form, &client, now)
        .await
        .map_err(|refused| refused.proven(client.who.id(), client.assertion))
}

/// What follows once it is known who asks.
async fn issue_to(
    endpoints: &Endpoints,
    headers: &HeaderMap,
    snapshot: &Snapshot,
    form: &Form<'_>,
    client: &Client,
    now: Timestamp,
) -> Result<TokenResponse, Refusal> {
    let authority = &*endpoints.authority;
    let proof = prove(endpoints, headers, now)?;
    let resource = form.fetch("resource").ok_or(Refusal::new(
        ErrorCode::InvalidTarget,
        "say with `resource` whom the token is for",
        "no_resource",
    ))?;
    let resource = metadata::resource_uri(resource).map_err(|_| {
        Refusal::new(
            ErrorCode::InvalidTarget,
            "`resource` is not a resource identifier",
            "bad_resource",
        )
    })?;
    let scope = form.fetch("scope");
    let jkt = proof.as_ref().map(VerifiedProof::jkt);
    let expires_at = now.after(authority.config.access_token_lifetime);

    let (minted, permit) = match &client.who {
        Who::Agent(known) => {
            require_binding(authority, snapshot, resource, jkt, now)?;
            let permit = decide(authority, snapshot, known, resource, scope, now)?;
            let grant = Grant {
                holder: Holder::Agent(known),
                audience: resource,
                scope,
                jkt,
                expires_at,
            };
            let key = &authority.keys.load().access_token;
            let minted = mint(snapshot, key, &grant, &*authority.entropy, now);
            (minted?, Some(permit))
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
                jkt,
                expires_at,
            };
            let key = &authority.keys.load().access_token;
            (mint(snapshot, key, &grant, &*authority.entropy, now)?, None)
        }
    };

    let mut uses = vec![client.assertion];
    uses.extend(
        proof
            .as_ref()
            .map(|proof| client::once(proof.jti_hash(), proof.expires_at())),
    );
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
        let is_live = known.is_some_and(|known| known.uphold(&minted.claims, now).is_ok());
        if !is_live {
            return Err(Refusal::new(ErrorCode::InvalidClient, FAILED, "stopped"));
        }
    }
    Ok(TokenResponse {
        access_token: minted.token,
        token_type: if jkt.is_some() {
            TokenType::DPoP
        } else {
            TokenType::Bearer
        },
        expires_in: authority.config.access_token_lifetime.as_secs(),
        scope: minted.claims.scope,
    })
}

/// Checks the DPoP proof, if one came; more than one is an error (RFC 9449 4.3).
fn prove(
    endpoints: &Endpoints,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Option<VerifiedProof>, Refusal> {
    let invalid = |code| {
        Refusal::new(
            ErrorCode::InvalidDpopProof,
            "the DPoP proof is not acceptable",
            code,
        )
    };
    let mut proofs = headers.get_all("DPoP").iter();
    let Some(proof) = proofs.next() else {
        return Ok(None);
    };
    if proofs.next().is_some() {
        return Err(invalid("several_proofs"));
    }
    let proof = proof.to_str().map_err(|_| invalid("malformed"))?;
    let nonces = &endpoints.authority.nonces;
    let check = |nonce: &str| nonces.check(nonce, now, NONCE_AGE);
    let expect = dpop::Expect {
        method: "POST",
        url: &endpoints.token_url,
        now,
        window: dpop::WINDOW,
        access_token: None,
        bound_jkt: None,
        nonce: NonceRule::Required(&check),
    };
    let proof = endpoints.memory.prove(proof, &expect);
    proof.map(Some).map_err(|error| {
        let code = error.error_code();
        let description = if code == ErrorCode::UseDpopNonce {
            "the DPoP proof must carry the nonce of this answer"
        } else {
            "the DPoP proof is not acceptable"
        };
        Refusal {
            nonce: true,
            ..Refusal::new(code, description, error.code())
        }
    })
}

/// Without a proof only where an explicit, unexpired exception allows it (SI-3).
fn require_binding(
    authority: &Authority,
    snapshot: &Snapshot,
    resource: &str,
    jkt: Option<&str>,
    now: Timestamp,
) -> Result<(), Refusal> {
    let bearer_until = match find_resource(authority, snapshot, resource) {
        Some(Target::Mcp(until) | Target::Resource(until)) => until,
        None => {
            return Err(Refusal::new(
                ErrorCode::InvalidTarget,
                "the resource is not registered",
                "unknown_resource",
            ));
        }
    };
    if jkt.is_none() && !bearer::is_allowed(bearer_until, now) {
        return Err(Refusal {
            nonce: true,
            ..Refusal::new(
                ErrorCode::InvalidDpopProof,
                "tokens for this resource are bound to a key; send a DPoP proof",
                "proof_missing",
            )
        });
    }
    Ok(())
}

/// What a resource identifier names, with the end of its exception from bound tokens.
enum Target {
    Mcp(Option<Timestamp>),
    Resource(Option<Timestamp>),
}

fn find_resource(authority: &Authority, snapshot: &Snapshot, resource: &str) -> Option<Target> {
    let behind_gateway = resource.strip_prefix(snapshot.issuer.as_str());
    if let Some(name) = behind_gateway.and_then(|path| path.strip_prefix("/mcp/")) {
        return snapshot
            .servers
            .get(name)
            .map(|known| Target::Mcp(known.server.bearer_until));
    }
    let directory = authority.directory.load();
    directory
        .by_url
        .get(resource)
        .map(|known| Target::Resource(known.resource.bearer_until))
}

fn decide(
    authority: &Authority,
    snapshot: &Snapshot,
    known: &Arc<KnownAgent>,
    resource: &str,
    scope: Option<&str>,
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

fn issued(
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
    Event {
        agent,
        decision: permit.map(|permit| DecisionFacts::from(permit.decision())),
        facts: claims
            .scope
            .iter()
            .map(|scope| ("scope".to_owned(), scope.clone()))
            .collect(),
        token: Some(TokenFacts {
            audience: claims.aud.clone(),
            expires_at: claims.exp,
            jkt: claims.cnf.as_ref().map(|cnf| cnf.jkt.clone()),
            jti: claims.jti,
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
