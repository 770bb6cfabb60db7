//! Enrols a passkey: the first by an invitation, more by a person who signed in just now or by a recovery code.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use chancery_api::people::{
    AcceptInvitation, EnrolPasskey, EnrolmentOptions, NewCredential, OpenInvitation,
};
use chancery_model::author::Author;
use chancery_model::event::{Event, EventKind};
use chancery_model::id::PasskeyId;
use chancery_model::owner::Owner;
use chancery_model::time::Timestamp;
use chancery_store::error::StoreError;
use chancery_store::invitations::{self, Invitation};
use chancery_store::owners;
use chancery_store::passkeys::{self, Passkey};
use chancery_store::sessions::Means;
use chancery_store::tx::Tx;
use chancery_wire::hash;
use chancery_wire::webauthn::{
    ALGORITHMS, Ceremony, RegistrationResponse, UnverifiedRegistration, VerifiedRegistration,
};

use crate::accounts::begin::{self, Beginning};
use crate::accounts::{passkeys as view, sign_in};
use crate::cookie;
use crate::ctx::{Ctx, EvenRecovering, Own};
use crate::error::Error;
use crate::extract::Body;
use crate::refresh;
use crate::state::Authority;

/// Passkeys that one person may have.
const MOST: usize = 16;

/// `POST /v1/enrolment/options`: what a browser needs to make a passkey by an invitation.
pub async fn open_invitation(
    State(authority): State<Arc<Authority>>,
    headers: HeaderMap,
    Body(body): Body<OpenInvitation>,
) -> Result<Json<EnrolmentOptions>, Error> {
    cookie::require_same_origin(&headers, &authority.relying_party)?;
    let _room = authority.pressure.admit().ok_or(Error::Unavailable)?;
    let now = authority.clock.now();
    let mut tx = authority.store.read().await?;
    let invitation = require_open(&mut tx, &body.invitation, now).await?;
    let owner = begin::require_present(&mut tx, invitation.owner_id).await?;
    let by = invitation.secret_hash.to_string();
    let (roles, ceremony) = (invitation.roles, Ceremony::Enrol(&by));
    Ok(Json(
        options(&authority, &mut tx, &owner, roles, ceremony, now).await?,
    ))
}

/// `POST /v1/enrolment`: the passkey is enrolled, and its person is signed in by it.
pub async fn accept_invitation(
    State(authority): State<Arc<Authority>>,
    headers: HeaderMap,
    Body(body): Body<AcceptInvitation>,
) -> Result<Response, Error> {
    cookie::require_same_origin(&headers, &authority.relying_party)?;
    let name = view::parse_name(&body.name)?;
    let _room = authority.pressure.admit().ok_or(Error::Unavailable)?;
    let now = authority.clock.now();
    let mut tx = authority.store.read().await?;
    let invitation = require_open(&mut tx, &body.invitation, now).await?;
    drop(tx);
    let by = invitation.secret_hash.to_string();
    let checked = check(&authority, &body.credential, Ceremony::Enrol(&by), now)?;

    let mut tx = authority.store.begin().await?;
    let invitation = require_open(&mut tx, &body.invitation, now).await?;
    if !invitations::use_once(&mut tx, invitation.secret_hash, now).await? {
        return Err(begin::refused("invitation_unknown"));
    }
    let owner = begin::require_present(&mut tx, invitation.owner_id).await?;
    let for_whom = ForWhom {
        owner: &owner,
        most: MOST,
        makers: invitation.makers,
        roles: invitation.roles,
    };
    let passkey = insert(&authority, &mut tx, checked, name, &for_whom, now).await?;
    let mut enrolled = begin::event(&authority, EventKind::PasskeyEnrolled, &owner, now);
    tell(&mut enrolled, &passkey, "invitation");
    let beginning = for_whom.beginning(&passkey);
    let (begun, more) = begin::begin(&authority, &headers, &mut tx, now, beginning).await?;
    refresh::commit(&authority, tx, enrolled, more).await?;
    begun.answer(&authority)
}

