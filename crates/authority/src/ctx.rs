//! The context of one request to `/v1`: who asks, when, and the two doors that every act passes,
//! [`Ctx::authorize`] and [`Ctx::commit`].

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use chancery_model::action::Action;
use chancery_model::assurance::Acr;
use chancery_model::author::{Author, Hands};
use chancery_model::decision::Permit;
use chancery_model::digest::Digest;
use chancery_model::event::{Actor, ActorKind, DecisionFacts, Event, EventKind};
use chancery_model::id::PasskeyId;
use chancery_model::time::Timestamp;
use chancery_policy::{AdminFacts, Question, Target, TargetFacts};
use chancery_store::logins;
use chancery_store::sessions::{self, Means};
use chancery_store::tx::Tx;
use chancery_wire::hash;
use chancery_wire::webauthn::RelyingParty;

use crate::cookie;
use crate::directory::{KnownLogin, Session};
use crate::error::Error;
use crate::refresh;
use crate::state::Authority;

/// The context of one request.
pub struct Ctx {
    /// The authority.
    pub authority: Arc<Authority>,
    /// The one reading of the clock.
    pub now: Timestamp,
    /// Who asks.
    pub caller: Caller,
    traceparent: Option<String>,
}

/// Who asks.
#[derive(Debug, Clone)]
pub enum Caller {
    /// Whoever holds the credential of the data folder.
    LocalAdministrator,
    /// A person with a login, or in a session that they began.
    Human(Arc<KnownLogin>),
}

impl Caller {
    /// Who the caller is, and who had a hand in the login.
    pub fn hands(&self) -> Hands {
        match self {
            Self::LocalAdministrator => Hands {
                author: Author::LocalAdministrator,
                makers: Vec::new(),
            },
            Self::Human(login) => login.hands.clone(),
        }
    }

    /// When the caller signed in, where that is known: a secret that somebody had made says nothing about that.
    pub fn auth_time(&self) -> Option<Timestamp> {
        self.session().and_then(|session| session.authenticated_at)
    }

    /// How surely it is the person, where that is known.
    pub fn acr(&self) -> Option<Acr> {
        match self.session()?.means {
            Means::Passkey(_) => Some(Acr::PhishingResistant),
            // What a provider asked for, it alone knows.
            Means::RecoveryCode(_) | Means::Provider(_) => None,
        }
    }

    /// The session, when the caller is a person in a browser.
    pub fn session(&self) -> Option<&Session> {
        match self {
            Self::LocalAdministrator => None,
            Self::Human(login) => login.session.as_ref(),
        }
    }

    /// How the record names the caller.
    pub fn actor(&self) -> Actor {
        let kind = match self {
            Self::LocalAdministrator => ActorKind::LocalAdministrator,
            Self::Human(_) => ActorKind::Human,
        };
        Actor {
            id: self.hands().author.to_string(),
            kind,
        }
    }
}

/// What an act is about, for the decision point.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The thing.
    pub target: Target<'a>,
    /// Whether it makes an agent wider than it was.
    pub widens: bool,
    /// Who proposed it, when somebody else may have.
    pub proposed_by: Option<&'a Hands>,
}

impl<'a> From<Target<'a>> for About<'a> {
    fn from(target: Target<'a>) -> Self {
        Self {
            target,
            widens: false,
            proposed_by: None,
        }
    }
}

/// A person at their own ways of signing in, in a session. Only [`Ctx::own`] and its sisters make one.
#[derive(Debug, Clone, Copy)]
pub struct Own<'a> {
    login: &'a KnownLogin,
    session: &'a Session,
}

impl<'a> Own<'a> {
    /// The person, and what they may do.
    pub fn login(self) -> &'a KnownLogin {
        self.login
    }

    /// The session.
    pub fn session(self) -> &'a Session {
        self.session
    }
}

impl Ctx {
    /// Finds out who asks: all credentials of `/v1` are opaque secrets, in a header or in the cookie of a session.
    pub fn authenticate(authority: Arc<Authority>, headers: &HeaderMap) -> Result<Self, Error> {
        let now = authority.clock.now();
        let caller = authenticate(&authority, headers, now)?;
        let traceparent = headers
            .get("traceparent")
            .and_then(|value| value.to_str().ok());
        let traceparent = traceparent
            .filter(|text| text.len() <= 64)
            .map(str::to_owned);
        Ok(Self {
            authority,
            now,
            caller,
            traceparent,
        })
    }

