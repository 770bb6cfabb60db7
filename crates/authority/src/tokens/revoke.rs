//! Revocation: by the client whose token it is (RFC 7009), or by an administrator with a receipt.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use chancery_api::agents::{StillRunning, Stopped};
use chancery_api::tokens::RevokeToken;
use chancery_model::action::Action;
use chancery_model::event::{Actor, ActorKind, Event, EventKind, TokenFacts};
use chancery_model::id::{ClientId, EventId, TokenId};
use chancery_model::reason::Reason;
use chancery_model::time::Timestamp;
use chancery_policy::Target;
use chancery_store::{grants, refresh_tokens, revocations};
use chancery_wire::access_token::{self, Claims, Expect};
use chancery_wire::oauth::OAuthError;

use crate::audit::prove;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::Body;
use crate::grants::end;
use crate::refresh;
use crate::state::Authority;
use crate::text::rfc3339;
use crate::tokens::client::{self, Who};
use crate::tokens::form;
use crate::tokens::redeem::{REFRESH, refresh_hash};
use crate::tokens::refusal::{self, Refusal};

/// `POST /oauth/revoke`: the answer is the same for a token that is not the client's, or is none (REV-04).
pub async fn revoke(State(authority): State<Arc<Authority>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = form::read(body).await;
    // A body may take its time: the assertion in it is judged when it is there.
    let now = authority.clock.now();
    match try_revoke(&authority, &head, body, now).await {
        Ok(()) => {
            let mut response = StatusCode::OK.into_response();
            refusal::no_store(response.headers_mut());
            response
        }
        Err(refused) => refusal::answer(&authority, now, "revoke", refused).await,
    }
}

async fn try_revoke(
    authority: &Authority,
    head: &Parts,
    body: Result<Bytes, OAuthError>,
    now: Timestamp,
) -> Result<(), Refusal> {
    let body = body?;
    let form = form::parse(&head.headers, &body)?;
    let snapshot = authority.current.load_full();
    let client = client::authenticate(authority, &snapshot, head, &form, now)?;
    let token = form.require("token", "`token` is missing")?;
    let id = client.who.id();
    let mut event = Event {
        agent: match &client.who {
            Who::Agent(known) => Some(known.recorded.clone()),
            Who::Resource(_) => None,
        },
        facts: BTreeMap::from([("endpoint".to_owned(), "revoke".to_owned())]),
        ..Event::new(
            EventKind::ClientAuthenticated,
            Actor {
                id: id.to_string(),
                kind: match client.who {
                    Who::Agent(_) => ActorKind::Agent,
                    Who::Resource(_) => ActorKind::Resource,
                },
            },
            now,
            &*authority.entropy,
        )
    };
    authority
        .journal
        .append_once(event.clone(), client.assertion.into_iter().collect())
        .await
        .map_err(Refusal::from)?;

    if token.starts_with(REFRESH) {
        return end_grant(authority, id, token, event).await;
    }
    let expect = Expect {
        issuer: &snapshot.issuer,
        audience: None,
        now,
    };
    let Ok(verified) = access_token::verify(token, &snapshot.token_keys, &expect) else {
        return Ok(());
    };
    let claims = verified.claims();
    if claims.holder() != Some(id) {
        return Ok(());
    }
    let write = async {
        let mut tx = authority.store.begin().await?;
        if !revocations::insert(&mut tx, claims.jti, kept_until(claims), now).await? {
            return Ok(());
        }
        event.id = EventId::generate(now, &*authority.entropy);
        event.kind = EventKind::TokenRevoked;
        event.token = Some(facts(claims));
        refresh::commit(authority, tx, event, Vec::new())
            .await
            .map(drop)
    };
    write.await.map_err(|_: Error| Refusal::unavailable())
}

/// Ends the grant behind a refresh token: all that came of it is void, also what a refresh makes at this moment
/// (RFC 7009 2.1, REV-05).
async fn end_grant(
    authority: &Authority,
    client: ClientId,
    token: &str,
    event: Event,
) -> Result<(), Refusal> {
    let mut tx = authority.store.read().await?;
    let Some(token) = refresh_tokens::fetch(&mut tx, refresh_hash(token)).await? else {
        return Ok(());
    };
    let grant = grants::fetch(&mut tx, token.grant).await?;
    drop(tx);
    let Some(grant) = grant.filter(|grant| ClientId::from(grant.agent) == client) else {
        return Ok(());
    };
    Ok(end::end(authority, grant.id, &event).await?)
}

/// Revocations are kept a little longer than the token could pass anywhere.
fn kept_until(claims: &Claims) -> Timestamp {
    Timestamp::from_secs(claims.exp).after(Duration::from_secs(60))
}

fn facts(claims: &Claims) -> TokenFacts {
    TokenFacts {
        audience: claims.aud.clone(),
        expires_at: claims.exp,
        jkt: claims.cnf.as_ref().and_then(|cnf| cnf.jkt.clone()),
        jti: claims.jti,
        x5t: claims.cnf.as_ref().and_then(|cnf| cnf.x5t.clone()),
    }
}

/// `POST /v1/tokens/revoke`: by the token or its id, with a receipt.
pub async fn administer(ctx: Ctx, Body(body): Body<RevokeToken>) -> Result<Json<Stopped>, Error> {
    let reason = Reason::parse(&body.reason)?;
    let permit = ctx.authorize(Action::TokenRevoke, Target::Authority)?;
    let (jti, expires_at, token) = identify(&ctx, &body)?;
    let mut tx = ctx.begin().await?;
    if !revocations::insert(&mut tx, jti, expires_at, ctx.now).await? {
        return Err(Error::Conflict("that token was revoked already".to_owned()));
    }
    let mut event = ctx.event(EventKind::TokenRevoked);
    event.reason = Some(reason.as_str().to_owned());
    event.facts.insert(refresh::JTI.to_owned(), jti.to_string());
    event.token = token;
    let event_id = event.id;
    ctx.commit(permit, tx, event, Vec::new()).await?;
    let receipt = prove::receipt(&ctx.authority, event_id).await?;
    Ok(Json(Stopped {
        id: jti.to_string(),
        name: None,
        status: "revoked".to_owned(),
        stopped_at: rfc3339(ctx.now),
        stopped: vec!["the token, at every gateway and in every introspection".to_owned()],
        may_still_run: vec![StillRunning {
            what: "calls at a resource outside the gateway that checks tokens offline and never introspects".to_owned(),
            until: rfc3339(expires_at),
        }],
        receipt,
    }))
}

fn identify(
    ctx: &Ctx,
    body: &RevokeToken,
) -> Result<(TokenId, Timestamp, Option<TokenFacts>), Error> {
    match (&body.token, body.jti) {
        (Some(token), None) => {
            let snapshot = ctx.authority.current.load();
            let expect = Expect {
                issuer: &snapshot.issuer,
                audience: None,
                now: ctx.now,
            };
            let verified =
                access_token::verify(token, &snapshot.token_keys, &expect).map_err(|error| {
                    Error::Invalid(format!(
                        "that is no live token of this authority: {}",
                        error.code()
                    ))
                })?;
            let claims = verified.claims();
            Ok((claims.jti, kept_until(claims), Some(facts(claims))))
        }
        // Of a token known by its id alone, the end is at most a whole life away.
        (None, Some(jti)) => {
            let longest = ctx.authority.config.access_token_lifetime + Duration::from_secs(60);
            Ok((jti, jti.made_at().max(ctx.now).after(longest), None))
        }
        (None, None) | (Some(_), Some(_)) => {
            Err(Error::Invalid("give either `token` or `jti`".to_owned()))
        }
    }
}