/// `POST /v1/passkeys/options`: what a browser needs to make one more passkey.
pub async fn begin_own(
    EvenRecovering(ctx): EvenRecovering,
) -> Result<Json<EnrolmentOptions>, Error> {
    let own = require_may_enrol(&ctx)?;
    let mut tx = ctx.read().await?;
    let owner = begin::require_present(&mut tx, own.login().owner_id).await?;
    let by = own.session().id.to_string();
    let roles = own.login().roles.clone();
    let ceremony = Ceremony::Enrol(&by);
    Ok(Json(
        options(&ctx.authority, &mut tx, &owner, roles, ceremony, ctx.now).await?,
    ))
}

/// `POST /v1/passkeys`. Whoever came by a recovery code is signed in by the new passkey from then on.
pub async fn own(
    EvenRecovering(ctx): EvenRecovering,
    headers: HeaderMap,
    Body(body): Body<EnrolPasskey>,
) -> Result<Response, Error> {
    let name = view::parse_name(&body.name)?;
    let own = require_may_enrol(&ctx)?;
    let by = own.session().id.to_string();
    let checked = check(
        &ctx.authority,
        &body.credential,
        Ceremony::Enrol(&by),
        ctx.now,
    )?;
    let mut tx = ctx.begin().await?;
    let owner = begin::require_present(&mut tx, own.login().owner_id).await?;
    let for_whom = ForWhom {
        owner: &owner,
        // Whoever recovers can revoke nothing yet, so the list that is full has room for one of theirs.
        most: match own.session().means {
            Means::Passkey(_) | Means::Provider(_) => MOST,
            Means::RecoveryCode(_) => MOST + 1,
        },
        makers: own.login().hands.makers.clone(),
        roles: own.login().roles.clone(),
    };
    let passkey = insert(&ctx.authority, &mut tx, checked, name, &for_whom, ctx.now).await?;
    let answer = Json(view::view(&passkey));
    let mut enrolled = ctx.event(EventKind::PasskeyEnrolled);
    let handle = owner.handle.as_str().to_owned();
    enrolled
        .facts
        .insert("owner".to_owned(), owner.id.to_string());
    enrolled.facts.insert("handle".to_owned(), handle);
    tell(&mut enrolled, &passkey, own.session().means.name());
    match own.session().means {
        Means::Passkey(_) | Means::Provider(_) => {
            ctx.commit_own(own, tx, enrolled, Vec::new()).await?;
            Ok(answer.into_response())
        }
        Means::RecoveryCode(_) => {
            let beginning = for_whom.beginning(&passkey);
            let (begun, more) =
                begin::begin(&ctx.authority, &headers, &mut tx, ctx.now, beginning).await?;
            ctx.commit_own(own, tx, enrolled, more).await?;
            let cookie = begun.into_cookie();
            Ok(([(header::SET_COOKIE, cookie)], answer).into_response())
        }
    }
}

/// A person who signed in with a passkey just now, or by a recovery code.
fn require_may_enrol(ctx: &Ctx) -> Result<Own<'_>, Error> {
    let own = ctx.own_or_recovering()?;
    match own.session().means {
        Means::RecoveryCode(_) => Ok(own),
        Means::Passkey(_) | Means::Provider(_) => Ok(ctx.own_by_passkey()?.0),
    }
}

/// The open invitation with this secret; whoever has none is told what a wrong passkey is told.
async fn require_open(tx: &mut Tx, secret: &str, now: Timestamp) -> Result<Invitation, Error> {
    let secret = Some(secret).filter(|text| text.len() <= 256);
    let unknown = || begin::refused("invitation_unknown");
    // The secret is random and long, so looking its hash up leaks nothing that helps to guess it.
    let hash = hash::sha256(secret.ok_or_else(unknown)?.as_bytes());
    let found = invitations::fetch_open(tx, hash, now).await?;
    let invitation = found.ok_or_else(unknown)?;
    // What somebody made who has left since is not followed by anybody.
    for maker in &invitation.makers {
        if let Author::Person(handle) = maker {
            let maker = owners::fetch_by_handle(tx, handle).await?;
            if !maker.is_some_and(|maker| maker.is_present()) {
                return Err(unknown());
            }
        }
    }
    Ok(invitation)
}

