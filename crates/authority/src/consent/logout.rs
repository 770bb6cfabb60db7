//! Signing out where a client sent the person for it (OpenID Connect RP-Initiated Logout 1.0).
//!
//! Any page can send a browser here, so nothing happens before the person says so on a page of ours; and nobody is sent on to
//! anywhere that was not registered for the client.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use chancery_model::id::AgentId;
use chancery_store::redirects;
use chancery_wire::id_token;
use chancery_wire::jwk::PublicKey;
use chancery_wire::oauth::Form;
use chancery_wire::redirect_uri::RedirectUri;

use crate::accounts::sessions;
use crate::consent::page;
use crate::consent::push::LONGEST_STATE;
use crate::cookie;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::html;
use crate::keyring::Purpose;
use crate::state::Authority;
use crate::tokens::form;

/// What is carried from the question to the answer.
const CARRIED: [&str; 4] = [
    "id_token_hint",
    "client_id",
    "post_logout_redirect_uri",
    "state",
];

/// `GET /oauth/logout`: asks.
pub async fn ask(
    State(authority): State<Arc<Authority>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    match Form::parse(uri.query().unwrap_or("").as_bytes()) {
        Ok(form) => question(&authority, &uri, &headers, &form).await,
        Err(_) => page::UNKNOWN.into_response(),
    }
}

async fn question(
    authority: &Authority,
    uri: &Uri,
    headers: &HeaderMap,
    form: &Form<'_>,
) -> Response {
    // Strangers send browsers here too.
    let Some(_room) = authority.pressure.admit() else {
        return page::of(Error::Unavailable);
    };
    let origin = authority.relying_party.origin();
    if !cookie::is_at_home(uri, headers, &authority.relying_party) {
        return page::sign_out_at(&link(origin, form)).into_response();
    }
    let back = match back(authority, form).await {
        Ok(back) => back,
        Err(error) => return page::of(error),
    };
    let mut body = "<p>You would sign out here, and would have to sign in again to decide anything. If you did not ask for \
                    this, close the page.</p>"
        .to_owned();
    if let Some(back) = &back {
        let place = html::shown(back.uri.place());
        body.push_str(&format!("<p>Then you go on to {place}.</p>"));
    }
    body.push_str("<form method=\"post\" action=\"/oauth/logout\">");
    for name in CARRIED {
        let value = html::escaped(form.fetch(name).unwrap_or(""));
        body.push_str(&format!(
            "<input type=\"hidden\" name=\"{name}\" value=\"{value}\">"
        ));
    }
    body.push_str(
        "<p class=\"answers\"><button class=\"primary\" name=\"answer\" value=\"yes\">Sign out</button></p></form>",
    );
    let sends = match &back {
        Some(back) => html::Sends::There(&back.uri),
        None => html::Sends::Here,
    };
    html::document(StatusCode::OK, page::SIGN_OUT, &body, sends)
}

/// The same question at another origin.
fn link(origin: &str, form: &Form<'_>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for name in CARRIED {
        if let Some(value) = form.fetch(name) {
            query.append_pair(name, value);
        }
    }
    format!("{origin}/oauth/logout?{}", query.finish())
}

/// `POST /oauth/logout`: the answer of our page; from any other page, the question. The cookie of a session counts in a request
/// of our own page alone, so no other page signs anybody out.
pub async fn sign_out(State(authority): State<Arc<Authority>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = form::read(body).await else {
        return page::UNKNOWN.into_response();
    };
    let Ok(form) = form::parse(&head.headers, &body) else {
        return page::UNKNOWN.into_response();
    };
    let is_ours = cookie::is_same_origin(&head.headers, &authority.relying_party);
    if !is_ours || form.fetch("answer") != Some("yes") {
        return question(&authority, &head.uri, &head.headers, &form).await;
    }
    let back = match back(&authority, &form).await {
        Ok(back) => back,
        Err(error) => return page::of(error),
    };
    let ended = match Ctx::authenticate(Arc::clone(&authority), &head.headers) {
        Ok(ctx) => sessions::end_current(&ctx).await.map(Some),
        // There is nothing to end.
        Err(Error::Unauthenticated) => Ok(None),
        Err(error) => Err(error),
    };
    let cookie = match ended {
        Ok(cookie) => cookie,
        Err(error) => return page::of(error),
    };
    let mut response = match back.and_then(Back::location) {
        Some(location) => (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response(),
        None => page::SIGNED_OUT_NOW.into_response(),
    };
    if let Some(cookie) = cookie {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// Where the person goes on to.
struct Back {
    uri: RedirectUri,
    state: Option<String>,
}

impl Back {
    fn location(self) -> Option<HeaderValue> {
        let state = self.state.as_deref().map(|state| ("state", state));
        let location = match state {
            Some(state) => self.uri.with(&[state]),
            None => self.uri.as_str().to_owned(),
        };
        HeaderValue::from_str(&location).ok()
    }
}

/// Where the client may send the person on to; nowhere, unless that is registered for the client that the hint or the
/// request names, and both name the same.
async fn back(authority: &Authority, form: &Form<'_>) -> Result<Option<Back>, Error> {
    let Some(client) = client(authority, form) else {
        return Ok(None);
    };
    let asked = form.fetch("post_logout_redirect_uri");
    let Some(asked) = asked.and_then(|text| RedirectUri::parse(text).ok()) else {
        return Ok(None);
    };
    let mut tx = authority.store.read().await?;
    let registered = redirects::list_after_logout(&mut tx, client).await?;
    let mut registered = registered
        .iter()
        .filter_map(|text| RedirectUri::parse(text).ok());
    if !registered.any(|own| own.admits(&asked)) {
        return Ok(None);
    }
    let state = form.fetch("state");
    let state = state.filter(|state| state.len() <= LONGEST_STATE);
    Ok(Some(Back {
        uri: asked,
        state: state.map(str::to_owned),
    }))
}

fn client(authority: &Authority, form: &Form<'_>) -> Option<AgentId> {
    let named = form.fetch("client_id");
    let Some(hint) = form.fetch("id_token_hint") else {
        return named?.parse().ok();
    };
    let ring = authority.keys.load();
    let now = authority.clock.now();
    let keys: Vec<PublicKey> = ring.verifying(Purpose::IdToken, now).cloned().collect();
    let hint = id_token::read_hint(hint, &authority.config.issuer, &keys).ok()?;
    let is_same = named.is_none_or(|named| named == hint.aud);
    is_same.then_some(hint.aud)?.parse().ok()
}
