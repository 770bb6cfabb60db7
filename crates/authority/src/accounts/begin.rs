//! Begins a session: what a browser gets when somebody has signed in, whichever way.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use chancery_model::author::Author;
use chancery_model::digest::Digest;
use chancery_model::event::{Actor, ActorKind, Event, EventKind};
use chancery_model::id::{OwnerId, SessionId};
use chancery_model::owner::{Owner, OwnerKind};
use chancery_model::time::Timestamp;
use chancery_store::owners;
use chancery_store::sessions::{self, Means};
use chancery_store::tx::Tx;
use chancery_wire::hash;

use crate::accounts::{login, whoami};
use crate::cookie;
use crate::ctx::Ctx;
use crate::error::{Error, NotSignedIn};
use crate::state::Authority;

/// How long a session that a passkey began may be used.
pub const LIFETIME: Duration = Duration::from_secs(12 * 3_600);
/// The same for one that a recovery code began: long enough to enrol a passkey.
pub const RECOVERY_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// Sessions that one person may have at a time; beyond it the oldest ends. Every sign-in reads all sessions, so that
/// nobody makes stops wait by signing in without end.
const MOST: usize = 16;

/// A session that is about to begin.
pub(crate) struct Beginning<'a> {
    /// Whose it is.
    pub(crate) owner: &'a Owner,
    /// By what.
    pub(crate) means: Means,
    /// When the person proved who they are, where that is known.
    pub(crate) authenticated_at: Option<Timestamp>,
    /// How long it may be used.
    pub(crate) lifetime: Duration,
    /// Who had a hand in the invitation, or in the link to a provider, that it goes back to.
    pub(crate) makers: Vec<Author>,
    /// What it may do.
    pub(crate) roles: Vec<String>,
}

/// A session that has begun once its transaction is committed.
pub(crate) struct Begun {
    secret_hash: Digest,
    cookie: HeaderValue,
}

/// Adds the session, with its events; one that the browser had before is ended, so that nothing of it lives on (WEB-05).
pub(crate) async fn begin(
    authority: &Arc<Authority>,
    headers: &HeaderMap,
    tx: &mut Tx,
    now: Timestamp,
    beginning: Beginning<'_>,
) -> Result<(Begun, Vec<Event>), Error> {
    let Beginning {
        owner,
        means,
        authenticated_at,
        lifetime,
        makers,
        roles,
    } = beginning;
    let secret = login::secret("chs", &*authority.entropy);
    let session = sessions::Session {
        id: SessionId::generate(now, &*authority.entropy),
        secret_hash: hash::sha256(secret.as_bytes()),
        owner_id: owner.id,
        means,
        makers,
        roles,
        authenticated_at,
        began_at: now,
        used_at: now,
        ends_at: now.after(lifetime),
    };
    sessions::insert(tx, &session).await?;
    let mut began = event(authority, EventKind::SessionBegan, owner, now);
    began
        .facts
        .insert("session".to_owned(), session.id.to_string());
    began
        .facts
        .insert("signed_in_with".to_owned(), session.means.name().to_owned());
    if let Some(passkey) = session.means.passkey() {
        began
            .facts
            .insert("passkey".to_owned(), passkey.to_string());
    }
    if let Some(provider) = session.means.provider() {
        began
            .facts
            .insert("provider".to_owned(), provider.to_string());
    }
    let mut events = vec![began];
    if let Ok(before) = Ctx::authenticate(Arc::clone(authority), headers)
        && let Ok(own) = before.own_or_recovering()
    {
        let (owner, id) = (own.login().owner_id, own.session().id);
        if sessions::end(tx, owner, id, now).await? {
            let ended = before.event(EventKind::SessionEnded);
            events.push(ended_before(ended, owner, id));
        }
    }
    let live = sessions::list_for_owner(tx, owner.id, now).await?;
    for oldest in live.iter().take(live.len().saturating_sub(MOST)) {
        if sessions::end(tx, owner.id, oldest.id, now).await? {
            let mut ended = event(authority, EventKind::SessionEnded, owner, now);
            ended
                .facts
                .insert("session".to_owned(), oldest.id.to_string());
            ended
                .facts
                .insert("by".to_owned(), "later_sign_in".to_owned());
            events.push(ended);
        }
    }
    let begun = Begun {
        secret_hash: session.secret_hash,
        cookie: cookie::set(&secret),
    };
    Ok((begun, events))
}

/// The event of a session that ended because somebody signed in in its browser, who may be somebody else than its owner.
pub(crate) fn ended_before(mut ended: Event, owner: OwnerId, session: SessionId) -> Event {
    ended.facts.remove("handle");
    ended.facts.insert("owner".to_owned(), owner.to_string());
    ended
        .facts
        .insert("session".to_owned(), session.to_string());
    ended.facts.insert("by".to_owned(), "sign_in".to_owned());
    ended
}

impl Begun {
    /// The answer: who is signed in, and the cookie.
    pub(crate) fn answer(self, authority: &Authority) -> Result<Response, Error> {
        let directory = authority.directory.load();
        // It may be over already: another process saw the person leave meanwhile.
        let login = directory.logins.get(&self.secret_hash);
        let who = whoami::person(login.ok_or(Error::Unauthenticated)?);
        Ok(([(header::SET_COOKIE, self.cookie)], Json(who)).into_response())
    }

    /// The cookie, for an answer that says something else.
    pub(crate) fn into_cookie(self) -> HeaderValue {
        self.cookie
    }
}

/// The person who is signing in, if they have not left.
pub(crate) async fn require_present(tx: &mut Tx, id: OwnerId) -> Result<Owner, Error> {
    let owner = owners::fetch(tx, id).await?.ok_or(Error::Broken)?;
    if owner.is_present() && owner.kind == OwnerKind::Person {
        return Ok(owner);
    }
    Err(refused("person_left"))
}

/// Nobody is signed in; the record is told why.
pub(crate) fn refused(code: &'static str) -> Error {
    Error::SignInRefused(NotSignedIn {
        code,
        passkey: None,
    })
}

/// An event that a person caused who is just proving who they are.
pub(crate) fn event(
    authority: &Authority,
    kind: EventKind,
    owner: &Owner,
    now: Timestamp,
) -> Event {
    let actor = Actor {
        id: owner.handle.as_str().to_owned(),
        kind: ActorKind::Human,
    };
    let mut event = Event::new(kind, actor, now, &*authority.entropy);
    let handle = owner.handle.as_str().to_owned();
    event.facts.insert("owner".to_owned(), owner.id.to_string());
    event.facts.insert("handle".to_owned(), handle);
    event
}
