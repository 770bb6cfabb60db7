//! A refresh token for another access token of the same grant, as long as everything behind it is as it was.
//!
//! It is not rotated: it is of use to one client with one key or certificate alone, both of which are proved each time, and losing
//! an answer then loses nothing (FAPI 2.0 5.3.2.1). Scope may be less than before and never more, and no refresh is for
//! another resource.

use chancery_model::scope::Scope;
use chancery_store::journal::{AppendError, Step};
use chancery_store::{grants, refresh_tokens};
use chancery_wire::dpop::VerifiedProof;
use chancery_wire::oauth::{ErrorCode, TokenResponse};

use crate::tokens::binding::prove;
use crate::tokens::bond::{Bond, PROOF_MISSING};
use crate::tokens::calls;
use crate::tokens::fetch::{Fetch, Issued, answer};
use crate::tokens::issue::{self, Request};
use crate::tokens::redeem::{
    IDLE, REFRESH, refresh_hash, refuse, require_agent, require_resource, uses,
};
use crate::tokens::refusal::Refusal;

/// `grant_type=refresh_token`.
pub(crate) async fn renew(request: &Request<'_>) -> Result<TokenResponse, Refusal> {
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
    if held.cnf.is_none() {
        return Err(proof_missing());
    }
    let text = form.require("refresh_token", "`refresh_token` is missing")?;
    let unknown = refuse("unknown_refresh_token");
    if !text.starts_with(REFRESH) {
        return Err(unknown);
    }
    let mut tx = authority.store.read().await?;
    let token = refresh_tokens::fetch(&mut tx, refresh_hash(text)).await?;
    let token = token.ok_or(unknown)?;
    let consented = grants::fetch(&mut tx, token.grant).await?;
    let consented = consented.ok_or(Refusal::unavailable())?;
    drop(tx);
    let refuse = |code| refuse(code).about(consented.id);
    if consented.agent != agent.agent.id {
        return Err(refuse("refresh_token_of_another_client"));
    }
    // What renews a token is held to all that the token was bound to (X509-05).
    let bound = Bond::from_text(&token.cnf).ok_or(Refusal::unavailable())?;
    match bound.require(&held) {
        Ok(()) => {}
        Err(PROOF_MISSING) => return Err(proof_missing().about(consented.id)),
        Err(why) => return Err(refuse(why)),
    }
    if !token.is_in_force(now) || !consented.is_in_force(now) {
        return Err(refuse("grant_not_in_force"));
    }
    require_resource(form, &consented)?;
    let scope = shrunk(form.fetch("scope"), &token.scope)?;
    let calls = calls::shrunk(form, &consented.resource, token.calls.as_ref())?;
    let fetch = Fetch {
        consented: &consented,
        scope: &scope,
        calls: calls.as_ref(),
        given: token.calls.as_ref(),
        held: &held,
        auth_time: token.auth_time,
        acr: token.authentication.acr,
    };
    let (minted, permit) = fetch.mint(authority, agent, now).await?;
    let event = issue::issued(authority, &client.who, &minted, Some(&permit), now);
    let step = Step::Refresh {
        token: token.token_hash,
        grant: consented.id,
        idle_until: now.after(IDLE).min(token.expires_at),
    };
    let used = uses(client.assertion, proof.as_ref());
    match authority.journal.append_step(event, used, step).await {
        Ok(()) => {}
        Err(AppendError::Lost) => return Err(refuse("grant_not_in_force")),
        Err(error) => return Err(Refusal::from(error)),
    }
    let issued = Issued {
        minted,
        refresh_token: None,
        id_token: None,
    };
    answer(authority, agent, issued, now)
}

/// A refresh token that is bound to a key came without a proof of it.
pub(crate) fn proof_missing() -> Refusal {
    Refusal {
        nonce: true,
        ..Refusal::new(
            ErrorCode::InvalidDpopProof,
            "this refresh token is bound to a key; send a DPoP proof",
            "proof_missing",
        )
    }
}

/// The scope that is asked for, which nothing may be added to.
pub(crate) fn shrunk(asked: Option<&str>, given: &Scope) -> Result<Scope, Refusal> {
    let Some(asked) = asked else {
        return Ok(given.clone());
    };
    let refuse = |code| {
        let description = "a refresh gives no more scope than there was";
        Refusal::new(ErrorCode::InvalidScope, description, code)
    };
    let asked = Scope::parse(asked).map_err(|_| refuse("bad_scope"))?;
    if asked.is_within(given) {
        Ok(asked)
    } else {
        Err(refuse("scope_widened"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_sequence_of_refreshes_widens(
            given in "([a-e] ){0,3}[a-e]",
            asked in prop::collection::vec("([a-f] ?){0,4}", 1..8),
        ) {
            if let Ok(given) = Scope::parse(&given) {
                let mut scope = given.clone();
                for asked in asked {
                    if let Ok(next) = shrunk(Some(asked.as_str()), &scope) {
                        prop_assert!(next.is_within(&scope) && next.is_within(&given));
                        scope = next;
                    }
                }
            }
        }
    }
}
