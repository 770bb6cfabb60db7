//! Where a person enters the code that a device shows (RFC 8628 3.3), and is then asked like about any other request.
//!
//! A link may bring the code along, but it is looked up only when the person sends it: nothing is told to whoever follows
//! a link, and whoever guesses is a person who signed in, of whom only a few wrong codes are taken.

use std::sync::Arc;

use axum::extract::{RawQuery, Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use chancery_store::device_requests::{self, Entered};
use chancery_wire::oauth::Form;
use chancery_wire::user_code::UserCode;

use crate::consent::answer::{self, Asked, Halt};
use crate::consent::authorize;
use crate::consent::device_page;
use crate::consent::page::{self, Door};
use crate::consent::secrets;
use crate::consent::way::Way;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::state::Authority;
use crate::tokens::form;

/// Where codes are entered.
pub(crate) const PATH: &str = "/device";

/// `GET /device`, with or without `?user_code=…`.
pub async fn show(
    State(authority): State<Arc<Authority>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let form = Form::parse(query.as_deref().unwrap_or("").as_bytes());
    let typed = form.as_ref().ok().and_then(|form| form.fetch("user_code"));
    let code = typed.and_then(|typed| UserCode::parse(typed).ok());
    let shown = match sign_in(&authority, &headers, code.as_ref()) {
        Ok(ctx) => match answer::person(&ctx) {
            Ok(login) => {
                return device_page::entry(&login.hands.author.to_string(), code.as_ref());
            }
            Err(halt) => halt.of(&ctx),
        },
        Err(halt) => halt,
    };
    shown.answer(None)
}

/// `POST /device`: looks the code up, and asks the person about it.
pub async fn enter(State(authority): State<Arc<Authority>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = form::read(body).await else {
        return Halt::Here(page::UNKNOWN).answer(None);
    };
    let form = match form::parse(&head.headers, &body) {
        Ok(form) => form,
        Err(_) => return Halt::Here(page::UNKNOWN).answer(None),
    };
    let typed = form.fetch("user_code").unwrap_or("");
    let code = UserCode::parse(typed).ok();
    let ctx = match sign_in(&authority, &head.headers, code.as_ref()) {
        Ok(ctx) => ctx,
        Err(halt) => return halt.answer(None),
    };
    let mut found = None;
    let asked = ask(&ctx, code.as_ref(), &mut found).await;
    asked.unwrap_or_else(|halt| halt.of(&ctx).answer(found.as_ref()))
}

async fn ask(
    ctx: &Ctx,
    code: Option<&UserCode>,
    found: &mut Option<Asked>,
) -> Result<Response, Halt> {
    let login = answer::person(ctx)?;
    let unknown = || Halt::Here(device_page::UNKNOWN_CODE);
    // What cannot be a code is no attempt at one.
    let code = code.ok_or_else(unknown)?;
    let authority = &ctx.authority;
    let _room = authority.pressure.admit().ok_or(Error::Unavailable)?;
    let user_code = secrets::user_code(authority, code);
    let entered = device_requests::enter(&authority.store, user_code, login.owner_id, ctx.now);
    let request = match entered.await? {
        Entered::Waiting(request) => request,
        Entered::Wrong => return Err(unknown()),
        Entered::TooMany => return Err(Halt::Here(device_page::TOO_MANY_CODES)),
    };
    let name = secrets::device_name(request.code_hash);
    let asked = match Asked::of(authority, &name, Way::Device(*request), ctx.now) {
        // Of an agent that may not act nothing is known here either.
        Err(Halt::Here(_)) => return Err(unknown()),
        asked => &*found.insert(asked?),
    };
    asked.require_sign_in(ctx)?;
    asked.require_policy(ctx, &login)?;
    authorize::question(ctx, asked, &login, Some(code)).await
}

/// Who is there; a code that came along is there again afterwards.
fn sign_in(
    authority: &Arc<Authority>,
    headers: &HeaderMap,
    code: Option<&UserCode>,
) -> Result<Ctx, Halt> {
    Ctx::authenticate(Arc::clone(authority), headers).map_err(|error| match error {
        Error::Unauthenticated => {
            let question = match code {
                Some(code) => format!("{PATH}?user_code={code}"),
                None => PATH.to_owned(),
            };
            Halt::Here(page::sign_in_at(&Door::of(authority), &question, false))
        }
        error => Halt::Failed(error),
    })
}