async fn options(
    authority: &Authority,
    tx: &mut Tx,
    owner: &Owner,
    roles: Vec<String>,
    ceremony: Ceremony<'_>,
    now: Timestamp,
) -> Result<EnrolmentOptions, Error> {
    let party = &authority.relying_party;
    let known = passkeys::list_for_owner(tx, owner.id).await?;
    Ok(EnrolmentOptions {
        challenge: authority
            .challenges
            .issue(ceremony, now, &*authority.entropy),
        rp_id: party.id().to_owned(),
        origin: party.origin().to_owned(),
        user_handle: chancery_wire::base64url::encode(owner.id.to_string().as_bytes()),
        owner: owner.handle.as_str().to_owned(),
        roles,
        algorithms: ALGORITHMS.iter().map(|(number, _)| *number).collect(),
        exclude: known
            .into_iter()
            .map(|passkey| passkey.credential_id)
            .collect(),
    })
}

/// A registration that holds, and the challenge that it used.
struct Checked {
    registration: VerifiedRegistration,
    challenge: chancery_wire::webauthn::FreshChallenge,
}

fn check(
    authority: &Authority,
    credential: &NewCredential,
    ceremony: Ceremony<'_>,
    now: Timestamp,
) -> Result<Checked, Error> {
    let response = RegistrationResponse {
        id: &credential.id,
        client_data_json: &credential.client_data_json,
        attestation_object: &credential.attestation_object,
    };
    let made = UnverifiedRegistration::parse(&response).map_err(sign_in::refused)?;
    let challenge = authority
        .challenges
        .check(made.untrusted_challenge(), ceremony, now)
        .map_err(sign_in::refused)?;
    let registration = made
        .verify(&authority.relying_party, &challenge)
        .map_err(sign_in::refused)?;
    Ok(Checked {
        registration,
        challenge,
    })
}

/// For whom a passkey is, and what it hands on.
struct ForWhom<'a> {
    owner: &'a Owner,
    /// How many passkeys the person may have before it.
    most: usize,
    makers: Vec<Author>,
    roles: Vec<String>,
}

impl<'a> ForWhom<'a> {
    fn beginning(&self, passkey: &Passkey) -> Beginning<'a> {
        Beginning {
            owner: self.owner,
            means: Means::Passkey(passkey.id),
            authenticated_at: Some(passkey.created_at),
            lifetime: begin::LIFETIME,
            makers: self.makers.clone(),
            roles: self.roles.clone(),
        }
    }
}

async fn insert(
    authority: &Authority,
    tx: &mut Tx,
    checked: Checked,
    name: String,
    for_whom: &ForWhom<'_>,
    now: Timestamp,
) -> Result<Passkey, Error> {
    let Checked {
        registration,
        challenge,
    } = checked;
    sign_in::use_up(tx, challenge.hash(), &challenge, now).await?;
    let known = passkeys::list_for_owner(tx, for_whom.owner.id).await?;
    if known.len() >= for_whom.most {
        return Err(Error::Conflict(format!(
            "a person has at most {MOST} passkeys; revoke one first"
        )));
    }
    let passkey = Passkey {
        id: PasskeyId::generate(now, &*authority.entropy),
        owner_id: for_whom.owner.id,
        credential_id: registration.credential_id().to_owned(),
        public_jwk: registration.key().to_jwk().to_string(),
        counter: registration.counter(),
        is_backup_eligible: registration.is_backup_eligible(),
        name,
        makers: for_whom.makers.clone(),
        roles: for_whom.roles.clone(),
        created_at: now,
        used_at: None,
    };
    match passkeys::insert(tx, &passkey).await {
        Ok(()) => Ok(passkey),
        // Whoever's it is, also when it was revoked: a credential is enrolled once (WAN-06).
        Err(StoreError::Constraint) => Err(Error::Conflict(
            "that passkey was enrolled before; make a new one".to_owned(),
        )),
        Err(error) => Err(error.into()),
    }
}

/// What the record says of a new passkey.
fn tell(event: &mut Event, passkey: &Passkey, by: &str) {
    let facts = [
        ("passkey", passkey.id.to_string()),
        ("name", passkey.name.clone()),
        ("roles", passkey.roles.join(" ")),
        ("by", by.to_owned()),
    ];
    event
        .facts
        .extend(facts.map(|(name, fact)| (name.to_owned(), fact)));
}
