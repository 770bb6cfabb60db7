//! Where an answer goes: with the browser, to where the client was proven to be, or to a device that waits for it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chancery_model::id::GrantId;
use chancery_store::device_requests::{self, Answer, DeviceRequest};
use chancery_store::pushed_requests::{self, PushedRequest};
use chancery_store::redirects;
use chancery_store::tx::Tx;
use chancery_store::wish::Wish;
use chancery_wire::oauth::DEVICE_CODE;
use chancery_wire::redirect_uri::RedirectUri;

use crate::consent::page;
use crate::consent::secrets::{self, URI};
use crate::ctx::Ctx;
use crate::directory::KnownLogin;
use crate::error::Error;

/// Where an answer goes, with what is asked.
pub(crate) enum Way {
    /// With the browser.
    Redirect(Redirected),
    /// To a device that waits.
    Device(DeviceRequest),
}

/// A pushed request, and where its answer was proven to go.
pub(crate) struct Redirected {
    /// The request.
    pub request: PushedRequest,
    /// Where the answer goes.
    pub uri: RedirectUri,
}

impl Way {
    /// What is named so; nothing when it is not known, or its answer may no longer go where it should.
    pub(crate) async fn find(tx: &mut Tx, name: &str) -> Result<Option<Self>, Error> {
        if let Some(code_hash) = secrets::device_of(name) {
            let request = device_requests::fetch(tx, code_hash).await?;
            return Ok(request.map(Self::Device));
        }
        if !name.starts_with(URI) {
            return Ok(None);
        }
        let Some(request) = pushed_requests::fetch(tx, secrets::uri_hash(name)).await? else {
            return Ok(None);
        };
        let registered = redirects::list(tx, request.wish.agent).await?;
        if !registered.contains(&request.registered_uri) {
            return Ok(None);
        }
        let uri = RedirectUri::parse(&request.redirect_uri).ok();
        Ok(uri.map(|uri| Self::Redirect(Redirected { request, uri })))
    }

    /// What is asked.
    pub(crate) fn wish(&self) -> &Wish {
        match self {
            Self::Redirect(redirected) => &redirected.request.wish,
            Self::Device(request) => &request.wish,
        }
    }

    /// Where the answer goes, as the record says it; for a device, by which grant type it comes.
    pub(crate) fn place(&self) -> &str {
        match self {
            Self::Redirect(redirected) => &redirected.request.redirect_uri,
            Self::Device(_) => DEVICE_CODE,
        }
    }

    /// The same as a grant says it: what was registered.
    pub(crate) fn registered(&self) -> &str {
        match self {
            Self::Redirect(redirected) => &redirected.request.registered_uri,
            Self::Device(_) => DEVICE_CODE,
        }
    }

    /// Notes the one answer; false when there is one already, or it comes too late.
    pub(crate) async fn note(
        &self,
        tx: &mut Tx,
        ctx: &Ctx,
        login: &KnownLogin,
        grant: Option<GrantId>,
    ) -> Result<bool, Error> {
        let by = login.owner_id;
        let noted = match self {
            Self::Redirect(redirected) => {
                pushed_requests::answer(tx, redirected.request.uri_hash, by, ctx.now).await
            }
            Self::Device(request) => {
                let answer = Answer {
                    by,
                    at: ctx.now,
                    grant,
                    auth_time: ctx.caller.auth_time(),
                    acr: ctx.caller.acr(),
                };
                device_requests::answer(tx, request.code_hash, &answer).await
            }
        };
        Ok(noted?)
    }
}

impl Redirected {
    /// Sends the browser to the client with an answer of `issuer`.
    pub(crate) fn send(&self, issuer: &str, answer: &[(&str, &str)]) -> Response {
        send(&self.uri, &self.request.state, issuer, answer)
    }
}

/// The address of an answer: it says which request it is about and who answers (RFC 9207).
pub(crate) fn address(
    redirect_uri: &RedirectUri,
    state: &str,
    issuer: &str,
    answer: &[(&str, &str)],
) -> String {
    let mut parameters = answer.to_vec();
    // A public client may recognise the answer by its proof key alone.
    if !state.is_empty() {
        parameters.push(("state", state));
    }
    parameters.push(("iss", issuer));
    redirect_uri.with(&parameters)
}

/// Sends the browser to where an answer was proven to go.
pub(crate) fn send(
    redirect_uri: &RedirectUri,
    state: &str,
    issuer: &str,
    answer: &[(&str, &str)],
) -> Response {
    let location = address(redirect_uri, state, issuer, answer);
    let Ok(location) = HeaderValue::from_str(&location) else {
        return page::UNKNOWN.into_response();
    };
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response();
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    response
}