    /// Asks the decision point whether the caller may do exactly this; the permit is what [`Ctx::commit`] takes.
    pub fn authorize<'a>(
        &self,
        action: Action,
        about: impl Into<About<'a>>,
    ) -> Result<Permit, Error> {
        if self.is_recovering() {
            return Err(self.only_recovers(action.name()));
        }
        self.decide(action, &about.into())
            .into_permit()
            .map_err(|denied| {
                let mut event = self.event(EventKind::RequestRefused);
                event.outcome = "access_denied".to_owned();
                event.decision = Some(DecisionFacts::from(&denied));
                event
                    .facts
                    .insert("action".to_owned(), action.name().to_owned());
                Error::Denied {
                    reason: denied.reason,
                    event: Some(Box::new(event)),
                }
            })
    }

    /// Whether the caller may, without refusing: for acts that have a gentler second way.
    pub fn permit<'a>(&self, action: Action, about: impl Into<About<'a>>) -> Option<Permit> {
        if self.is_recovering() {
            return None;
        }
        self.decide(action, &about.into()).into_permit().ok()
    }

    /// Whether the caller signed in by a recovery code, which is for enrolling a passkey and nothing else (WAN-07).
    fn is_recovering(&self) -> bool {
        let session = self.caller.session();
        session.is_some_and(|session| matches!(session.means, Means::RecoveryCode(_)))
    }

    fn only_recovers(&self, act: &str) -> Error {
        let mut event = self.event(EventKind::RequestRefused);
        event.outcome = "recovery_only".to_owned();
        event.facts.insert("action".to_owned(), act.to_owned());
        Error::Denied {
            reason: "whoever signed in by a recovery code may only enrol a passkey".to_owned(),
            event: Some(Box::new(event)),
        }
    }

    /// The caller at their own ways of signing in, which nobody has to permit: a person in a session that a passkey or a
    /// provider began. A login that somebody else had made is not enough (WEB-07).
    pub fn own(&self) -> Result<Own<'_>, Error> {
        let own = self.own_or_recovering()?;
        if self.is_recovering() {
            return Err(self.only_recovers("own_sign_in"));
        }
        Ok(own)
    }

    /// The same for what a stolen session must not do: the person signed in just now.
    pub fn own_fresh(&self) -> Result<Own<'_>, Error> {
        let own = self.own()?;
        if !own.session.is_fresh(self.now) {
            let mut event = self.event(EventKind::RequestRefused);
            event.outcome = "sign_in_again".to_owned();
            return Err(Error::SignInAgain(Box::new(event)));
        }
        Ok(own)
    }

    /// The same for making a way to sign in that outlasts the session: a passkey, recovery codes, a link to a provider. A
    /// provider's word is not enough, since whoever leaves there leaves here.
    pub fn own_by_passkey(&self) -> Result<(Own<'_>, PasskeyId), Error> {
        let own = self.own()?;
        let Some(passkey) = own.session.means.passkey() else {
            let mut event = self.event(EventKind::RequestRefused);
            event.outcome = "not_by_passkey".to_owned();
            return Err(Error::Denied {
                reason: "this is for a person who signed in with a passkey of their own".to_owned(),
                event: Some(Box::new(event)),
            });
        };
        self.own_fresh().map(|own| (own, passkey))
    }

    /// Requires of a person in a session, where somebody gets a way to sign in or loses one, that they signed in just now:
    /// a stolen session must not make itself last by way of another name. A login and the local administrator's credential
    /// are secrets without such a moment.
    pub fn require_fresh(&self) -> Result<(), Error> {
        match self.caller.session() {
            Some(_) => self.own_fresh().map(drop),
            None => Ok(()),
        }
    }

    /// The caller at their own ways of signing in, also when a recovery code began the session: for enrolling a passkey and
    /// for signing out.
    pub fn own_or_recovering(&self) -> Result<Own<'_>, Error> {
        if let Caller::Human(login) = &self.caller
            && let Some(session) = &login.session
        {
            return Ok(Own { login, session });
        }
        let mut event = self.event(EventKind::RequestRefused);
        event.outcome = "no_session".to_owned();
        Err(Error::Denied {
            reason: "this is for a person who signed in in a browser".to_owned(),
            event: Some(Box::new(event)),
        })
    }

    fn decide(&self, action: Action, about: &About<'_>) -> chancery_model::decision::Decision {
        let hands = self.caller.hands();
        let (id, handle, roles): (String, String, Vec<&str>);
        let actor = match &self.caller {
            Caller::LocalAdministrator => AdminFacts::LocalAdministrator,
            Caller::Human(login) => {
                id = login.owner_id.to_string();
                handle = hands.author.to_string();
                roles = login.roles.iter().map(String::as_str).collect();
                AdminFacts::Human {
                    id: &id,
                    handle: &handle,
                    roles: &roles,
                }
            }
        };
        let target = TargetFacts {
            target: about.target,
            widens: about.widens,
            second_person: about
                .proposed_by
                .is_some_and(|proposer| hands.is_second_to(proposer)),
            now: self.now,
        };
        let question = Question::Administer {
            actor: &actor,
            action,
            target,
        };
        let id = self.authority.decision_id(self.now);
        self.authority.current.load().policy.decide(id, &question)
    }

    /// An event of this request; the kind says what happened, the caller did it.
    pub fn event(&self, kind: EventKind) -> Event {
        Event {
            traceparent: self.traceparent.clone(),
            ..Event::new(
                kind,
                self.caller.actor(),
                self.now,
                &*self.authority.entropy,
            )
        }
    }

    /// Begins a transaction that may write. A login or a session that ended since the request began, here or at another
    /// process, writes nothing any more: who is being shut out does not get in again by being quick (SI-12).
    pub async fn begin(&self) -> Result<Tx, Error> {
        let tx = self.authority.store.begin().await?;
        self.require_live(tx).await
    }

    /// The same for a stop, which outranks what goes on: where a transaction would give way to one that writes the same
    /// rows, this one waits for it and then writes (SI-12).
    pub async fn begin_stop(&self) -> Result<Tx, Error> {
        let tx = self.authority.store.begin_in_turn().await?;
        self.require_live(tx).await
    }

    async fn require_live(&self, mut tx: Tx) -> Result<Tx, Error> {
        let is_live = match &self.caller {
            Caller::LocalAdministrator => true,
            Caller::Human(login) => match &login.session {
                Some(session) => sessions::is_live(&mut tx, session.id, self.now).await?,
                None => logins::is_live(&mut tx, login.secret_hash, self.now).await?,
            },
        };
        if is_live {
            Ok(tx)
        } else {
            Err(Error::Unauthenticated)
        }
    }

    /// Begins a transaction that only reads.
    pub async fn read(&self) -> Result<Tx, Error> {
        Ok(self.authority.store.read().await?)
    }

    /// Commits what was permitted with its events, and makes it visible to all who enforce before it returns.
    pub async fn commit(
        &self,
        permit: Permit,
        tx: Tx,
        mut first: Event,
        more: Vec<Event>,
    ) -> Result<(), Error> {
        first.decision = Some(DecisionFacts::from(permit.decision()));
        refresh::commit(&self.authority, tx, first, more).await
    }

    /// The same for what a person does to their own ways of signing in.
    pub async fn commit_own(
        &self,
        _own: Own<'_>,
        tx: Tx,
        first: Event,
        more: Vec<Event>,
    ) -> Result<(), Error> {
        refresh::commit(&self.authority, tx, first, more).await
    }
}

