//! What a person answered to a device, for tokens (RFC 8628 3.4): asked for again and again until there is an answer, by
//! the client that waits and with all that it is bound to, and given once.
//!
//! A device code is of a form of its own, and kept in a table of its own, so that nothing else is taken for one (TOK-03).

use chancery_model::digest::Digest;
use chancery_model::grant::Grant as Consented;
use chancery_store::device_requests::{self, DeviceRequest};
use chancery_store::grants;
use chancery_store::journal::Step;
use chancery_wire::dpop::VerifiedProof;
use chancery_wire::hash;
use chancery_wire::oauth::{ErrorCode, Form, TokenResponse};

use crate::state::Authority;
use crate::tokens::binding::prove;
use crate::tokens::bond::Bond;
use crate::tokens::calls;
use crate::tokens::fetch::{Fetch, Once};
use crate::tokens::issue::Request;
use crate::tokens::redeem::{end_because, refuse, require_agent, require_resource, uses};
use crate::tokens::refusal::Refusal;

/// The form of device codes.
pub(crate) const DEVICE: &str = "chd_";

/// The reason when a device code comes twice: everything that came of it ends.
const REPLAYED: &str = "device_code_replayed";

/// The hash by which a device code is kept.
pub(crate) fn device_hash(code: &str) -> Digest {
    hash::sha256_for("device code", &[code])
}

/// `grant_type=urn:ietf:params:oauth:grant-type:device_code`.
pub(crate) async fn collect(request: &Request<'_>) -> Result<TokenResponse, Refusal> {
    let Request {
        endpoints,
        headers,
        form,
        client,
        now,
    } = *request;
    let authority = &*endpoints.authority;
    let agent = require_agent(&client.who)?;
    let proof = prove(endpoints, &endpoints.token_url, headers, now)?;
    let held = Bond::of(proof.as_ref().map(VerifiedProof::jkt), client);
    let (waiting, consented) = find(authority, form).await?;
    let about = |refused: Refusal| match &consented {
        Some(consented) => refused.about(consented.id),
        None => refused,
    };
    let wish = &waiting.wish;
    let bound = match &wish.cnf {
        Some(text) => Bond::from_text(text).ok_or(Refusal::unavailable())?,
        // Asked for under an exception of its resource.
        None => Bond::default(),
    };
    let is_held = match wish.agent == agent.agent.id {
        true => bound.require(&held),
        false => Err("device_code_of_another_client"),
    };
    if let Err(why) = is_held {
        // Whoever holds a code that is not theirs, or half of what it is bound to, is not asked twice (TOK-02).
        device_requests::burn(&authority.store, waiting.code_hash, now).await?;
        return Err(about(refuse(why)));
    }
    let consented = match (&consented, waiting.used_at) {
        (Some(consented), Some(_)) => {
            return Err(end_because(REPLAYED, authority, agent, consented, now).await);
        }
        (None, Some(_)) => return Err(refuse("device_code_used")),
        (_, None) if wish.expires_at <= now => {
            let description = "nobody answered in time, or the answer was not fetched";
            let expired = ErrorCode::ExpiredToken;
            return Err(about(Refusal::new(
                expired,
                description,
                "device_code_expired",
            )));
        }
        (Some(consented), None) => consented,
        (None, None) if wish.answered.is_some() => {
            return Err(Refusal::new(
                ErrorCode::AccessDenied,
                "the person said no",
                "person_refused",
            ));
        }
        (None, None) => {
            let is_in_time = device_requests::note_poll(&authority.store, waiting.code_hash, now);
            let refused = still_waits(is_in_time.await?);
            return Err(Refusal {
                nonce: proof.is_some(),
                ..refused
            });
        }
    };
    require_resource(form, consented)?;
    let calls = calls::shrunk(form, &consented.resource, wish.calls.as_ref())?;
    let fetch = Fetch {
        consented,
        scope: &wish.scope,
        calls: calls.as_ref(),
        given: wish.calls.as_ref(),
        held: &held,
        auth_time: waiting.auth_time,
        acr: waiting.acr,
    };
    let once = Once {
        uses: uses(client.assertion, proof.as_ref()),
        nonce: wish.authentication.nonce.as_deref(),
        replayed: REPLAYED,
    };
    let keep = || {
        let (refresh_token, refresh) = fetch.refresh(authority, now).unzip();
        let step = Step::Collect {
            code: waiting.code_hash,
            grant: consented.id,
            refresh,
        };
        (refresh_token, step)
    };
    fetch.give(authority, agent, once, keep, now).await
}

/// What a device code is of, and what a person gave it, if one did.
async fn find(
    authority: &Authority,
    form: &Form<'_>,
) -> Result<(DeviceRequest, Option<Consented>), Refusal> {
    let text = form.require("device_code", "`device_code` is missing")?;
    let unknown = refuse("unknown_device_code");
    if !text.starts_with(DEVICE) {
        return Err(unknown);
    }
    let mut tx = authority.store.read().await?;
    let waiting = device_requests::fetch(&mut tx, device_hash(text)).await?;
    let waiting = waiting.ok_or(unknown)?;
    let consented = match waiting.grant {
        Some(grant) => {
            let consented = grants::fetch(&mut tx, grant).await?;
            Some(consented.ok_or(Refusal::unavailable())?)
        }
        None => None,
    };
    Ok((waiting, consented))
}

/// What a device is told that has to go on waiting.
fn still_waits(is_in_time: bool) -> Refusal {
    match is_in_time {
        true => Refusal::new(
            ErrorCode::AuthorizationPending,
            "nobody has answered yet",
            "authorization_pending",
        ),
        false => Refusal::new(
            ErrorCode::SlowDown,
            "wait five seconds longer between two questions from now on",
            "slow_down",
        ),
    }
}
