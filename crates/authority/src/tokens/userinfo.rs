//! Who a person is, told to the client that the person signed in to (OpenID Connect Core 5.3): against an access token that is
//! for this and nothing else.

use axum::Json;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use chancery_gateway::snapshot::Snapshot;
use chancery_model::event::{Actor, ActorKind, Event, EventKind};
use chancery_model::time::Timestamp;
use chancery_wire::access_token::Claims;
use chancery_wire::id_token::{OPENID, Person};
use chancery_wire::oauth::{self, Credential, ErrorCode};

use crate::refresh::GRANT;
use crate::state::Authority;
use crate::tokens::Endpoints;
use crate::tokens::binding::{self, To};
use crate::tokens::redeem;
use crate::tokens::refusal::{self, Refusal};

/// `GET` and `POST /oauth/userinfo`. The token comes in the header, never in a form or a query.
pub(crate) async fn tell(endpoints: &Endpoints, head: &Parts) -> Response {
    let authority = &*endpoints.authority;
    let now = authority.clock.now();
    match try_to_tell(endpoints, head, now).await {
        Ok(person) => refusal::with_nonce(authority, now, Json(person)),
        Err(refused) => refusal::challenge(authority, now, "userinfo", refused).await,
    }
}

async fn try_to_tell(
    endpoints: &Endpoints,
    head: &Parts,
    now: Timestamp,
) -> Result<Person, Refusal> {
    let authority = &*endpoints.authority;
    let headers = &head.headers;
    let snapshot = authority.current.load_full();
    if snapshot.freshness.is_stale(now) {
        return Err(Refusal::unavailable());
    }
    let (text, by_proof) = presented(headers)?;
    let known = endpoints.memory.verify(&snapshot, text, now);
    let known = known.map_err(|error| invalid(error.code()))?;
    let claims = known.token.claims();
    if claims.aud != endpoints.userinfo_url {
        return Err(invalid("wrong_audience"));
    }
    let jkt = known.token.bound_jkt();
    // The token decides whether it is bound, never the scheme that it came with (DPOP-01).
    if jkt.is_some() != by_proof {
        return Err(invalid("wrong_scheme"));
    }
    let has_certificate = known.token.require_certificate(head.extensions.get());
    has_certificate.map_err(|error| invalid(error.code()))?;
    // An exception is for taking such tokens as it is for issuing them (SI-3).
    let cnf = claims.cnf.as_ref();
    let is_bound = binding::require_binding(authority, &snapshot, &claims.aud, cnf, now);
    is_bound.map_err(|_| invalid("bearer_not_allowed"))?;
    let to = To {
        method: head.method.as_str(),
        url: &endpoints.userinfo_url,
        token: jkt.map(|jkt| (text, jkt)),
    };
    let proof = match jkt {
        Some(_) => binding::prove_to(endpoints, &to, headers, now)?,
        None => None,
    };
    if jkt.is_some() && proof.is_none() {
        return Err(Refusal {
            nonce: true,
            ..Refusal::new(
                ErrorCode::InvalidDpopProof,
                "this token is bound to a key; send a DPoP proof",
                "proof_missing",
            )
        });
    }
    let admitted = snapshot.admit(&known.token, now);
    admitted.map_err(|why| invalid(why.code()))?;
    if !known.token.scopes().any(|scope| scope == OPENID) {
        return Err(Refusal::new(
            ErrorCode::InsufficientScope,
            "the token is not for knowing who the person is",
            "insufficient_scope",
        ));
    }
    let person = snapshot.subject_of(claims);
    let person = person.ok_or_else(|| invalid("subject_inactive"))?;
    let told = Person::told(claims.sub.clone(), &person.handle, known.token.scopes());
    let event = event(authority, &snapshot, claims, now);
    let uses = redeem::uses(None, proof.as_ref());
    authority.journal.append_once(event, uses).await?;
    Ok(told)
}

/// The one credential of the request, and whether it says to come with a proof.
fn presented(headers: &HeaderMap) -> Result<(&str, bool), Refusal> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (Some(value), None) => value,
        (None, _) => return Err(invalid(refusal::NO_TOKEN)),
        (Some(_), Some(_)) => return Err(muddled("several_credentials")),
    };
    let value = value.to_str().map_err(|_| muddled("malformed"))?;
    match oauth::authorization_header(value) {
        Ok(Credential::Bearer(token)) => Ok((token, false)),
        Ok(Credential::Dpop(token)) => Ok((token, true)),
        Ok(Credential::Basic(_)) | Err(_) => Err(muddled("malformed")),
    }
}

/// RFC 6750 3.1: what is no credential is a bad request.
fn muddled(code: &'static str) -> Refusal {
    let description = "one token, in the header `Authorization`";
    Refusal::new(ErrorCode::InvalidRequest, description, code)
}

fn invalid(code: &'static str) -> Refusal {
    let description = "a token for this endpoint is needed";
    Refusal::new(ErrorCode::InvalidToken, description, code)
}

fn event(authority: &Authority, snapshot: &Snapshot, claims: &Claims, now: Timestamp) -> Event {
    let actor = Actor {
        id: claims.client_id.clone(),
        kind: ActorKind::Agent,
    };
    let scope = claims.scope.clone().map(|scope| ("scope", scope));
    let grant = claims.grant_id.map(|grant| (GRANT, grant.to_string()));
    let facts = scope.into_iter().chain(grant);
    Event {
        agent: snapshot.holder(claims).map(|known| known.recorded.clone()),
        facts: facts
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        subject: Some(claims.sub.clone()),
        ..Event::new(EventKind::PersonTold, actor, now, &*authority.entropy)
    }
}
