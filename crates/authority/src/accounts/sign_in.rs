//! Signs a person in by a passkey. No name is asked for: the passkey says whose it is.
//!
//! Strangers ask these, so nothing is remembered for them, the database is read and not written until a signature holds,
//! and whoever is refused is told the same, whatever was wrong (WAN-01, WAN-06).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use chancery_api::people::{SignIn, SignInOptions};
use chancery_model::digest::Digest;
use chancery_model::time::Timestamp;
use chancery_store::passkey_challenges;
use chancery_store::passkeys::{self, Passkey};
use chancery_store::sessions::Means;
use chancery_store::tx::Tx;
use chancery_wire::json;
use chancery_wire::jwk::PublicKey;
use chancery_wire::webauthn::{
    AssertionResponse, Ceremony, FreshChallenge, KnownCredential, UnverifiedAssertion,
    WebauthnError,
};

use crate::accounts::begin::{self, Beginning};
use crate::cookie;
use crate::error::{Error, NotSignedIn};
use crate::extract::Body;
use crate::refresh;
use crate::state::Authority;

/// `POST /v1/sign-in/options`: a challenge, good for five minutes and once.
pub async fn options(
    State(authority): State<Arc<Authority>>,
    headers: HeaderMap,
) -> Result<Json<SignInOptions>, Error> {
    let party = &authority.relying_party;
    cookie::require_same_origin(&headers, party)?;
    let (now, entropy) = (authority.clock.now(), &*authority.entropy);
    Ok(Json(SignInOptions {
        challenge: authority.challenges.issue(Ceremony::SignIn, now, entropy),
        rp_id: party.id().to_owned(),
        origin: party.origin().to_owned(),
        providers: authority
            .directory
            .load()
            .providers
            .keys()
            .cloned()
            .collect(),
    }))
}

/// `POST /v1/sign-in`.
pub async fn sign_in(
    State(authority): State<Arc<Authority>>,
    headers: HeaderMap,
    Body(body): Body<SignIn>,
) -> Result<Response, Error> {
    cookie::require_same_origin(&headers, &authority.relying_party)?;
    let _room = authority.pressure.admit().ok_or(Error::Unavailable)?;
    let now = authority.clock.now();
    let credential = &body.credential;
    let response = AssertionResponse {
        id: &credential.id,
        client_data_json: &credential.client_data_json,
        authenticator_data: &credential.authenticator_data,
        signature: &credential.signature,
        user_handle: &credential.user_handle,
    };
    let assertion = UnverifiedAssertion::parse(&response).map_err(refused)?;
    let asked = assertion.untrusted_challenge();
    let challenge = authority.challenges.check(asked, Ceremony::SignIn, now);
    let challenge = challenge.map_err(refused)?;
    let (passkey, counter) = verified(&authority, &assertion, &challenge).await?;

    let mut tx = authority.store.begin().await?;
    use_up(&mut tx, challenge.hash(), &challenge, now).await?;
    if !passkeys::mark_used(&mut tx, &passkey, counter, now).await? {
        return Err(begin::refused("passkey_changed"));
    }
    let owner = begin::require_present(&mut tx, passkey.owner_id).await?;
    let beginning = Beginning {
        owner: &owner,
        means: Means::Passkey(passkey.id),
        authenticated_at: Some(now),
        lifetime: begin::LIFETIME,
        makers: passkey.makers,
        roles: passkey.roles,
    };
    let (begun, mut events) = begin::begin(&authority, &headers, &mut tx, now, beginning).await?;
    let first = events.remove(0);
    refresh::commit(&authority, tx, first, events).await?;
    begun.answer(&authority)
}

/// The passkey that signed, and its counter.
async fn verified(
    authority: &Authority,
    assertion: &UnverifiedAssertion,
    challenge: &FreshChallenge,
) -> Result<(Passkey, u32), Error> {
    let mut tx = authority.store.read().await?;
    let credential = assertion.untrusted_credential_id();
    let passkey = passkeys::fetch_by_credential(&mut tx, &credential).await?;
    drop(tx);
    let passkey = passkey.ok_or_else(|| begin::refused("credential_unknown"))?;
    let key = public_key(&passkey)?;
    let user_handle = passkey.owner_id.to_string();
    let known = KnownCredential {
        id: &passkey.credential_id,
        key: &key,
        counter: passkey.counter,
        is_backup_eligible: passkey.is_backup_eligible,
        user_handle: user_handle.as_bytes(),
    };
    let found = assertion.verify(&authority.relying_party, challenge, &known);
    let verified = found.map_err(|error| {
        Error::SignInRefused(NotSignedIn {
            code: error.code(),
            passkey: Some(passkey.id),
        })
    })?;
    Ok((passkey, verified.counter()))
}

fn public_key(passkey: &Passkey) -> Result<PublicKey, Error> {
    let jwk = json::parse(passkey.public_jwk.as_bytes(), json::BODY).map_err(|_| Error::Broken)?;
    PublicKey::from_jwk(&jwk).map_err(|_| Error::Broken)
}

/// Uses a challenge up: one that was answered before signs nobody in and enrols nothing (WAN-02).
pub(crate) async fn use_up(
    tx: &mut Tx,
    hash: Digest,
    challenge: &FreshChallenge,
    now: Timestamp,
) -> Result<(), Error> {
    let ends = challenge.expires_at();
    if passkey_challenges::use_once(tx, hash, ends, now).await? {
        return Ok(());
    }
    Err(begin::refused("challenge_used"))
}

/// Nobody is signed in by a credential that does not hold.
pub(crate) fn refused(error: WebauthnError) -> Error {
    begin::refused(error.code())
}
