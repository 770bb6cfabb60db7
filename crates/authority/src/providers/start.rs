//! Sends a browser to a provider: to sign in, or to link a person who has just signed in with their passkey.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use chancery_api::providers::{LinkOwn, LinkStarted};
use chancery_gateway::document::NoDocument;
use chancery_model::time::Timestamp;
use chancery_store::providers::Kept;
use chancery_wire::oauth::Form;
use chancery_wire::pkce::{self, Challenge, Verifier};
use url::Url;

use crate::cookie;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::Body;
use crate::issuers::{self, Named};
use crate::providers::attempt::{Attempt, InSession};
use crate::providers::{list, page};
use crate::state::Authority;

/// What is asked of every provider; `offline_access` beside it where that is known.
const SCOPE: &str = "openid profile email";
const OFFLINE: &str = "offline_access";
/// The longest path that a person goes on to.
const LONGEST_NEXT: usize = 2_000;
/// Where a person may go on to: questions that they came from, and nothing that acts by being opened.
const NEXT: [&str; 2] = ["/oauth/authorize?", "/device"];

/// `GET /sign-in/providers/{provider}?next=…&fresh=yes`.
pub async fn start(
    State(authority): State<Arc<Authority>>,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let query = uri.query().unwrap_or("");
    let Ok(form) = Form::parse(query.as_bytes()) else {
        return page::unknown();
    };
    let Some(kept) = authority.directory.load().providers.get(&name).cloned() else {
        return page::unknown();
    };
    // The cookie must be where the provider sends the browser back to, which on loopback is another host than the address.
    if !cookie::is_at_home(&uri, &headers, &authority.relying_party) {
        let origin = authority.relying_party.origin();
        let here = format!("{origin}/sign-in/providers/{name}?{query}");
        return page::go(&here).unwrap_or_else(page::unknown);
    }
    let next = form.fetch("next").and_then(next);
    let is_fresh = form.fetch("fresh") == Some("yes");
    // Whoever is signed in at the provider comes back signed in here: no page of somebody else's decides that (WEB-02).
    if !cookie::is_same_origin(&headers, &authority.relying_party) {
        return page::ask(&name, next.as_deref(), is_fresh);
    }
    // Not of the room of those who ask for tokens: a provider may take its time.
    let Some(_turn) = authority.issuers.turn() else {
        return page::failed(Error::Unavailable);
    };
    let now = authority.clock.now();
    let mut attempt = Attempt::begin(&authority, kept.provider.id, now);
    attempt.next = next;
    attempt.is_fresh = is_fresh;
    attempt.before = session_of(&authority, &headers);
    let Ok((location, sealed)) = address(&authority, &kept, &attempt, now).await else {
        return page::unavailable();
    };
    let Some(mut response) = page::go(&location) else {
        return page::unavailable();
    };
    let cookie = cookie::set_attempt(&sealed);
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response
}

/// `POST /v1/links`: a person who signed in with a passkey just now links themselves (FED-03).
pub async fn link_own(ctx: Ctx, Body(body): Body<LinkOwn>) -> Result<Response, Error> {
    let (own, _) = ctx.own_by_passkey()?;
    let directory = ctx.authority.directory.load();
    let kept = directory.providers.get(&body.provider).cloned();
    let kept = kept.ok_or(Error::NotFound("provider"))?;
    drop(directory);
    let mut attempt = Attempt::begin(&ctx.authority, kept.provider.id, ctx.now);
    attempt.is_fresh = true;
    attempt.links = Some(InSession {
        owner: own.login().owner_id,
        session: own.session().id,
    });
    let found = address(&ctx.authority, &kept, &attempt, ctx.now).await;
    let (location, sealed) = found.map_err(|NoDocument| Error::Unavailable)?;
    let cookie = [(header::SET_COOKIE, cookie::set_attempt(&sealed))];
    Ok((cookie, Json(LinkStarted { location })).into_response())
}

