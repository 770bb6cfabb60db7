//! The device authorization endpoint (RFC 8628): an agent on a machine without a browser asks for a person.
//!
//! It proves who it is as everywhere, and everything that it asks is read by the functions of pushed requests. What it gets
//! is two codes: a long one for itself, and a short one that a person enters elsewhere ([`crate::consent::enter`]).

use std::time::Duration;

use axum::Json;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::Response;
use chancery_model::time::Timestamp;
use chancery_store::device_requests::{DeviceRequest, PAUSE};
use chancery_store::journal::{AppendError, Step};
use chancery_store::wish::{Prompt, Wish};
use chancery_wire::base64url;
use chancery_wire::oauth::{DeviceResponse, ErrorCode, Form};
use chancery_wire::user_code::UserCode;

use crate::consent::enter;
use crate::consent::push::{
    asker, authenticated, authentication, bond, read_max_age, read_target, refuse_foreign, too_many,
};
use crate::consent::secrets;
use crate::grants::end::{CALLS, calls_text};
use crate::tokens::Endpoints;
use crate::tokens::binding::prove;
use crate::tokens::client::{self, Client};
use crate::tokens::collect::{DEVICE, device_hash};
use crate::tokens::form;
use crate::tokens::redeem::uses;
use crate::tokens::refusal::{self, Refusal};

/// How long a device waits for its person.
const LIFETIME: Duration = Duration::from_secs(600);
/// The most devices of one client that wait at a time.
const MOST_WAITING: i64 = 100;

/// `POST /oauth/device_authorization`.
pub(crate) async fn wait(endpoints: &Endpoints, head: &Parts, body: &[u8]) -> Response {
    let authority = &*endpoints.authority;
    let now = authority.clock.now();
    match try_to_wait(endpoints, head, body, now).await {
        Ok(waiting) => refusal::with_nonce(authority, now, Json(waiting)),
        Err(refused) => refusal::answer(authority, now, "device_authorization", refused).await,
    }
}

async fn try_to_wait(
    endpoints: &Endpoints,
    head: &Parts,
    body: &[u8],
    now: Timestamp,
) -> Result<DeviceResponse, Refusal> {
    let authority = &*endpoints.authority;
    let headers = &head.headers;
    let form = form::parse(headers, body)?;
    let snapshot = authority.current.load_full();
    let client = client::authenticate(authority, &snapshot, head, &form, now)?;
    wait_for(endpoints, headers, &form, &client, now)
        .await
        .map_err(|refused| refused.proven(client.who.id(), client.assertion))
}

async fn wait_for(
    endpoints: &Endpoints,
    headers: &HeaderMap,
    form: &Form<'_>,
    client: &Client,
    now: Timestamp,
) -> Result<DeviceResponse, Refusal> {
    let authority = &*endpoints.authority;
    let agent = asker(client, now)?;
    let proof = prove(endpoints, &endpoints.device_url, headers, now)?;
    refuse_foreign(form)?;
    // Nobody is there who could be asked otherwise, so how cannot be chosen.
    if form.fetch("prompt").is_some() {
        let description = "a device cannot say how a person is asked";
        return Err(Refusal::new(
            ErrorCode::InvalidRequest,
            description,
            "bad_prompt",
        ));
    }
    let held = bond(form, proof.as_ref(), client)?;
    let target = read_target(authority, form, &held, now)?;
    let mut random = [0; 32];
    authority.entropy.fill(&mut random);
    let device_code = format!("{DEVICE}{}", base64url::encode(&random));
    let user_code = UserCode::draw(&*authority.entropy);
    let request = DeviceRequest {
        code_hash: device_hash(&device_code),
        user_code: secrets::user_code(authority, &user_code),
        wish: Wish {
            agent: agent.agent.id,
            resource: target.resource,
            scope: target.scope,
            calls: target.calls,
            cnf: held.to_text(),
            prompt: Prompt::Ask,
            max_age: read_max_age(form)?,
            authentication: authentication(form)?,
            created_at: now,
            expires_at: now.after(LIFETIME),
            answered: None,
        },
        grant: None,
        auth_time: None,
        acr: None,
        used_at: None,
    };
    let facts = [
        ("endpoint", "device_authorization".to_owned()),
        ("resource", request.wish.resource.clone()),
        ("scope", request.wish.scope.to_string()),
        (CALLS, calls_text(request.wish.calls.as_ref())),
    ];
    let event = authenticated(authority, agent, facts, now);
    let uses = uses(client.assertion, proof.as_ref());
    let step = Step::Wait {
        request,
        most: MOST_WAITING,
    };
    match authority.journal.append_step(event, uses, step).await {
        Ok(()) => {}
        Err(AppendError::Lost) => {
            return Err(too_many(
                "too many devices of this client wait for an answer",
            ));
        }
        Err(error) => return Err(Refusal::from(error)),
    }
    // Where people sign in: on loopback that is another origin than the issuer's, and their passkeys are of no use there.
    let verification_uri = format!("{}{}", authority.relying_party.origin(), enter::PATH);
    Ok(DeviceResponse {
        verification_uri_complete: format!("{verification_uri}?user_code={user_code}"),
        verification_uri,
        device_code,
        user_code: user_code.to_string(),
        expires_in: LIFETIME.as_secs(),
        interval: PAUSE.as_secs(),
    })
}
