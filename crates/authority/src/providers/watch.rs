//! Asks providers, again and again, whether the people are still there who came by them.
//!
//! Whom a provider will not vouch for any more has left here too. That it cannot be asked says nothing of anybody, and is
//! counted; but its last word counts for a day, and what somebody let agents do who is known by it alone ends then.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use chancery_model::event::{Actor, Event, EventKind};
use chancery_model::secret::Secret;
use chancery_model::time::Timestamp;
use chancery_store::owners;
use chancery_store::provider_links::{self, KeptToken, Link, Noted};
use chancery_store::providers::Kept;
use chancery_wire::openid::exchange::{TokenAnswer, is_invalid_grant};
use chancery_wire::seal;
use futures_util::StreamExt;

use crate::accounts::disable;
use crate::error::{self, Error};
use crate::grants::end;
use crate::issuers::{self, Named};
use crate::providers::{arrive, credential, exchange, link};
use crate::refresh;
use crate::state::Authority;

/// How often a provider is asked about a person who is signed in, or for whom an agent may act.
pub(crate) const SOON: Duration = Duration::from_secs(5 * 60);
/// The same for everybody else: agents may be theirs.
const LATER: Duration = Duration::from_secs(6 * 3_600);
/// For how long the last word of a provider counts.
const COUNTS: Duration = Duration::from_secs(24 * 3_600);
/// How often it is looked who is due; who they are spreads by when they signed in.
const PERIOD: Duration = Duration::from_secs(1);
/// How many are looked at in a round, and how many of them at a time.
const ROUND: i64 = 32;
const AT_A_TIME: usize = 8;

/// Asks until the process ends.
pub(crate) async fn watch_people(authority: Arc<Authority>) {
    loop {
        tokio::time::sleep(PERIOD).await;
        if let Err(error) = round(&authority).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "it cannot be looked who is due to be asked about"
            );
        }
    }
}

async fn round(authority: &Arc<Authority>) -> Result<(), Error> {
    let now = authority.clock.now();
    // A clock that is not believed makes nobody due.
    if authority.clock.anomaly().is_some() {
        return Ok(());
    }
    let mut tx = authority.store.read().await?;
    let due = provider_links::list_due(&mut tx, now, ROUND).await?;
    drop(tx);
    let looks = due.into_iter().map(|link| look(authority, link, now));
    let mut looks = futures_util::stream::iter(looks).buffer_unordered(AT_A_TIME);
    while let Some(looked) = looks.next().await {
        if let Err(error) = looked {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "it cannot be looked whether a person is still there"
            );
        }
    }
    Ok(())
}

/// Looks at one person, unless another process does.
async fn look(authority: &Arc<Authority>, link: Link, now: Timestamp) -> Result<(), Error> {
    let is_active = is_active(authority, &link);
    let due = now.after(if is_active { SOON } else { LATER });
    if !provider_links::claim(&authority.store, &link, due).await? {
        return Ok(());
    }
    let directory = authority.directory.load_full();
    let asked = link.token.as_ref().and_then(|token| {
        let kept = directory.provider(token.provider)?;
        Some((Arc::clone(kept), token.clone()))
    });
    if let Some((kept, token)) = asked {
        // What fails with us says nothing of the person either, and must not make the last word count for longer.
        let word = ask(authority, &kept, &link, &token, now).await;
        let word = word.unwrap_or_else(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                provider.name = kept.provider.name.as_str(),
                "what a provider is asked with cannot be read"
            );
            Word::None
        });
        match word {
            Word::Vouches(sealed) => {
                let noted = Noted::Vouched {
                    sealed: &sealed,
                    now,
                };
                return Ok(provider_links::note(&authority.store, &link, &noted).await?);
            }
            Word::IsGone => return gone(authority, &kept, &link, &token).await,
            Word::None => {
                tracing::warn!(
                    provider.name = kept.provider.name.as_str(),
                    unanswered = link.unanswered + 1,
                    "a provider cannot be asked whether a person is still there"
                );
                provider_links::note(&authority.store, &link, &Noted::Unanswered).await?;
            }
        }
    }
    match link.vouched_at {
        Some(at) if counts_until(at) <= now => end_grants(authority, &link).await,
        Some(_) | None => Ok(()),
    }
}

/// Whether the person is signed in, or an agent may act for them.
fn is_active(authority: &Authority, link: &Link) -> bool {
    let directory = authority.directory.load();
    let mut logins = directory.logins.values();
    let snapshot = authority.current.load();
    logins.any(|login| login.session.is_some() && login.owner_id == link.owner_id)
        || (snapshot.grants.values()).any(|grant| grant.subject == link.owner_id)
}

/// What a provider says of a person.
enum Word {
    /// They are there; it is asked with this from now on, wrapped.
    Vouches(String),
    /// They are not.
    IsGone,
    /// Nothing that says either.
    None,
}