/// The secret that came with a request: a login in a header, or a session in a cookie, and neither in place of the other.
#[derive(Clone, Copy)]
enum Presented<'a> {
    Login(&'a str),
    Session(&'a str),
}

impl<'a> Presented<'a> {
    fn of(headers: &'a HeaderMap, party: &RelyingParty) -> Option<Self> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => {
                let text = value.to_str().ok()?;
                text.strip_prefix("Bearer ").map(Self::Login)
            }
            (None, _) => cookie::session_secret(headers, party).map(Self::Session),
            (Some(_), Some(_)) => None,
        }
    }

    fn secret(self) -> &'a str {
        match self {
            Self::Login(secret) | Self::Session(secret) => secret,
        }
    }

    /// Whether a login that was found by the secret is of this kind and goes on.
    fn admits(self, login: &KnownLogin, now: Timestamp) -> bool {
        let is_of_its_kind = match (self, &login.session) {
            (Self::Login(_), None) => true,
            (Self::Session(_), Some(session)) => !session.is_idle(now),
            (Self::Login(_), Some(_)) | (Self::Session(_), None) => false,
        };
        is_of_its_kind && login.expires_at > now
    }
}

fn authenticate(
    authority: &Authority,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Caller, Error> {
    let presented =
        Presented::of(headers, &authority.relying_party).ok_or(Error::Unauthenticated)?;
    let secret = Some(presented.secret()).filter(|text| (16..=256).contains(&text.len()));
    let secret = secret.ok_or(Error::Unauthenticated)?;
    // The secret is random and long, so looking its hash up leaks nothing that helps to guess it.
    let hash = hash::sha256(secret.as_bytes());
    if matches!(presented, Presented::Login(_)) && is_local_administrator(authority, &hash) {
        return Ok(Caller::LocalAdministrator);
    }
    let directory = authority.directory.load();
    match directory.logins.get(&hash) {
        Some(login) if presented.admits(login, now) => Ok(Caller::Human(Arc::clone(login))),
        Some(_) | None => Err(Error::Unauthenticated),
    }
}

fn is_local_administrator(authority: &Authority, hash: &Digest) -> bool {
    let config = &authority.config;
    let mut known = std::iter::once(config.local_administrator).chain(config.console_login);
    known.any(|known| hash::equal(hash.as_bytes(), known.as_bytes()))
}

impl FromRequestParts<Arc<Authority>> for Ctx {
    type Rejection = Error;

    /// Whoever signed in by a recovery code is turned away before a handler looks at anything.
    async fn from_request_parts(
        parts: &mut Parts,
        authority: &Arc<Authority>,
    ) -> Result<Self, Error> {
        let ctx = Self::authenticate(Arc::clone(authority), &parts.headers)?;
        if ctx.is_recovering() {
            return Err(ctx.only_recovers("request"));
        }
        Ok(ctx)
    }
}

/// The context of the few requests that a recovery code is for: enrolling a passkey and signing out.
pub struct EvenRecovering(pub Ctx);

impl FromRequestParts<Arc<Authority>> for EvenRecovering {
    type Rejection = Error;

    async fn from_request_parts(
        parts: &mut Parts,
        authority: &Arc<Authority>,
    ) -> Result<Self, Error> {
        Ctx::authenticate(Arc::clone(authority), &parts.headers).map(Self)
    }
}
