//! Recovery codes: for a person who lost every passkey, to enrol a new one and nothing else.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use chancery_api::people::{RecoveryCodes, RecoveryCodesLeft, SignInByCode};
use chancery_model::digest::Digest;
use chancery_model::entropy::Entropy;
use chancery_model::event::EventKind;
use chancery_store::recovery_codes::{self, RecoveryCode};
use chancery_store::sessions::Means;
use chancery_wire::hash;

use crate::accounts::begin::{self, Beginning};
use crate::cookie;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::Body;
use crate::refresh;
use crate::state::Authority;

/// How many codes a person has.
const CODES: usize = 10;
/// The letters of a code: 32 that are not taken for each other.
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Letters of a code: 100 random bits, so that neither guessing nor a quick hash matters.
const LENGTH: usize = 20;
/// Letters between two hyphens.
const GROUP: usize = 5;

/// `GET /v1/recovery-codes`.
pub async fn left(ctx: Ctx) -> Result<Json<RecoveryCodesLeft>, Error> {
    let own = ctx.own()?;
    let mut tx = ctx.read().await?;
    let left = recovery_codes::count_open(&mut tx, own.login().owner_id).await?;
    Ok(Json(RecoveryCodesLeft { left }))
}

/// `POST /v1/recovery-codes`: ten codes, shown once; those from before are void.
pub async fn make(ctx: Ctx) -> Result<Json<RecoveryCodes>, Error> {
    let (own, passkey_id) = ctx.own_by_passkey()?;
    let login = own.login();
    let mut tx = ctx.begin().await?;
    let void = recovery_codes::end_for_owner(&mut tx, login.owner_id).await?;
    let mut codes = Vec::with_capacity(CODES);
    for _ in 0..CODES {
        let code = draw(&*ctx.authority.entropy);
        let row = RecoveryCode {
            secret_hash: digest(&code).ok_or(Error::Broken)?,
            owner_id: login.owner_id,
            passkey_id,
            makers: login.hands.makers.clone(),
            roles: login.roles.clone(),
            created_at: ctx.now,
        };
        recovery_codes::insert(&mut tx, &row).await?;
        codes.push(code);
    }
    let mut event = ctx.event(EventKind::RecoveryCodesMade);
    let facts = [
        ("owner", login.owner_id.to_string()),
        ("passkey", passkey_id.to_string()),
        ("codes", CODES.to_string()),
        ("ended", void.to_string()),
    ];
    event
        .facts
        .extend(facts.map(|(name, fact)| (name.to_owned(), fact)));
    ctx.commit_own(own, tx, event, Vec::new()).await?;
    Ok(Json(RecoveryCodes { codes }))
}

/// `POST /v1/sign-in/recovery`: a session of a quarter of an hour, for enrolling a passkey.
pub async fn sign_in(
    State(authority): State<Arc<Authority>>,
    headers: HeaderMap,
    Body(body): Body<SignInByCode>,
) -> Result<Response, Error> {
    cookie::require_same_origin(&headers, &authority.relying_party)?;
    let _room = authority.pressure.admit().ok_or(Error::Unavailable)?;
    let now = authority.clock.now();
    let unknown = || begin::refused("recovery_code_unknown");
    let hash = digest(&body.code).ok_or_else(unknown)?;
    // Whoever guesses only reads.
    let mut tx = authority.store.read().await?;
    let code = recovery_codes::fetch_open(&mut tx, hash).await?;
    drop(tx);
    let code = code.ok_or_else(unknown)?;
    let mut tx = authority.store.begin().await?;
    if !recovery_codes::use_once(&mut tx, hash, now).await? {
        return Err(unknown());
    }
    let owner = begin::require_present(&mut tx, code.owner_id).await?;
    let left = recovery_codes::count_open(&mut tx, owner.id).await?;
    let mut used = begin::event(&authority, EventKind::RecoveryCodeUsed, &owner, now);
    used.facts.insert("left".to_owned(), left.to_string());
    let beginning = Beginning {
        owner: &owner,
        means: Means::RecoveryCode(code.passkey_id),
        authenticated_at: Some(now),
        lifetime: begin::RECOVERY_LIFETIME,
        makers: code.makers,
        roles: code.roles,
    };
    let (begun, more) = begin::begin(&authority, &headers, &mut tx, now, beginning).await?;
    refresh::commit(&authority, tx, used, more).await?;
    begun.answer(&authority)
}

/// A new code, in groups that are easy to copy by hand.
fn draw(entropy: &dyn Entropy) -> String {
    let mut random = [0; LENGTH];
    entropy.fill(&mut random);
    // 256 is a multiple of 32, so every letter is equally likely.
    let letters = random.map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
    let groups = letters.chunks(GROUP).map(|group| group.iter().collect());
    groups.collect::<Vec<String>>().join("-")
}

/// The hash of a code as it was typed; `None` when it cannot be one.
fn digest(typed: &str) -> Option<Digest> {
    if typed.len() > 100 {
        return None;
    }
    let letters = typed.chars().filter(|letter| !matches!(letter, '-' | ' '));
    let code: String = letters.map(|letter| letter.to_ascii_lowercase()).collect();
    let is_code = code.len() == LENGTH && code.bytes().all(|byte| LETTERS.contains(&byte));
    is_code.then(|| hash::sha256_for("recovery code", &[&code]))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Rising;

    impl Entropy for Rising {
        fn fill(&self, bytes: &mut [u8]) {
            for (place, byte) in bytes.iter_mut().enumerate() {
                *byte = (place as u8).wrapping_add(250);
            }
        }
    }

    #[test]
    fn code_is_the_same_however_it_is_typed() {
        let code = draw(&Rising);
        assert_eq!(code, "tvwxy-z0123-45678-9abcd");
        let hash = digest(&code);
        assert!(hash.is_some());
        for same in [
            "TVWXY-Z0123-45678-9ABCD",
            "tvwxyz0123456789abcd",
            " tvwxy z0123 45678 9abcd ",
        ] {
            assert_eq!(digest(same), hash, "{same}");
        }
        for other in [
            "",
            "tvwxy-z0123-45678-9abc",
            "uvwxy-z0123-45678-9abcd",
            &"a".repeat(200),
        ] {
            assert_eq!(digest(other), None, "{other}");
        }
        assert_ne!(digest("tvwxy-z0123-45678-9abce"), hash);
    }
}