/// Asks a provider about a person, by refreshing what it gave us. Only a definite refusal says that they are gone.
async fn ask(
    authority: &Arc<Authority>,
    kept: &Kept,
    link: &Link,
    token: &KeptToken,
    now: Timestamp,
) -> Result<Word, Error> {
    let provider = &kept.provider;
    let named = Named::of(authority, provider);
    let Ok(issuer) = issuers::find(authority, named, now).await else {
        return Ok(Word::None);
    };
    let opened = seal::open(&authority.master, &arrive::aad(link), &token.sealed);
    let opened = opened.map_err(|_| Error::Broken)?;
    let text = std::str::from_utf8(opened.expose()).map_err(|_| Error::Broken)?;
    let mut form = credential::Form::default();
    form.add("grant_type", "refresh_token");
    form.add("refresh_token", text);
    let answered = exchange::ask_for_tokens(authority, kept, &issuer.metadata, form, now).await;
    let answered = match answered {
        Ok(answered) => answered,
        Err(exchange::NotIdentified::Failed(error)) => return Err(error),
        Err(exchange::NotIdentified::Unavailable | exchange::NotIdentified::Refused(_)) => {
            return Ok(Word::None);
        }
    };
    Ok(match answered.status {
        StatusCode::OK => match TokenAnswer::of_document(&answered.body) {
            Ok(TokenAnswer {
                refresh_token: Some(new),
                ..
            }) => Word::Vouches(rewrapped(authority, link, token, &new, text)),
            Ok(TokenAnswer {
                access_token: Some(_),
                ..
            }) => Word::Vouches(token.sealed.clone()),
            Ok(_) | Err(_) => Word::None,
        },
        StatusCode::BAD_REQUEST if is_invalid_grant(&answered.body) => Word::IsGone,
        _ => Word::None,
    })
}

/// What it is asked with from now on; the same stays as it is.
fn rewrapped(
    authority: &Authority,
    link: &Link,
    token: &KeptToken,
    new: &Secret<String>,
    before: &str,
) -> String {
    match chancery_wire::hash::equal(new.expose().as_bytes(), before.as_bytes()) {
        true => token.sealed.clone(),
        false => arrive::wrap(authority, link, new.expose()),
    }
}

/// The person has left there, and so they have left here: with all their sessions, and all that agents may do for them. If the
/// provider lets them sign in again, they are back.
async fn gone(
    authority: &Authority,
    kept: &Kept,
    link: &Link,
    token: &KeptToken,
) -> Result<(), Error> {
    error::again(|| try_gone(authority, kept, link, token)).await
}

async fn try_gone(
    authority: &Authority,
    kept: &Kept,
    link: &Link,
    token: &KeptToken,
) -> Result<(), Error> {
    let now = authority.clock.now();
    let mut tx = authority.store.begin_in_turn().await?;
    let current = provider_links::fetch(&mut tx, &link.issuer, &link.subject).await?;
    // Somebody who signed in meanwhile is there: it was only what we asked with that had ended.
    let is_current = |current: &Link| {
        let is_same =
            |kept: &KeptToken| kept.provider == token.provider && kept.sealed == token.sealed;
        current.owner_id == link.owner_id
            && current.vouched_at == link.vouched_at
            && current.token.as_ref().is_some_and(is_same)
    };
    if !current.as_ref().is_some_and(is_current) {
        return Ok(());
    }
    let mut owner = owners::fetch(&mut tx, link.owner_id)
        .await?
        .ok_or(Error::Broken)?;
    let mut event = of_authority(authority, EventKind::OwnerDisabled, now);
    event.reason = Some("the provider does not vouch for the person any more".to_owned());
    let facts = [
        ("by", "provider".to_owned()),
        ("provider", kept.provider.id.to_string()),
        ("name", kept.provider.name.as_str().to_owned()),
        ("subject", link.subject.clone()),
    ];
    let facts = facts.map(|(name, fact)| (name.to_owned(), fact));
    event.facts.extend(facts);
    // What is refused may be no more than what we asked with: their own ways to sign in are there again with them.
    if !disable::set_aside(&mut tx, &mut owner, &mut event).await? {
        return Ok(());
    }
    provider_links::leave(&mut tx, link, now).await?;
    let more = end::end_of_person(authority, &mut tx, link.owner_id, "provider", now).await?;
    refresh::commit(authority, tx, event, more).await
}

/// Ends what a person let agents do whom nobody vouched for in a day, and who has no other way to come: what somebody was
/// given here is for us to take back.
async fn end_grants(authority: &Authority, link: &Link) -> Result<(), Error> {
    let mut tx = authority.store.read().await?;
    let has_own_way = link::has_own_way(authority, &mut tx, link.owner_id).await?;
    let links = provider_links::list_for_owner(&mut tx, link.owner_id).await?;
    drop(tx);
    let now = authority.clock.now();
    let counts = |link: &Link| link.vouched_at.is_some_and(|at| now < counts_until(at));
    if has_own_way || links.iter().any(counts) {
        return Ok(());
    }
    let snapshot = authority.current.load_full();
    let of_person = (snapshot.grants.values()).filter(|grant| grant.subject == link.owner_id);
    for grant in of_person {
        let mut event = of_authority(authority, EventKind::GrantRevoked, now);
        event.reason = Some("no provider vouched for the person in the last day".to_owned());
        event.facts.insert("by".to_owned(), "provider".to_owned());
        end::end(authority, grant.id, &event).await?;
    }
    Ok(())
}

/// The end of the time for which a word of a provider counts.
fn counts_until(vouched_at: Timestamp) -> Timestamp {
    vouched_at.after(COUNTS)
}

fn of_authority(authority: &Authority, kind: EventKind, now: Timestamp) -> Event {
    let actor = Actor::authority();
    Event::new(kind, actor, now, &*authority.entropy)
}