/// The session of whoever follows a link of a page of ours. It does not come along with the answer of the provider, and
/// nothing of it may live on beside the one that begins then (WEB-05).
fn session_of(authority: &Arc<Authority>, headers: &HeaderMap) -> Option<InSession> {
    let ctx = Ctx::authenticate(Arc::clone(authority), headers).ok()?;
    let own = ctx.own_or_recovering().ok()?;
    Some(InSession {
        owner: own.login().owner_id,
        session: own.session().id,
    })
}

/// Where the person goes on, if it is a place of ours.
fn next(path: &str) -> Option<String> {
    let is_known = NEXT.iter().any(|known| path.starts_with(known));
    let is_plain = path.len() <= LONGEST_NEXT && path.bytes().all(|byte| byte.is_ascii_graphic());
    // What a browser makes of it must be what was looked at.
    let is_itself = || {
        let base = Url::parse("https://here.invalid").ok()?;
        let url = base.join(path).ok()?;
        let is_here = url.origin() == base.origin() && url.fragment().is_none();
        let read = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        (is_here && read == path).then_some(read)
    };
    (is_known && is_plain && !path.contains('\\')).then(is_itself)?
}

/// The address of the question, and what the browser keeps of it.
async fn address(
    authority: &Arc<Authority>,
    kept: &Kept,
    attempt: &Attempt,
    now: Timestamp,
) -> Result<(String, String), NoDocument> {
    let provider = &kept.provider;
    let named = Named::of(authority, provider);
    let issuer = issuers::find(authority, named, now).await?;
    let metadata = &issuer.metadata;
    let endpoint = metadata.authorization_endpoint.as_deref();
    let mut url = endpoint
        .and_then(|endpoint| named.allows(endpoint).then(|| Url::parse(endpoint).ok())?)
        .ok_or(NoDocument)?;
    let verifier = Verifier::parse(&attempt.verifier).map_err(|_| NoDocument)?;
    let challenge = Challenge::of(&verifier);
    // Providers differ in whether they need it, and some refuse a scope that they do not know.
    let knows_offline = metadata
        .scopes
        .as_ref()
        .is_some_and(|scopes| scopes.iter().any(|scope| scope == OFFLINE));
    let scope = match knows_offline {
        true => format!("{SCOPE} {OFFLINE}"),
        false => SCOPE.to_owned(),
    };
    let mut query = url.query_pairs_mut();
    query
        .append_pair("response_type", "code")
        .append_pair("client_id", &provider.client_id)
        .append_pair(
            "redirect_uri",
            &list::redirect_uri(authority, provider.name.as_str()),
        )
        .append_pair("scope", &scope)
        .append_pair("state", &attempt.state)
        .append_pair("nonce", &attempt.nonce)
        .append_pair("code_challenge", challenge.as_str())
        .append_pair("code_challenge_method", pkce::METHOD);
    if attempt.is_fresh {
        query
            .append_pair("prompt", "login")
            .append_pair("max_age", "0");
    }
    drop(query);
    let sealed = attempt.seal(authority).ok_or(NoDocument)?;
    Ok((url.into(), sealed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn person_goes_on_to_a_question_of_ours_and_nowhere_else() {
        for path in [
            "/oauth/authorize?client_id=a&request_uri=urn%3Aa",
            "/device",
            "/device?user_code=ABCD-EFGH",
        ] {
            assert_eq!(next(path).as_deref(), Some(path));
        }
        for path in [
            "",
            "/",
            "//evil.example/",
            "/\\evil.example",
            "https://evil.example/device",
            "/oauth/authorize",
            "/oauth/authorize?a#b",
            "/device/../sign-in/providers/corp",
            "/device/%2e%2e/%2e%2e/x/../..//evil.example",
            "/sign-in/providers/corp",
            "/v1/links",
            "/oauth/authorize?a=\u{202e}",
            "/device\t//evil.example",
            &format!("/device?{}", "a".repeat(LONGEST_NEXT)),
        ] {
            assert_eq!(next(path), None, "{path}");
        }
    }
}
